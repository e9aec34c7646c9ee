"""
What a reply means: from an answer on either road to what became of the request.

A good reply that cannot be read, or is about another order, is as good as none: doubt.
"""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Raw, Struct

from brokerd.events import RequestKind
from brokerd.executor import (
    Accepted,
    CancelOrder,
    Outcome,
    PlaceOrder,
    ReplaceOrder,
    Report,
)
from brokerd.outcomes import NoAnswer, Verdict
from brokerd_adapters.binance import orders
from brokerd_adapters.binance.outcomes import OUTCOMES
from brokerd_adapters.binance.shapes import (
    AmendReply,
    CancelReplaceReply,
    Envelope,
    ErrorShape,
    OrderShape,
    RetryShape,
    read,
)
from brokerd_adapters.kit.http import whole

MS_PER_S = 1_000
PARTLY_REPLACED = -2021
NOT_REPLACED = -2022

_NOTHING = Raw(b"null")

S = TypeVar("S", OrderShape, AmendReply)


class Answer(Struct, frozen=True, kw_only=True):
    """
    A whole answer, whichever road it came by. An `error` of None with a status of 400 or more is an
    answer that is not the venue's own (a proxy's page).

    `retry_after_s` is how long the venue wants to be left alone, as far as the body says.
    """

    status: int
    result: Raw = _NOTHING
    error: ErrorShape | None = None
    retry_after_s: float | None = None

    @property
    def is_good(self) -> bool:
        """Whether the venue did what was asked."""
        return 200 <= self.status < 300 and self.error is None


def from_http(status: int, body: bytes, *, retry_after: str | None = None) -> Answer:
    """Read an HTTP reply; its header Retry-After is in seconds."""
    if 200 <= status < 300:
        return Answer(status=status, result=Raw(body))
    try:
        error = read(ErrorShape, body)
    except ValueError:
        error = None
    header_s = whole(retry_after)
    told_s = _retry_after_s(error) if header_s is None else float(header_s)
    return Answer(status=status, error=error, retry_after_s=told_s)


def from_envelope(envelope: Envelope) -> Answer:
    """Read a reply of the WebSocket API. One without a status is none that we know: an error of 0."""
    error = envelope.error
    return Answer(
        status=envelope.status or 0,
        result=envelope.result,
        error=error,
        retry_after_s=_retry_after_s(error),
    )


def placed(request: PlaceOrder, answer: Answer, signed_at_ns: int) -> Outcome:
    """Say what became of a new order."""
    cl_ord_id = request.venue_cl_ord_id

    def told() -> tuple[Report, ...]:
        order = _about(OrderShape, answer.result, request.terms.symbol, cl_ord_id)
        return orders.placed(order, cl_ord_id)

    return _outcome(RequestKind.NEW, answer, told, signed_at_ns)


def canceled(request: CancelOrder, answer: Answer, signed_at_ns: int) -> Outcome:
    """Say what became of a cancel."""
    ref = request.ref

    def told() -> tuple[Report, ...]:
        order = _about(OrderShape, answer.result, ref.symbol, ref.venue_cl_ord_id)
        return orders.canceled(order, ref.venue_cl_ord_id)

    return _outcome(RequestKind.CANCEL, answer, told, signed_at_ns)


def amended(request: ReplaceOrder, answer: Answer, signed_at_ns: int) -> Outcome:
    """Say what became of an amend."""
    ref = request.ref

    def told() -> tuple[Report, ...]:
        reply = _about(AmendReply, answer.result, ref.symbol, ref.venue_cl_ord_id)
        return orders.amended(reply, ref.venue_cl_ord_id, request.replace_no)

    return _outcome(RequestKind.REPLACE, answer, told, signed_at_ns)


def replaced(request: ReplaceOrder, answer: Answer, signed_at_ns: int) -> Outcome:
    """Say what became of a cancelReplace, whose two halves may have ended differently."""
    error = answer.error
    is_whole_or_half = answer.is_good or (error is not None and error.code == PARTLY_REPLACED)
    try:
        if is_whole_or_half:
            return _halves(request, answer, signed_at_ns)
        if error is not None and error.code == NOT_REPLACED:
            halves = read(CancelReplaceReply, error.data)
            return _judged(RequestKind.REPLACE, _failed_half(answer, halves), signed_at_ns)
    except ValueError as unreadable:
        return _unreadable(RequestKind.REPLACE, answer, unreadable, signed_at_ns)
    return _judged(RequestKind.REPLACE, answer, signed_at_ns)


