"""
The paper venue's memory: orders and balances, as the fold of its records.

Rule 1: only `apply` changes an order or a balance, live and when a log is read again.
Rule 2: an open buy locks what its worst fill costs with its fee, an open sell what it may deliver.
Rule 3: nothing here decides; `matching` does.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, ClassVar

from msgspec import Struct

from brokerd.errors import ConfigError
from brokerd.executor import Execution, Report
from brokerd.money import ZERO, add, floor_to, multiply, plain, subtract
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import Instrument, Side
from brokerd_adapters.paper.account import Account
from brokerd_adapters.paper.records import (
    Ended,
    Kept,
    Opened,
    Placed,
    Record,
    Replaced,
    Traded,
    Triggered,
    VenueOrder,
)

_BPS = Decimal("0.0001")


class Fees(Struct, frozen=True):
    """
    Fee rates in basis points of what is traded; below 0 is a rebate.

    Paid in the quote asset, or `in_received`: in what the trade brings. A fee is rounded down to
    the grid of `step`, 0 keeps it exact.
    """

    maker_bps: Decimal = ZERO
    taker_bps: Decimal = ZERO
    in_received: bool = False
    step: Decimal = ZERO

    def asset(self, instrument: Instrument, side: Side) -> str:
        """Return the asset that a trade's fee is paid in."""
        return instrument.base if self.in_received and side is Side.BUY else instrument.quote

    def of(self, amount: Decimal, liquidity: str) -> Decimal:
        """Return the fee on that much of the fee's asset; `liquidity` is maker or taker."""
        bps = self.maker_bps if liquidity == "maker" else self.taker_bps
        fee = plain(multiply(amount, multiply(bps, _BPS)))
        if fee < ZERO:
            return floor_to(fee.copy_negate(), self.step).copy_negate()
        return floor_to(fee, self.step)

    @property
    def cost_factor(self) -> Decimal:
        """What a buy may cost at most, as a multiple of its notional."""
        if self.in_received:
            return Decimal(1)
        return add(Decimal(1), multiply(max(self.maker_bps, self.taker_bps, ZERO), _BPS))


