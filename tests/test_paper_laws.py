"""Laws of the paper venue, whatever is done to it: money is conserved, nothing is locked for nothing."""

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.paper.orders import BTC, cancel, order, print_trade, quote, replace
from tests.laws import examples

from brokerd.executor import PlaceOrder, Refused, Report
from brokerd.money import add, multiply, subtract
from brokerd.states import FINAL, OrdStatus
from brokerd_adapters.paper import Fees, PaperVenue
from brokerd_adapters.paper.records import Record

FUNDS = {"USDT": Decimal(2_000), "BTC": Decimal(10)}
FEES = Fees(maker_bps=Decimal("-1.5"), taker_bps=Decimal("7.5"))
PXS = [str(px) for px in range(96, 105)]
QTYS = ["0.1", "0.5", "1", "3.333"]

encode = msgspec.json.Encoder(decimal_format="string").encode
decode = msgspec.json.Decoder(Record).decode

Step = Callable[["World"], None]


class World:
    """A venue, everything it ever told, and the lines of its log."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.told: list[Report] = []
        self.placed: list[PlaceOrder] = []
        self.now_ns = 1
        self.venue = PaperVenue(
            {"BTCUSDT": BTC},
            FUNDS,
            fees=FEES,
            keep=lambda record: self.lines.append(encode(record)),
        )

    def heard(self, answer: tuple[Report, ...] | Refused) -> None:
        self.now_ns += 10
        if isinstance(answer, tuple):
            self.told.extend(answer)


@st.composite
def placements(draw: st.DrawFn) -> Step:
    side, qty = draw(st.sampled_from(["buy", "sell"])), draw(st.sampled_from(QTYS))
    limit_px = draw(st.sampled_from([None, *PXS]))
    stop_px = draw(st.sampled_from([None, None, *PXS]))
    tif = draw(st.sampled_from(["gtc", "ioc", "fok", "day"]))
    may_rest = limit_px is not None and stop_px is None and tif in {"gtc", "day"}
    post_only = may_rest and draw(st.booleans())

    def place(world: World) -> None:
        request = order(side, qty, limit_px, stop_px=stop_px, tif=tif, post_only=post_only)
        world.placed.append(request)
        world.heard(world.venue.place(request, world.now_ns))

    return place


@st.composite
def changes(draw: st.DrawFn) -> Step:
    pick, qty = draw(st.integers(0, 50)), draw(st.sampled_from(QTYS))
    px, cancels = draw(st.sampled_from([None, *PXS])), draw(st.booleans())

    def change(world: World) -> None:
        if not world.placed:
            return
        placed = world.placed[pick % len(world.placed)]
        if cancels:
            world.heard(world.venue.cancel(cancel(placed), world.now_ns))
        else:
            world.heard(world.venue.replace(replace(placed, qty, px), world.now_ns))

    return change


@st.composite
def moves(draw: st.DrawFn) -> Step:
    px, qty = draw(st.sampled_from(PXS)), draw(st.sampled_from(QTYS))
    quotes, seller_took = draw(st.booleans()), draw(st.booleans())

    def move(world: World) -> None:
        at, now_ns = world.venue, world.now_ns
        if quotes:
            world.heard(quote(at, px, str(int(px) + 1), size=qty, now_ns=now_ns))
        else:
            world.heard(print_trade(at, px, qty, seller_took=seller_took, now_ns=now_ns))

    return move


def steps() -> st.SearchStrategy[Step]:
    return st.one_of(placements(), placements(), changes(), moves())


@settings(max_examples=examples(150))
@given(st.lists(steps(), max_size=40))
def test_money_is_conserved_and_quantities_are_the_sum_of_executions(walk: list[Step]) -> None:
    world = World()
    for step in walk:
        step(world)
        assert all(b.free >= 0 and b.locked >= 0 for b in world.venue.balances())
    venue, base, usdt, filled = world.venue, FUNDS["BTC"], FUNDS["USDT"], defaultdict(Decimal)
    sides = {placed.venue_cl_ord_id: placed.terms.side for placed in world.placed}
    for report in world.told:
        if fill := report.execution:
            sign = sides[report.venue_cl_ord_id].sign
            base = add(base, sign * fill.last_qty)
            usdt = subtract(usdt, add(sign * multiply(fill.last_qty, fill.last_px), fill.fee))
            filled[report.venue_cl_ord_id] = add(filled[report.venue_cl_ord_id], fill.last_qty)
    held = {b.asset: add(b.free, b.locked) for b in venue.balances()}
    assert held == {"BTC": base, "USDT": usdt}
    for placed in world.placed:
        view = venue.order(cancel(placed).ref)
        if view is None:
            assert placed.venue_cl_ord_id not in filled
            continue
        assert view.cum_qty == sum(e.last_qty for e in view.executions)
        assert view.cum_qty == filled[placed.venue_cl_ord_id]
        assert view.cum_qty <= view.qty
        assert (view.cum_qty == view.qty) == (view.ord_status is OrdStatus.FILLED)
    for placed in world.placed:
        venue.cancel(cancel(placed), world.now_ns)
    assert all(b.locked == 0 for b in venue.balances())
    assert not list(venue.open_orders())


@settings(max_examples=examples(75))
@given(st.lists(steps(), max_size=30), st.lists(steps(), max_size=10))
def test_a_venue_made_again_from_its_records_behaves_the_same(
    before: list[Step], after: list[Step]
) -> None:
    world, twin = World(), World()
    for step in before:
        step(world)
    twin.venue.restore(map(decode, world.lines))
    compact = World()
    compact.venue.restore([decode(encode(r)) for r in twin.venue.remembered(10_000)])
    quote(world.venue, "1", "9999", size="1", now_ns=world.now_ns)
    for other in (twin, compact):
        other.placed, other.now_ns = list(world.placed), world.now_ns
        quote(other.venue, "1", "9999", size="1", now_ns=world.now_ns)
        # The last price is the market's, not the venue's: the next print brings it.
    for each in (world, twin, compact):
        each.heard(print_trade(each.venue, "100", "0.001", seller_took=True, now_ns=each.now_ns))
        each.told.clear()
    for step in after:
        request_ids = len(world.placed)
        step(world)
        for other in (twin, compact):
            if len(world.placed) > request_ids:
                other.placed.append(world.placed[-1])
                other.heard(other.venue.place(world.placed[-1], other.now_ns))
            else:
                step(other)
    for other in (twin, compact):
        assert other.told == world.told
        assert other.venue.balances() == world.venue.balances()
        assert list(other.venue.open_orders()) == list(world.venue.open_orders())
        assert other.venue.executions_since(0) == world.venue.executions_since(0)


@settings(max_examples=examples(50))
@given(st.lists(steps(), max_size=30))
def test_the_reports_tell_every_order_to_its_end(walk: list[Step]) -> None:
    world = World()
    for step in walk:
        step(world)
    last_words = {
        r.venue_cl_ord_id for r in world.told if r.exec_type in {"canceled", "expired", "rejected"}
    }
    for placed in world.placed:
        view = world.venue.order(cancel(placed).ref)
        if view is not None and view.ord_status in FINAL - {OrdStatus.FILLED}:
            assert placed.venue_cl_ord_id in last_words
