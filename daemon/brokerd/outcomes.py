"""
Outcome tables: what a venue's answer to one request, or the lack of one, says about whether it
happened.

Rule 1: a table is rows of operation x fault x HTTP status x venue code x message text -> verdict;
        the first row that fits decides, and each names the document it rests on.
Rule 2: what no row fits is in doubt. A verdict other than doubt has to be written down first.
Rule 3: a row fits a fault on the wire only if it names it: half an answer is no answer.

Pure. Each adapter holds one table for its venue, tested with the bodies that the venue sends.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from brokerd.events import RequestKind
from brokerd.executor import Accepted, InDoubt, NotSent, Outcome, Refused

MESSAGE_CHARS_MAX = 300
"""How much of a venue's message is kept as evidence."""


class Verdict(StrEnum):
    """What a row says of the request."""

    HAPPENED = "happened"
    REFUSED = "refused"
    ABOUT_ORDER = "about_order"
    """Refused for what the order is ("unknown order", "duplicate"): the order must be asked about."""
    NOT_SENT = "not_sent"
    """It certainly did not happen, and may be sent again."""
    IN_DOUBT = "in_doubt"


class NoAnswer(StrEnum):
    """What kept an answer from coming in one piece."""

    CONNECT = "connect"
    """No byte of the request left: name, connection or TLS failed before."""
    LOST = "lost"
    """The connection ended after the request may have left."""
    TIMEOUT = "timeout"
    """No answer within the deadline."""
    GARBLED = "garbled"
    """An answer that cannot be read as the venue's."""


class Row(Struct, frozen=True, kw_only=True):
    """
    One rule. None fits anything, but for `fault`, where None fits only an answer in one piece.

    `on` are the operations, `status` one HTTP status or a range of them, `code` one venue code or
    several, `message` a part of the venue's message in any case. `reason` is the snake_case word
    that bots see; `source` is the page or section that says so.
    """

    verdict: Verdict
    reason: str
    source: str
    on: RequestKind | tuple[RequestKind, ...] | None = None
    fault: NoAnswer | None = None
    status: int | range | None = None
    code: str | tuple[str, ...] | None = None
    message: str | None = None

    def fits(
        self,
        operation: RequestKind,
        fault: NoAnswer | None,
        status: int | None,
        code: str | None,
        message: str,
    ) -> bool:
        """Whether this row is about such an answer."""
        return (
            fault is self.fault
            and (self.on is None or operation in _several(self.on))
            and (self.status is None or status in _statuses(self.status))
            and (self.code is None or code in _several(self.code))
            and (self.message is None or self.message.lower() in message.lower())
        )

    @property
    def cells(self) -> tuple[str, str, str, str, str, str, str]:
        """The row for people: operation, answer, code, message, verdict, reason, source."""
        answer = str(self.fault or "")
        if isinstance(self.status, range):
            answer = f"{self.status.start}-{self.status.stop - 1}"
        elif self.status is not None:
            answer = str(self.status)
        operation, code = ", ".join(_several(self.on)), ", ".join(_several(self.code))
        message = self.message or ""
        return (operation, answer, code, message, self.verdict, self.reason, self.source)

    def __str__(self) -> str:
        """Say what the row asks for and what it finds: "cancel, code -2011: about_order"."""
        operation, answer, code, message, verdict, reason, source = self.cells
        conditions = (
            operation,
            answer,
            f"code {code}" if code else "",
            f'"{message}"' if message else "",
        )
        asked = ", ".join(each for each in conditions if each) or "any answer"
        return f"{asked}: {verdict} ({reason}), by {source}"


UNKNOWN_ANSWER = Row(
    verdict=Verdict.IN_DOUBT,
    reason="no_rule",
    source="nothing the venue documents: whatever is not in the table is in doubt",
)
"""What decides when no row fits."""


class OutcomeTable:
    """One venue's rows, first match wins. Raises ValueError for a row that could never be reached."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        for number, row in enumerate(self.rows):
            for before in self.rows[:number]:
                if _covers(before, row):
                    raise ValueError(f"the row [{row}] is never reached after [{before}]")

    def judge(
        self,
        operation: RequestKind,
        *,
        fault: NoAnswer | None = None,
        status: int | None = None,
        code: str | None = None,
        message: str = "",
    ) -> Row:
        """Return the row that decides about an answer."""
        for row in self.rows:
            if row.fits(operation, fault, status, code, message):
                return row
        return UNKNOWN_ANSWER

    def outcome(
        self,
        operation: RequestKind,
        *,
        fault: NoAnswer | None = None,
        status: int | None = None,
        code: str | None = None,
        message: str = "",
        signed_at_ns: int | None = None,
        retry_after_s: float | None = None,
    ) -> Outcome:
        """
        Return what became of a request, with the venue's words and the deciding row as evidence.

        `signed_at_ns` is when the request was signed, `retry_after_s` how long the venue wants to
        be left alone.
        """
        row = self.judge(operation, fault=fault, status=status, code=code, message=message)
        said = _said(fault, status, code, message)
        evidence = f"{said} | rule: {row}"
        verdict = row.verdict
        if verdict is Verdict.HAPPENED:
            return Accepted(evidence=evidence)
        if verdict is Verdict.NOT_SENT:
            return NotSent(reason=row.reason, evidence=evidence, retry_after_s=retry_after_s)
        if verdict is Verdict.IN_DOUBT:
            return InDoubt(evidence=evidence, signed_at_ns=signed_at_ns)
        is_about_order = verdict is Verdict.ABOUT_ORDER
        return Refused(
            reason=row.reason, code=code or "", evidence=evidence, is_about_order=is_about_order
        )


def _said(fault: NoAnswer | None, status: int | None, code: str | None, message: str) -> str:
    """Return what came back, in a line."""
    words = [
        f"fault {fault}" if fault else "",
        f"status {status}" if status is not None else "",
        f"code {code}" if code is not None else "",
        f'"{_one_line(message)}"' if message else "",
    ]
    return ", ".join(word for word in words if word) or "an answer without content"


def _one_line(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= MESSAGE_CHARS_MAX else f"{line[:MESSAGE_CHARS_MAX]}..."


def _several(one_or_more: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if one_or_more is None:
        return ()
    return (one_or_more,) if isinstance(one_or_more, str) else one_or_more


def _statuses(status: int | range) -> range:
    return range(status, status + 1) if isinstance(status, int) else status


def _covers(before: Row, row: Row) -> bool:
    """Whether everything `row` fits is taken by `before` already."""
    if before.fault is not row.fault:
        return False
    if before.status is not None:
        if row.status is None:
            return False
        first, last = _statuses(row.status)[0], _statuses(row.status)[-1]
        if not {first, last} <= set(_statuses(before.status)):
            return False
    if before.message is not None and before.message.lower() not in (row.message or "").lower():
        return False
    return all(
        mine is None or (yours is not None and set(_several(yours)) <= set(_several(mine)))
        for mine, yours in ((before.on, row.on), (before.code, row.code))
    )
