"""The order state machine: every cell of its table, and what surrounds the table."""

from decimal import Decimal
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from brokerd.events import (
    After,
    AnyEvent,
    CancelRequested,
    FillsMissed,
    OrderAcknowledged,
    OrderAdopted,
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
)
from brokerd.fold import IllegalTransition, apply, is_legal, submitted
from brokerd.orders import Order
from brokerd.states import COARSE, FINAL, TRANSITIONS, ExecType, OrdStatus, Status
from brokerd.terms import OrdType, Side, Terms

D = Decimal

TABLE = """
                   new               partial_fill      fill    replaced          canceled  expired  rejected
 pending_new       new               partially_filled  filled  new               canceled  expired  rejected
 new               new               partially_filled  filled  new               canceled  expired  rejected
 partially_filled  partially_filled  partially_filled  filled  partially_filled  canceled  expired  rejected
 filled            filled            filled            filled  partially_filled  filled    filled   -
 canceled          canceled          canceled          filled  canceled          canceled  -        -
 expired           expired           expired           filled  expired           -         expired  -
 rejected          rejected          rejected          filled  rejected          -         -        rejected
"""
"""Status x report -> status, and - for a contradiction."""


def cells() -> list[tuple[OrdStatus, ExecType, OrdStatus | None]]:
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return [
        (OrdStatus(status), ExecType(exec_type), None if after == "-" else OrdStatus(after))
        for status, *afters in rows
        for exec_type, after in zip(head, afters, strict=True)
    ]


def an_order(**changes: Any) -> Order:
    terms = Terms("paper", "BTCUSDT", Side.BUY, OrdType.LIMIT, D(10), D(100))
    event = OrderSubmitted(at_ns=1, cl_ord_id="x", venue_cl_ord_id="v-x", terms=terms)
    return replace(submitted(event, 1), **changes)


def fed(order: Order, *events: OrderEvent) -> Order:
    for event in events:
        order = apply(order, event, order.seq + 1)
    return order


def acknowledged(at_ns: int = 2, venue_order_id: str = "1", **more: Any) -> OrderAcknowledged:
    return OrderAcknowledged(at_ns=at_ns, cl_ord_id="x", venue_order_id=venue_order_id, **more)


def traded(qty: int, px: int = 100, at_ns: int = 3, **more: Any) -> OrderTraded:
    told = {"exec_id": f"{at_ns}", "last_qty": D(qty), "last_px": D(px), **more}
    return OrderTraded(at_ns=at_ns, cl_ord_id="x", **told)


def replaced(qty: int, px: int | None = None, at_ns: int = 4, **more: Any) -> OrderReplaced:
    told = {"qty": D(qty), "px": None if px is None else D(px), **more}
    return OrderReplaced(at_ns=at_ns, cl_ord_id="x", **told)


def canceled(at_ns: int = 5, **more: Any) -> OrderCanceled:
    return OrderCanceled(at_ns=at_ns, cl_ord_id="x", **more)


def doubted(kind: RequestKind, final_at_ns: int | None = None) -> RequestDoubted:
    return RequestDoubted(at_ns=6, cl_ord_id="x", request=kind, final_at_ns=final_at_ns)


def cancel_requested(*, queued: bool = False) -> CancelRequested:
    return CancelRequested(at_ns=7, cl_ord_id="x", queued=queued)


def replace_requested(qty: int = 12, px: int = 101) -> ReplaceRequested:
    return ReplaceRequested(at_ns=7, cl_ord_id="x", qty=D(qty), px=D(px), replace_no=1)


REPORTS: dict[ExecType, OrderEvent] = {
    ExecType.NEW: acknowledged(),
    ExecType.PARTIAL_FILL: traded(4),
    ExecType.FILL: traded(10),
    ExecType.REPLACED: replaced(12, replace_no=1),
    ExecType.CANCELED: canceled(),
    ExecType.EXPIRED: OrderExpired(at_ns=5, cl_ord_id="x"),
    ExecType.REJECTED: OrderRejected(at_ns=5, cl_ord_id="x"),
}


