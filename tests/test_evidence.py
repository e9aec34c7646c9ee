"""What venues say: merged in any order, counted once, and contradictions change nothing."""

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
from brokerd.broker import decide
from brokerd.executor import Accepted, Execution, Refused, Report
from brokerd.messages import Stranger
from brokerd.states import ExecType
from brokerd.views import show_order


def test_an_execution_counts_once_on_whatever_road_it_comes() -> None:
    play = Play().acknowledged()
    assert play.tell(reported(traded("t", 3), at_ns=3)) == ["order_traded"]
    assert play.tell(reported(traded("t", 3), at_ns=4)) == []
    shown = view(S.PARTIALLY_FILLED, executions=(execution("t", 3), execution("u", 2)))
    assert play.tell(viewed(shown, asked_at_ns=5)) == ["order_traded"]
    accepted = Accepted(reports=(traded("u", 2), traded("v", 1)))
    assert play.tell(answered(accepted, at_ns=6)) == ["order_traded"]
    assert (play.order.cum_qty, play.order.fill_count) == (D(6), 3)


def test_the_execution_keeps_what_the_venue_said_of_it() -> None:
    play = Play().acknowledged()
    play.tell(reported(traded("t", 3), at_ns=3))
    event = play.news[0].entry.event
    assert (event.exec_id, event.last_px, event.fee, event.fee_asset) == (
        "t",
        D(100),
        D("0.1"),
        "BNB",
    )
    assert play.order.fees == {"BNB": D("0.1")}


@pytest.mark.parametrize("exec_type", [E.PARTIAL_FILL, E.FILL])
def test_a_fill_by_another_name_is_a_fill(exec_type: ExecType) -> None:
    play = Play().acknowledged()
    told = replace(traded("t", 3), exec_type=exec_type)
    assert play.tell(reported(told, at_ns=3)) == ["order_traded"]
    assert play.order.cum_qty == D(3)


def test_a_trade_without_its_execution_says_only_how_much_is_filled() -> None:
    play = Play().acknowledged()
    told = report(E.TRADE, cum_qty=D(3))
    assert play.tell(reported(told, at_ns=3)) == ["fills_missed", "ASK"]
    assert play.order.cum_qty == 0
    assert play.tell(reported(told, at_ns=4)) == ["ASK"]


def test_missed_fills_are_asked_for_until_the_sum_agrees_and_only_then_is_it_settled() -> None:
    play = Play().acknowledged()
    told = play.tell(reported(report(E.CANCELED, cum_qty=D(5)), at_ns=3))
    assert told == ["order_canceled", "ASK"]
    assert play.order.is_final
    assert not play.order.is_settled
    assert play.tell(reported(traded("t", 2), at_ns=4)) == ["order_traded", "ASK"]
    canceled = view(S.CANCELED, executions=(execution("t", 2), execution("u", 3)))
    assert play.tell(viewed(canceled, asked_at_ns=5)) == ["order_traded"]
    assert (play.order.ord_status, play.order.cum_qty) == (S.CANCELED, D(5))
    assert play.order.is_settled


def test_a_claim_that_only_grows_is_recorded_as_it_grows() -> None:
    play = Play().acknowledged()
    for cum_qty, told in ((2, ["fills_missed", "ASK"]), (1, ["ASK"]), (4, ["fills_missed", "ASK"])):
        message = reported(report(E.NEW, cum_qty=D(cum_qty)), at_ns=3)
        assert play.tell(message) == told
    assert play.order.venue_cum_qty == D(4)


def test_a_fill_that_comes_late_after_a_cancel_is_counted() -> None:
    play = Play().acknowledged()
    play.tell(reported(report(E.CANCELED), at_ns=3))
    assert play.tell(reported(traded("t", 4), at_ns=4)) == ["order_traded"]
    assert (play.order.ord_status, play.order.cum_qty) == (S.CANCELED, D(4))
    assert play.tell(reported(traded("u", 6), at_ns=5)) == ["order_traded"]
    assert play.order.ord_status is S.FILLED


def test_a_fill_of_a_rejected_order_is_counted() -> None:
    play = Play().submitted()
    play.tell(answered(Refused(reason="margin"), at_ns=2))
    assert play.tell(reported(traded("t", 4), at_ns=3)) == ["order_traded"]
    assert play.order.cum_qty == D(4)


