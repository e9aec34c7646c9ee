"""
A replace without an outcome: what may be open because of it counts and can be canceled.

It ends with evidence of its own, or with the venue's last word about the order. A fill of the smaller
quantity is none, nor is what became of a cancel that was sent over it.
"""

import pytest
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
    traded,
    view,
    viewed,
)

from brokerd.doubt import answer_counts_from_ns, by_this_run
from brokerd.events import Resolution
from brokerd.executor import Accepted, InDoubt, NotSent, Refused
from brokerd.limits import Exposure, exposure_of
from brokerd.messages import Resolve
from brokerd.orders import Order, Request
from brokerd.states import Status

LOST = InDoubt(evidence="no answer within 10 s")
FINAL_NS = 1_000
"""When a replace that was sent in these tests can no longer arrive."""

NOTHING, ALL = Exposure(0, D(0)), Exposure(1, D(1000))
REST = Exposure(1, D(900))
REPLACED = report(E.REPLACED, qty=D(10), px=D(100), replace_no=1)


def replaced_in_doubt() -> Play:
    """An order of 1 whose replace to 10 had no answer."""
    play = Play().submitted(qty=D(1))
    play.tell(reported(report(E.NEW), at_ns=2))
    play.replace(5, qty=10)
    lost = answered(LOST, at_ns=10, request=K.REPLACE, final_at_ns=FINAL_NS)
    assert play.tell(lost) == ["request_doubted", "ASK"]
    return play


def filled() -> Play:
    """The same, and the first lot was filled."""
    play = replaced_in_doubt()
    play.tell(reported(traded("t", 1), at_ns=11))
    assert play.order.ord_status is S.FILLED
    return play


def canceled_over() -> Play:
    """The same, and a cancel was sent over the doubt."""
    play = replaced_in_doubt()
    assert play.cancel(20) == ["cancel_requested", "SEND"]
    return play


def kinds(order: Order) -> list[K]:
    return [each.kind for each in order.requests]


def replace_of(play: Play) -> Request:
    assert play.order.replacing is not None
    return play.order.replacing


# The smaller quantity is filled.


def test_a_filled_order_whose_replace_may_have_raised_it_counts_what_may_be_open() -> None:
    play = filled()
    assert exposure_of(play.order) == REST
    assert (play.order.leaves_qty, play.order.open_qty_max) == (0, 9)


def test_such_an_order_shows_open_until_the_replace_is_known_to_have_come_to_nothing() -> None:
    play = filled()
    assert (play.order.shown_status, play.order.status) == (S.PENDING_REPLACE, Status.OPEN)
    assert play.order.closed_at_ns is None
    play.tell(viewed(view(S.FILLED, qty=D(1), executions=(execution("t"),)), asked_at_ns=20))
    assert (play.order.shown_status, play.order.status) == (S.FILLED, Status.CLOSED)
    assert play.order.closed_at_ns == 20


def test_such_an_order_can_be_canceled() -> None:
    play = filled()
    assert play.cancel(20) == ["cancel_requested", "SEND"]
    assert play.tell(reported(report(E.CANCELED), at_ns=21)) == ["order_canceled"]
    assert (play.order.ord_status, play.order.requests) == (S.FILLED, ())
    assert exposure_of(play.order) == NOTHING
    assert play.order.is_settled


def test_such_an_order_takes_no_second_replace() -> None:
    play = filled()
    play.replace(20, qty=20)
    assert play.decision.reply.data["reason"] == "request_outstanding"  # type: ignore[union-attr]


def test_a_replace_on_its_way_counts_like_one_in_doubt_once_the_smaller_quantity_is_filled() -> (
    None
):
    play = Play().submitted(qty=D(1))
    play.tell(reported(report(E.NEW), at_ns=2))
    play.replace(5, qty=10)
    play.tell(reported(traded("t", 1), at_ns=6))
    assert exposure_of(play.order) == REST


