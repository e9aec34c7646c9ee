"""What became of a request: Binance's replies and refusals, judged by its outcome table."""

from typing import Any

import pytest
from msgspec import Raw
from tests.fixtures.binance import ERRORS, REPLIES, D, cancel, change, place, raw

from brokerd.events import RequestKind
from brokerd.executor import Accepted, InDoubt, NotSent, Refused
from brokerd.outcomes import NoAnswer, Verdict
from brokerd.states import ExecType as E
from brokerd_adapters.binance import replies
from brokerd_adapters.binance.outcomes import OUTCOMES
from brokerd_adapters.binance.shapes import Envelope, read

AT_NS = 1_700_000_000_000_000_000
NEW, CANCEL, REPLACE = RequestKind.NEW, RequestKind.CANCEL, RequestKind.REPLACE


def good(name: str) -> replies.Answer:
    return replies.from_http(200, bytes(raw(REPLIES[name])))


def bad(name: str) -> replies.Answer:
    return replies.from_http(ERRORS[name]["status"], bytes(raw(ERRORS[name]["body"])))


def test_a_good_reply_is_what_it_says() -> None:
    outcome = replies.placed(place(), good("full"), AT_NS)
    assert isinstance(outcome, Accepted)
    assert [report.exec_type for report in outcome.reports] == [E.NEW, E.TRADE, E.TRADE]
    assert outcome.sent_at_ns == AT_NS
    outcome = replies.canceled(cancel(), good("cancel"), AT_NS)
    assert isinstance(outcome, Accepted)
    assert outcome.reports[0].exec_type is E.CANCELED
    outcome = replies.amended(change(), good("amend"), AT_NS)
    assert isinstance(outcome, Accepted)
    assert outcome.reports[0].exec_type is E.REPLACED


def test_both_roads_lead_to_the_same_answer() -> None:
    body = {"id": "1", "status": 200, "result": REPLIES["full"], "rateLimits": []}
    answer = replies.from_envelope(read(Envelope, raw(body)))
    assert replies.placed(place(), answer, AT_NS) == replies.placed(place(), good("full"), AT_NS)
    error = ERRORS["insufficient"]["body"]
    body = {"id": "1", "status": 400, "error": error, "rateLimits": []}
    answer = replies.from_envelope(read(Envelope, raw(body)))
    assert replies.placed(place(), answer, AT_NS) == replies.placed(
        place(), bad("insufficient"), AT_NS
    )


@pytest.mark.parametrize(
    ("operation", "name", "expected", "reason"),
    [
        (NEW, "insufficient", Refused, "insufficient_balance"),
        (NEW, "filter", Refused, "px_not_valid"),
        (NEW, "duplicate", Refused, "duplicate_client_id"),
        (CANCEL, "unknown_order", Refused, "order_not_open"),
        (CANCEL, "no_such_order", Refused, "order_not_found"),
        (NEW, "timestamp", NotSent, "clock_off"),
        (NEW, "too_many_orders", NotSent, "too_many_orders"),
        (NEW, "banned", NotSent, "too_many_requests"),
        (NEW, "timeout", InDoubt, None),
        (REPLACE, "unknown_order", Refused, "order_not_open"),
    ],
)
def test_every_documented_refusal_has_its_meaning(
    operation: RequestKind, name: str, expected: type, reason: str | None
) -> None:
    answer = bad(name)
    outcomes: dict[RequestKind, Any] = {
        NEW: replies.placed(place(), answer, AT_NS),
        CANCEL: replies.canceled(cancel(), answer, AT_NS),
        REPLACE: replies.amended(change(), answer, AT_NS),
    }
    outcome = outcomes[operation]
    assert isinstance(outcome, expected)
    assert getattr(outcome, "reason", None) == reason
    assert ERRORS[name]["body"]["msg"][:40] in outcome.evidence, "the venue's words are kept"


