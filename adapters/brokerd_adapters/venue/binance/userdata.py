"""
The account's stream: execution reports, and balances when they changed.

Field names: user-data-stream.md. A report is made once a record and time unit, whoever listens.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from brokerd.executor import Balance, Execution
from brokerd.money import multiply
from brokerd_adapters.paper.records import Ended, Record, Replaced, Traded, Triggered
from brokerd_adapters.venue.binance.desk import Desk
from brokerd_adapters.venue.binance.shapes import Facts
from brokerd_adapters.venue.binance.words import (
    expiry_reason,
    is_prevented,
    number,
    side,
    status,
)
from brokerd_adapters.venue.orders import Order
from brokerd_adapters.venue.wire import Connection

_encode = msgspec.json.Encoder().encode


class Subscription(Struct, frozen=True, eq=False):
    """One connection that hears the account, under the number it was given."""

    connection: Connection
    subscription_id: int
    unit_ns: int


class UserData:
    """Who listens to the account."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._subscriptions: set[Subscription] = set()
        self._told: dict[str, Balance] = {}
        self._touched: set[str] = set()
        self._updated_at_ns = 0

    def subscribe(self, subscription: Subscription) -> None:
        """Tell this one, too, from now on."""
        if not self._subscriptions:
            self._told = {balance.asset: balance for balance in self._desk.exchange.balances()}
        self._subscriptions.add(subscription)

    def leave(self, subscription: Subscription) -> None:
        """Tell it no more."""
        self._subscriptions.discard(subscription)

    def on_record(self, order: Order, facts: Facts, record: Record) -> None:
        """Tell what has just happened to an order."""
        # That a stop was elected is not reported: the order's next event shows it.
        if self._subscriptions and not isinstance(record, Triggered):
            now_ns = self._desk.exchange.clock.now_ns()
            self._updated_at_ns = now_ns
            instrument = self._desk.exchange.instruments[order.terms.symbol]
            self._touched |= {instrument.base, instrument.quote}
            self._tell(partial(self._report, order, facts, record, now_ns))

    def on_settled(self) -> None:
        """Tell the balances that changed."""
        held = [self._desk.exchange.held(asset) for asset in sorted(self._touched)]
        self._touched.clear()
        changed = [balance for balance in held if self._told.get(balance.asset) != balance]
        if not changed:
            return
        self._told |= {balance.asset: balance for balance in changed}
        balances = [{"a": b.asset, "f": number(b.free), "l": number(b.locked)} for b in changed]
        now_ns = self._updated_at_ns

        def position(unit_ns: int) -> dict[str, Any]:
            at = now_ns // unit_ns
            return {"e": "outboundAccountPosition", "E": at, "u": at, "B": balances}

        self._tell(position)

    def terminate(self, subscription: Subscription) -> None:
        """Say a subscription's last word, and forget it."""
        now_ns = self._desk.exchange.clock.now_ns()
        event = {"e": "eventStreamTerminated", "E": now_ns // subscription.unit_ns}
        self._send(subscription, _encode(event))
        self.leave(subscription)

    def _tell(self, make: Callable[[int], dict[str, Any]]) -> None:
        frames: dict[int, bytes] = {}
        for subscription in tuple(self._subscriptions):
            unit_ns = subscription.unit_ns
            event = frames.get(unit_ns)
            if event is None:
                event = frames[unit_ns] = _encode(make(unit_ns))
            self._send(subscription, event)

    def _send(self, subscription: Subscription, event: bytes) -> None:
        frame = b'{"subscriptionId":%d,"event":%b}' % (subscription.subscription_id, event)
        subscription.connection.stream([frame])

    def _report(
        self, order: Order, facts: Facts, record: Record, now_ns: int, unit_ns: int
    ) -> dict[str, Any]:
        execution = record.execution if isinstance(record, Traded) else None
        is_renamed = isinstance(record, Replaced) or (
            isinstance(record, Ended) and record.reason == "canceled_on_request"
        )
        report = {
            "e": "executionReport",
            "E": now_ns // unit_ns,
            "s": order.terms.symbol,
            "c": order.client_order_id,
            "S": side(order),
            "o": facts.type_word,
            "f": facts.tif_word,
            "q": number(order.qty),
            "p": number(order.px),
            "P": number(order.terms.stop_px),
            "F": facts.iceberg_qty or "0.00000000",
            "g": -1,
            "C": self._desk.before if is_renamed else "",
            "x": _execution_type(order, record),
            "X": status(order),
            "r": "NONE",
            "i": int(order.order_id),
            **_last(execution),
            "z": number(order.cum_qty),
            "T": order.updated_at_ns // unit_ns,
            "I": self._desk.execution_id,
            "w": order.is_open and not order.is_asleep,
            "m": execution is not None and execution.liquidity == "maker",
            "M": execution is not None,
            "O": order.created_at_ns // unit_ns,
            "Z": number(order.cum_quote),
            "Q": facts.quote_order_qty,
            "V": facts.self_trade,
        }
        return report | _conditional(order, facts, record, unit_ns)


def _execution_type(order: Order, record: Record) -> str:
    if isinstance(record, Traded):
        return "TRADE"
    if isinstance(record, Replaced):
        return "REPLACED"
    if isinstance(record, Ended):
        return "TRADE_PREVENTION" if is_prevented(order) else status(order)
    return "NEW"


def _last(execution: Execution | None) -> dict[str, Any]:
    """Return the fields about the execution; without one they say nothing."""
    if execution is None:
        nothing = number(None)
        return {"l": nothing, "L": nothing, "n": "0", "N": None, "t": -1, "Y": nothing}
    return {
        "l": number(execution.last_qty),
        "L": number(execution.last_px),
        "n": number(execution.fee),
        "N": execution.fee_asset,
        "t": int(execution.exec_id),
        "Y": number(multiply(execution.last_px, execution.last_qty)),
    }


def _conditional(order: Order, facts: Facts, record: Record, unit_ns: int) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if facts.working_at_ns is not None:
        more["W"] = facts.working_at_ns // unit_ns
    if facts.strategy_id is not None:
        more["j"] = facts.strategy_id
    if facts.strategy_type is not None:
        more["J"] = facts.strategy_type
    if isinstance(record, Ended) and is_prevented(order):
        more |= {
            "v": facts.prevented_match_id,
            "A": facts.prevented_qty,
            "B": facts.prevented_qty,
            "u": 1,
            "U": int(record.against),
        }
    reason = expiry_reason(order)
    if reason != "NONE":
        more["eR"] = reason
    return more