def test_a_cancel_that_waits_for_a_replace_outlives_the_fill_of_the_smaller_quantity() -> None:
    play = Play().submitted(qty=D(1))
    play.tell(reported(report(E.NEW), at_ns=2))
    play.replace(5, qty=10)
    assert play.cancel(6) == ["cancel_requested"]
    assert play.tell(reported(traded("t", 1), at_ns=7)) == ["order_traded"]
    assert play.order.cancel_wanted
    assert play.tell(reported(REPLACED, at_ns=8)) == ["order_replaced", "cancel_requested", "SEND"]


def test_it_is_dropped_with_a_replace_that_came_to_nothing() -> None:
    play = Play().submitted(qty=D(1))
    play.tell(reported(report(E.NEW), at_ns=2))
    play.replace(5, qty=10)
    play.cancel(6)
    play.tell(reported(traded("t", 1), at_ns=7))
    refused = answered(Refused(reason="filled"), at_ns=8, request=K.REPLACE)
    assert play.tell(refused) == ["request_refused"]
    assert (play.order.cancel_wanted, play.order.is_settled) == (False, True)


@pytest.mark.parametrize("qty", [1, 2], ids=["same", "less than is filled by now"])
def test_a_replace_that_raises_nothing_leaves_a_filled_order_over(qty: int) -> None:
    play = Play().submitted(qty=D(2))
    play.tell(reported(report(E.NEW), at_ns=2))
    play.replace(5, qty=qty, px=300)
    play.tell(answered(LOST, at_ns=6, request=K.REPLACE))
    play.tell(reported(traded("t", 2), at_ns=7))
    assert exposure_of(play.order) == NOTHING
    play.cancel(8)
    assert play.decision.reply.data["reason"] == "already_filled"  # type: ignore[union-attr]


def test_fills_beyond_the_old_quantity_count_until_the_larger_one_is_filled() -> None:
    play = filled()
    play.tell(reported(traded("u", 5), at_ns=12))
    assert exposure_of(play.order) == Exposure(1, D(400))
    play.tell(reported(traded("v", 4), at_ns=13))
    assert exposure_of(play.order) == NOTHING


def test_a_view_of_the_new_terms_reopens_it_and_ends_the_doubt() -> None:
    play = filled()
    shown = view(S.PARTIALLY_FILLED, executions=(execution("t"),))
    assert play.tell(viewed(shown, asked_at_ns=20)) == ["order_replaced"]
    assert (play.order.ord_status, play.order.requests) == (S.PARTIALLY_FILLED, ())
    assert exposure_of(play.order) == REST


def test_a_view_that_shows_it_filled_by_the_old_terms_ends_the_doubt() -> None:
    play = filled()
    shown = view(S.FILLED, qty=D(1), executions=(execution("t"),))
    assert play.tell(viewed(shown, asked_at_ns=20)) == ["request_refused"]
    assert exposure_of(play.order) == NOTHING
    assert play.order.is_settled


def test_an_older_replace_told_late_and_without_its_number_is_no_sign_of_this_one() -> None:
    play = Play().acknowledged()
    play.replace(3, qty=1)
    first = report(E.REPLACED, qty=D(1), px=D(100))
    play.tell(reported(first, at_ns=4))
    play.replace(5, qty=10)
    play.tell(answered(LOST, at_ns=6, request=K.REPLACE))
    assert play.tell(reported(first, at_ns=7)) == ["ASK"]
    assert exposure_of(play.order) == ALL


# A cancel is sent over it.


def test_a_cancel_over_a_replace_in_doubt_frees_nothing_and_ends_no_doubt() -> None:
    play = canceled_over()
    assert exposure_of(play.order) == ALL
    assert kinds(play.order) == [K.CANCEL, K.REPLACE]
    assert (play.order.in_doubt, play.order.must_be_asked) == (True, True)
    assert play.order.shown_status is S.PENDING_CANCEL


