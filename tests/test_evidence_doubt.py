"""Doubt: it begins when an answer is missing and ends with evidence, never with time."""

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

from brokerd.doubt import CANCEL_ATTEMPTS_MAX, answer_counts_from_ns, by_this_run
from brokerd.executor import Accepted, InDoubt, NotSent, OrderView, Refused
from brokerd.orders import Request
from brokerd.views import show_order

LOST = InDoubt(evidence="no answer within 10 s")
FINAL_NS = 1_000
"""When a request signed in these tests can no longer arrive."""


def doubted(final_at_ns: int | None = FINAL_NS) -> Play:
    """A new order whose reply was lost."""
    play = Play().submitted()
    told = play.tell(answered(LOST, at_ns=10, final_at_ns=final_at_ns))
    assert told == ["request_doubted", "ASK"]
    assert play.order.in_doubt
    return play


def test_an_acknowledgement_on_the_stream_ends_the_doubt_of_a_new_order() -> None:
    play = doubted()
    assert play.tell(reported(report(E.NEW), at_ns=11)) == ["order_acknowledged"]
    assert (play.order.ord_status, play.order.request) == (S.NEW, None)


def test_a_view_ends_the_doubt_of_a_new_order() -> None:
    play = doubted()
    assert play.tell(viewed(view(), asked_at_ns=11)) == ["order_acknowledged"]
    assert play.order.venue_order_id == "1-x"
    assert not play.order.must_be_asked


def test_a_fill_that_beats_the_acknowledgement_ends_the_doubt_and_counts() -> None:
    play = doubted()
    assert play.tell(reported(traded("t", 4), at_ns=11)) == ["order_traded"]
    assert (play.order.ord_status, play.order.cum_qty, play.order.request) == (
        S.PARTIALLY_FILLED,
        D(4),
        None,
    )
    assert play.tell(reported(report(E.NEW), at_ns=12)) == [], "it is news no more"


def test_not_found_before_the_request_can_no_longer_arrive_proves_nothing() -> None:
    play = doubted()
    for asked_at_ns in (20, 500, FINAL_NS - 1):
        assert play.tell(viewed(None, asked_at_ns=asked_at_ns, at_ns=FINAL_NS + 50)) == ["ASK"]
    assert play.order.in_doubt


def test_not_found_twice_after_that_rejects_the_order() -> None:
    play = doubted()
    assert play.tell(viewed(None, asked_at_ns=FINAL_NS)) == ["order_not_found", "ASK"]
    assert play.order.in_doubt, "one answer is not enough"
    too_soon = viewed(None, asked_at_ns=FINAL_NS + 9)
    assert play.tell(too_soon) == ["ASK"], "and two of the same moment are one"
    assert play.tell(viewed(None, asked_at_ns=FINAL_NS + 10)) == ["order_rejected"]
    assert (play.order.ord_status, play.order.reason) == (S.REJECTED, "not_found_at_venue")
    assert play.order.is_settled
    assert play.tell(viewed(None, asked_at_ns=FINAL_NS + 99)) == []


@pytest.mark.parametrize(
    ("final_at_ns", "absence_after_ns"),
    [(None, 10), (FINAL_NS, None)],
    ids=["its requests may arrive at any time", "it forgets closed orders"],
)
def test_absence_is_never_final_at_a_venue_that_promises_too_little(
    final_at_ns: int | None, absence_after_ns: int | None
) -> None:
    play = doubted(final_at_ns)
    for asked_at_ns in (20, 10**6, 10**12, 10**18):
        absent = viewed(None, asked_at_ns=asked_at_ns, absence_after_ns=absence_after_ns)
        assert play.tell(absent) == ["ASK"]
    assert play.order.in_doubt


def test_a_doubt_that_begins_anew_forgets_a_first_not_found() -> None:
    play = doubted()
    play.tell(viewed(None, asked_at_ns=FINAL_NS))
    play.tell(answered(LOST, at_ns=FINAL_NS + 5, final_at_ns=2 * FINAL_NS))
    assert play.tell(viewed(None, asked_at_ns=FINAL_NS + 20)) == ["ASK"]
    assert play.tell(viewed(None, asked_at_ns=2 * FINAL_NS)) == ["order_not_found", "ASK"]