@pytest.mark.parametrize(
    ("operation", "name"),
    [(NEW, "duplicate"), (CANCEL, "unknown_order"), (CANCEL, "no_such_order")],
)
def test_what_the_venue_says_of_an_order_is_asked_about(operation: RequestKind, name: str) -> None:
    answer = bad(name)
    assert answer.error is not None
    row = OUTCOMES.judge(
        operation, status=400, code=str(answer.error.code), message=answer.error.msg
    )
    assert row.verdict is Verdict.ABOUT_ORDER


def test_the_websocket_says_when_to_come_back_in_ms_since_1970() -> None:
    outcome = replies.placed(place(), bad("banned"), AT_NS)
    assert isinstance(outcome, NotSent)
    assert outcome.retry_after_s == pytest.approx(3492.469)
    assert bad("insufficient").retry_after_s is None
    strange = raw(ERRORS["insufficient"]["body"] | {"data": "soon"})
    assert replies.from_http(429, bytes(strange)).retry_after_s is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [("30", 30.0), (None, None), ("soon", None), ("9" * 400, None)],
)
def test_rest_says_when_to_come_back_in_seconds(header: str | None, expected: float | None) -> None:
    answer = replies.from_http(429, b'{"code":-1003,"msg":""}', retry_after=header)
    assert answer.retry_after_s == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (502, b"<html>Bad Gateway</html>", InDoubt),
        (503, b"", InDoubt),
        (403, b"<html>Request blocked</html>", InDoubt),
        (429, b"<html>slow down</html>", NotSent),
        (418, b"", NotSent),
        (307, b"", InDoubt),
        (400, b'{"code":-9999,"msg":"of tomorrow"}', InDoubt),
        (200, b"<html>Welcome</html>", InDoubt),
        (200, b'{"symbol":"BTCUSDT"', InDoubt),
        (200, b"{}", InDoubt),
        (200, b"[]", InDoubt),
        (200, b'{"symbol":"ETHUSDT","orderId":1,"clientOrderId":"bkd-e-1"}', InDoubt),
        (200, b'{"symbol":"BTCUSDT","orderId":1,"clientOrderId":"another"}', InDoubt),
    ],
)
def test_what_cannot_be_read_is_never_taken_for_an_answer(
    status: int, body: bytes, expected: type
) -> None:
    answer = replies.from_http(status, body)
    for outcome in (
        replies.placed(place(), answer, AT_NS),
        replies.canceled(cancel(), answer, AT_NS),
        replies.amended(change(), answer, AT_NS),
        replies.replaced(change(), answer, AT_NS),
    ):
        assert isinstance(outcome, expected)
        if isinstance(outcome, InDoubt):
            assert outcome.signed_at_ns == AT_NS


def test_a_frame_without_a_status_is_no_answer() -> None:
    answer = replies.from_envelope(read(Envelope, b'{"id":"1"}'))
    assert isinstance(replies.placed(place(), answer, AT_NS), InDoubt)


@pytest.mark.parametrize("status", ["NEW", "FILLED", "OF_TOMORROW"])
def test_a_cancels_reply_that_does_not_say_canceled_is_in_doubt(status: str) -> None:
    answer = replies.from_http(200, bytes(raw(REPLIES["cancel"] | {"status": status})))
    assert isinstance(replies.canceled(cancel(), answer, AT_NS), InDoubt)


def test_a_canceled_order_list_is_not_our_order() -> None:
    assert isinstance(replies.canceled(cancel(), good("cancel_list"), AT_NS), InDoubt)


def test_a_cancel_replace_is_one_replacement() -> None:
    outcome = replies.replaced(change(), good("cancel_replace"), AT_NS)
    assert isinstance(outcome, Accepted)
    (report,) = outcome.reports
    assert (report.exec_type, report.replace_no) == (E.REPLACED, 1)
    assert (report.venue_order_id, report.qty) == ("BTCUSDT-12569099453", D("0.00847"))


def test_a_cancel_replace_half_done_has_canceled_the_order() -> None:
    """-2021 with a good cancel: the order is gone, and nothing took its place."""
    outcome = replies.replaced(change(), bad("cancel_replace_partial"), AT_NS)
    assert isinstance(outcome, Accepted)
    (report,) = outcome.reports
    assert (report.exec_type, report.reason) == (E.CANCELED, "replacement_refused_would_trade")
    assert "-2010" in outcome.evidence


