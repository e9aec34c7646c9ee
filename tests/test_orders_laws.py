"""
Laws of one order's life, over histories that a consistent venue may tell.

A history has an acknowledgement, fills, replaces up and down, one last word or none, and fills that
are late. It is told in the venue's order; the laws say what becomes of it on the way.
"""

from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate, pairwise

from hypothesis import event as note
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from tests.laws import examples

from brokerd.events import (
    CancelRequested,
    Entry,
    FillsMissed,
    OrderAcknowledged,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderNotFound,
    OrderRejected,
    OrderReplaced,
    OrderSubmitted,
    OrderTraded,
    ReplaceRequested,
    ReportDisputed,
    RequestDoubted,
    RequestKind,
    RequestRefused,
    RequestResolved,
    RequestRetried,
    Resolution,
    Road,
    decode_entry,
    encode_entry,
)
from brokerd.fold import apply, submitted
from brokerd.money import DIGITS_MAX, EXACT, ZERO, add, plain
from brokerd.orders import Order
from brokerd.states import OrdStatus
from brokerd.terms import OrdType, Side, Terms

QTY_MAX = 50
FILLS_MAX = 6
ASSETS = ("BNB", "USDT", "")

lots = st.integers(1, QTY_MAX)
pxs = st.integers(1, 10**6)
fees = st.integers(-100, 100)


def amount(units: int) -> Decimal:
    """Return so many hundredths: small enough to shrink well, with decimals to get wrong."""
    return plain(EXACT.scaleb(Decimal(units), -2))


