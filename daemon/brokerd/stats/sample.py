"""
What one order adds to every figure, in whole numbers.

Prices are counted in 10^-19 (a mid price halves the last digit), quantities in 10^-18, amounts,
which are products of the two, in 10^-37: nothing is rounded before a ratio is taken. One sign for
every cost: above 0 is worse for us.
"""

from collections.abc import Sequence
from operator import add

from msgspec import Struct

from brokerd.events import OrderTraded
from brokerd.money import ZERO, divide_units, units
from brokerd.orders import Order
from brokerd.states import OrdStatus
from brokerd.stats.marks import HORIZONS, Mids, is_fresh, marks
from brokerd.stats.runs import is_across
from brokerd.terms import Quote

QTY_PLACES = 18
PX_PLACES = QTY_PLACES + 1
AMOUNT_PLACES = QTY_PLACES + PX_PLACES
RATIO_PLACES = 8
"""Ratios of single orders are counted in 10^-8, which is a ten-thousandth of a basis point."""

US_NS = 1_000
"""Durations are counted in microseconds."""


class Fill(Struct, frozen=True, gc=False):
    """One execution as the figures need it: when, how much, at what, its fee, and its marks."""

    at_ns: int
    qty: int
    px: int
    fee: int
    fee_asset: str
    marks: tuple[int | None, ...] = (None,) * len(HORIZONS)


def fill_of(event: OrderTraded, seen: Mids) -> Fill:
    """Return an execution with the marks that are on record after it."""
    qty, px = units(event.last_qty, QTY_PLACES), units(event.last_px, PX_PLACES)
    fee = units(event.fee, QTY_PLACES)
    return Fill(event.at_ns, qty, px, fee, event.fee_asset, marks(event.at_ns, seen))


class Key(Struct, frozen=True, gc=False, array_like=True):
    """What tells orders apart when they are grouped. Paper and live are never added together."""

    is_paper: bool
    executor: str
    symbol: str
    side: str
    ord_type: str
    quote_asset: str
    group: dict[str, str]


class Measured(Struct, gc=False, array_like=True):
    """Sums for one kind of cost: orders used, amounts paid and at the benchmark, ratios."""

    n: int = 0
    cost: int = 0
    base: int = 0
    ratio: int = 0


COSTS = ("slippage", "touch", "decision", "limit", "delay")
MARKOUTS = tuple(f"markout_{each.name}" for each in HORIZONS)
DURATIONS = ("time_to_ack", "time_to_first_fill", "time_to_fill", "doubt")
COUNTS = (
    "orders",
    "any_fill",
    "full_fill",
    "qty",
    "cum_qty",
    "rejected",
    "rejected_qty",
    "notional",
    "with_limit",
    "is_final",
    "arrivals",
    "arrivals_stale",
    "arrival_age_us",
    "shortfall_n",
    "shortfall_delay",
    "shortfall_trading",
    "shortfall_opportunity",
    "shortfall_fees",
    "shortfall_base",
    "shortfall_ratio",
    "fills",
    "fill_qty_us",
    "fills_across",
    "retries",
    "orders_retried",
    "doubts",
    "orders_doubted",
    "in_doubt",
)
PARTS = ("n", "cost", "base", "ratio")
SUMS = (
    *COUNTS,
    *(f"{kind}_{part}" for kind in (*COSTS, *MARKOUTS) for part in PARTS),
    *(f"{kind}_{part}" for kind in DURATIONS for part in ("n", "us", "across")),
)
PLACE = {name: place for place, name in enumerate(SUMS)}
PLACES = {
    kind: slice(PLACE[f"{kind}_n"], PLACE[f"{kind}_n"] + len(PARTS)) for kind in (*COSTS, *MARKOUTS)
}
"""Where the PARTS of a cost are."""
SPREADS = (*COSTS, "shortfall", *MARKOUTS, *DURATIONS, "censored")
"""What is also looked at order by order: its distribution is kept."""

SPREAD_AT = {name: place for place, name in enumerate(SPREADS)}


class Sample(Struct, gc=False, array_like=True):
    """One order's part in every figure: `sums` by PLACE, values by SPREAD_AT, words, fees by asset."""

    key: Key
    sums: list[int]
    values: list[tuple[int, int]]
    words: list[str]
    fees: dict[str, int]


def is_measured(order: Order) -> bool:
    """Whether an order stands in the figures: only ours do, of others we know no arrival nor aim."""
    return not order.is_external


def sample(
    order: Order, fills: Sequence[Fill], now_ns: int | None, runs: Sequence[int] = ()
) -> Sample:
    """
    Measure one order. `now_ns` counts only for how long an open order has gone unfilled.

    With None that is left open, for `unfilled_for` to add when somebody asks. `runs` is when runs
    of the daemon began, the earliest first: all since the order's submit, at least.
    """
    return _Measuring(order, fills, now_ns, runs).done()