@pytest.mark.parametrize(
    ("name", "reason", "is_about_order"),
    [
        ("cancel_replace_failed", "order_not_open", True),
        ("cancel_replace_has_fills", "order_has_fills", False),
    ],
)
def test_a_cancel_replace_that_failed_is_judged_by_the_half_that_did(
    name: str, reason: str, is_about_order: bool
) -> None:
    outcome = replies.replaced(change(), bad(name), AT_NS)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.is_about_order) == (reason, is_about_order)


def test_a_cancel_replace_refused_at_the_door_is_judged_as_it_is() -> None:
    assert isinstance(replies.replaced(change(), bad("filter"), AT_NS), Refused)


def halves(code: int, **changes: Any) -> replies.Answer:
    body = ERRORS["cancel_replace_partial"]["body"]
    told = body | {"code": code, "data": body["data"] | changes}
    return replies.from_http(409, bytes(raw(told)))


@pytest.mark.parametrize(
    "answer",
    [
        bad("cancel_replace_twice_open"),
        halves(-2021, newOrderResponse={"code": -1007, "msg": "Timeout"}),
        halves(-2021, newOrderResponse=None),
        halves(-2021, cancelResponse=None),
        halves(-2021, newOrderResult="SUCCESS"),
        halves(-2021, cancelResult="MAYBE"),
        halves(-2022, cancelResult="SUCCESS", newOrderResponse=None),
        replies.from_http(409, b'{"code":-2021,"msg":"","data":null}'),
        replies.from_http(400, b'{"code":-2022,"msg":""}'),
    ],
)
def test_halves_that_do_not_add_up_are_in_doubt(answer: replies.Answer) -> None:
    assert isinstance(replies.replaced(change(), answer, AT_NS), InDoubt)


def test_a_replace_that_failed_by_its_second_half_is_judged_by_that() -> None:
    answer = halves(-2022, cancelResult="NOT_ATTEMPTED")
    outcome = replies.replaced(change(), answer, AT_NS)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "would_trade"


@pytest.mark.parametrize(
    ("operation", "status", "code", "message", "verdict"),
    [
        # From 500 on the status outweighs what the body says.
        (NEW, 503, "-1016", "This service is no longer available.", Verdict.IN_DOUBT),
        (NEW, 400, "-1016", "This service is no longer available.", Verdict.NOT_SENT),
        (NEW, 500, "-2010", "Account has insufficient balance", Verdict.IN_DOUBT),
        (NEW, 408, "-1007", "Timeout waiting for response from backend", Verdict.IN_DOUBT),
        (NEW, 400, "-1006", "An unexpected response was received", Verdict.IN_DOUBT),
        (NEW, 409, None, "", Verdict.IN_DOUBT),
        (NEW, 400, "-2011", "Unknown order sent.", Verdict.IN_DOUBT),
        (NEW, 400, "-2013", "Order does not exist.", Verdict.IN_DOUBT),
        # "This code is sent when an error has been returned by the matching engine": which, its text says.
        (NEW, 400, "-1010", "An error of tomorrow.", Verdict.IN_DOUBT),
        (NEW, 400, "-1010", "Unknown order sent.", Verdict.IN_DOUBT),
        (NEW, 400, "-1010", "The requested action would change no state; rejecting", Verdict.IN_DOUBT),
        (REPLACE, 400, "-1010", "The requested action would change no state; rejecting", Verdict.ABOUT_ORDER),
        (REPLACE, 400, "-1010", "Order was not canceled due to cancel restrictions.", Verdict.REFUSED),
        (NEW, 400, "-1010", "Duplicate order sent.", Verdict.ABOUT_ORDER),
        (NEW, 400, "-2010", "A refusal of tomorrow.", Verdict.REFUSED),
        (CANCEL, 400, "-2010", "A refusal of tomorrow.", Verdict.IN_DOUBT),
        (CANCEL, 400, "-1013", "Invalid side.", Verdict.REFUSED),
        (REPLACE, 400, "-2010", "Duplicate order sent.", Verdict.ABOUT_ORDER),
    ],
)  # fmt: skip
def test_no_refusal_is_read_from_what_may_have_happened(
    operation: RequestKind, status: int, code: str | None, message: str, verdict: Verdict
) -> None:
    row = OUTCOMES.judge(operation, status=status, code=code, message=message)
    assert row.verdict is verdict