@pytest.mark.parametrize(
    "found",
    [
        viewed(view(), asked_at_ns=FINAL_NS + 20),
        reported(report(E.NEW), at_ns=FINAL_NS + 20),
        reported(traded("t"), at_ns=FINAL_NS + 20),
    ],
    ids=["view", "acknowledgement", "fill"],
)
def test_an_order_found_after_a_first_not_found_starts_the_count_again(found: object) -> None:
    play = doubted()
    play.tell(viewed(None, asked_at_ns=FINAL_NS))
    assert play.order.not_found_at_ns == FINAL_NS
    play.tell(found)  # type: ignore[arg-type]
    assert play.order.not_found_at_ns is None
    assert not play.order.must_be_asked


def test_a_claim_of_fills_is_a_sign_of_the_order_and_starts_the_count_again() -> None:
    """Between two answers of "not found" the venue tells that it filled some: it did arrive."""
    play = doubted()
    play.tell(viewed(None, asked_at_ns=FINAL_NS))
    claimed = reported(report(E.TRADE, cum_qty=D(3)), at_ns=FINAL_NS + 5)
    assert play.tell(claimed) == ["order_acknowledged", "fills_missed", "ASK"]
    assert (play.order.ord_status, play.order.request) == (S.NEW, None)
    assert "order_rejected" not in play.tell(viewed(None, asked_at_ns=FINAL_NS + 10))


def test_a_claim_of_fills_of_an_order_that_is_known_leaves_it_as_it_is() -> None:
    play = cancel_doubted()
    heard_at_ns = play.order.heard_at_ns
    play.tell(reported(report(E.TRADE, cum_qty=D(3)), at_ns=20))
    assert play.order.in_doubt
    assert play.order.heard_at_ns == heard_at_ns


def test_a_refused_repeat_is_doubt_not_refusal() -> None:
    """ "Duplicate id" says that the venue has the order: the request did happen, once."""
    play = Play().submitted()
    refused = Refused(reason="duplicate_id", is_about_order=True)
    assert play.tell(answered(refused, at_ns=3)) == ["request_doubted", "ASK"]
    assert play.order.in_doubt
    for asked_at_ns in (10, 10**18, 10**19):
        assert play.tell(viewed(None, asked_at_ns=asked_at_ns)) == ["ASK"], "no absence ends it"
    assert play.tell(viewed(view(S.FILLED, executions=(execution("t", 10),)), asked_at_ns=9)) == [
        "order_traded"
    ]


def test_an_order_shown_rejected_ends_the_doubt_without_an_acknowledgement() -> None:
    play = doubted()
    assert play.tell(viewed(view(S.REJECTED, reason="margin"), asked_at_ns=20)) == [
        "order_rejected"
    ]
    assert play.order.reason == "margin"
    assert play.order.acked_at_ns is None


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Refused(reason="margin"), ["report_disputed"]),
        (LOST, []),
        (NotSent(reason="dns"), []),
    ],
    ids=["refused", "in doubt", "not sent"],
)
def test_a_reply_that_comes_after_the_streams_word_changes_nothing(
    outcome: object, told: list[str]
) -> None:
    play = Play().acknowledged()
    before = play.order
    message = answered(outcome, at_ns=9)  # type: ignore[arg-type]
    assert play.tell(message) == told
    assert (play.order.ord_status, play.order.request) == (before.ord_status, None)
    assert play.tell(message) == [], "a contradiction is recorded once"


def test_an_answer_of_an_attempt_that_is_over_changes_nothing() -> None:
    play = Play().submitted()
    play.retry(5)
    assert play.tell(answered(LOST, at_ns=9, attempt=1)) == []
    assert not play.order.in_doubt
    assert play.tell(answered(LOST, at_ns=9, attempt=2)) == ["request_doubted", "ASK"]


def test_a_reply_without_a_word_of_the_order_makes_us_ask() -> None:
    """The stream may drop the one message that tells; the order must not wait for it for ever."""
    play = Play().submitted()
    assert play.tell(answered(Accepted(), at_ns=3)) == ["request_doubted", "ASK"]
    assert play.order.in_doubt
    assert play.tell(viewed(view(), asked_at_ns=4)) == ["order_acknowledged"]
    assert play.tell(answered(Accepted(), at_ns=5)) == []


