"""
The methods that change something: place, cancel, cancel and replace, amend.

Each takes the request's parameters and returns the result as the documents show it, or raises
Rejected. Order lists (OCO, OTO, OTOCO) are not traded here and say so.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from brokerd.executor import Refused
from brokerd.states import OrdStatus
from brokerd_adapters.venue.binance import shapes
from brokerd_adapters.venue.binance.desk import Desk
from brokerd_adapters.venue.binance.entry import Entry, read_entry
from brokerd_adapters.venue.binance.errors import (
    NO_SUCH_ORDER,
    Rejected,
    bad_request,
    cancel_refused,
    of_refusal,
    order_refused,
)
from brokerd_adapters.venue.binance.filters import check_qty
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.orders import Order

_RESTRICTIONS = {
    "ONLY_NEW": OrdStatus.NEW,
    "ONLY_PARTIALLY_FILLED": OrdStatus.PARTIALLY_FILLED,
}
_GOES_ON = {"STOP_ON_FAILURE": False, "ALLOW_FAILURE": True}
_OVER_LIMIT_MODES = ("DO_NOTHING", "CANCEL_ONLY")


class Trading:
    """The commands of one account."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def place(self, params: Params) -> Any:
        """Place a new order."""
        return self._enter(read_entry(self._desk, params), params)

    def test(self, params: Params) -> Any:
        """Check a new order, and place nothing."""
        read_entry(self._desk, params)
        return {}

    def cancel(self, params: Params) -> Any:
        """Cancel one order; from then on it bears the cancel's client order id."""
        order = self._desk.find(params)
        return self._cancel(order, params, params.client_id("newClientOrderId"))

    def cancel_all(self, params: Params) -> Any:
        """Cancel every open order on a symbol."""
        orders = self._desk.exchange.open_orders(self._desk.instrument(params).symbol)
        if not orders:
            raise cancel_refused()
        return [self._cancel(order, params, None) for order in orders]

    def cancel_replace(self, params: Params) -> Any:
        """Cancel an order and place another; either may fail (-2021), or both (-2022)."""
        desk = self._desk
        goes_on = params.choice(
            "cancelReplaceMode",
            _GOES_ON,
            -1130,
            "Data sent for parameter 'cancelReplaceMode' is not valid.",
        )
        over_limit = params.word("orderRateLimitExceededMode", _OVER_LIMIT_MODES, "DO_NOTHING")
        entry = read_entry(desk, params)
        if over_limit == "DO_NOTHING":
            desk.limits.check_orders(1, desk.exchange.clock.now_ns())
        old = desk.find(params, "cancelOrderId", "cancelOrigClientOrderId")
        name = params.client_id("cancelNewClientOrderId")
        canceled = _attempted(lambda: self._cancel(old, params, name))
        if goes_on or not isinstance(canceled, Rejected):
            return _both(canceled, _attempted(lambda: self._enter(entry, params)))
        # A new order that is not attempted counts as an unfilled one all the same.
        desk.limits.add_orders(1)
        return _both(canceled, None)

    def amend(self, params: Params) -> Any:
        """Make an order's quantity less; it keeps its place, but not its client order id."""
        desk = self._desk
        order = desk.find(params)
        if order is None or not order.is_open:
            raise bad_request(*NO_SUCH_ORDER)
        qty = params.need_decimal("newQty")
        self._check_less(order, qty)
        name = params.client_id("newClientOrderId") or desk.new_name()
        if name != order.client_order_id and desk.exchange.is_taken(name):
            raise order_refused("Duplicate order sent.")
        before, before_qty = order.client_order_id, order.qty
        desk.before = before
        answer = desk.exchange.replace(order, qty, None, name)
        if isinstance(answer, Refused):
            raise bad_request(-2038, "Order amend is not possible: the order is filled that far.")
        facts, number = desk.facts[order.order_id], desk.execution_id
        facts.amendments.append(shapes.amendment(order, number, before, before_qty))
        return {
            "transactTime": params.stamp(order.updated_at_ns),
            "executionId": number,
            "amendedOrder": shapes.amended(order, facts, params, before),
        }

    def no_order_list(self, params: Params) -> Any:
        """Refuse an order list."""
        self._desk.instrument(params)
        raise order_refused("OCO orders are not supported for this symbol")

    def _enter(self, entry: Entry, params: Params) -> Any:
        desk = self._desk
        desk.limits.check_orders(1, desk.exchange.clock.now_ns())
        desk.limits.add_orders(1)
        desk.entering = entry.facts
        answer = desk.exchange.place(entry.new)
        if isinstance(answer, Refused):
            desk.limits.add_orders(-1)
            raise of_refusal(answer)
        return shapes.placed(answer, entry.facts, params, entry.response)

    def _check_less(self, order: Order, qty: Decimal) -> None:
        check_qty(self._desk.exchange.instruments[order.terms.symbol], qty)
        if qty > order.qty:
            raise bad_request(-2038, "Order amend (quantity increase) is not supported.")
        if qty == order.qty:
            raise bad_request(-2038, "The requested action would change no state; rejecting")

    def _cancel(self, order: Order | None, params: Params, name: str | None) -> Any:
        desk = self._desk
        if order is None or not order.is_open:
            raise cancel_refused()
        restriction = params.text("cancelRestrictions")
        if restriction is not None:
            if restriction not in _RESTRICTIONS:
                raise bad_request(
                    -1145,
                    "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.",
                )
            if order.ord_status is not _RESTRICTIONS[restriction]:
                raise cancel_refused("Order was not canceled due to cancel restrictions.")
        desk.before = before = order.client_order_id
        desk.exchange.cancel(order, name or desk.new_name())
        return shapes.canceled(order, desk.facts[order.order_id], params, before)


def _attempted(act: Callable[[], Any]) -> Any:
    """Return what a half came to: its answer, or its refusal as a value."""
    try:
        return act()
    except Rejected as rejected:
        return rejected


def _both(canceled: Any, placed: Any) -> Any:
    """Return the answer to a cancel-replace, or raise it if either half failed."""

    def half(told: Any) -> Any:
        return told.body if isinstance(told, Rejected) else told

    def word(told: Any) -> str:
        if told is None:
            return "NOT_ATTEMPTED"
        return "FAILURE" if isinstance(told, Rejected) else "SUCCESS"

    data = {
        "cancelResult": word(canceled),
        "newOrderResult": word(placed),
        "cancelResponse": half(canceled),
        "newOrderResponse": half(placed),
    }
    done = (data["cancelResult"], data["newOrderResult"]).count("SUCCESS")
    if done == 2:
        return data
    if done == 1:
        raise Rejected(409, -2021, "Order cancel-replace partially failed.", data)
    raise Rejected(400, -2022, "Order cancel-replace failed.", data)