ENGINE_REFUSALS = (
    "Market is closed.",
    "Account has insufficient balance for requested action.",
    "Market orders are not supported for this symbol.",
    "Iceberg orders are not supported for this symbol.",
    "Stop loss orders are not supported for this symbol.",
    "Stop loss limit orders are not supported for this symbol.",
    "Take profit orders are not supported for this symbol.",
    "Take profit limit orders are not supported for this symbol.",
    "Order amend is not supported for this symbol.",
    "Price * QTY is zero or less.",
    "QTY is zero or less",
    "IcebergQty exceeds QTY.",
    "This action is disabled on this account.",
    "This account may not place or cancel orders.",
    "Unsupported order combination",
    "Order would trigger immediately.",
    "Cancel order is invalid. Check origClOrdId and orderId.",
    "Order would immediately match and take.",
    "The relationship of the prices for the orders is not correct.",
    "OCO orders are not supported for this symbol",
    "Quote order qty market orders are not support for this symbol.",
    "Trailing stop orders are not supported for this symbol.",
    "Order cancel-replace is not supported for this symbol.",
    "This symbol is not permitted for this account.",
    "This symbol is restricted for this account.",
    "Rest API trading is not enabled.",
    "WebSocket API trading is not enabled.",
    "FIX API trading is not enabled.",
    "Order book liquidity is less than `LOT_SIZE` filter minimum quantity.",
    "Order book liquidity is less than LOT_SIZE filter minimum quantity.",
    "Order book liquidity is less than `MARKET_LOT_SIZE` filter minimum quantity.",
    "Order book liquidity is less than symbol minimum quantity.",
    "Order amend (quantity increase) is not supported.",
    "Pegged orders are not supported for this symbol.",
    "This order type may not use pegged price.",
    "This price peg cannot be used with this order type.",
    "Order book liquidity is too low for this pegged order.",
    "OPO orders are not supported for this symbol.",
    "Order amend (pending OPO order) is not supported.",
)
"""errors.md, Messages for -1010, -2010, -2011 and -2038: all that are a no, whatever the order is."""


@pytest.mark.parametrize("code", ["-1010", "-2010"])
@pytest.mark.parametrize("message", ENGINE_REFUSALS)
def test_every_documented_no_of_the_engine_is_a_refusal(code: str, message: str) -> None:
    """Of -1010 the text alone tells; an order that was refused is not left in doubt."""
    for operation in (NEW, REPLACE):
        row = OUTCOMES.judge(operation, status=400, code=code, message=message)
        assert row.verdict is Verdict.REFUSED
        assert row.reason != "new_order_refused"


@pytest.mark.parametrize("row", OUTCOMES.rows, ids=str)
def test_every_row_of_the_table_decides_about_what_it_describes(row: Any) -> None:
    operation = row.on[0] if isinstance(row.on, tuple) else row.on or NEW
    status = row.status.start if isinstance(row.status, range) else row.status
    code = row.code[0] if isinstance(row.code, tuple) else row.code
    judged = OUTCOMES.judge(
        operation, fault=row.fault, status=status, code=code, message=row.message or ""
    )
    assert judged is row
    assert row.source


@pytest.mark.parametrize("fault", [NoAnswer.LOST, NoAnswer.TIMEOUT, NoAnswer.GARBLED])
@pytest.mark.parametrize("operation", list(RequestKind))
def test_only_what_never_left_is_certain_without_an_answer(
    fault: NoAnswer, operation: RequestKind
) -> None:
    assert isinstance(OUTCOMES.outcome(operation, fault=fault), InDoubt)
    assert isinstance(OUTCOMES.outcome(operation, fault=NoAnswer.CONNECT), NotSent)


def test_an_unread_result_is_kept_as_it_came() -> None:
    assert replies.from_http(200, b"{}").result == Raw(b"{}")