class Venue:
    """
    A venue's own view of one order, from which it tells only what is consistent.

    Its id for the order changes with every replace, as some venues do; a late fill carries the id
    under which it happened. It rejects only what has not traded, as in every FIX matrix.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.qty = draw(lots)
        self.cum_qty = 0
        self.replace_no = 0
        self.reports: list[OrderEvent] = []
        terms = Terms("paper", "BTCUSDT", Side.BUY, OrdType.LIMIT, amount(self.qty), amount(100))
        self.submit = OrderSubmitted(at_ns=0, cl_ord_id="x", venue_cl_ord_id="v-x", terms=terms)

    def tell(self) -> "Venue":
        """Live the order to some end."""
        self.reports.append(
            OrderAcknowledged(at_ns=1, cl_ord_id="x", venue_order_id="1", sent_at_ns=1)
        )
        steps = st.lists(st.sampled_from([self.fill, self.fill, self.replace]), max_size=FILLS_MAX)
        for step in self.draw(steps):
            step()
        ends: list[Callable[[], None]] = [self.do_nothing, self.stop(OrderExpired)]
        ends += [self.stop(OrderCanceled)] * 2
        if not self.cum_qty:
            ends.append(self.stop(OrderRejected))
        if self.cum_qty < self.qty:
            self.draw(st.sampled_from(ends))()
        return self

    def fill(self) -> None:
        if self.cum_qty < self.qty:
            last_qty = self.draw(st.integers(1, self.qty - self.cum_qty))
            self.cum_qty += last_qty
            self.reports.append(
                OrderTraded(
                    at_ns=len(self.reports),
                    cl_ord_id="x",
                    exec_id=f"t{len(self.reports)}",
                    last_qty=amount(last_qty),
                    last_px=amount(self.draw(pxs)),
                    venue_order_id=f"{self.replace_no + 1}",
                    fee=amount(self.draw(fees)),
                    fee_asset=self.draw(st.sampled_from(ASSETS)),
                )
            )

    def replace(self) -> None:
        """Replace up or down; less than what is filled becomes what is filled (FIX C.3.c)."""
        self.replace_no += 1
        self.qty = max(self.draw(lots), self.cum_qty)
        self.reports.append(
            OrderReplaced(
                at_ns=len(self.reports),
                cl_ord_id="x",
                qty=amount(self.qty),
                px=amount(self.draw(pxs)),
                venue_order_id=f"{self.replace_no + 1}",
                replace_no=self.replace_no,
            )
        )

    def do_nothing(self) -> None:
        """Leave the order open."""

    def stop(self, kind: type[OrderCanceled | OrderExpired | OrderRejected]) -> Callable[[], None]:
        """Return the step that speaks the last word, after which only late fills may be told."""

        def step() -> None:
            last_word = kind(at_ns=90, cl_ord_id="x", reason="r", cum_qty=amount(self.cum_qty))
            late = 0 if kind is OrderRejected else self.draw(st.integers(0, 2))
            place = len(self.reports)
            for _fill in range(late):
                self.fill()
            self.reports.insert(place, last_word)

        return step


@st.composite
def venues(draw: st.DrawFn) -> Venue:
    return Venue(draw).tell()


def receive(submit: OrderSubmitted, reports: list[OrderEvent]) -> Order:
    """Apply reports as the broker does: an execution counts once, an older replace not at all."""
    order, exec_ids, seq = submitted(submit, 1), set[str](), 1
    for report in reports:
        if isinstance(report, OrderTraded):
            if report.exec_id in exec_ids:
                continue
            exec_ids.add(report.exec_id)
        if isinstance(report, OrderReplaced) and (report.replace_no or 0) <= order.replaced_no:
            continue
        seq += 1
        order = apply(order, report, seq)
    return order


class Economy(Struct, frozen=True):
    """What money depends on: everything but the times and the order of arrival."""

    ord_status: OrdStatus
    stopped_by: OrdStatus | None
    qty: Decimal
    px: Decimal | None
    cum_qty: Decimal
    cum_quote: Decimal
    leaves_qty: Decimal
    venue_cum_qty: Decimal
    fees: dict[str, Decimal]
    fill_count: int
    venue_order_id: str | None
    replaced_no: int
    is_settled: bool


def economy(order: Order) -> Economy:
    return Economy(*(getattr(order, name) for name in Economy.__struct_fields__))


@settings(max_examples=examples(300))
@given(venues(), st.data())
def test_any_order_of_arrival_and_any_repeat_ends_in_the_same_economy(
    venue: Venue, data: st.DataObject
) -> None:
    """Streams, polls and replies race; none of them may win by being first."""
    repeats = data.draw(st.lists(st.sampled_from(venue.reports), max_size=4))
    shuffled = data.draw(st.permutations(venue.reports + repeats))
    told, heard = (receive(venue.submit, reports) for reports in (venue.reports, shuffled))
    note(f"ends {told.ord_status}")
    assert economy(heard) == economy(told)


@given(venues())
def test_a_history_ends_as_the_venue_sees_it(venue: Venue) -> None:
    order = receive(venue.submit, venue.reports)
    assert (order.qty, order.cum_qty) == (amount(venue.qty), amount(venue.cum_qty))
    assert order.venue_order_id == f"{venue.replace_no + 1}"
    assert order.is_final == (
        order.stopped_by is not None or (venue.cum_qty > 0 and venue.cum_qty == venue.qty)
    )
    assert order.request is None


@settings(max_examples=examples(300))
@given(venues(), st.data())
def test_quantities_are_conserved_after_every_report(venue: Venue, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(venue.reports))
    orders = [receive(venue.submit, shuffled[:n]) for n in range(len(shuffled) + 1)]
    fills = [e.last_qty if isinstance(e, OrderTraded) else ZERO for e in shuffled]
    for order, cum_qty in zip(orders, accumulate(fills, add, initial=ZERO), strict=True):
        assert order.cum_qty == cum_qty
        assert ZERO <= order.leaves_qty <= order.qty
        assert add(order.cum_qty, order.leaves_qty) <= max(order.qty, order.cum_qty)
        assert not order.is_final or order.leaves_qty == 0
        assert order.is_final or order.leaves_qty == order.qty - order.cum_qty > 0
        assert (order.closed_at_ns is not None) == order.is_final


@settings(max_examples=examples(300))
@given(venues(), st.data())
def test_the_average_price_lies_between_the_lowest_and_the_highest_fill(
    venue: Venue, data: st.DataObject
) -> None:
    order = receive(venue.submit, data.draw(st.permutations(venue.reports)))
    prices = [e.last_px for e in venue.reports if isinstance(e, OrderTraded)]
    assert (order.avg_px is None) == (not prices)
    assert order.avg_px is None or min(prices) <= order.avg_px <= max(prices)


every_digit = st.integers(1, 10 ** (2 * DIGITS_MAX) - 1).map(
    lambda units: plain(EXACT.scaleb(Decimal(units), -DIGITS_MAX))
)


@given(st.lists(st.tuples(every_digit, every_digit), min_size=1, max_size=5))
@example([(Decimal(3), Decimal("123456789012345678.123456789012345678"))])
def test_the_average_price_stays_between_its_fills_to_the_last_digit(
    fills: list[tuple[Decimal, Decimal]],
) -> None:
    """An average of one fill is that fill's price, however many digits it has."""
    terms = Terms("paper", "BTCUSDT", Side.SELL, OrdType.MARKET, Decimal(1))
    submit = OrderSubmitted(at_ns=0, cl_ord_id="x", venue_cl_ord_id="v-x", terms=terms)
    trades: list[OrderEvent] = [
        OrderTraded(at_ns=1, cl_ord_id="x", exec_id=f"t{n}", last_qty=qty, last_px=px)
        for n, (qty, px) in enumerate(fills)
    ]
    order = receive(submit, trades)
    prices = [px for _qty, px in fills]
    assert order.avg_px is not None
    assert min(prices) <= order.avg_px <= max(prices)