def test_a_cancel_that_was_taken_in_silence_is_asked_about_and_repeated_when_it_is_over() -> None:
    """A venue may take a cancel and refuse it later without a word: it must not stand for ever."""
    play = Play().acknowledged()
    play.cancel(5)
    taken = answered(Accepted(), at_ns=10, request=K.CANCEL, final_at_ns=FINAL_NS)
    assert play.tell(taken) == ["request_doubted", "ASK"]
    assert play.tell(viewed(view(), asked_at_ns=FINAL_NS - 1)) == ["ASK"], "it may still come"
    assert play.tell(viewed(view(), asked_at_ns=FINAL_NS + 1)) == ["request_retried", "SEND"]


@pytest.mark.parametrize("outcome", [Refused(reason="too_many"), NotSent(reason="down")])
def test_a_later_send_that_failed_does_not_end_the_doubt_of_the_first(
    outcome: Refused | NotSent,
) -> None:
    play = cancel_doubted()
    assert play.tell(viewed(view(), asked_at_ns=20)) == ["request_retried", "SEND"]
    failed = answered(outcome, at_ns=21, request=K.CANCEL, attempt=2, final_at_ns=FINAL_NS)
    assert play.tell(failed) == ["request_doubted", "ASK"]
    assert play.tell(reported(report(E.CANCELED), at_ns=22)) == ["order_canceled"]


def cancel_doubted(final_at_ns: int | None = FINAL_NS) -> Play:
    play = Play().acknowledged()
    play.cancel(5)
    message = answered(LOST, at_ns=10, request=K.CANCEL, final_at_ns=final_at_ns)
    assert play.tell(message) == ["request_doubted", "ASK"]
    return play


def test_a_doubted_cancel_is_sent_again_while_the_venue_shows_the_order_open() -> None:
    play, at_ns = cancel_doubted(), 10
    for attempt in range(2, CANCEL_ATTEMPTS_MAX + 1):
        at_ns += 10
        assert play.tell(viewed(view(), asked_at_ns=at_ns)) == ["request_retried", "SEND"]
        request = play.sent().request
        assert request is not None
        assert request.attempt == attempt
        lost = answered(LOST, at_ns=at_ns + 1, request=K.CANCEL, attempt=attempt, final_at_ns=1_000)
        assert play.tell(lost) == ["request_doubted", "ASK"]
    assert play.tell(viewed(view(), asked_at_ns=at_ns + 5)) == ["ASK"], "the last may yet arrive"
    assert play.order.in_doubt
    assert play.tell(viewed(view(), asked_at_ns=FINAL_NS)) == ["request_refused"]
    assert (play.order.ord_status, play.order.request) == (S.NEW, None)
    assert play.cancel(FINAL_NS + 1) == ["cancel_requested", "SEND"], "the bot may try again"


def test_a_venue_without_promises_does_not_take_the_cancel_away_from_the_bot() -> None:
    play, at_ns = cancel_doubted(None), 10
    for attempt in range(2, CANCEL_ATTEMPTS_MAX + 1):
        at_ns += 10
        play.tell(viewed(view(), asked_at_ns=at_ns))
        play.tell(answered(LOST, at_ns=at_ns + 1, request=K.CANCEL, attempt=attempt))
    assert play.tell(viewed(view(), asked_at_ns=at_ns + 5)) == ["request_refused"]
    assert play.cancel(at_ns + 6) == ["cancel_requested", "SEND"]


def test_a_cancel_that_the_venue_is_at_work_on_is_not_sent_again() -> None:
    play = cancel_doubted(None)
    for asked_at_ns in (20, 2_000):
        assert play.tell(viewed(view(is_pending=True), asked_at_ns=asked_at_ns)) == ["ASK"]
    assert play.order.in_doubt
    assert play.tell(viewed(view(), asked_at_ns=3_000)) == ["request_retried", "SEND"]


def test_a_view_asked_before_the_cancel_says_nothing_about_it() -> None:
    play = cancel_doubted()
    assert play.tell(viewed(view(), asked_at_ns=5, at_ns=20)) == ["ASK"]
    assert play.order.in_doubt


def test_a_view_that_shows_the_order_canceled_ends_the_doubt_of_its_cancel() -> None:
    play = cancel_doubted()
    assert play.tell(viewed(view(S.CANCELED), asked_at_ns=20)) == ["order_canceled"]
    assert play.order.is_settled