def test_more_than_was_ordered_is_recorded_as_the_venue_says_it() -> None:
    play = Play().acknowledged()
    play.tell(reported(traded("t", 9), at_ns=3))
    assert play.tell(reported(traded("u", 9), at_ns=4)) == ["order_traded", "ASK"]
    assert (play.order.ord_status, play.order.cum_qty, play.order.leaves_qty) == (
        S.FILLED,
        D(18),
        D(0),
    )


def test_an_acknowledgement_is_news_when_it_brings_the_time_of_sending() -> None:
    play = Play().acknowledged()
    accepted = Accepted(reports=(report(E.NEW),), sent_at_ns=7, evidence="reply")
    assert play.tell(answered(accepted, at_ns=8)) == ["order_acknowledged"]
    assert (play.order.sent_at_ns, play.order.acked_at_ns) == (7, 2)
    assert play.tell(answered(accepted, at_ns=9)) == []


def test_an_acknowledgement_without_the_venues_id_is_a_sign_of_the_order_all_the_same() -> None:
    play = Play().submitted()
    told = reported(report(E.NEW, venue_order_id=None), at_ns=2)
    assert play.tell(told) == ["order_acknowledged"]
    assert (play.order.ord_status, play.order.request) == (S.NEW, None)
    assert (play.order.venue_order_id, play.order.executor_id) == (None, None)
    assert play.tell(told) == []


@pytest.mark.parametrize(
    "first",
    [
        report(E.NEW, venue_order_id=None),
        report(E.TRADE, venue_order_id=None, cum_qty=D(1)),
    ],
    ids=["acknowledged", "claimed"],
)
def test_an_order_that_was_taken_without_its_id_learns_it_and_then_its_fills(first: Report) -> None:
    """A fetched fill names its order by the venue's id alone: it would be a stranger's."""
    play = Play().submitted()
    play.tell(reported(first, at_ns=2))
    assert (play.order.acked_at_ns, play.order.venue_order_id) == (2, None)
    play.tell(answered(Accepted(reports=(report(E.NEW),)), at_ns=3))
    assert (play.order.acked_at_ns, play.order.venue_order_id) == (2, "1-x")
    assert "order_acknowledged" not in play.tell(reported(report(E.NEW), at_ns=4))
    play.tell(reported(replace(traded("t", 1), venue_cl_ord_id=None), at_ns=5))
    assert play.order.cum_qty == D(1)


@pytest.mark.parametrize("qty", [0, -3])
def test_an_execution_of_nothing_or_less_is_disputed_and_not_counted(qty: int) -> None:
    """What is taken back may come as a trade below zero: what was counted stands, for somebody to see."""
    play = Play().acknowledged()
    play.tell(reported(traded("t", 3), at_ns=3))
    assert play.tell(reported(traded("u", qty), at_ns=4)) == ["report_disputed"]
    assert (play.order.cum_qty, play.order.fill_count) == (D(3), 1)
    assert play.order.dispute == f"execution u of {qty}"
    assert play.tell(reported(traded("u", qty), at_ns=5)) == []


@pytest.mark.parametrize(
    "shown",
    [(), (execution("t", 2),), (execution("t", 4),), (execution("other", 1),)],
    ids=["taken back", "made smaller", "made larger", "told by another name"],
)
def test_a_trade_that_was_taken_back_or_changed_is_disputed(shown: tuple[Execution, ...]) -> None:
    """What was counted stands: executions are never taken back by themselves."""
    play = Play().acknowledged()
    play.tell(reported(traded("t", 3), at_ns=3))
    before = play.order.cum_qty
    told = play.tell(viewed(view(S.PARTIALLY_FILLED, executions=shown), asked_at_ns=9))
    assert "report_disputed" in told
    assert play.order.cum_qty >= before
    assert "filled, and told executions of" in play.order.dispute