@pytest.mark.parametrize(
    "outcome",
    [Refused(reason="unknown_order", is_about_order=True), NotSent(reason="dns")],
    ids=["refused", "not sent"],
)
def test_a_cancel_that_came_to_nothing_leaves_the_replace_in_doubt(
    outcome: Refused | NotSent,
) -> None:
    play = canceled_over()
    before = replace_of(play)
    told = play.tell(answered(outcome, at_ns=21, request=K.CANCEL))
    assert told[0] == "request_refused"
    assert "ASK" in told
    assert play.order.request == before
    assert exposure_of(play.order) == ALL
    assert play.order.shown_status is S.PENDING_REPLACE
    assert play.cancel(30) == ["cancel_requested", "SEND"], "another may be sent"


@pytest.mark.parametrize("last_word", [E.CANCELED, E.EXPIRED, E.REJECTED])
def test_the_venues_last_word_ends_both(last_word: E) -> None:
    play = canceled_over()
    play.tell(reported(report(last_word), at_ns=21))
    assert play.order.requests == ()
    assert exposure_of(play.order) == NOTHING
    assert play.order.is_settled


def test_a_cancel_that_is_in_doubt_as_well_leaves_two_doubts() -> None:
    play = canceled_over()
    lost = answered(LOST, at_ns=30, request=K.CANCEL, final_at_ns=2 * FINAL_NS)
    assert play.tell(lost) == ["request_doubted", "ASK"]
    assert [each.in_doubt for each in play.order.requests] == [True, True]
    assert exposure_of(play.order) == ALL
    assert answer_counts_from_ns(play.order, None, 30, asked_at_ns=30) == FINAL_NS


def test_a_view_of_the_old_terms_ends_each_doubt_when_its_own_request_can_no_longer_arrive() -> (
    None
):
    play = canceled_over()
    taken = answered(Accepted(), at_ns=30, request=K.CANCEL, final_at_ns=2 * FINAL_NS)
    play.tell(taken)
    old = view(qty=D(1))
    assert play.tell(viewed(old, asked_at_ns=FINAL_NS - 1)) == ["ASK"]
    assert play.tell(viewed(old, asked_at_ns=FINAL_NS)) == ["request_refused", "ASK"]
    assert (kinds(play.order), exposure_of(play.order)) == ([K.CANCEL], Exposure(1, D(100)))
    assert play.tell(viewed(old, asked_at_ns=2 * FINAL_NS)) == ["request_retried", "SEND"]


def test_a_cancel_sent_again_leaves_the_replace_in_doubt() -> None:
    play = canceled_over()
    play.tell(answered(LOST, at_ns=30, request=K.CANCEL, final_at_ns=FINAL_NS))
    assert play.tell(viewed(view(qty=D(1)), asked_at_ns=40)) == ["request_retried", "SEND", "ASK"]
    assert kinds(play.order) == [K.CANCEL, K.REPLACE]
    assert exposure_of(play.order) == ALL


@pytest.mark.parametrize(
    "told",
    [reported(REPLACED, at_ns=30), viewed(view(), asked_at_ns=30)],
    ids=["late report", "view"],
)
def test_a_sign_of_the_replace_ends_its_doubt_and_not_the_cancel(told: object) -> None:
    play = canceled_over()
    assert play.tell(told) == ["order_replaced"]  # type: ignore[arg-type]
    assert (play.order.qty, play.order.replaced_no) == (D(10), 1)
    assert (kinds(play.order), play.order.in_doubt) == ([K.CANCEL], False)
    assert exposure_of(play.order) == ALL


def test_a_view_that_shows_it_filled_makes_both_too_late() -> None:
    play = canceled_over()
    shown = view(S.FILLED, qty=D(1), executions=(execution("t"),))
    assert play.tell(viewed(shown, asked_at_ns=30)) == [
        "order_traded",
        "request_refused",
        "request_refused",
    ]
    assert [change.entry.event.request for change in play.news[1:]] == [K.REPLACE, K.CANCEL]  # type: ignore[union-attr]
    assert play.order.is_settled


def test_a_view_asked_before_the_cancel_says_nothing_about_the_cancel() -> None:
    play = canceled_over()
    shown = view(S.FILLED, qty=D(1), executions=(execution("t"),))
    assert "request_refused" in play.tell(viewed(shown, asked_at_ns=15, at_ns=30))
    assert kinds(play.order) == [K.CANCEL]