class Ledger:
    """
    Orders by every id, the account, and the executions of late.

    `closed_max` bounds how many closed orders, and how many executions, are remembered; an order
    beyond it becomes unknown, and its client id free. None remembers everything.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        balances: Mapping[str, Decimal],
        *,
        fees: Fees,
        next_id: int,
        closed_max: int | None,
    ) -> None:
        self.instruments = instruments
        self.account = Account(balances)
        self.next_id = next_id
        self.open: dict[str, VenueOrder] = {}
        self._cost_factor = fees.cost_factor
        self._closed_max = closed_max
        self._orders: dict[str, VenueOrder] = {}
        self._by_client: dict[str, VenueOrder] = {}
        self._closed: deque[VenueOrder] = deque()
        self._fills: deque[Report] = deque(maxlen=closed_max)

    def take_id(self) -> int:
        """Return a number that no order, execution or place in a queue has had."""
        taken = self.next_id
        self.next_id += 1
        return taken

    def by_venue_id(self, venue_order_id: str) -> VenueOrder | None:
        """Return the order the venue numbered so."""
        return self._orders.get(venue_order_id)

    def by_client_id(self, venue_cl_ord_id: str) -> VenueOrder | None:
        """Return the latest order with that client id."""
        return self._by_client.get(venue_cl_ord_id)

    def fills_since(self, since_ns: int) -> tuple[Report, ...]:
        """Return the executions at or after `since_ns`, oldest first; costs what it returns."""
        late: list[Report] = []
        for report in reversed(self._fills):
            if (report.venue_at_ns or 0) < since_ns:
                break
            late.append(report)
        return tuple(reversed(late))

    def lock_for(self, order: VenueOrder, qty: Decimal, px: Decimal | None) -> Decimal:
        """Return what `qty` still to trade must keep locked; a market buy locks nothing."""
        if order.side is Side.SELL:
            return qty
        if px is None and order.is_asleep:
            px = order.stop_px
        return ZERO if px is None else multiply(multiply(qty, px), self._cost_factor)

    def lock_asset(self, order: VenueOrder) -> str:
        """Return the asset the order pays with."""
        instrument = self.instruments[order.symbol]
        return instrument.quote if order.side is Side.BUY else instrument.base

    def free_for(self, order: VenueOrder) -> Decimal:
        """Return what is free of the asset the order pays with."""
        return self.account.free(self.lock_asset(order))

    def apply(self, record: Record) -> Report | None:
        """Fold one record into the state; return what the venue tells the order's owner of it."""
        return self._APPLY[type(record)](self, record)

    def remembered(self, closed_max: int) -> Iterator[Record]:
        """Yield records that a new ledger can be folded from; of closed orders only the latest."""
        yield Opened(self.account.balances(), self.next_id)
        forgotten = max(0, len(self._closed) - closed_max)
        for order in (*islice(self._closed, forgotten, None), *self.open.values()):
            yield Kept(order)

    def restore(self, records: Iterable[Record]) -> None:
        """Fold what a log remembers. Raises ConfigError for an order of an unknown symbol."""
        for record in records:
            if isinstance(record, Placed | Kept) and record.order.symbol not in self.instruments:
                raise ConfigError(
                    f"the paper log holds orders in {record.order.symbol}, which is not configured",
                    hint="configure the symbol again, or move the log away",
                )
            self.apply(record)
        # Kept orders bring their executions order by order; queries want them in time.
        fills = sorted(self._fills, key=lambda r: int(r.execution.exec_id if r.execution else 0))
        self._fills = deque(fills, maxlen=self._closed_max)

    def _opened(self, record: Opened) -> None:
        self.account.reset(record.balances)
        self.next_id = max(self.next_id, record.next_id)
        for memory in (self.open, self._orders, self._by_client, self._closed, self._fills):
            memory.clear()

    def _kept(self, record: Kept) -> None:
        order = record.order
        self._orders[order.venue_order_id] = order
        self._by_client[order.venue_cl_ord_id] = order
        self._fills.extend(order.trade_report(execution) for execution in order.executions)
        if order.is_open:
            self.open[order.venue_order_id] = order
        else:
            self._closed.append(order)

    def _placed(self, record: Placed) -> Report:
        order = record.order
        self.next_id = max(self.next_id, order.priority + 1)
        self._orders[order.venue_order_id] = order
        self._by_client[order.venue_cl_ord_id] = order
        self.open[order.venue_order_id] = order
        self._lock_again(order)
        return order.report(ExecType.NEW)

    def _triggered(self, record: Triggered) -> None:
        order = self._orders[record.venue_order_id]
        self.next_id = max(self.next_id, record.priority + 1)
        order.triggered = True
        order.priority = record.priority
        order.updated_at_ns = record.at_ns
        self._lock_again(order)

    def _traded(self, record: Traded) -> Report:
        order, execution = self._orders[record.venue_order_id], record.execution
        self.next_id = max(self.next_id, int(execution.exec_id) + 1)
        order.executions.append(execution)
        order.cum_qty = plain(add(order.cum_qty, execution.last_qty))
        order.updated_at_ns = record.at_ns
        order.ord_status = OrdStatus.PARTIALLY_FILLED
        if order.cum_qty >= order.qty:
            self._close(order, OrdStatus.FILLED)
        self._lock_again(order)
        self._settle(order, execution)
        report = order.trade_report(execution)
        self._fills.append(report)
        return report

    def _replaced(self, record: Replaced) -> Report:
        order = self._orders[record.venue_order_id]
        self.next_id = max(self.next_id, record.priority + 1)
        order.qty, order.px, order.priority = record.qty, record.px, record.priority
        order.updated_at_ns = record.at_ns
        self._lock_again(order)
        return order.report(
            ExecType.REPLACED, qty=order.qty, px=order.px, replace_no=record.replace_no
        )

    def _ended(self, record: Ended) -> Report:
        order = self._orders[record.venue_order_id]
        order.updated_at_ns = record.at_ns
        order.reason = record.reason
        self._close(order, record.ord_status)
        self._lock_again(order)
        return order.report(ExecType(record.ord_status), reason=order.reason)

    def _lock_again(self, order: VenueOrder) -> None:
        """Bring the order's lock to what it still needs."""
        needed = self.lock_for(order, order.leaves_qty, order.px)
        if needed != order.locked:
            self.account.lock(self.lock_asset(order), subtract(needed, order.locked))
            order.locked = needed

    def _settle(self, order: VenueOrder, execution: Execution) -> None:
        instrument = self.instruments[order.symbol]
        bought = multiply(execution.last_qty, Decimal(order.side.sign))
        paid = multiply(bought, execution.last_px)
        self.account.credit(instrument.base, bought)
        self.account.credit(instrument.quote, paid.copy_negate())
        self.account.credit(execution.fee_asset, execution.fee.copy_negate())

    def _close(self, order: VenueOrder, ord_status: OrdStatus) -> None:
        order.ord_status = ord_status
        del self.open[order.venue_order_id]
        self._closed.append(order)
        if self._closed_max is not None and len(self._closed) > self._closed_max:
            oldest = self._closed.popleft()
            del self._orders[oldest.venue_order_id]
            if self._by_client[oldest.venue_cl_ord_id] is oldest:
                del self._by_client[oldest.venue_cl_ord_id]

    _APPLY: ClassVar[dict[type[Record], Callable[["Ledger", Any], Report | None]]] = {
        Opened: _opened,
        Kept: _kept,
        Placed: _placed,
        Triggered: _triggered,
        Traded: _traded,
        Replaced: _replaced,
        Ended: _ended,
    }