@pytest.mark.parametrize(
    ("asked_at_ns", "cum_qty"),
    [(3, 2), (9, 5)],
    ids=["asked before it was heard", "not all executions are shown yet"],
)
def test_a_view_that_does_not_add_up_or_is_older_than_a_trade_contradicts_nothing(
    asked_at_ns: int, cum_qty: int
) -> None:
    play = Play().acknowledged()
    play.tell(reported(traded("t", 3), at_ns=3))
    shown = view(S.PARTIALLY_FILLED, executions=(execution("t", 2),), cum_qty=D(cum_qty))
    assert "report_disputed" not in play.tell(viewed(shown, asked_at_ns=asked_at_ns, at_ns=9))


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (E.CANCELED, E.CANCELED, []),
        (E.CANCELED, E.EXPIRED, ["report_disputed"]),
        (E.CANCELED, E.REJECTED, ["report_disputed"]),
        (E.EXPIRED, E.CANCELED, ["report_disputed"]),
        (E.REJECTED, E.REJECTED, []),
    ],
)
def test_the_first_last_word_stands_and_another_is_disputed_once(
    first: ExecType, second: ExecType, told: list[str]
) -> None:
    play = Play().acknowledged()
    play.tell(reported(report(first), at_ns=3))
    before = play.order.ord_status
    assert play.tell(reported(report(second), at_ns=4)) == told
    assert play.tell(reported(report(second), at_ns=5)) == []
    assert play.order.ord_status is before


def test_a_last_word_stands_also_when_late_fills_have_filled_the_order() -> None:
    play = Play().acknowledged()
    play.tell(reported(report(E.CANCELED), at_ns=3))
    play.tell(reported(traded("t", 10), at_ns=4))
    assert play.order.ord_status is S.FILLED
    assert play.tell(reported(report(E.EXPIRED), at_ns=5)) == ["report_disputed"]
    assert play.order.stopped_by is S.CANCELED


def test_a_rejection_of_what_is_filled_is_disputed() -> None:
    play = Play().acknowledged()
    play.tell(reported(traded("t", 10), at_ns=3))
    assert play.tell(reported(report(E.REJECTED), at_ns=4)) == ["report_disputed"]
    shown = show_order(play.order)
    assert (shown.disputed, shown.dispute) == (
        True,
        "the venue told of an order that is filled: rejected",
    )


def test_a_report_of_an_order_that_is_not_in_memory_is_a_strangers() -> None:
    play = Play().submitted()
    told = reported(traded("t", cl_ord_id="other"), at_ns=3)
    assert play.tell(told) == ["STRANGER"]
    assert play.decision.actions == (Stranger(told),)


def test_an_order_is_found_by_the_venues_id_where_ours_is_not_told() -> None:
    play = Play().acknowledged()
    told = replace(traded("t"), venue_cl_ord_id=None)
    assert play.tell(reported(told, at_ns=3)) == ["order_traded"]


def test_the_same_venue_id_at_another_executor_is_another_order() -> None:
    play = Play().acknowledged()
    told = replace(
        reported(replace(traded("t"), venue_cl_ord_id=None), at_ns=3), executor="elsewhere"
    )
    assert play.tell(told) == ["STRANGER"]


def test_a_replace_is_accepted_once_however_often_it_is_told() -> None:
    play = Play().acknowledged()
    play.replace(3, qty=20)
    told = report(E.REPLACED, qty=D(20), px=D(100))
    assert play.tell(reported(told, at_ns=4)) == ["order_replaced"]
    assert play.tell(reported(told, at_ns=5)) == []
    accepted = Accepted(reports=(replace(told, replace_no=1),))
    assert play.tell(answered(accepted, at_ns=6, request=K.REPLACE)) == []
    assert (play.order.qty, play.order.replaced_no) == (D(20), 1)


def test_the_older_of_two_replaces_does_not_undo_the_newer() -> None:
    play = Play().acknowledged()
    for number, qty in ((1, 20), (2, 30)):
        play.replace(3 * number, qty=qty)
        told = report(E.REPLACED, qty=D(qty), replace_no=number)
        assert play.tell(reported(told, at_ns=3 * number + 1)) == ["order_replaced"]
    late = report(E.REPLACED, qty=D(20), replace_no=1)
    assert play.tell(reported(late, at_ns=9)) == []
    assert play.order.qty == D(30)