@pytest.mark.parametrize(("status", "exec_type", "after"), cells())
def test_a_report_moves_the_order_as_the_table_says_or_not_at_all(
    status: OrdStatus, exec_type: ExecType, after: OrdStatus | None
) -> None:
    order = an_order(ord_status=status)
    assert is_legal(order, exec_type) == (after is not None)
    if after is not None:
        assert apply(order, REPORTS[exec_type], 2).ord_status is after
        return
    before = replace(order)
    with pytest.raises(IllegalTransition, match=f"order x is {status}: {exec_type}") as caught:
        apply(order, REPORTS[exec_type], 2)
    assert caught.value.data["event"] == type(REPORTS[exec_type]).__name__
    assert order == before


def test_the_table_has_a_row_for_every_stored_status_and_no_other_cell() -> None:
    assert {(s, e): after for s, e, after in cells() if after} == {
        (s, e): after for s, row in TRANSITIONS.items() for e, after in row.items()
    }
    assert set(TRANSITIONS) == set(OrdStatus) - {
        OrdStatus.PENDING_CANCEL,
        OrdStatus.PENDING_REPLACE,
    }


@pytest.mark.parametrize("status", TRANSITIONS)
def test_a_trade_is_a_partial_fill_or_a_fill_before_it_is_looked_up(status: OrdStatus) -> None:
    assert not is_legal(an_order(ord_status=status), ExecType.TRADE)


def test_an_order_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        an_order().ord_status = OrdStatus.FILLED  # type: ignore[misc]


def test_every_event_about_an_order_but_its_first_can_be_applied() -> None:
    """A journal row that replay cannot fold would stop the daemon for good."""
    kinds = [kind for kind in get_args(AnyEvent) if issubclass(kind, OrderEvent)]
    reports = {type(event): event for event in REPORTS.values()}
    told: dict[type[OrderEvent], OrderEvent] = {
        **reports,
        CancelRequested: cancel_requested(),
        ReplaceRequested: replace_requested(),
        RequestRetried: RequestRetried(at_ns=7, cl_ord_id="x", request=RequestKind.NEW, attempt=2),
        RequestRefused: RequestRefused(
            at_ns=7, cl_ord_id="x", request=RequestKind.NEW, reason="no"
        ),
        RequestDoubted: doubted(RequestKind.NEW),
        RequestResolved: RequestResolved(
            at_ns=7,
            cl_ord_id="x",
            request=RequestKind.NEW,
            outcome=Resolution.NOT_EXECUTED,
            by="ann",
            reason="seen",
        ),
        OrderNotFound: OrderNotFound(at_ns=7, cl_ord_id="x"),
        FillsMissed: FillsMissed(at_ns=7, cl_ord_id="x", cum_qty=D(1)),
        ReportDisputed: ReportDisputed(at_ns=7, cl_ord_id="x", exec_type="rejected"),
    }
    assert set(kinds) == {OrderSubmitted, OrderAdopted, *told}
    for event in told.values():
        order = apply(an_order(), event, 9)
        assert (order.seq, order.updated_at_ns) == (9, event.at_ns)
        assert order != replace(an_order(), seq=9, updated_at_ns=event.at_ns)


def test_a_submit_is_a_pending_order_with_its_request_outstanding() -> None:
    order = an_order()
    assert (order.ord_status, order.status) == (OrdStatus.PENDING_NEW, Status.PENDING)
    assert (order.qty, order.px, order.leaves_qty) == (D(10), D(100), D(10))
    assert order.request is not None
    assert order.request.kind is RequestKind.NEW
    assert (order.avg_px, order.executor_id) == (None, None)


def test_the_coarse_status_is_the_traders_word_for_every_stored_status() -> None:
    assert {str(status): str(coarse) for status, coarse in COARSE.items()} == {
        "pending_new": "PENDING",
        "new": "OPEN",
        "partially_filled": "OPEN",
        "filled": "CLOSED",
        "rejected": "CLOSED",
        "expired": "CLOSED",
        "canceled": "CANCELLED",
    }


def test_an_order_is_known_outside_by_its_executor_and_the_venues_id() -> None:
    assert fed(an_order(), acknowledged(venue_order_id="77")).executor_id == "paper:77"


def test_the_first_acknowledgement_sets_the_times_and_a_second_changes_none() -> None:
    first = acknowledged(at_ns=20, sent_at_ns=15)
    order = fed(an_order(), first, acknowledged(at_ns=30, sent_at_ns=25))
    assert (order.sent_at_ns, order.acked_at_ns) == (15, 20)


