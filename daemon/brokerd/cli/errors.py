"""
How a command can end, and the errors that say so.

    Failure
    |-- Usage          2    the command line is wrong: nothing was sent
    |-- Unreachable    3    no daemon, or a question it did not answer: nothing was changed
    |-- Unanswered     4    a change was sent and not answered: it may have happened
    |-- Refusal        1    the daemon or the venue said no (4 for in doubt, 6 for not permitted)
    `-- Forbidden      6    the socket may not be opened
"""

from enum import IntEnum
from typing import ClassVar

from brokerd.cli.jsontext import Record, as_record
from brokerd.errors import NotPermitted, OutcomeUnknown


class Exit(IntEnum):
    """The exit statuses; they are part of brokerctl's contract."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNKNOWN = 4
    CHECK_FAILED = 5
    FORBIDDEN = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class Failure(Exception):
    """Something the user must know: `what` happened and why, `hint` what to do, the `status`."""

    default: ClassVar[Exit] = Exit.REFUSED

    def __init__(self, what: str, hint: str = "", *, status: Exit | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.status = self.default if status is None else status


class Usage(Failure):
    """The command line is wrong."""

    default = Exit.USAGE


class Unreachable(Failure):
    """There is no daemon, or a question went unanswered; either way nothing was changed."""

    default = Exit.UNREACHABLE


class Unanswered(Failure):
    """A change was sent and no answer came: it may or may not have happened."""

    default = Exit.UNKNOWN


class Forbidden(Failure):
    """The operating system will not let this user in."""

    default = Exit.FORBIDDEN


class Refusal(Failure):
    """The daemon's own error: its JSON-RPC `code`, and the sentence it sent."""

    def __init__(self, error: Record) -> None:
        message = str(error.get("message") or "refused without a word")
        told = as_record(error.get("data"))
        self.code: object = error.get("code")
        self.reason = str(told.get("reason") or "")
        hint = str(told.get("hint") or "")
        super().__init__(
            f"{message} [{self.code}{' ' if self.reason else ''}{self.reason}]",
            "" if hint in message else hint,
            status=_STATUS.get(self.code, Exit.REFUSED),
        )


_STATUS: dict[object, Exit] = {
    OutcomeUnknown.code: Exit.UNKNOWN,
    NotPermitted.code: Exit.FORBIDDEN,
}