class _Measuring:
    """An order with its numbers as whole counts, and what has been measured of it so far."""

    def __init__(
        self, order: Order, fills: Sequence[Fill], now_ns: int | None, runs: Sequence[int]
    ) -> None:
        self.order = order
        self.fills = fills
        self.now_ns = now_ns
        self.runs = runs
        self.sign = order.terms.side.sign
        self.qty = units(order.qty, QTY_PLACES)
        self.cum_qty = units(order.cum_qty, QTY_PLACES)
        self.paid = units(order.cum_quote, AMOUNT_PLACES)
        self.arrival = _fresh(order.arrival, order.created_at_ns)
        self.arrival_mid = mid(self.arrival) if self.arrival is not None else 0
        self.sums = [0] * len(SUMS)
        self.values: list[tuple[int, int]] = []

    def done(self) -> Sample:
        self._count()
        self._costs()
        self._shortfall()
        self._markouts()
        self._durations()
        fees = {asset: units(fee, AMOUNT_PLACES) for asset, fee in self.order.fees.items() if fee}
        return Sample(key_of(self.order), self.sums, self.values, words(self.order), fees)

    def _set(self, **sums: int) -> None:
        for name, value in sums.items():
            self.sums[PLACE[name]] = value

    def _count(self) -> None:
        order, arrival = self.order, self.order.arrival
        is_rejected = order.ord_status is OrdStatus.REJECTED
        self._set(
            orders=1,
            any_fill=int(self.cum_qty > 0),
            full_fill=int(self.cum_qty >= self.qty),
            qty=self.qty,
            cum_qty=self.cum_qty,
            rejected=int(is_rejected),
            rejected_qty=max(self.qty - self.cum_qty, 0) if is_rejected else 0,
            notional=self.paid,
            with_limit=int(self.cum_qty > 0 and order.px is not None),
            is_final=int(order.is_final),
            retries=order.retries,
            orders_retried=int(order.retries > 0),
            doubts=order.doubts,
            orders_doubted=int(order.doubts > 0),
            in_doubt=int(order.in_doubt),
        )
        if arrival is not None:
            self._set(
                arrivals=1,
                arrivals_stale=int(self.arrival is None),
                arrival_age_us=max(order.created_at_ns - arrival.at_ns, 0) // US_NS,
            )

    def _costs(self) -> None:
        order, arrival = self.order, self.arrival
        sent = _fresh(order.sent_quote, order.sent_at_ns)
        if self.cum_qty:
            if arrival is not None:
                touch = arrival.ask_px if self.sign > 0 else arrival.bid_px
                self._against("slippage", self.arrival_mid)
                self._against("touch", units(touch, PX_PLACES))
            if order.terms.decision_px is not None:
                self._against("decision", units(order.terms.decision_px, PX_PLACES))
            if order.px is not None:
                self._against("limit", units(order.px, PX_PLACES))
        if arrival is not None and sent is not None:
            waited = self.sign * self.qty * (mid(sent) - self.arrival_mid)
            self._cost("delay", waited, self.qty * self.arrival_mid)

    def _against(self, kind: str, benchmark: int) -> None:
        """Measure what was paid against the same quantity at a benchmark price."""
        base = self.cum_qty * benchmark
        self._cost(kind, self.sign * (self.paid - base), base)

    def _cost(self, kind: str, cost: int, base: int) -> None:
        """Count a cost; against nothing, or less, there is no ratio: a benchmark of 0 is missing."""
        if base <= 0:
            return
        ratio = divide_units(cost, base, RATIO_PLACES)
        self.sums[PLACES[kind]] = (1, cost, base, ratio)
        self.values.append((SPREAD_AT[kind], ratio))

    def _shortfall(self) -> None:
        """Split what the order cost against its decision; only of orders that are done."""
        order, decision_px = self.order, self.order.terms.decision_px
        aimed = max(self.qty, self.cum_qty)  # what a venue filled too much was bought, too
        unfilled = aimed - self.cum_qty
        end_quote = _fresh(order.end_quote, order.closed_at_ns)
        fee_assets = {asset for asset, fee in order.fees.items() if fee}
        is_known = fee_assets <= {order.quote_asset, order.base_asset}
        is_over = order.is_final and (not unfilled or end_quote is not None)
        if not is_over or self.arrival is None or decision_px is None or not is_known:
            return
        arrival_mid, decision = self.arrival_mid, units(decision_px, PX_PLACES)
        end = mid(end_quote) if end_quote is not None else arrival_mid
        parts = {
            "shortfall_delay": self.sign * aimed * (arrival_mid - decision),
            "shortfall_trading": self.sign * (self.paid - self.cum_qty * arrival_mid),
            "shortfall_opportunity": self.sign * unfilled * (end - arrival_mid),
            "shortfall_fees": self._fees_in_quote(),
        }
        base = aimed * decision
        ratio = divide_units(sum(parts.values()), base, RATIO_PLACES)
        self._set(shortfall_n=1, shortfall_base=base, shortfall_ratio=ratio, **parts)
        self.values.append((SPREAD_AT["shortfall"], ratio))

    def _fees_in_quote(self) -> int:
        """Return what was paid; what was paid of the base asset was worth the fill's own price."""
        order = self.order
        paid = units(order.fees.get(order.quote_asset, ZERO), AMOUNT_PLACES)
        in_base = (fill for fill in self.fills if fill.fee_asset == order.base_asset)
        return paid + sum(fill.fee * fill.px for fill in in_base)

    def _markouts(self) -> None:
        """Add each fill's gain by its quantity: `cost` is quantity x ratio, `base` the quantity."""
        self._set(fills=len(self.fills))
        for fill in self.fills:
            for kind, mark in zip(MARKOUTS, fill.marks, strict=True):
                if mark is not None and fill.px > 0:
                    ratio = divide_units(self.sign * (mark - fill.px), fill.px, RATIO_PLACES)
                    more, at = (1, fill.qty * ratio, fill.qty, ratio), PLACES[kind]
                    self.sums[at] = map(add, self.sums[at], more)
                    self.values.append((SPREAD_AT[kind], ratio))

    def _durations(self) -> None:
        order, began_ns = self.order, self.order.created_at_ns
        is_filled = self.cum_qty >= self.qty
        self._duration("time_to_ack", order.sent_at_ns, order.acked_at_ns)
        self._duration("time_to_first_fill", began_ns, order.first_fill_at_ns)
        if is_filled:
            self._duration("time_to_fill", began_ns, order.last_fill_at_ns)
        else:
            ended_ns = order.closed_at_ns if order.closed_at_ns is not None else self.now_ns
            if ended_ns is not None:
                self.values.append(unfilled_for(began_ns, ended_ns))
        if order.doubts_ns:
            self._took("doubt", order.doubts_ns)
        waited = (fill.qty * (max(fill.at_ns - began_ns, 0) // US_NS) for fill in self.fills)
        across = (is_across(self.runs, began_ns, fill.at_ns) for fill in self.fills)
        self._set(fill_qty_us=sum(waited), fills_across=sum(across))

    def _duration(self, kind: str, from_ns: int | None, to_ns: int | None) -> None:
        """Measure a time; one that would run backwards, after a step of the clock, is missing."""
        if from_ns is not None and to_ns is not None and to_ns >= from_ns:
            self._took(kind, ((from_ns, to_ns),))

    def _took(self, kind: str, spans_ns: Sequence[tuple[int, int]]) -> None:
        """Count what spans of time add up to, and whether the daemon was started anew in any."""
        took_us = sum(to_ns - from_ns for from_ns, to_ns in spans_ns) // US_NS
        across = any(is_across(self.runs, *span) for span in spans_ns)
        self._set(**{f"{kind}_n": 1, f"{kind}_us": took_us, f"{kind}_across": int(across)})
        self.values.append((SPREAD_AT[kind], took_us))


def unfilled_for(began_ns: int, ended_ns: int) -> tuple[int, int]:
    """Return how long an order was at risk of being filled, and was not: a value to count."""
    return SPREAD_AT["censored"], max(ended_ns - began_ns, 0) // US_NS


def key_of(order: Order) -> Key:
    """Return what an order is grouped by."""
    terms = order.terms
    return Key(
        order.is_paper,
        terms.executor,
        terms.symbol,
        terms.side.value,
        terms.ord_type.value,
        order.quote_asset,
        terms.group,
    )


def words(order: Order) -> list[str]:
    """Return what is only counted: the status, and with a last word its reason."""
    told = [order.shown_status.value]
    if order.ord_status in {OrdStatus.REJECTED, OrdStatus.CANCELED, OrdStatus.EXPIRED}:
        told.append(f"{order.ord_status}:{order.reason}")
    return told


def mid(quote: Quote) -> int:
    """Return the middle of bid and ask, in units of a price."""
    return (units(quote.bid_px, PX_PLACES) + units(quote.ask_px, PX_PLACES)) // 2


def _fresh(quote: Quote | None, at_ns: int | None) -> Quote | None:
    """Return a quote that was young enough at a moment; of a moment nobody knows there is none."""
    if quote is None or at_ns is None:
        return None
    return quote if is_fresh(quote, at_ns) else None