def test_the_reply_brings_the_time_of_sending_after_the_stream_brought_the_order() -> None:
    order = fed(an_order(), traded(1, at_ns=20), acknowledged(at_ns=30, sent_at_ns=15))
    assert (order.sent_at_ns, order.acked_at_ns, order.venue_order_id) == (15, 20, "1")


def test_a_late_acknowledgement_does_not_bring_back_the_id_before_a_replace() -> None:
    """Where a replace gives the order a new id, the reply to the submit still has the old one."""
    order = fed(an_order(), replaced(12, venue_order_id="2"), acknowledged(venue_order_id="1"))
    assert order.venue_order_id == "2"


def test_fills_add_up_to_an_average_price_and_fees_by_asset() -> None:
    order = fed(
        an_order(),
        traded(4, 101, at_ns=3, fee=D("0.2"), fee_asset="BNB", venue_order_id="9"),
        traded(3, 102, at_ns=4, fee=D("-0.1"), fee_asset="BNB"),
        traded(1, 104, at_ns=5, fee=D("1.5"), fee_asset="USDT"),
        traded(1, 104, at_ns=6, fee_asset="USDC"),
    )
    assert (order.cum_qty, order.leaves_qty, order.fill_count) == (D(9), D(1), 4)
    assert order.avg_px == D(918) / 9
    assert order.fees == {"BNB": D("0.1"), "USDT": D("1.5")}
    assert (order.acked_at_ns, order.first_fill_at_ns, order.last_fill_at_ns) == (3, 3, 6)
    assert order.venue_order_id == "9"


def test_a_venue_may_fill_more_than_was_asked() -> None:
    order = fed(an_order(), traded(4), traded(9, at_ns=4))
    assert (order.ord_status, order.cum_qty, order.leaves_qty) == (OrdStatus.FILLED, D(13), D(0))


@pytest.mark.parametrize(
    ("last_word", "status"),
    [
        (ExecType.CANCELED, OrdStatus.CANCELED),
        (ExecType.EXPIRED, OrdStatus.EXPIRED),
        (ExecType.REJECTED, OrdStatus.REJECTED),
    ],
)
def test_late_fills_leave_the_last_word_standing_until_they_fill_the_order(
    last_word: ExecType, status: OrdStatus
) -> None:
    order = fed(an_order(), REPORTS[last_word], traded(9, at_ns=8))
    assert (order.ord_status, order.stopped_by, order.leaves_qty) == (status, status, D(0))
    order = fed(order, traded(1, at_ns=9))
    assert (order.ord_status, order.stopped_by) == (OrdStatus.FILLED, status)
    assert (order.cum_qty, order.closed_at_ns) == (D(10), 5)


def test_a_replace_that_raised_the_quantity_past_the_fill_reopens_the_order() -> None:
    """FIX C.1.c, where the replace crossed the fill."""
    order = fed(an_order(), acknowledged(), replace_requested(), traded(10, at_ns=8))
    assert (order.ord_status, order.closed_at_ns) == (OrdStatus.FILLED, None)
    assert (order.shown_status, order.status) == (OrdStatus.PENDING_REPLACE, Status.OPEN)
    order = fed(order, replaced(12, at_ns=9, replace_no=1))
    assert (order.ord_status, order.closed_at_ns) == (OrdStatus.PARTIALLY_FILLED, None)
    assert (order.leaves_qty, order.request) == (D(2), None)
    order = fed(order, traded(2, at_ns=10))
    assert (order.ord_status, order.closed_at_ns) == (OrdStatus.FILLED, 10)


def test_a_late_replace_of_a_filled_order_that_was_canceled_since_ends_canceled() -> None:
    order = fed(an_order(), traded(10), canceled(), replaced(12))
    assert (order.ord_status, order.qty, order.leaves_qty) == (OrdStatus.CANCELED, D(12), D(0))


@pytest.mark.parametrize("qty", [3, 4])
def test_a_replace_down_to_what_is_filled_fills_the_order(qty: int) -> None:
    """FIX C.3.b and C.3.c."""
    order = fed(an_order(), traded(4), replace_requested(qty), replaced(qty, replace_no=1))
    assert (order.ord_status, order.leaves_qty) == (OrdStatus.FILLED, D(0))
    assert order.request is None