def _halves(request: ReplaceOrder, answer: Answer, signed_at_ns: int) -> Outcome:
    """
    Read a cancelReplace whose cancel went well. The new order took the place of the old, or there is
    no order any more.

    A new order beside one that could not be canceled is what STOP_ON_FAILURE excludes.
    """
    cl_ord_id, symbol = request.ref.venue_cl_ord_id, request.ref.symbol
    halves = read(CancelReplaceReply, answer.result if answer.error is None else answer.error.data)
    if halves.cancel_result != "SUCCESS":
        raise ValueError(f"cancelResult {halves.cancel_result[:32]}")
    if halves.new_order_result == "SUCCESS":
        order = _about(OrderShape, halves.new_order_response, symbol, cl_ord_id)
        return _accepted(orders.placed(order, cl_ord_id, request.replace_no), signed_at_ns)
    old = _about(OrderShape, halves.cancel_response, symbol, cl_ord_id)
    why = read(ErrorShape, halves.new_order_response)
    row = OUTCOMES.judge(RequestKind.NEW, status=400, code=str(why.code), message=why.msg)
    if row.verdict is not Verdict.REFUSED:
        raise ValueError(f"the new order is in doubt: code {why.code}")
    reports = orders.canceled(old, cl_ord_id, reason=f"replacement_refused_{row.reason}")
    evidence = f"canceled, but its replacement was refused: code {why.code}, {why.msg[:200]!r}"
    return Accepted(reports=reports, sent_at_ns=signed_at_ns, evidence=evidence)


def _failed_half(answer: Answer, halves: CancelReplaceReply) -> Answer:
    """Return the answer that the half of a cancelReplace gave which stopped it."""
    is_cancel = halves.cancel_result == "FAILURE"
    said = halves.cancel_response if is_cancel else halves.new_order_response
    return Answer(status=answer.status, error=read(ErrorShape, said))


def _about(kind: type[S], body: Raw, symbol: str, cl_ord_id: str) -> S:
    reply = read(kind, body)
    if not orders.is_about(symbol, cl_ord_id, reply):
        raise ValueError("it is about another order")
    return reply


def _outcome(
    operation: RequestKind,
    answer: Answer,
    told: Callable[[], tuple[Report, ...]],
    signed_at_ns: int,
) -> Outcome:
    """Return what a good answer tells, or what the table says of any other."""
    if not answer.is_good:
        return _judged(operation, answer, signed_at_ns)
    try:
        return _accepted(told(), signed_at_ns)
    except ValueError as error:
        return _unreadable(operation, answer, error, signed_at_ns)


def _accepted(reports: tuple[Report, ...], signed_at_ns: int) -> Accepted:
    return Accepted(reports=reports, sent_at_ns=signed_at_ns)


def _judged(operation: RequestKind, answer: Answer, signed_at_ns: int) -> Outcome:
    """Look the answer up in the table, by its error."""
    error = answer.error
    return OUTCOMES.outcome(
        operation,
        status=answer.status,
        code=None if error is None else str(error.code),
        message="" if error is None else error.msg,
        signed_at_ns=signed_at_ns,
        retry_after_s=answer.retry_after_s,
    )


def _unreadable(
    operation: RequestKind, answer: Answer, error: ValueError, signed_at_ns: int
) -> Outcome:
    return OUTCOMES.outcome(
        operation,
        fault=NoAnswer.GARBLED,
        status=answer.status,
        message=str(error),
        signed_at_ns=signed_at_ns,
    )


def _retry_after_s(error: ErrorShape | None) -> float | None:
    """Return how long an error of the WebSocket API asks us to wait: it tells two times in ms."""
    if error is None:
        return None
    try:
        told = read(RetryShape, error.data)
    except ValueError:
        return None
    if not told.retry_after or not told.server_time:
        return None
    return max(told.retry_after - told.server_time, 0) / MS_PER_S
