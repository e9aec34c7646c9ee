"""A person's word about a doubt: on record with who and why, and only where no venue will tell."""

from decimal import Decimal
from typing import Any

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
    submit,
    traded,
    view,
    viewed,
)

from brokerd.blotter import Stage
from brokerd.errors import NotResolvable, UnknownOrder
from brokerd.events import RequestKind, RequestResolved, Resolution, Road
from brokerd.executor import InDoubt
from brokerd.fold import RESOLVED_BY_OPERATOR, IllegalTransition
from brokerd.messages import Resolve
from brokerd.orders import OrdStatus
from brokerd.states import RESOLVED
from brokerd.views import show_entry

LOST = InDoubt(evidence="no answer within 10 s")
R = Resolution
FINAL_NS = 1_000


def said(outcome: Resolution = R.NOT_EXECUTED, at_ns: int = FINAL_NS, **more: Any) -> Resolve:
    told = {"by": "uid 1000", "reason": "looked at the venue's page", "shows_closed": True}
    return Resolve(cl_ord_id="x", outcome=outcome, at_ns=at_ns, **(told | more))


def doubted(request: RequestKind = K.NEW, final_at_ns: int | None = None, filled: int = 0) -> Play:
    """An order whose last request went without an answer, at a venue that promises no end of it."""
    play = Play().submitted()
    if request is not K.NEW:
        play.tell(reported(report(E.NEW), at_ns=2))
    if request is K.CANCEL:
        play.cancel(3)
    if request is K.REPLACE:
        play.replace(3, qty=8, px=90)
    play.tell(answered(LOST, at_ns=10, request=request, final_at_ns=final_at_ns))
    if filled:
        play.tell(reported(traded("t", filled), at_ns=11))
    assert play.order.in_doubt
    return play


def refusal(play: Play, message: Resolve) -> NotResolvable:
    assert play.tell(message) == []
    assert isinstance(play.decision.reply, NotResolvable)
    return play.decision.reply


@pytest.mark.parametrize(
    ("request_", "outcome", "filled", "ord_status"),
    [
        (K.NEW, R.EXECUTED, 0, S.NEW),
        (K.NEW, R.NOT_EXECUTED, 0, S.REJECTED),
        (K.NEW, R.DONE, 0, S.CANCELED),
        (K.CANCEL, R.EXECUTED, 4, S.CANCELED),
        (K.CANCEL, R.NOT_EXECUTED, 4, S.PARTIALLY_FILLED),
        (K.CANCEL, R.DONE, 0, S.CANCELED),
        (K.CANCEL, R.EXECUTED, 10, S.FILLED),
        (K.CANCEL, R.NOT_EXECUTED, 10, S.FILLED),
        (K.CANCEL, R.DONE, 10, S.FILLED),
        (K.REPLACE, R.EXECUTED, 0, S.NEW),
        (K.REPLACE, R.EXECUTED, 8, S.FILLED),
        (K.REPLACE, R.NOT_EXECUTED, 0, S.NEW),
        (K.REPLACE, R.DONE, 4, S.CANCELED),
        (K.REPLACE, R.DONE, 10, S.FILLED),
    ],
)
def test_a_persons_word_ends_the_doubt_by_its_row(
    request_: RequestKind, outcome: Resolution, filled: int, ord_status: OrdStatus
) -> None:
    play = doubted(request_, filled=filled)
    told = play.tell(said(outcome))
    order = play.order
    assert told == ["request_resolved"] + ["ASK"] * (not order.is_settled)
    assert (order.ord_status, order.request, order.in_doubt) == (ord_status, None, False)
    is_changed = (request_, outcome) == (K.REPLACE, R.EXECUTED)
    assert (order.qty, order.px) == ((D(8), D(90)) if is_changed else (D(10), D(100)))
    assert order.doubts_ns == ((10, FINAL_NS),)


def test_every_word_about_every_request_has_a_row() -> None:
    assert {outcome: set(row) for outcome, row in RESOLVED.items()} == {
        outcome: set(RequestKind) for outcome in Resolution
    }


