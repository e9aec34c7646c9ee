"""
What happens at the paper venue, one record each: the venue's whole state is the fold of these.

`Ledger.apply` folds them, live and when the log is read again; nothing else changes an order or a
balance. A venue that is compacted is one `Opened`, and one `Kept` for each order remembered.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct

from brokerd.executor import Balance, Execution, OrderView, Report
from brokerd.money import ZERO, plain, subtract
from brokerd.states import FINAL, ExecType, OrdStatus
from brokerd.terms import OrdType, Side, TimeInForce


class SelfTrade(StrEnum):
    """What happens when an order would trade with another of ours; the taker's word counts."""

    TRADE = "trade"
    EXPIRE_TAKER = "expire_taker"
    EXPIRE_MAKER = "expire_maker"
    EXPIRE_BOTH = "expire_both"

    @property
    def ends_taker(self) -> bool:
        """Whether the order that would take expires."""
        return self in {SelfTrade.EXPIRE_TAKER, SelfTrade.EXPIRE_BOTH}

    @property
    def ends_maker(self) -> bool:
        """Whether the order that rests expires."""
        return self in {SelfTrade.EXPIRE_MAKER, SelfTrade.EXPIRE_BOTH}


class VenueOrder(Struct, kw_only=True, omit_defaults=True, gc=False):
    """
    An order as the venue holds it; only the ledger changes one.

    `priority` grows with time: of two orders at one price the lower trades first. `triggered` says
    that a stop has been elected; one that `takes_profit` waits for the price to move the other way.
    `locked` is held in the quote asset for a buy, else in the base.
    """

    venue_order_id: str
    venue_cl_ord_id: str
    symbol: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    qty: Decimal
    priority: int
    updated_at_ns: int
    px: Decimal | None = None
    stop_px: Decimal | None = None
    expire_at_ns: int | None = None
    post_only: bool = False
    takes_profit: bool = False
    self_trade: SelfTrade = SelfTrade.TRADE
    ord_status: OrdStatus = OrdStatus.NEW
    triggered: bool = False
    cum_qty: Decimal = ZERO
    locked: Decimal = ZERO
    reason: str = ""
    executions: list[Execution] = []

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.ord_status not in FINAL

    @property
    def is_asleep(self) -> bool:
        """Whether it is a stop that waits for its trigger price."""
        return self.stop_px is not None and not self.triggered

    @property
    def rises(self) -> bool:
        """Whether it is a rise to its trigger price that elects a stop: a buy's, unless reversed."""
        return (self.side is Side.BUY) is not self.takes_profit

    @property
    def leaves_qty(self) -> Decimal:
        """What may still trade."""
        return plain(subtract(self.qty, self.cum_qty)) if self.is_open else ZERO

    def view(self) -> OrderView:
        """Return the order as a query shows it, with every execution."""
        return OrderView(
            venue_cl_ord_id=self.venue_cl_ord_id,
            venue_order_id=self.venue_order_id,
            symbol=self.symbol,
            side=self.side,
            ord_type=self.ord_type,
            ord_status=self.ord_status,
            qty=self.qty,
            px=self.px,
            cum_qty=self.cum_qty,
            executions=tuple(self.executions),
            reason=self.reason,
            venue_at_ns=self.updated_at_ns,
        )

    def report(self, exec_type: ExecType, **told: Any) -> Report:
        """Return what the venue says of the order as it now is."""
        return Report(
            exec_type=exec_type,
            symbol=self.symbol,
            venue_cl_ord_id=self.venue_cl_ord_id,
            venue_order_id=self.venue_order_id,
            cum_qty=self.cum_qty,
            venue_at_ns=self.updated_at_ns,
            **told,
        )

    def trade_report(self, execution: Execution) -> Report:
        """Return what the venue says of one execution; it may be asked again much later."""
        return Report(
            exec_type=ExecType.TRADE,
            symbol=self.symbol,
            venue_cl_ord_id=self.venue_cl_ord_id,
            venue_order_id=self.venue_order_id,
            execution=execution,
            venue_at_ns=execution.venue_at_ns,
        )


class Opened(Struct, frozen=True, tag_field="record", tag="opened"):
    """The venue begins, or begins again, with these balances and no order."""

    balances: tuple[Balance, ...]
    next_id: int


class Kept(Struct, frozen=True, tag_field="record", tag="kept"):
    """An order carried over by a compaction; the balances of `Opened` already count it."""

    order: VenueOrder


class Placed(Struct, frozen=True, tag_field="record", tag="placed"):
    """A new order was accepted. The order lives on: write the record down at once, or copy it."""

    order: VenueOrder


class Triggered(Struct, frozen=True, tag_field="record", tag="triggered"):
    """A stop was elected by a trade, and now works as a market or limit order."""

    venue_order_id: str
    priority: int
    at_ns: int


class Traded(Struct, frozen=True, tag_field="record", tag="traded"):
    """One execution of one order."""

    venue_order_id: str
    execution: Execution
    at_ns: int


class Replaced(Struct, frozen=True, tag_field="record", tag="replaced"):
    """The order's total quantity and limit price are now these, and so is its place in the queue."""

    venue_order_id: str
    qty: Decimal
    px: Decimal | None
    priority: int
    replace_no: int
    at_ns: int


class Ended(Struct, frozen=True, tag_field="record", tag="ended"):
    """The rest of the order was canceled or has expired; `against` is whom it must not trade with."""

    venue_order_id: str
    ord_status: OrdStatus
    reason: str
    at_ns: int
    against: str = ""


Record = Opened | Kept | Placed | Triggered | Traded | Replaced | Ended
