"""The venue's picture against ours: what a snapshot proves and what must be asked."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.scripted import (
    D,
    E,
    K,
    Play,
    S,
    answered,
    execution,
    report,
    reported,
    submit,
    traded,
    view,
)

from brokerd.executor import Accepted, InDoubt, OrderView, Report, Snapshot
from brokerd.messages import Cancel, Reported, Viewed
from brokerd.reconcile import SILENCE_NS_MAX, SLICE, Reconciled, reconcile

BEGAN_NS = 1_000


def snapshot(*orders: OrderView, executions: tuple[Report, ...] = ()) -> Snapshot:
    return Snapshot(began_ns=BEGAN_NS, since_ns=0, orders=orders, executions=executions)


def look(play: Play, taken: Snapshot) -> Reconciled:
    """What all slices come to together."""
    slices = list(reconcile("sim", play.blotter, taken, 2_000))
    return Reconciled(
        tuple(each for found in slices for each in found.evidence),
        tuple(each for found in slices for each in found.to_ask),
        tuple(each for found in slices for each in found.strangers),
    )


def asked(found: Reconciled) -> list[str]:
    return [order.cl_ord_id for order in found.to_ask]


def test_a_picture_that_agrees_says_nothing() -> None:
    assert look(Play().acknowledged(), snapshot(view())) == Reconciled((), (), ())


def test_every_execution_goes_to_the_engine_before_any_view() -> None:
    play = Play().acknowledged()
    part = view(S.PARTIALLY_FILLED, cum_qty=D(3))
    found = look(play, snapshot(part, executions=(traded("t", 3),)))
    assert [type(each) for each in found.evidence] == [Reported, Viewed]
    told = [play.tell(each) for each in found.evidence]
    assert told == [["order_traded"], []]
    assert play.order.cum_qty == D(3)


def test_a_filled_quantity_above_ours_is_told_even_without_its_executions() -> None:
    play = Play().acknowledged()
    found = look(play, snapshot(view(S.PARTIALLY_FILLED, cum_qty=D(3))))
    (told,) = found.evidence
    assert play.tell(told) == ["fills_missed", "ASK"]


def test_each_difference_is_news() -> None:
    for shown in (view(qty=D(20)), view(px=D(99)), view(cum_qty=D(1))):
        (told,) = look(Play().acknowledged(), snapshot(shown)).evidence
        assert isinstance(told, Viewed)
        assert told.asked_at_ns == BEGAN_NS
    assert look(Play().acknowledged(), snapshot(view(px=None))).evidence == ()


def test_a_new_order_that_is_open_at_the_venue_is_acknowledged_by_that() -> None:
    play = Play().submitted()
    (told,) = look(play, snapshot(view())).evidence
    assert play.tell(told) == ["order_acknowledged"]


def test_an_order_is_known_by_the_venues_id_alone() -> None:
    play = Play().acknowledged()
    found = look(play, snapshot(view(venue_cl_ord_id=None, cum_qty=D(1))))
    assert (len(found.evidence), found.strangers, found.to_ask) == (1, (), ())


def test_an_order_open_at_the_venue_that_we_hold_final_is_looked_at() -> None:
    play = Play().acknowledged()
    play.tell(reported(report(E.CANCELED, cum_qty=D(2)), at_ns=3))
    assert play.order.is_final
    found = look(play, snapshot(view(cum_qty=D(2))))
    assert [type(each) for each in found.evidence] == [Viewed]


def test_a_settled_order_that_the_venue_shows_open_is_noticed_once() -> None:
    """We hold it for gone; the venue disagrees, and somebody must look."""
    play = Play().acknowledged()
    play.tell(reported(report(E.CANCELED), at_ns=3))
    assert play.order.is_settled
    (told,) = look(play, snapshot(view())).evidence
    assert play.tell(told) == ["report_disputed"]
    assert play.order.disputed
    assert play.news[0].entry.event.evidence == "the venue shows it new"
    assert look(play, snapshot(view())).evidence == (), "once is enough"


def test_a_picture_from_before_the_last_word_disputes_nothing() -> None:
    play = Play().acknowledged()
    play.tell(reported(report(E.CANCELED), at_ns=BEGAN_NS))
    (told,) = look(play, snapshot(view())).evidence
    assert play.tell(told) == []


def test_many_orders_are_compared_a_slice_at_a_time() -> None:
    play = Play()
    for number in range(3):
        play.tell(submit(f"o{number}"))
        play.tell(reported(report(E.NEW, f"o{number}"), at_ns=2))
    views = [view(cl_ord_id=f"p{number}") for number in range(2 * SLICE + 1)]
    slices = list(reconcile("sim", play.blotter, snapshot(*views), 2_000))
    assert [len(each.strangers) for each in slices] == [SLICE, SLICE, 1, 0]
    assert [len(each.to_ask) for each in slices] == [0, 0, 0, 3]


def test_an_order_that_settled_between_two_slices_is_not_asked_about() -> None:
    play = Play().acknowledged()
    slices = reconcile("sim", play.blotter, snapshot(view(cl_ord_id="other")), 2_000)
    next(slices)
    play.tell(reported(report(E.CANCELED), at_ns=3))
    assert [each.to_ask for each in slices] in ([], [()])


def test_a_first_not_found_is_taken_back_by_a_snapshot_that_shows_the_order() -> None:
    play = Play().acknowledged()
    play.tell(Viewed("x", None, "query", 500, 500, 10))
    assert play.order.not_found_at_ns == 500
    (told,) = look(play, snapshot(view())).evidence
    play.tell(told)
    assert play.order.not_found_at_ns is None


def test_an_order_missing_from_the_venues_open_ones_is_asked_about_once() -> None:
    found = look(Play().acknowledged(), snapshot())
    assert (asked(found), found.evidence) == (["x"], ())


def test_an_order_that_changed_after_the_snapshot_began_is_left_to_the_next_one() -> None:
    play = Play().acknowledged(at_ns=BEGAN_NS)
    assert asked(look(play, snapshot())) == []


def test_a_new_order_on_its_way_is_left_alone_but_not_for_ever() -> None:
    play = Play().submitted()
    assert asked(look(play, snapshot())) == []
    later = replace(snapshot(), began_ns=SILENCE_NS_MAX + 2)
    assert asked(look(play, later)) == ["x"]


def test_a_new_order_in_doubt_is_asked_about() -> None:
    play = Play().submitted()
    play.tell(answered(InDoubt(evidence="lost"), at_ns=2))
    assert asked(look(play, snapshot())) == ["x"]


def test_a_canceled_order_whose_confirmation_was_dropped_is_asked_about() -> None:
    play = Play().acknowledged()
    play.tell(Cancel("x", 3))
    play.tell(answered(Accepted(), at_ns=4, request=K.CANCEL))
    assert asked(look(play, snapshot())) == ["x"]


def test_an_open_order_that_is_none_of_ours_is_named() -> None:
    play = Play().acknowledged()
    other = view(cl_ord_id="of-a-person")
    found = look(play, snapshot(view(), other))
    assert (found.strangers, found.evidence, found.to_ask) == ((other,), (), ())


steps: dict[str, Callable[[Play], object]] = {
    "ack": lambda play: play.tell(reported(report(E.NEW), at_ns=10)),
    "fill": lambda play: play.tell(reported(traded("t", 3), at_ns=20)),
    "cancel": lambda play: play.cancel(30),
    "canceled": lambda play: play.tell(reported(report(E.CANCELED), at_ns=40)),
    "doubt": lambda play: play.tell(answered(InDoubt(evidence="lost"), at_ns=50)),
    "replace": lambda play: play.replace(60, qty=20),
    "another": lambda play: play.tell(submit("y", at_ns=70)),
}
some_views = st.lists(
    st.builds(
        lambda cl_ord_id, qty, ids: view(
            S.PARTIALLY_FILLED if ids else S.NEW,
            cl_ord_id,
            qty=D(qty),
            cum_qty=D(sum(ids)),
        ),
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from([10, 20]),
        st.lists(st.integers(1, 3), max_size=2),
    ),
    max_size=3,
    unique_by=lambda shown: shown.venue_cl_ord_id,
)
some_executions = st.lists(
    st.builds(
        lambda n, cl_ord_id: report(E.TRADE, cl_ord_id, execution=execution(f"e{n}", n)),
        st.integers(1, 4),
        st.sampled_from(["x", "y", "z"]),
    ),
    max_size=4,
)


@given(st.lists(st.sampled_from(sorted(steps))), some_views, some_executions)
def test_reconciling_twice_is_harmless(
    told: list[str], orders: list[OrderView], executions: list[Report]
) -> None:
    """The second time, the same snapshot brings nothing new to the books."""
    play = Play().submitted()
    for step in told:
        steps[step](play)
    taken = snapshot(*orders, executions=tuple(executions))
    for each in look(play, taken).evidence:
        play.tell(each)
    before = list(play.blotter)
    for each in look(play, taken).evidence:
        play.tell(each)
        assert play.events == []
    assert list(play.blotter) == before