def test_who_said_it_and_why_is_on_record_and_shown() -> None:
    play = doubted()
    play.tell(said(venue_order_id="17"))
    (change,) = play.news
    shown = show_entry(change.seq, change.entry)
    assert shown["by"] == "uid 1000"
    assert shown["reason"] == "looked at the venue's page"
    assert (shown["outcome"], shown["road"], shown["venue_order_id"]) == (
        "not_executed",
        "operator",
        "17",
    )
    assert play.order.reason == RESOLVED_BY_OPERATOR


def test_an_order_seen_at_the_venue_is_asked_about_by_the_id_it_has_there() -> None:
    play = doubted()
    assert play.tell(said(R.EXECUTED, venue_order_id="17")) == ["request_resolved", "ASK"]
    assert (play.order.venue_order_id, play.order.executor_id) == ("17", "sim:17")
    assert play.blotter.find("sim", None, "17") == play.order
    filled = view(S.FILLED, venue_order_id="17", executions=(execution("t", 10),))
    play.tell(viewed(filled, asked_at_ns=2 * FINAL_NS))
    assert (play.order.ord_status, play.order.cum_qty) == (S.FILLED, D(10))


def test_an_order_without_an_id_at_the_venue_still_has_none() -> None:
    play = doubted()
    play.tell(said(R.EXECUTED))
    assert play.order.venue_order_id is None
    assert play.order.acked_at_ns == FINAL_NS
    assert play.order.heard_at_ns == 1, "the venue has said nothing"


def test_a_fill_after_not_executed_counts_all_the_same() -> None:
    play = doubted()
    play.tell(said())
    assert play.order.ord_status is S.REJECTED
    assert play.tell(reported(traded("t", 4), at_ns=2_000)) == ["order_traded"]
    assert (play.order.ord_status, play.order.cum_qty) == (S.REJECTED, Decimal(4))
    play.tell(reported(traded("u", 6), at_ns=2_001))
    assert (play.order.ord_status, play.order.cum_qty) == (S.FILLED, Decimal(10))


def test_an_order_that_is_open_after_not_executed_is_disputed_for_somebody_to_see() -> None:
    play = doubted()
    play.tell(said())
    assert "report_disputed" in play.tell(viewed(view(), asked_at_ns=2_000))


def test_a_cancel_that_waited_behind_the_doubt_is_sent() -> None:
    play = Play().submitted()
    play.cancel(3)
    play.tell(answered(LOST, at_ns=10))
    assert play.tell(said(R.EXECUTED)) == ["request_resolved", "cancel_requested", "SEND", "ASK"]


def test_a_late_word_of_the_venue_about_a_replace_that_a_person_confirmed_changes_nothing() -> None:
    play = doubted(K.REPLACE)
    play.tell(said(R.EXECUTED))
    told = report(E.REPLACED, qty=D(8), px=D(90), replace_no=1)
    assert play.tell(reported(told, at_ns=2_000)) == []


def test_an_order_that_is_not_in_doubt_is_nobodys_to_decide() -> None:
    for play in (Play().submitted(), Play().acknowledged()):
        assert refusal(play, said()).reason == "not_in_doubt"
    settled = doubted()
    settled.tell(said())
    assert refusal(settled, said()).reason == "not_in_doubt"


def filled_beyond_its_quantity() -> Play:
    play = Play().acknowledged()
    assert play.tell(reported(traded("t", 15), at_ns=20)) == ["order_traded", "ASK"]
    return play


def test_a_person_may_say_that_an_order_filled_beyond_its_quantity_is_over() -> None:
    """Where closed orders are not shown, no evidence will ever tell that."""
    play = filled_beyond_its_quantity()
    assert play.tell(said(R.DONE, is_answered=True, shows_closed=False)) == ["report_disputed"]
    assert play.order.is_settled
    assert play.order.dispute == (
        "15 of 10 filled, and no replace explains it: uid 1000 says that it is over, looked at the"
        " venue's page"
    )
    assert play.news[0].entry.event.road is Road.OPERATOR
    assert play.tell(reported(traded("u", 1), at_ns=30)) == ["order_traded"], (
        "it counts all the same"
    )