def test_a_cancel_of_what_a_replace_may_have_raised_is_not_over_because_the_order_is_not_found() -> (
    None
):
    """Filled as we know it, it may be open with more, and the cancel still on its way."""
    play = filled()
    play.cancel(20)
    play.tell(answered(LOST, at_ns=21, request=K.CANCEL))
    assert play.tell(viewed(None, asked_at_ns=30, absence_after_ns=None)) == ["ASK"]
    assert kinds(play.order) == [K.CANCEL, K.REPLACE]
    assert exposure_of(play.order) == REST
    assert "order_canceled" in play.tell(reported(report(E.CANCELED), at_ns=40))


def test_a_replace_in_doubt_of_a_filled_order_that_its_venue_has_forgotten_is_over() -> None:
    """No view of it will come, and a person is not believed where the venue answers."""
    play = filled()
    play.cancel(20)
    play.tell(answered(LOST, at_ns=21, request=K.CANCEL, final_at_ns=FINAL_NS))
    assert play.tell(viewed(None, asked_at_ns=FINAL_NS - 1)) == ["ASK"], "it may still arrive"
    assert play.tell(viewed(None, asked_at_ns=FINAL_NS)) == ["order_not_found", "ASK"]
    assert exposure_of(play.order) == REST, "one answer is not enough"
    assert play.tell(viewed(None, asked_at_ns=FINAL_NS + 10)) == ["order_expired"]
    assert (play.order.ord_status, play.order.requests) == (S.FILLED, ())
    assert exposure_of(play.order) == NOTHING
    assert play.order.is_settled


@pytest.mark.parametrize("final_at_ns", [None, FINAL_NS], ids=["it never expires", "not in sync"])
def test_it_is_not_over_where_the_replace_may_still_arrive_or_absence_proves_nothing(
    final_at_ns: int | None,
) -> None:
    play = filled()
    play.tell(answered(LOST, at_ns=21, request=K.REPLACE, final_at_ns=final_at_ns))
    for asked_at_ns in (FINAL_NS, 10**9, 10**18):
        after_ns = 10 if final_at_ns is None else None
        told = play.tell(viewed(None, asked_at_ns=asked_at_ns, absence_after_ns=after_ns))
        assert told == ["ASK"]
    assert exposure_of(play.order) == REST


def test_what_a_replace_in_doubt_explains_is_not_disputed_because_it_is_not_found() -> None:
    """Of 1 whose replace to 10 had no answer, 5 are filled: that is the replace."""
    play = filled()
    play.tell(reported(traded("u", 4), at_ns=12))
    for asked_at_ns in (FINAL_NS, FINAL_NS + 10):
        assert "report_disputed" not in play.tell(viewed(None, asked_at_ns=asked_at_ns))
    assert not play.order.disputed
    assert play.order.replacing is None


@pytest.mark.parametrize(("filled_qty", "is_over"), [(2, True), (5, False)])
def test_a_filled_order_ends_its_cancel_at_once_unless_more_was_filled_than_was_asked_for(
    filled_qty: int, is_over: bool
) -> None:
    play = Play().submitted(qty=D(2))
    play.tell(reported(report(E.NEW), at_ns=2))
    play.cancel(3)
    play.tell(answered(LOST, at_ns=4, request=K.CANCEL, final_at_ns=FINAL_NS))
    play.tell(reported(traded("t", filled_qty), at_ns=5))
    play.tell(viewed(None, asked_at_ns=1, at_ns=6, absence_after_ns=None))
    assert (kinds(play.order) == []) is is_over


def test_an_order_is_in_doubt_from_the_first_of_two_doubts_to_the_end_of_the_last() -> None:
    play = canceled_over()
    play.tell(answered(LOST, at_ns=30, request=K.CANCEL))
    play.tell(reported(REPLACED, at_ns=50))
    assert play.order.in_doubt
    play.tell(reported(report(E.CANCELED), at_ns=70))
    assert play.order.doubts_ns == ((10, 30), (30, 70))