kinds = st.sampled_from(RequestKind)
texts = st.text(max_size=5)
ours = st.one_of(
    st.builds(CancelRequested, at_ns=lots, cl_ord_id=st.just("x"), queued=st.booleans()),
    st.builds(
        ReplaceRequested,
        at_ns=lots,
        cl_ord_id=st.just("x"),
        qty=lots.map(amount),
        px=st.none() | pxs.map(amount),
        replace_no=lots,
    ),
    st.builds(RequestRetried, at_ns=lots, cl_ord_id=st.just("x"), request=kinds, attempt=lots),
    st.builds(RequestRefused, at_ns=lots, cl_ord_id=st.just("x"), request=kinds, reason=texts),
    st.builds(
        RequestDoubted,
        at_ns=lots,
        cl_ord_id=st.just("x"),
        request=kinds,
        final_at_ns=st.none() | lots,
    ),
    st.builds(
        RequestResolved,
        at_ns=lots,
        cl_ord_id=st.just("x"),
        request=kinds,
        outcome=st.sampled_from(Resolution),
        by=texts,
        reason=texts,
        venue_order_id=st.none() | st.just("seen"),
    ),
    st.builds(OrderNotFound, at_ns=lots, cl_ord_id=st.just("x"), road=st.sampled_from(Road)),
    st.builds(FillsMissed, at_ns=lots, cl_ord_id=st.just("x"), cum_qty=lots.map(amount)),
    st.builds(ReportDisputed, at_ns=lots, cl_ord_id=st.just("x"), exec_type=texts, evidence=texts),
)
"""What only we put on record, about requests and doubts."""


def is_possible(order: Order, event: OrderEvent) -> bool:
    """Whether the rules would record it: doubts and retries are of the outstanding request."""
    if isinstance(event, RequestResolved) and not order.in_doubt:
        return False
    if isinstance(event, RequestDoubted | RequestRetried | RequestRefused | RequestResolved):
        return order.request is not None and order.request.kind is event.request
    return True


@given(venues(), st.lists(ours, max_size=8), st.data())
def test_replay_of_the_journal_equals_live_at_every_row(
    venue: Venue, asides: list[OrderEvent], data: st.DataObject
) -> None:
    """Also in the middle: a process may be killed after any row."""
    rest = data.draw(st.permutations([*venue.reports, *asides]))
    live = replayed = submitted(venue.submit, 1)
    first = decode_entry(encode_entry(Entry(venue.submit, live.after()))).event
    assert isinstance(first, OrderSubmitted)
    assert submitted(first, 1) == live
    for seq, event in enumerate(rest, 2):
        if not is_possible(live, event):
            continue
        live = apply(live, event, seq)
        row = encode_entry(Entry(event, live.after()))  # type: ignore[arg-type]
        entry = decode_entry(row)
        assert isinstance(entry.event, OrderEvent)
        replayed = apply(replayed, entry.event, seq)
        assert replayed == live
        assert entry.after == replayed.after()
        assert encode_entry(entry) == row


@settings(max_examples=examples(300))
@given(venues(), st.data())
def test_a_report_never_lowers_what_is_filled_nor_unsays_the_last_word(
    venue: Venue, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(venue.reports))
    orders = [receive(venue.submit, shuffled[:n]) for n in range(len(shuffled) + 1)]
    for before, after in pairwise(orders):
        assert before.cum_qty <= after.cum_qty
        assert before.venue_cum_qty <= after.venue_cum_qty
        assert before.stopped_by in {None, after.stopped_by}