def test_of_such_an_order_there_is_no_other_word_and_none_where_the_venue_can_tell() -> None:
    play = filled_beyond_its_quantity()
    for outcome in (R.EXECUTED, R.NOT_EXECUTED):
        assert refusal(play, said(outcome)).reason == "not_in_doubt"
    assert refusal(play, said(R.DONE, is_answered=True)).reason == "venue_can_tell"


def test_an_unknown_order_is_an_error() -> None:
    play = Play()
    assert play.tell(said()) == []
    assert isinstance(play.decision.reply, UnknownOrder)


@pytest.mark.parametrize("outcome", Resolution)
def test_a_venue_that_will_tell_is_waited_for(outcome: Resolution) -> None:
    play = doubted(final_at_ns=FINAL_NS)
    no = refusal(play, said(outcome, at_ns=5 * FINAL_NS, is_answered=True))
    assert no.reason == "venue_can_tell"


@pytest.mark.parametrize(
    ("final_at_ns", "told"),
    [
        (FINAL_NS, {"is_answered": False}),
        (FINAL_NS, {"is_answered": True, "shows_closed": False}),
        (None, {"is_answered": True}),
    ],
    ids=["it does not answer", "it shows no closed orders", "it promises no end"],
)
def test_a_person_is_believed_where_the_venue_cannot_tell(
    final_at_ns: int | None, told: dict[str, bool]
) -> None:
    play = doubted(final_at_ns=final_at_ns)
    assert "request_resolved" in play.tell(said(**told))


@pytest.mark.parametrize("request_", [K.NEW, K.CANCEL, K.REPLACE])
def test_not_executed_is_no_word_about_a_request_that_may_still_arrive(
    request_: RequestKind,
) -> None:
    play = doubted(request_, final_at_ns=FINAL_NS)
    no = refusal(play, said(at_ns=FINAL_NS - 1))
    assert (no.reason, no.extra["until"]) == ("may_still_arrive", "1970-01-01T00:00:00.000001000Z")
    assert "request_resolved" in play.tell(said(at_ns=FINAL_NS))


def test_that_it_was_executed_may_be_said_at_any_time() -> None:
    play = doubted(final_at_ns=FINAL_NS)
    assert "request_resolved" in play.tell(said(R.EXECUTED, at_ns=11))


def test_where_a_request_never_expires_it_gets_the_time_it_takes_at_the_venue() -> None:
    play = doubted()
    assert refusal(play, said(at_ns=500, under_way_ns=500)).reason == "may_still_arrive"
    assert "request_resolved" in play.tell(said(at_ns=501, under_way_ns=500))


def test_a_wait_of_an_earlier_run_is_waited_for_anew() -> None:
    play = doubted(final_at_ns=20)
    assert play.order.request is not None
    anew = replace(play.order.request, final_at_ns=FINAL_NS)
    assert refusal(play, said(at_ns=50, waits_anew=(anew,))).reason == "may_still_arrive"


def test_a_person_is_believed_where_only_an_earlier_run_was_promised_an_end() -> None:
    """What its adapter promised was taken out of the configuration since."""
    play = doubted(final_at_ns=FINAL_NS)
    assert play.order.request is not None
    assert refusal(play, said(is_answered=True)).reason == "venue_can_tell"
    endless = replace(play.order.request, final_at_ns=None)
    told = said(at_ns=9 * FINAL_NS, is_answered=True, waits_anew=(endless,))
    assert "request_resolved" in play.tell(told)


def test_a_word_about_another_request_contradicts_the_journal() -> None:
    play = doubted(K.CANCEL)
    event = RequestResolved(
        at_ns=1, cl_ord_id="x", road=Road.OPERATOR, request=K.NEW, outcome=R.DONE, by="", reason=""
    )
    with pytest.raises(IllegalTransition):
        Stage(play.blotter, 99).record(event)


def test_what_a_person_says_frees_what_the_doubt_took_of_a_limit() -> None:
    play = Play()
    play.blotter.weigh("sim")
    play.tell(submit())
    play.tell(answered(LOST, at_ns=10))
    assert play.blotter.exposures["sim"].orders == 1
    play.tell(said())
    assert play.blotter.exposures["sim"].orders == 0
