"""
Order entities: what Alpaca calls an order, of which one order of the exchange may have several.

Each replace makes a new entity with an id, a client id, a quantity and fills of its own; behind
them all is one order of the exchange, whose fills since an entity took its place are that entity's.
"""

from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from msgspec import Struct

from brokerd.executor import Execution
from brokerd.money import ZERO, add, digits, divide, multiply
from brokerd.terms import OrdType, TimeInForce
from brokerd.times import rfc3339
from brokerd_adapters.venue.orders import Order

CLOSED = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
"""Statuses of an entity that is over."""

NOT_REPLACEABLE = frozenset({"accepted", "pending_new", "pending_cancel", "pending_replace"})
"""docs.alpaca.markets, Replace Order by ID: an order in one of these cannot be replaced."""


class Entity(Struct, kw_only=True):
    """One order entity; only the desk changes one. `order` is the exchange's, shared by a chain."""

    id: str
    client_order_id: str
    order: Order
    asset_class: str
    asset_id: str
    qty: Decimal
    px: Decimal | None
    status: str
    created_at_ns: int
    updated_at_ns: int
    replaces: str | None = None
    replaced_by: str | None = None
    extended_hours: bool = False
    filled_qty: Decimal = ZERO
    cost: Decimal = ZERO
    executions: list[Execution] = []
    times: dict[str, int] = {}

    @property
    def is_open(self) -> bool:
        """Whether it may still trade, or is about to."""
        return self.status not in CLOSED

    def move(self, status: str, now_ns: int, stamp: str = "") -> None:
        """Come to a status; `stamp` names the time that is kept of it."""
        self.status, self.updated_at_ns = status, now_ns
        if stamp:
            self.times[stamp] = now_ns

    def fill(self, execution: Execution, now_ns: int) -> None:
        """Count one execution."""
        self.executions.append(execution)
        self.filled_qty = add(self.filled_qty, execution.last_qty)
        self.cost = add(self.cost, multiply(execution.last_qty, execution.last_px))
        is_filled = self.filled_qty >= self.qty
        self.move("filled" if is_filled else "partially_filled", now_ns, "filled_at" * is_filled)

    def shown(self, **changes: Any) -> dict[str, Any]:
        """Return the entity as the wire has it: every key always there."""
        order = self.order
        told = {
            "id": self.id,
            "client_order_id": self.client_order_id,
            "created_at": rfc3339(self.created_at_ns),
            "updated_at": rfc3339(self.updated_at_ns),
            "submitted_at": rfc3339(self.created_at_ns),
            **{stamp: self._time(stamp) for stamp in _STAMPS},
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "asset_id": self.asset_id,
            "symbol": order.terms.symbol,
            "asset_class": self.asset_class,
            "notional": None,
            "qty": digits(self.qty),
            "filled_qty": digits(self.filled_qty),
            "filled_avg_price": self._avg_px(),
            "order_class": "",
            "order_type": order.terms.ord_type,
            "type": order.terms.ord_type,
            "side": order.terms.side,
            "time_in_force": order.terms.time_in_force,
            "limit_price": _text(self.px),
            "stop_price": _text(order.terms.stop_px),
            "status": self.status,
            "extended_hours": self.extended_hours,
            "legs": None,
            "trail_percent": None,
            "trail_price": None,
            "hwm": None,
            "position_intent": f"{order.terms.side}_to_open",
        }
        return told | changes

    def ending(self, reason: str) -> str:
        """Return the word for the end that the exchange calls expired."""
        is_at_once = self.order.terms.time_in_force in {TimeInForce.IOC, TimeInForce.FOK}
        if reason == "time_in_force_ended":
            return "expired"
        return (
            "canceled" if is_at_once or self.order.terms.ord_type is OrdType.MARKET else "expired"
        )

    def _avg_px(self) -> str | None:
        return digits(divide(self.cost, self.filled_qty)) if self.filled_qty else None

    def _time(self, stamp: str) -> str | None:
        at_ns = self.times.get(stamp)
        return None if at_ns is None else rfc3339(at_ns)


_STAMPS = ("filled_at", "expired_at", "canceled_at", "failed_at", "replaced_at")


def entity_id(order: Order, number: int) -> str:
    """Return the id of an order's entity: the exchange's numbers never come twice."""
    return str(uuid5(NAMESPACE_OID, f"order/{order.order_id}/{number}"))


def execution_id(execution: Execution) -> str:
    """Return the id that the stream gives an execution. The activities give it another."""
    return str(uuid5(NAMESPACE_OID, f"execution/{execution.exec_id}"))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else digits(value)
