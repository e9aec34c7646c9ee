"""
The client's side of the wire without I/O: calls to bytes, bytes to answers and events.

Also what both clients need to agree on: which errors the daemon's codes are, which calls may be
repeated when no answer came, and how long to wait in between.
"""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from brokerd.errors import (
    BrokerdError,
    InternalError,
    InvalidRequest,
    OutcomeUnknown,
    taxonomy,
)

T = TypeVar("T")

REQUEST_BYTES_MAX = 64 * 1024
"""What the daemon takes in one line."""

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""What we take in one line; more is a peer gone mad."""

FIRST_WAIT_S = 0.02
WAIT_S_MAX = 1.0


class DaemonUnreachable(BrokerdError):
    """No daemon answered, and nothing was asked that could have changed anything."""

    name = "daemon_unreachable"


class Lost(Exception):
    """No connection, or it ended before the answer came; `was_sent`: the request may have left."""

    def __init__(self, why: str, *, was_sent: bool = True) -> None:
        super().__init__(why)
        self.was_sent = was_sent


class Request(Struct, Generic[T], frozen=True):
    """
    One call: its params, and how its result is read.

    `changes` says that it does something, `cl_ord_id` to which order; `repeats` that doing it
    twice is as good as once, so that it may be sent again when no answer came.
    """

    method: str
    params: dict[str, Any]
    read: Callable[[Raw], T]
    changes: bool = False
    repeats: bool = True
    cl_ord_id: str | None = None


class Answer(Struct, frozen=True):
    """What a call came to: a result still to be read, or the daemon's error."""

    id: int | None
    result: Raw
    error: BrokerdError | None


class Told(Struct, frozen=True):
    """A notification."""

    method: str
    params: dict[str, Any]


class _Error(Struct, frozen=True):
    code: int
    message: str
    data: dict[str, Any] = {}


class _Line(Struct, frozen=True):
    id: int | None = None
    result: Raw = msgspec.field(default_factory=Raw)
    error: _Error | None = None
    method: str | None = None
    params: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder(decimal_format="string").encode
_KINDS = {kind.code: kind for kind in taxonomy()}


class Conversation:
    """One connection's calls and answers. Raises Lost on what is no answer of a daemon's."""

    def __init__(self) -> None:
        self._last_id = 0
        self._rest = bytearray()

    def ask(self, request: Request[Any]) -> tuple[int, bytes]:
        """Return the id of a call and the bytes to send."""
        self._last_id += 1
        call = {
            "jsonrpc": "2.0",
            "id": self._last_id,
            "method": request.method,
            "params": request.params,
        }
        line = _encode(call) + b"\n"
        if len(line) > REQUEST_BYTES_MAX:
            raise InvalidRequest(
                f"the request is {len(line):,} bytes, the limit is {REQUEST_BYTES_MAX:,}",
                reason="line_too_long",
            )
        return self._last_id, line

    def feed(self, data: bytes) -> Iterator[Answer | Told]:
        """Take what arrived; yield what it completed."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > ANSWER_BYTES_MAX:
            raise Lost(f"a line is longer than {ANSWER_BYTES_MAX:,} bytes")
        for line in lines:
            yield _read(line)


def _read(line: bytes) -> Answer | Told:
    try:
        told = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Lost(f"a line is no JSON-RPC message: {error}") from error
    if told.method is not None:
        return Told(told.method, told.params)
    return Answer(told.id, told.result, _error(told.error) if told.error else None)


def _error(told: _Error) -> BrokerdError:
    """Return the daemon's error as the exception of its name."""
    kind = _KINDS.get(told.code, InternalError)
    known = {"reason", "field", "hint"}
    named = {name: told.data.get(name) for name in known}
    extra = {name: value for name, value in told.data.items() if name not in known}
    what = told.message.removesuffix(f" ({named['hint']})")
    return kind(what, **named, **extra)


def waits_s() -> Iterator[float]:
    """Yield how long to wait before each next try."""
    wait_s = FIRST_WAIT_S
    while True:
        yield wait_s
        wait_s = min(2 * wait_s, WAIT_S_MAX)


def unanswered(request: Request[Any], why: str, *, was_sent: bool) -> BrokerdError:
    """Return the error for a call that found no answer in its time."""
    if not (request.changes and was_sent):
        return DaemonUnreachable(
            f"{request.method}: {why}", hint="is it running? start it with: brokerd run"
        )
    asked = f" cl_ord_id={request.cl_ord_id}" if request.cl_ord_id else ""
    return OutcomeUnknown(
        f"{request.method}{asked}: no answer came: {why}",
        hint="it may have happened: ask with order.get, or do the same again with the same id",
        cl_ord_id=request.cl_ord_id,
    )