def test_a_view_that_shows_the_order_filled_makes_its_cancel_too_late() -> None:
    play = cancel_doubted()
    filled = view(S.FILLED, executions=(execution("t", 10),))
    assert play.tell(viewed(filled, asked_at_ns=20)) == ["order_traded", "request_refused"]
    assert play.news[-1].entry.event.reason == "too_late"
    assert play.order.is_settled


def test_unknown_order_to_a_cancel_is_asked_about_never_assumed() -> None:
    play = Play().acknowledged()
    play.cancel(5)
    refused = Refused(reason="unknown_order", is_about_order=True)
    assert play.tell(answered(refused, at_ns=6, request=K.CANCEL)) == ["request_refused", "ASK"]
    assert play.order.ord_status is S.NEW


def test_an_order_that_was_there_and_is_absent_twice_is_forgotten_by_its_venue() -> None:
    play = Play().acknowledged(at_ns=2)
    assert play.tell(viewed(None, asked_at_ns=11)) == [], "asked too soon after the last news"
    assert play.tell(viewed(None, asked_at_ns=12)) == ["order_not_found", "ASK"]
    assert play.tell(viewed(None, asked_at_ns=22)) == ["order_expired"]
    assert play.order.reason == "forgotten_by_venue"


def test_an_order_that_was_there_stays_where_the_venue_forgets_closed_orders() -> None:
    play = Play().acknowledged()
    for asked_at_ns in (10**6, 10**9, 10**12):
        absent = viewed(None, asked_at_ns=asked_at_ns, absence_after_ns=None)
        assert play.tell(absent) == []
    assert play.order.ord_status is S.NEW


def replace_doubted(final_at_ns: int | None = FINAL_NS) -> Play:
    play = Play().acknowledged()
    play.replace(5, qty=20, px=90)
    message = answered(LOST, at_ns=10, request=K.REPLACE, final_at_ns=final_at_ns)
    assert play.tell(message) == ["request_doubted", "ASK"]
    return play


def test_a_view_with_the_new_terms_ends_the_doubt_of_a_replace() -> None:
    play = replace_doubted()
    new = view(qty=D(20), px=D(90))
    assert play.tell(viewed(new, asked_at_ns=20)) == ["order_replaced"]
    assert (play.order.qty, play.order.px, play.order.request) == (D(20), D(90), None)
    assert play.order.replaced_no == 1


def test_a_view_with_the_old_terms_ends_it_only_when_the_replace_can_no_longer_arrive() -> None:
    play = replace_doubted()
    assert play.tell(viewed(view(), asked_at_ns=FINAL_NS - 1)) == ["ASK"]
    assert play.order.in_doubt
    assert play.tell(viewed(view(), asked_at_ns=FINAL_NS)) == ["request_refused"]
    assert (play.order.qty, play.order.px) == (D(10), D(100))


def test_a_replace_at_a_venue_without_promises_stays_in_doubt_until_it_shows() -> None:
    play = replace_doubted(None)
    assert play.tell(viewed(view(), asked_at_ns=10**18)) == ["ASK"]
    assert play.order.in_doubt


def test_a_replace_that_the_venue_turned_down_after_it_took_it_is_refused() -> None:
    play = replace_doubted(None)
    pending = view(is_pending=True)
    assert play.tell(viewed(pending, asked_at_ns=20)) == ["ASK"]
    refused = view(replace_refused=True)
    assert play.tell(viewed(refused, asked_at_ns=30)) == ["request_refused"]
    assert play.news[-1].entry.event.reason == "refused_by_venue"
    assert (play.order.request, play.order.px) == (None, D(100))


def test_a_final_view_ends_the_doubt_of_a_replace_too() -> None:
    play = replace_doubted()
    filled = view(S.FILLED, executions=(execution("t", 10),))
    assert play.tell(viewed(filled, asked_at_ns=20)) == ["order_traded", "request_refused"]
    assert play.order.is_settled


