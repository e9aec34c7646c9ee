"""
The one taxonomy of errors. Every error answers the question "did it happen?".

    BrokerdError
    |-- Refused                 nothing happened, and the fault is on our side of the wire
    |   |-- ParseError -32700   InvalidRequest -32600   MethodNotFound -32601   InvalidParams -32602
    |   |-- DuplicateClOrdId 100   UnknownOrder 101   NotCancelable 102   RefusedByLimits 103
    |   |-- Halted 104   InvalidOrder 105   NotResolvable 106   NotFrozen 107
    |   |-- Starting 300   Stopping 301   JournalFull 302   Busy 303
    |   `-- NotPermitted 400
    |-- VenueRefused 200        the venue said no: it certainly did not happen
    |-- VenueUnavailable 201    it was not sent, or the venue documents that it was not executed
    |-- OutcomeUnknown 202      it may have happened; asking will tell, time will not
    |-- InternalError -32603    a bug, told to the caller without its insides
    |-- ConfigError             bad configuration: exit status 78
    `-- JournalError            a journal that cannot be trusted or written: exit status 1

Errors carry data; the sentence is built in `__str__`: what, why, and what to do.
"""

from typing import Any, ClassVar


class BrokerdError(Exception):
    """
    Base of every error brokerd raises on purpose.

    `reason` is a snake_case word that programs may rely on, `field` the parameter at fault,
    `hint` what to do about it; anything else is data that travels with the error.
    """

    code: ClassVar[int] = -32603
    name: ClassVar[str] = "internal_error"

    def __init__(
        self,
        what: str,
        *,
        reason: str | None = None,
        field: str | None = None,
        hint: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.reason = reason or self.name
        self.field = field
        self.hint = hint
        self.extra = extra

    def __str__(self) -> str:
        """Build the sentence a person reads: what happened, then what to do."""
        return f"{self.what} ({self.hint})" if self.hint else self.what

    @property
    def data(self) -> dict[str, Any]:
        """The `data` member of a JSON-RPC error: at least a reason, and no empty members."""
        told = {"reason": self.reason, "field": self.field, "hint": self.hint, **self.extra}
        return {key: value for key, value in told.items() if value is not None}


class Refused(BrokerdError):
    """Nothing happened, and it was our side that said no."""


class ParseError(Refused):
    """The line is not JSON."""

    code = -32700
    name = "parse_error"


class InvalidRequest(Refused):
    """The JSON is not a JSON-RPC 2.0 request, or breaks a limit of the socket."""

    code = -32600
    name = "invalid_request"


class MethodNotFound(Refused):
    """No method has that name."""

    code = -32601
    name = "method_not_found"


class InvalidParams(Refused):
    """A parameter is missing, unknown, or has the wrong shape."""

    code = -32602
    name = "invalid_params"


class DuplicateClOrdId(Refused):
    """The cl_ord_id is taken by an order with other terms."""

    code = 100
    name = "duplicate_cl_ord_id"


class UnknownOrder(Refused):
    """No order has that id, now or ever."""

    code = 101
    name = "unknown_order"


class NotCancelable(Refused):
    """The order is done, or another request for it is still on its way."""

    code = 102
    name = "not_cancelable"


class RefusedByLimits(Refused):
    """A limit that the operator set forbids it."""

    code = 103
    name = "refused_by_limits"


class Halted(Refused):
    """The executor is frozen until somebody has looked."""

    code = 104
    name = "halted"


class InvalidOrder(Refused):
    """The order contradicts itself or the instrument's rules."""

    code = 105
    name = "invalid_order"


class NotResolvable(Refused):
    """The order is not in doubt, its request may still arrive, or the venue itself will tell."""

    code = 106
    name = "not_resolvable"


class NotFrozen(Refused):
    """The executor is not frozen: there is nothing to thaw."""

    code = 107
    name = "not_frozen"


class VenueRefused(BrokerdError):
    """The venue said no: it certainly did not happen."""

    code = 200
    name = "venue_refused"


class VenueUnavailable(BrokerdError):
    """It certainly did not happen: nothing was sent, or the venue documents that it did nothing."""

    code = 201
    name = "venue_unavailable"


class OutcomeUnknown(BrokerdError):
    """It may have happened. Ask; do not repeat."""

    code = 202
    name = "in_doubt"


NO_ANSWER = (VenueRefused, VenueUnavailable, OutcomeUnknown)
"""How a question to a venue may fail."""


class Starting(Refused):
    """The daemon is still reading its journal or asking its venues."""

    code = 300
    name = "starting"


class Stopping(Refused):
    """The daemon is going down and takes nothing new."""

    code = 301
    name = "stopping"


class JournalFull(Refused):
    """The journal's disk is nearly full: room is kept for cancels and fills."""

    code = 302
    name = "journal_full"


class Busy(Refused):
    """A queue is at its bound, or the answer takes too long: the hint says what helps."""

    code = 303
    name = "busy"


class NotPermitted(Refused):
    """The caller's user may not do that."""

    code = 400
    name = "not_permitted"


class InternalError(BrokerdError):
    """A bug. The log has the traceback; the caller gets none of it."""


class ConfigError(BrokerdError):
    """The configuration is wrong; restarting will not help. Exit status 78 (EX_CONFIG)."""

    name = "bad_config"


class JournalError(BrokerdError):
    """The journal cannot be written or trusted; the process must not go on. Exit status 1."""

    name = "journal_error"


def taxonomy() -> list[type[BrokerdError]]:
    """Return every error a caller may be told, each with a code of its own, by code."""
    found: list[type[BrokerdError]] = [BrokerdError]
    for kind in found:
        found.extend(kind.__subclasses__())
    own = [kind for kind in found if "code" in vars(kind)]
    return sorted(own, key=lambda kind: kind.code)