def test_two_doubts_of_an_earlier_run_wait_by_the_clock_of_this_one() -> None:
    play = canceled_over()
    play.tell(answered(LOST, at_ns=30, request=K.CANCEL, final_at_ns=FINAL_NS))
    anew = tuple(replace(each, final_at_ns=5 * FINAL_NS) for each in play.order.requests)
    timed = by_this_run(play.order, anew)
    assert [each.final_at_ns for each in timed.requests] == [5 * FINAL_NS] * 2
    assert [each.final_at_ns for each in play.order.requests] == [FINAL_NS] * 2


def test_a_person_may_end_the_doubt_of_a_replace_under_a_cancel_that_is_on_its_way() -> None:
    play = canceled_over()
    assert "request_resolved" in play.tell(_said(Resolution.NOT_EXECUTED))
    assert kinds(play.order) == [K.CANCEL]
    assert exposure_of(play.order) == Exposure(1, D(100))


def test_a_persons_word_about_a_cancel_says_nothing_of_the_replace_under_it() -> None:
    play = canceled_over()
    play.tell(answered(LOST, at_ns=30, request=K.CANCEL, final_at_ns=FINAL_NS))
    play.tell(_said(Resolution.NOT_EXECUTED))
    assert kinds(play.order) == [K.REPLACE]
    assert exposure_of(play.order) == ALL
    play.tell(_said(Resolution.EXECUTED))
    assert (play.order.qty, play.order.requests) == (D(10), ())


def _said(outcome: Resolution) -> Resolve:
    return Resolve(cl_ord_id="x", outcome=outcome, by="uid 0", reason="looked", at_ns=9 * FINAL_NS)


def test_a_person_is_believed_of_two_doubts_if_one_of_them_has_no_end() -> None:
    """A filled order whose replace never expires: no answer of the venue will end the cancel."""
    play = Play().submitted(qty=D(1))
    play.tell(reported(report(E.NEW), at_ns=2))
    play.replace(5, qty=10)
    play.tell(answered(LOST, at_ns=10, request=K.REPLACE, final_at_ns=None))
    play.tell(reported(traded("t", 1), at_ns=11))
    play.cancel(20)
    play.tell(answered(LOST, at_ns=21, request=K.CANCEL, final_at_ns=FINAL_NS))
    for asked_at_ns in (FINAL_NS, 10**9, 10**18):
        assert play.tell(viewed(None, asked_at_ns=asked_at_ns)) == ["ASK"]
    answering = replace(_said(Resolution.DONE), is_answered=True, shows_closed=True)
    assert "request_resolved" in play.tell(answering)
    assert play.order.requests == ()


# The venue takes quantity by itself.


@pytest.mark.parametrize(("asked_at_ns", "is_over"), [(FINAL_NS - 1, False), (FINAL_NS, True)])
def test_terms_nobody_asked_for_end_a_replace_once_it_can_no_longer_arrive(
    asked_at_ns: int, is_over: bool
) -> None:
    """Whether it was done before the venue took some cannot be told, and it is not called refused."""
    play = replaced_in_doubt()
    shown = viewed(view(qty=D(7)), asked_at_ns=asked_at_ns, at_ns=FINAL_NS + 5)
    told = play.tell(shown)
    assert "order_replaced" in told
    assert "request_refused" not in told
    assert play.order.qty == D(7)
    assert (play.order.replacing is None) is is_over


def test_a_last_word_brings_its_terms_though_a_fill_was_heard_after_the_question_left() -> None:
    play = Play().acknowledged()
    fill = traded("t", 3)
    play.tell(reported(fill, at_ns=20))
    shown = view(S.CANCELED, qty=D(7), executions=(fill.execution,))
    told = play.tell(viewed(shown, asked_at_ns=10, at_ns=25))
    assert told == ["order_replaced", "order_canceled"]
    assert (play.order.qty, play.order.ord_status) == (D(7), S.CANCELED)