def test_a_cancel_ends_the_doubt_of_the_replace_it_overtakes_by_its_own_evidence() -> None:
    play = replace_doubted()
    play.cancel(20)
    assert play.tell(reported(report(E.REPLACED, qty=D(20), px=D(90)), at_ns=21)) == [
        "order_replaced"
    ]
    assert play.order.qty == D(20), "the replace did happen"
    assert play.order.request is not None
    assert play.order.request.kind is K.CANCEL
    assert play.tell(reported(report(E.CANCELED), at_ns=22)) == ["order_canceled"]


def test_answers_and_views_of_orders_that_are_not_in_memory_are_for_history_to_place() -> None:
    assert Play().tell(answered(LOST, at_ns=1)) == ["STRANGER"]
    assert Play().tell(viewed(view(), asked_at_ns=1)) == ["STRANGER"]


def test_a_cancel_in_doubt_is_over_when_its_order_is_filled_and_the_venue_shows_it_no_more() -> (
    None
):
    """A venue that forgets closed orders never answers such a cancel: it would be asked for ever."""
    play = Play().acknowledged()
    play.cancel(at_ns=10)
    play.tell(answered(LOST, at_ns=20, request=K.CANCEL, final_at_ns=None))
    play.tell(reported(traded("t", 10), at_ns=30))
    assert (play.order.ord_status, play.order.in_doubt) == (S.FILLED, True)
    assert play.tell(viewed(None, asked_at_ns=40, absence_after_ns=None)) == ["request_refused"]
    assert play.order.is_settled


def test_a_last_word_brings_the_quantity_it_was_spoken_of_however_old_the_view_is() -> None:
    """A replace whose report was lost: the order is canceled with 13 of 26, not filled with 13 of 10."""
    play = Play().acknowledged()
    play.replace(at_ns=10, qty=26)
    play.tell(answered(Accepted(), at_ns=20, request=K.REPLACE))
    play.tell(reported(traded("t", 13), at_ns=50))
    play.tell(viewed(view(S.CANCELED, qty=D(26), executions=(execution("t", 13),)), asked_at_ns=40))
    assert (play.order.ord_status, play.order.qty, play.order.cum_qty) == (S.CANCELED, D(26), D(13))


def test_a_bot_that_cancels_again_and_again_does_not_keep_the_venues_news_out() -> None:
    """A replace whose answer was lost shows when the order is asked about, whatever we asked since."""
    play = Play().acknowledged(at_ns=5)
    play.replace(10, qty=20)
    play.tell(answered(LOST, at_ns=11, request=K.REPLACE, final_at_ns=FINAL_NS))
    play.cancel(30)
    seen = viewed(view(qty=D(20), venue_order_id="2-x"), asked_at_ns=20)
    assert "order_replaced" in play.tell(seen)
    assert (play.order.qty, play.order.venue_order_id) == (D(20), "2-x")


TOO_MUCH = "15 of 10 filled, and no replace explains it"


def filled_beyond_its_quantity() -> Play:
    """An order of 10 that filled 15: the report of the replace that allowed it was lost."""
    play = Play().acknowledged()
    told = play.tell(reported(traded("t", 15), at_ns=20))
    assert told == ["order_traded", "ASK"]
    return play


def test_an_order_filled_beyond_its_quantity_is_asked_about_until_its_terms_are_known() -> None:
    """A cancel of what a lost replace had raised it to must not settle it as filled."""
    play = filled_beyond_its_quantity()
    canceled = report(E.CANCELED, cum_qty=D(15))
    assert play.tell(reported(canceled, at_ns=21)) == ["order_canceled", "ASK"]
    assert not play.order.is_settled
    stale = viewed(view(qty=D(10), cum_qty=D(10), ord_status=S.NEW), asked_at_ns=19)
    assert play.tell(stale) == ["ASK"], "a view that is older than the fill tells no terms"
    shown = view(qty=D(19), cum_qty=D(15), ord_status=S.CANCELED)
    assert play.tell(viewed(shown, asked_at_ns=30)) == ["order_replaced"]
    assert (play.order.ord_status, play.order.qty, play.order.cum_qty) == (S.CANCELED, D(19), D(15))
    assert play.order.is_settled


def test_an_order_filled_beyond_its_quantity_is_open_again_when_it_is_shown_open() -> None:
    play = filled_beyond_its_quantity()
    shown = view(qty=D(19), cum_qty=D(15), ord_status=S.PARTIALLY_FILLED)
    assert play.tell(viewed(shown, asked_at_ns=30)) == ["order_replaced"]
    assert (play.order.ord_status, play.order.leaves_qty) == (S.PARTIALLY_FILLED, D(4))
    assert not play.order.must_be_asked


