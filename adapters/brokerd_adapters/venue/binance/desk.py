"""
The trading desk: what the methods work with, and what is kept of each order beside its record.

It hears of every record before anybody is told, so that facts, counts and limits are right when the
account's stream says what happened.
"""

import random
from collections import Counter

from brokerd.money import subtract
from brokerd.terms import Instrument
from brokerd_adapters.paper.records import Placed, Record, Traded, Triggered
from brokerd_adapters.venue.binance.errors import NO_SUCH_SYMBOL, bad_request
from brokerd_adapters.venue.binance.filters import Caps
from brokerd_adapters.venue.binance.limits import Limits
from brokerd_adapters.venue.binance.market import Market
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.binance.shapes import Facts
from brokerd_adapters.venue.binance.words import is_prevented, number
from brokerd_adapters.venue.exchange import Exchange
from brokerd_adapters.venue.orders import Order

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Desk:
    """
    Exchange, market, limits and facts of one account.

    `entering` are the facts of the order that is being placed; `before` is the name that a cancel
    or an amendment is about to take from its order; `execution_id` numbers the latest record.
    """

    def __init__(
        self, exchange: Exchange, market: Market, limits: Limits, caps: Caps, seed: int
    ) -> None:
        self.exchange = exchange
        self.market = market
        self.limits = limits
        self.caps = caps
        self.facts: dict[str, Facts] = {}
        self.open: Counter[str] = Counter()
        self.asleep: Counter[str] = Counter()
        self.entering: Facts | None = None
        self.before = ""
        self.execution_id = 0
        self._chance = random.Random(seed)  # noqa: S311  names, no key
        self._prevented = 0

    def instrument(self, params: Params) -> Instrument:
        """Return the symbol's rules; refuses a request without a symbol of ours."""
        instrument = self.exchange.instruments.get(params.need("symbol"))
        if instrument is None:
            raise bad_request(*NO_SUCH_SYMBOL)
        return instrument

    def find(
        self, params: Params, by_id: str = "orderId", by_name: str = "origClientOrderId"
    ) -> Order | None:
        """
        Return the order that a request names, None if there is none of that number or name.

        With both, the number is looked up and the name must be its own.
        """
        symbol = self.instrument(params).symbol
        number, name = params.integer(by_id), params.text(by_name)
        if number is None and not name:
            raise bad_request(
                -1102, f"Param '{by_name}' or '{by_id}' must be sent, but both were empty/null!"
            )
        order = (
            self.exchange.order(str(number))
            if number is not None
            else self.exchange.named(name or "")
        )
        if order is None or order.terms.symbol != symbol:
            return None
        if number is not None and name and order.client_order_id != name:
            raise bad_request(-2039, "Client order ID does not match the order ID.")
        return order

    def new_name(self) -> str:
        """Return a client order id for whoever gave none."""
        return "".join(self._chance.choices(_ALPHABET, k=22))

    def on_record(self, order: Order, record: Record) -> Facts:
        """Bring facts and counts to what has just happened; return the order's facts."""
        self.execution_id += 1
        if isinstance(record, Placed):
            self._placed(order)
        facts = self.facts[order.order_id]
        if isinstance(record, Triggered):
            self.asleep[order.terms.symbol] -= 1
            facts.working_at_ns = record.at_ns
        elif isinstance(record, Traded) and len(order.executions) == 1:
            self.limits.first_fill(is_maker=record.execution.liquidity == "maker")
        if not order.is_open:
            self._closed(order, facts)
        return facts

    def forget(self) -> None:
        """Lose what was known of orders."""
        for memory in (self.facts, self.open, self.asleep):
            memory.clear()

    def _placed(self, order: Order) -> None:
        if self.entering is None:
            raise RuntimeError("an order was placed past the desk")
        self.facts[order.order_id] = self.entering
        self.open[order.terms.symbol] += 1
        if order.is_asleep:
            self.asleep[order.terms.symbol] += 1
        else:
            self.entering.working_at_ns = order.created_at_ns

    def _closed(self, order: Order, facts: Facts) -> None:
        self.open[order.terms.symbol] -= 1
        if order.is_asleep:
            self.asleep[order.terms.symbol] -= 1
        if is_prevented(order):
            facts.prevented_qty = number(subtract(order.qty, order.cum_qty))
            facts.prevented_match_id = self._prevented
            self._prevented += 1