def test_a_replaced_order_has_the_venues_terms_and_remembers_the_newest_replace() -> None:
    order = fed(an_order(), replaced(12, 101, replace_no=2, venue_order_id="2"), replaced(11))
    assert (order.qty, order.px, order.replaced_no) == (D(11), D(101), 2)
    assert (order.venue_order_id, order.terms.qty, order.acked_at_ns) == ("2", D(10), 4)


ENDED_BY = {
    RequestKind.NEW: set(REPORTS),
    RequestKind.CANCEL: {ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED},
    RequestKind.REPLACE: {
        ExecType.REPLACED,
        ExecType.CANCELED,
        ExecType.EXPIRED,
        ExecType.REJECTED,
    },
}


def test_terms_that_did_not_come_from_the_last_replace_leave_it_outstanding() -> None:
    """The venue's own, or those of an older replace told late."""
    order = fed(an_order(), acknowledged(), replace_requested(), replaced(11, at_ns=9))
    assert order.qty == D(11)
    assert order.request is not None
    assert order.request.kind is RequestKind.REPLACE


@pytest.mark.parametrize("exec_type", REPORTS)
@pytest.mark.parametrize("kind", RequestKind)
def test_a_request_is_outstanding_until_the_report_that_answers_it(
    kind: RequestKind, exec_type: ExecType
) -> None:
    """A fill answers neither a cancel nor a replace: they may still come to an outcome."""
    order = an_order()
    if kind is RequestKind.CANCEL:
        order = fed(order, acknowledged(), cancel_requested())
    elif kind is RequestKind.REPLACE:
        order = fed(order, acknowledged(), replace_requested())
    after = fed(order, REPORTS[exec_type])
    assert (after.request is None) == (exec_type in ENDED_BY[kind])
    assert not after.is_settled or after.request is None


@pytest.mark.parametrize(
    ("request_event", "kind", "shown"),
    [
        (cancel_requested(), RequestKind.CANCEL, OrdStatus.PENDING_CANCEL),
        (replace_requested(), RequestKind.REPLACE, OrdStatus.PENDING_REPLACE),
    ],
)
def test_a_refused_request_leaves_nothing_to_restore(
    request_event: OrderEvent, kind: RequestKind, shown: OrdStatus
) -> None:
    order = fed(an_order(), acknowledged(), traded(4))
    asked = fed(order, request_event)
    assert (asked.ord_status, asked.shown_status) == (OrdStatus.PARTIALLY_FILLED, shown)
    refused = RequestRefused(at_ns=8, cl_ord_id="x", request=kind, reason="too_late")
    after = fed(asked, refused)
    assert (after.request, after.shown_status) == (None, OrdStatus.PARTIALLY_FILLED)


def test_a_queued_cancel_shows_through_the_acknowledgement_until_it_is_sent() -> None:
    order = fed(an_order(), cancel_requested(queued=True))
    assert order.request is not None
    assert (order.request.kind, order.shown_status) == (RequestKind.NEW, OrdStatus.PENDING_CANCEL)
    order = fed(order, acknowledged())
    assert (order.request, order.shown_status) == (None, OrdStatus.PENDING_CANCEL)
    order = fed(order, cancel_requested())
    assert order.request is not None
    assert (order.request.kind, order.cancel_wanted) == (RequestKind.CANCEL, False)


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_final_status_wins_over_a_pending_request(status: OrdStatus) -> None:
    order = replace(fed(an_order(), cancel_requested()), ord_status=status)
    assert order.shown_status is status
    assert not order.is_settled


def test_a_final_order_wants_no_cancel_any_more() -> None:
    order = fed(an_order(), cancel_requested(queued=True), traded(10))
    assert (order.cancel_wanted, order.is_settled) == (False, True)


def test_doubt_is_about_the_outstanding_request_and_ends_with_its_answer() -> None:
    order = fed(an_order(), doubted(RequestKind.NEW, 99))
    assert order.in_doubt
    assert order.request is not None
    assert (order.request.final_at_ns, order.doubts) == (99, 1)
    assert not fed(order, acknowledged()).in_doubt