@pytest.mark.parametrize(
    "shown",
    [
        view(qty=D(10), cum_qty=D(15), ord_status=S.FILLED),
        view(qty=D(10), cum_qty=D(15), ord_status=S.PARTIALLY_FILLED),
    ],
    ids=["shown filled", "shown open with too much"],
)
def test_a_venue_that_fills_too_much_for_real_is_disputed_and_asked_no_more(
    shown: OrderView,
) -> None:
    play = filled_beyond_its_quantity()
    told = play.tell(viewed(shown, asked_at_ns=30, absence_after_ns=None))
    assert told == ["report_disputed"]
    assert play.order.is_settled
    assert show_order(play.order).dispute == TOO_MUCH


@pytest.mark.parametrize("forgets_closed", [True, False], ids=["forgetful", "not in sync"])
def test_an_order_filled_beyond_its_quantity_does_not_settle_by_an_absence_that_proves_nothing(
    *, forgets_closed: bool
) -> None:
    """It may be open with what a replace raised it to; who forgets closed orders cannot deny that."""
    play = filled_beyond_its_quantity()
    for asked_at_ns in (30, 10**9, 10**18):
        absent = viewed(None, asked_at_ns=asked_at_ns, absence_after_ns=None)
        assert play.tell(replace(absent, forgets_closed=forgets_closed)) == ["ASK"]
    assert not play.order.is_settled
    shown = view(qty=D(19), cum_qty=D(15), ord_status=S.PARTIALLY_FILLED)
    assert play.tell(viewed(shown, asked_at_ns=10**18 + 1)) == ["order_replaced"]
    assert play.order.leaves_qty == D(4)


@pytest.mark.parametrize(
    ("forgets_closed", "asked_at_ns", "told"),
    [
        (True, 30, ["report_disputed"]),
        (True, 21, ["ASK"]),
        (False, 30, ["ASK"]),
    ],
    ids=["forgetful", "asked before its end was heard", "not in sync"],
)
def test_terms_of_an_order_that_has_ended_are_looked_for_no_more_where_they_never_show(
    *, forgets_closed: bool, asked_at_ns: int, told: list[str]
) -> None:
    play = filled_beyond_its_quantity()
    play.tell(reported(report(E.CANCELED), at_ns=21))
    absent = viewed(None, asked_at_ns=asked_at_ns, absence_after_ns=None)
    assert play.tell(replace(absent, forgets_closed=forgets_closed)) == told
    assert play.order.is_settled == (told != ["ASK"])


def test_another_dispute_does_not_end_the_search_for_the_terms_of_a_replace() -> None:
    play = Play().acknowledged()
    assert play.tell(answered(Refused(reason="margin"), at_ns=9)) == ["report_disputed"]
    assert play.tell(reported(traded("t", 15), at_ns=20)) == ["order_traded", "ASK"]
    assert not play.order.is_settled
    told = play.tell(viewed(view(S.FILLED, cum_qty=D(15)), asked_at_ns=30))
    assert told == ["report_disputed"]
    assert play.order.is_settled
    assert play.order.dispute == "the venue told of an order that is new: rejected", "the first"
    assert play.tell(viewed(view(S.FILLED, cum_qty=D(15)), asked_at_ns=40)) == []


def test_an_order_filled_beyond_its_quantity_is_not_found_twice_before_that_is_disputed() -> None:
    """A view that lags behind the fill says nothing, and the order may be open with more."""
    play = filled_beyond_its_quantity()
    assert play.tell(viewed(None, asked_at_ns=25, absence_after_ns=10)) == ["ASK"]
    assert play.tell(viewed(None, asked_at_ns=30, absence_after_ns=10)) == [
        "order_not_found",
        "ASK",
    ]
    assert play.tell(viewed(None, asked_at_ns=39, absence_after_ns=10)) == ["ASK"]
    assert play.tell(viewed(None, asked_at_ns=40, absence_after_ns=10)) == ["report_disputed"]
    assert play.order.is_settled
    assert not play.order.must_be_asked


