"""
What can befall a request on its way: two errors, told apart by whether anything left this host.

After `Unsent` a request may be sent again. After `Unanswered` it may have happened: an outcome
table judges, by the operation and the fault.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.events import RequestKind
from brokerd.executor import NotSent, Outcome
from brokerd.outcomes import NoAnswer, OutcomeTable


class Unsent(VenueUnavailable):
    """Not a byte of the request left this host. `reason` says why: `connect`, or our own rules."""

    def __init__(self, what: str, *, reason: str = NoAnswer.CONNECT, **extra: Any) -> None:
        super().__init__(what, reason=reason, **extra)


class Unanswered(OutcomeUnknown):
    """The request left, or may have, and no reply can be relied on. `fault` says what befell it."""

    def __init__(self, fault: NoAnswer, what: str, **extra: Any) -> None:
        super().__init__(what, reason=fault, **extra)
        self.fault = fault


@contextmanager
def understood(
    what: str, unreadable: tuple[type[Exception], ...] = (ValueError,)
) -> Generator[None]:
    """Turn an answer that cannot be read into no answer: into OutcomeUnknown."""
    try:
        yield
    except unreadable as error:
        told = f"{what}: the answer cannot be read: {str(error)[:200]}"
        raise OutcomeUnknown(told, reason="answer_unreadable") from None


def not_asked(error: VenueUnavailable | OutcomeUnknown) -> NotSent:
    """Return what became of a request that was not sent: the question before it had no answer."""
    return NotSent(
        reason="question_unanswered",
        evidence=str(error),
        retry_after_s=error.extra.get("retry_after_s"),
    )


def outcome_of(
    error: Unsent | Unanswered,
    operation: RequestKind,
    table: OutcomeTable,
    *,
    signed_at_ns: int | None = None,
) -> Outcome:
    """Return what became of a request that had no reply."""
    if isinstance(error, Unsent):
        retry_after_s: float | None = error.extra.get("retry_after_s")
        return NotSent(reason=error.reason, evidence=str(error), retry_after_s=retry_after_s)
    return table.outcome(
        operation, fault=error.fault, message=str(error), signed_at_ns=signed_at_ns
    )
