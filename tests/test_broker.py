"""What bots want: each command becomes events, actions and an answer, and is never done twice."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from tests.scripted import (
    LIMIT,
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
from brokerd.broker import decide
from brokerd.errors import DuplicateClOrdId, InvalidOrder, NotCancelable, UnknownOrder
from brokerd.events import ExecutorChanged, RequestKind, Road
from brokerd.executor import Accepted, InDoubt, NotSent, Refused
from brokerd.messages import Message, Note, Submit

NOT_SENT = NotSent(reason="refused_connection", evidence="ECONNREFUSED")


def test_a_submit_is_on_record_and_sent_as_it_stands_there() -> None:
    play = Play()
    assert play.tell(submit()) == ["order_submitted", "SEND"]
    assert play.decision.reply == "x"
    assert play.sent() == play.order
    assert play.order.venue_cl_ord_id == "v-x"
    assert play.order.request is not None
    assert play.order.request.kind is K.NEW


def test_the_same_submit_finds_its_order_and_sends_nothing() -> None:
    play = Play().submitted()
    assert play.tell(submit(at_ns=9)) == []
    assert play.decision.reply == "x"


def test_a_submit_with_other_terms_is_a_duplicate_and_changes_nothing() -> None:
    play = Play().submitted()
    before = play.order
    assert play.tell(submit(qty=D(11))) == []
    assert isinstance(play.decision.reply, DuplicateClOrdId)
    assert play.order == before


@pytest.mark.parametrize("command", [Play.cancel, lambda play, at_ns: play.replace(at_ns, 5)])
def test_a_command_for_an_unknown_order_says_so(command: Callable[[Play, int], list[str]]) -> None:
    play = Play()
    assert command(play, 1) == []
    assert isinstance(play.decision.reply, UnknownOrder)


def test_a_note_goes_on_record_as_it_is() -> None:
    play = Play()
    event = ExecutorChanged(at_ns=1, executor="sim", state="up")
    assert play.tell(Note(event)) == ["executor_changed"]
    assert play.news[0].entry.event is event
    assert play.news[0].order is None


def test_a_cancel_of_a_working_order_is_sent_at_once_and_a_second_one_finds_it() -> None:
    play = Play().acknowledged()
    assert play.cancel(3) == ["cancel_requested", "SEND"]
    assert play.order.shown_status is S.PENDING_CANCEL
    assert play.cancel(4) == []
    assert play.decision.reply == "x"


def test_a_cancel_of_a_final_order_is_told_what_it_is() -> None:
    play = Play().acknowledged()
    play.tell(reported(traded("t", 10), at_ns=3))
    assert play.cancel(4) == []
    reply = play.decision.reply
    assert isinstance(reply, NotCancelable)
    assert reply.reason == "already_filled"


def test_a_cancel_while_the_new_order_is_on_its_way_waits_and_is_then_sent() -> None:
    play = Play().submitted()
    assert play.cancel(2) == ["cancel_requested"]
    assert play.order.cancel_wanted
    assert play.cancel(3) == []
    assert play.tell(reported(report(E.NEW), at_ns=4)) == [
        "order_acknowledged",
        "cancel_requested",
        "SEND",
    ]
    assert play.sent().request == play.order.request
    assert play.order.request is not None
    assert play.order.request.kind is K.CANCEL


def test_a_waiting_cancel_is_dropped_when_the_order_is_rejected() -> None:
    play = Play().submitted()
    play.cancel(2)
    assert play.tell(answered(Refused(reason="margin"), at_ns=3)) == ["order_rejected"]
    assert not play.order.cancel_wanted
    assert play.order.is_settled


def test_a_waiting_cancel_is_dropped_when_the_order_is_filled_at_once() -> None:
    play = Play().submitted()
    play.cancel(2)
    accepted = Accepted(reports=(report(E.NEW), traded("t", 10)))
    assert play.tell(answered(accepted, at_ns=3)) == [
        "order_acknowledged",
        "order_traded",
    ]
    assert play.order.is_settled


def test_an_order_never_sent_whose_cancel_waits_ends_without_being_sent() -> None:
    play = Play().submitted()
    play.cancel(2)
    assert play.retry(3) == ["order_canceled"]
    assert (play.order.ord_status, play.order.reason) == (S.CANCELED, "canceled_before_sent")
    assert play.order.is_settled


def test_a_request_not_sent_is_on_record_again_before_it_is_sent_again() -> None:
    play = Play().submitted()
    assert play.retry(5) == ["request_retried", "SEND"]
    request = play.sent().request
    assert request is not None
    assert (request.attempt, request.asked_at_ns, request.since_ns) == (2, 5, 1)
    assert play.retry(6) == [], "the same retry is due only once"
    assert play.retry(7, attempt=3) == ["request_retried", "SEND"]
    assert play.order.retries == 2


@pytest.mark.parametrize(
    ("before", "request_kind"),
    [
        ([reported(report(E.NEW), at_ns=2)], K.NEW),
        ([answered(InDoubt(evidence="lost"), at_ns=2)], K.NEW),
        ([], K.CANCEL),
    ],
    ids=["answered", "doubted", "of another kind"],
)
def test_a_retry_that_is_not_of_the_outstanding_request_sends_nothing(
    before: list[Message], request_kind: RequestKind
) -> None:
    play = Play().submitted()
    for message in before:
        play.tell(message)
    assert play.retry(9, request=request_kind) == []


def test_a_retry_of_an_order_nobody_knows_sends_nothing() -> None:
    assert Play().retry(1) == []


def test_a_new_order_that_could_not_be_sent_in_time_is_rejected_as_unavailable() -> None:
    play = Play().submitted()
    assert play.tell(answered(NOT_SENT, at_ns=3)) == ["order_rejected"]
    assert (play.order.ord_status, play.order.reason) == (S.REJECTED, "venue_unavailable")
    assert play.order.is_settled


def test_a_cancel_that_could_not_be_sent_leaves_the_order_as_it_was() -> None:
    play = Play().acknowledged()
    before = play.order
    play.cancel(3)
    assert play.tell(answered(NOT_SENT, at_ns=4, request=K.CANCEL)) == ["request_refused"]
    assert (play.order.ord_status, play.order.request) == (before.ord_status, None)


def test_a_replace_keeps_what_it_does_not_name() -> None:
    play = Play().acknowledged()
    assert play.replace(3, qty=20) == ["replace_requested", "SEND"]
    request = play.sent().request
    assert request is not None
    assert (request.qty, request.px) == (D(20), D(100))
    assert play.order.shown_status is S.PENDING_REPLACE
    assert (play.order.qty, play.order.replace_no) == (D(10), 1)


def test_a_replace_by_the_same_terms_asks_nothing_of_the_venue() -> None:
    play = Play().acknowledged()
    assert play.replace(3, qty=10, px=100) == []
    assert play.decision.reply == "x"


def test_one_request_at_a_time_may_be_outstanding_beside_a_replace() -> None:
    play = Play().submitted()
    play.replace(2, qty=20)
    assert isinstance(play.decision.reply, NotCancelable)
    assert play.decision.reply.reason == "request_outstanding"
    play.cancel(3)
    play.replace(4, qty=20)
    assert isinstance(play.decision.reply, NotCancelable)


def test_a_replace_waits_for_a_cancel_that_is_only_wanted() -> None:
    play = Play().acknowledged()
    play.replace(3, qty=20)
    play.cancel(4)
    play.tell(answered(Refused(reason="no"), at_ns=5, request=K.REPLACE))
    play.replace(6, qty=30)
    assert isinstance(play.decision.reply, NotCancelable)


def test_a_replace_of_a_final_order_or_to_what_is_filled_is_refused() -> None:
    play = Play().acknowledged()
    play.tell(reported(traded("t", 4), at_ns=3))
    play.replace(4, qty=4)
    assert isinstance(play.decision.reply, InvalidOrder)
    assert play.decision.reply.reason == "qty_not_above_filled"
    play.tell(reported(report(E.CANCELED), at_ns=5))
    play.replace(6, qty=20)
    assert isinstance(play.decision.reply, NotCancelable)
    assert play.decision.reply.reason == "already_canceled"


def test_a_market_order_has_no_price_to_replace() -> None:
    play = Play()
    play.tell(submit(ord_type="market", px=None))
    play.tell(reported(report(E.NEW), at_ns=2))
    play.replace(3, px=100)
    assert isinstance(play.decision.reply, InvalidOrder)
    assert play.decision.reply.field == "px"


def test_a_cancel_waits_for_a_replace_on_its_way_and_follows_its_refusal() -> None:
    play = Play().acknowledged()
    play.replace(3, qty=20)
    assert play.cancel(4) == ["cancel_requested"]
    refused = answered(Refused(reason="no"), at_ns=5, request=K.REPLACE)
    assert play.tell(refused) == ["request_refused", "cancel_requested", "SEND"]


def test_a_cancel_does_not_wait_for_a_replace_in_doubt_whichever_came_first() -> None:
    """A venue without promises may never tell about the replace; the order must stay cancelable."""
    doubt = answered(InDoubt(evidence="lost"), at_ns=5, request=K.REPLACE)
    play = Play().acknowledged()
    play.replace(3, qty=20)
    play.tell(doubt)
    assert play.cancel(6) == ["cancel_requested", "SEND"]
    play = Play().acknowledged()
    play.replace(3, qty=20)
    play.cancel(4)
    assert play.tell(doubt) == ["request_doubted", "cancel_requested", "SEND", "ASK"]
    assert play.sent().request is not None
    assert play.sent().request.kind is RequestKind.CANCEL


def test_a_replace_that_was_not_sent_gives_way_to_the_cancel_behind_it() -> None:
    play = Play().acknowledged()
    play.replace(3, qty=20)
    play.cancel(4)
    assert play.retry(5, request=K.REPLACE) == ["request_refused", "cancel_requested", "SEND"]


def test_a_stage_that_is_thrown_away_leaves_the_blotter_as_it_was() -> None:
    play = Play().acknowledged()
    before = list(play.blotter), len(play.blotter.asking("sim"))
    stage = Stage(play.blotter, len(play.changes) + 1)
    for message in (
        submit("y"),
        reported(traded("t", 3, cum_qty=D(9)), at_ns=3),
        reported(report(E.CANCELED), at_ns=4),
    ):
        decide(stage, message)
    assert len(stage.changes) == 4
    assert stage.find("sim", "v-y", None) is stage.get("y")
    assert (list(play.blotter), len(play.blotter.asking("sim"))) == before
    assert play.blotter.get("y") is None
    assert play.blotter.find("sim", "v-y", None) is None
    assert not play.blotter.has_execution("x", "t")
    assert stage.has_execution("x", "t")


def test_the_order_a_bot_gets_has_the_terms_it_sent() -> None:
    play = Play()
    terms = Submit("x", "v-x", LIMIT, None, 7)
    play.tell(terms)
    assert play.order.terms is LIMIT
    assert play.order.created_at_ns == 7
    assert isinstance(play.order.qty, Decimal)


def test_the_road_says_who_wanted_a_cancel() -> None:
    play = Play().submitted()
    play.cancel(2)
    assert play.news[0].entry.event.road is Road.BOT
    play.tell(viewed(view(executions=(execution("t"),)), asked_at_ns=5))
    roads = {type(c.entry.event).__name__: c.entry.event.road for c in play.news}
    assert roads["CancelRequested"] is Road.DAEMON
    assert roads["OrderTraded"] is Road.QUERY