def test_an_absence_asked_before_the_fill_that_was_too_much_ends_nothing() -> None:
    play = filled_beyond_its_quantity()
    assert play.tell(viewed(None, asked_at_ns=19, absence_after_ns=None)) == ["ASK"]


def test_the_next_answer_that_proves_more_is_at_the_first_mark_after_the_last_question() -> None:
    play = doubted()
    assert answer_counts_from_ns(play.order, 10, 20, asked_at_ns=20) == FINAL_NS
    assert answer_counts_from_ns(play.order, 10, FINAL_NS, asked_at_ns=FINAL_NS) is None
    play.tell(viewed(None, asked_at_ns=FINAL_NS))
    assert answer_counts_from_ns(play.order, 10, FINAL_NS, asked_at_ns=FINAL_NS) == FINAL_NS + 10
    assert answer_counts_from_ns(play.order, 10, FINAL_NS + 10, asked_at_ns=FINAL_NS + 10) is None
    late_ns = FINAL_NS + 99
    assert answer_counts_from_ns(play.order, 10, late_ns, asked_at_ns=FINAL_NS) == FINAL_NS + 10
    cancel = cancel_doubted()
    assert answer_counts_from_ns(cancel.order, None, 30, asked_at_ns=30) == FINAL_NS


def test_a_replace_whose_terms_show_was_done_however_many_fills_came_since_the_question() -> None:
    play = Play().acknowledged(at_ns=5)
    play.replace(10, qty=20)
    play.tell(answered(LOST, at_ns=11, request=K.REPLACE, final_at_ns=FINAL_NS))
    play.tell(reported(traded("t", 4), at_ns=FINAL_NS + 50))
    seen = viewed(
        view(S.PARTIALLY_FILLED, qty=D(20)), asked_at_ns=FINAL_NS + 1, at_ns=FINAL_NS + 60
    )
    assert "order_replaced" in play.tell(seen)
    assert (play.order.qty, play.order.request) == (D(20), None)


def waits_anew(play: Play, final_at_ns: int | None) -> tuple[Request, ...]:
    return tuple(replace(each, final_at_ns=final_at_ns) for each in play.order.requests)


def by_a_new_run(
    play: Play, shown: OrderView | None, asked_at_ns: int, final_at_ns: int
) -> list[str]:
    told = viewed(shown, asked_at_ns=asked_at_ns)
    return play.tell(replace(told, waits_anew=waits_anew(play, final_at_ns)))


@pytest.mark.parametrize("earlier_ns", [FINAL_NS, 1000 * FINAL_NS], ids=["set forward", "set back"])
def test_absence_counts_by_the_clock_of_the_run_that_asks(earlier_ns: int) -> None:
    play = doubted(earlier_ns)
    anew_ns = 5 * FINAL_NS
    assert by_a_new_run(play, None, anew_ns - 1, anew_ns) == ["ASK"]
    assert by_a_new_run(play, None, anew_ns, anew_ns) == ["order_not_found", "ASK"]
    assert by_a_new_run(play, None, anew_ns + 10, anew_ns) == ["order_rejected"]


def test_a_replace_that_an_earlier_run_left_in_doubt_waits_by_the_clock_of_this_one() -> None:
    play, anew_ns = replace_doubted(), 5 * FINAL_NS
    assert "request_refused" not in by_a_new_run(play, view(), anew_ns - 1, anew_ns)
    assert "request_refused" in by_a_new_run(play, view(), anew_ns, anew_ns)


def test_a_wait_of_an_earlier_run_is_none_of_a_request_that_was_sent_since() -> None:
    play = cancel_doubted()
    earlier = waits_anew(play, FINAL_NS)
    play.tell(viewed(view(), asked_at_ns=20))
    assert play.order.request is not None
    assert play.order.request.attempt == 2
    assert by_this_run(play.order, earlier) == play.order
    assert by_this_run(doubted().order, ()) == doubted().order


def test_a_first_absence_stamped_by_a_clock_that_was_set_back_since_does_not_wait_for_it() -> None:
    play = doubted(FINAL_NS)
    play.tell(viewed(None, asked_at_ns=1000 * FINAL_NS))
    assert play.order.not_found_at_ns == 1000 * FINAL_NS
    assert by_a_new_run(play, None, 5 * FINAL_NS, 5 * FINAL_NS) == ["order_rejected"]