@pytest.mark.parametrize("kind", [RequestKind.CANCEL, RequestKind.NEW])
def test_a_request_that_is_not_outstanding_cannot_be_doubted(kind: RequestKind) -> None:
    order = an_order() if kind is RequestKind.CANCEL else fed(an_order(), acknowledged())
    with pytest.raises(IllegalTransition, match=f"no {kind} request to doubt"):
        fed(order, doubted(kind))


def test_a_retry_keeps_what_was_asked_and_ends_the_doubt() -> None:
    retried = RequestRetried(at_ns=9, cl_ord_id="x", request=RequestKind.REPLACE, attempt=2)
    order = fed(an_order(), acknowledged(), replace_requested(), doubted(RequestKind.REPLACE))
    order = fed(order, retried)
    assert order.request is not None
    assert (order.request.qty, order.request.px, order.request.attempt) == (D(12), D(101), 2)
    assert (order.in_doubt, order.retries) == (False, 1)


@pytest.mark.parametrize("kind", [RequestKind.CANCEL, RequestKind.NEW])
def test_a_request_that_is_not_outstanding_cannot_be_retried(kind: RequestKind) -> None:
    order = an_order() if kind is RequestKind.CANCEL else fed(an_order(), acknowledged())
    with pytest.raises(IllegalTransition, match=f"no {kind} request to retry"):
        fed(order, RequestRetried(at_ns=9, cl_ord_id="x", request=kind, attempt=2))


@pytest.mark.parametrize(
    "question",
    [
        doubted(RequestKind.NEW),
        FillsMissed(at_ns=5, cl_ord_id="x", cum_qty=D(4)),
        OrderNotFound(at_ns=5, cl_ord_id="x"),
    ],
)
def test_doubt_missing_fills_and_a_first_absence_call_for_a_question(question: OrderEvent) -> None:
    assert not an_order().must_be_asked
    assert fed(an_order(), question).must_be_asked
    assert not fed(an_order(), question, traded(4)).must_be_asked


@pytest.mark.parametrize(
    "claim", [canceled(cum_qty=D(4)), FillsMissed(at_ns=5, cl_ord_id="x", cum_qty=D(4))]
)
def test_a_final_order_settles_when_every_fill_the_venue_claims_is_counted(
    claim: OrderEvent,
) -> None:
    order = fed(an_order(), claim, canceled(at_ns=6), traded(3, at_ns=7))
    assert (order.is_final, order.is_settled, order.venue_cum_qty) == (True, False, D(4))
    assert fed(order, traded(1, at_ns=8)).is_settled


def test_the_venue_does_not_take_back_a_claim_of_fills() -> None:
    claims = [FillsMissed(at_ns=5, cl_ord_id="x", cum_qty=D(qty)) for qty in (4, 2)]
    assert fed(an_order(), *claims, canceled(cum_qty=D(3))).venue_cum_qty == D(4)


def test_a_claim_of_fills_says_nothing_of_the_request() -> None:
    """Journals have such a row before the request's doubt, and that must still have one to doubt."""
    claim = FillsMissed(at_ns=5, cl_ord_id="x", cum_qty=D(4))
    doubt = RequestDoubted(at_ns=6, cl_ord_id="x", request=RequestKind.NEW)
    assert fed(an_order(), claim, doubt).in_doubt


def test_the_first_reason_stands() -> None:
    order = fed(an_order(), canceled(reason="user", code="1"), canceled(reason="again", code="2"))
    assert (order.reason, order.code) == ("user", "1")


def test_the_first_proof_of_absence_is_void_as_soon_as_the_venue_speaks_of_the_order() -> None:
    order = fed(an_order(), OrderNotFound(at_ns=8, cl_ord_id="x"))
    assert order.not_found_at_ns == 8
    assert fed(order, OrderNotFound(at_ns=9, cl_ord_id="x")).not_found_at_ns == 8
    for report in REPORTS.values():
        assert fed(order, report).not_found_at_ns is None


def test_what_bots_are_told_is_the_shown_state() -> None:
    order = fed(an_order(), traded(4), cancel_requested(), doubted(RequestKind.CANCEL))
    assert order.after() == After(
        ord_status="pending_cancel",
        cum_qty=D(4),
        leaves_qty=D(6),
        avg_px=D(100),
        request=RequestKind.CANCEL,
        in_doubt=True,
    )
    assert an_order(request=None).after() == After("pending_new", D(0), D(10))