def test_a_replace_that_nobody_here_asked_for_is_taken_over() -> None:
    play = Play().acknowledged()
    assert play.tell(reported(report(E.REPLACED, qty=D(15), px=D(99)), at_ns=3)) == [
        "order_replaced"
    ]
    assert (play.order.qty, play.order.px) == (D(15), D(99))


def test_what_a_venue_takes_by_itself_is_no_answer_to_the_replace_under_way() -> None:
    play = Play().acknowledged()
    play.replace(3, qty=20)
    taken = report(E.REPLACED, qty=D(5), px=D(100))
    assert play.tell(reported(taken, at_ns=4)) == ["order_replaced"]
    assert play.order.qty == D(5)
    assert play.order.replacing is not None
    assert play.order.replacing.qty == D(20), "it may be done yet, and counts until that is known"
    told = report(E.REPLACED, qty=D(20), px=D(100))
    assert play.tell(reported(told, at_ns=5)) == ["order_replaced"]
    assert (play.order.qty, play.order.replacing) == (D(20), None)


@pytest.mark.parametrize("told", [{}, {"replace_no": 1}], ids=["without number", "numbered"])
def test_a_replace_that_is_told_without_its_price_has_the_price_that_was_asked_for(
    told: dict[str, int],
) -> None:
    play = Play().acknowledged()
    play.replace(3, px=90)
    report_ = report(E.REPLACED, qty=D(10), **told)
    assert play.tell(reported(report_, at_ns=4)) == ["order_replaced"]
    assert (play.order.px, play.order.request) == (D(90), None)


def test_a_replace_report_without_a_quantity_says_nothing() -> None:
    play = Play().acknowledged()
    play.replace(3, qty=20)
    assert play.tell(reported(report(E.REPLACED), at_ns=4)) == []


def test_fills_that_cross_a_replace_count_towards_the_new_quantity() -> None:
    play = Play().acknowledged()
    play.replace(3, qty=20)
    play.tell(reported(traded("t", 10), at_ns=4))
    assert play.order.ord_status is S.FILLED
    assert not play.order.is_settled, "the replace has no answer yet"
    assert play.tell(reported(report(E.REPLACED, qty=D(20), px=D(100)), at_ns=5)) == [
        "order_replaced"
    ]
    assert (play.order.ord_status, play.order.leaves_qty) == (S.PARTIALLY_FILLED, D(10))


def test_a_view_asked_before_the_last_news_does_not_undo_a_replace() -> None:
    play = Play().acknowledged()
    play.replace(3, qty=20)
    play.tell(reported(report(E.REPLACED, qty=D(20), px=D(100)), at_ns=10))
    old = view(S.PARTIALLY_FILLED, executions=(execution("t", 1),))
    assert play.tell(viewed(old, asked_at_ns=10, at_ns=12)) == ["order_traded"]
    assert play.order.qty == D(20), "its executions hold, its terms do not"
    assert play.tell(viewed(old, asked_at_ns=13)) == ["order_replaced"]
    assert play.order.qty == D(10), "asked afterwards, it is what the venue has"


def test_a_view_without_a_price_leaves_the_price() -> None:
    play = Play().acknowledged()
    assert play.tell(viewed(view(px=None), asked_at_ns=9)) == []
    assert play.order.px == D(100)


def test_a_rejected_new_order_says_why() -> None:
    play = Play().submitted()
    refused = Refused(reason="insufficient_balance", code="-2010", evidence='{"code":-2010}')
    assert play.tell(answered(refused, at_ns=3)) == ["order_rejected"]
    event = play.news[0].entry.event
    assert (event.reason, event.code, event.evidence) == (
        "insufficient_balance",
        "-2010",
        '{"code":-2010}',
    )


def test_our_own_id_names_an_order_before_the_venues_within_one_batch_too() -> None:
    """Where a venue numbers the orders of each symbol anew, two orders share a number."""

    play = Play().acknowledged()
    play.tell(submit("y", symbol="ETHUSDT"))
    stage = Stage(play.blotter, 10)
    decide(stage, reported(replace(report(E.NEW, "y"), venue_order_id="1-x"), at_ns=5))
    decide(stage, reported(traded("t", 4), at_ns=6))
    assert [stage.get(each).cum_qty for each in "xy"] == [D(4), D(0)]
