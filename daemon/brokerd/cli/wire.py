"""
One connection to the daemon: a blocking Unix socket, one JSON-RPC 2.0 message a line.

`Lost` says that no (whole, sane) answer came and whether any byte of the request left; only the
caller knows what that means for what was asked.
"""

import socket
import time
from typing import Any, Self

from brokerd.cli.errors import Forbidden, Refusal, Unreachable, Usage
from brokerd.cli.jsontext import Record, as_record, dumps, is_record, loads
from brokerd.sockets import connect_first

REQUEST_BYTES_MAX = 64 * 1024
"""What the daemon takes in one line."""

ANSWER_BYTES_MAX = 256 * 1024 * 1024
"""What we take in one line: a hundred thousand orders; more is a peer gone mad."""

CHUNK_BYTES = 256 * 1024


class Lost(Exception):
    """The connection gave no usable answer; `sent` is False when no byte was handed over."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent


class Silence(Lost):
    """Nothing arrived in time; the connection may still be alive."""


class Connection:
    """A connected socket with its line buffer. `timeout_s` bounds each wait for an answer."""

    def __init__(self, paths: list[str], timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lines: list[bytes] = []
        self._partial = bytearray()
        self._last_id = 0
        self._socket = _connect(paths, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the socket's descriptor, to wait for it beside others."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def call(self, method: str, params: Record, timeout_s: float | None = None) -> Any:
        """Ask and wait for the answer; raise Refusal for the daemon's no, Lost without an answer."""
        call_id = self.send(method, params)
        deadline = time.monotonic() + (timeout_s or self._timeout_s)
        while True:
            message = self.receive(deadline)
            if "method" not in message:
                return self.result(message, call_id)

    def send(self, method: str, params: Record) -> int:
        """Send a request and return its id; raise Usage if it is longer than the daemon takes."""
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        line = dumps(request).encode() + b"\n"
        if len(line) > REQUEST_BYTES_MAX:
            raise Usage(f"the request is {len(line):,} bytes, the limit is {REQUEST_BYTES_MAX:,}")
        sent = 0
        self._socket.settimeout(self._timeout_s)
        try:
            while sent < len(line):
                sent += self._socket.send(line[sent:])
        except OSError as error:
            raise Lost(f"sending failed: {_words(error)}", sent=sent > 0) from error
        return self._last_id

    def result(self, message: Record, call_id: int) -> Any:
        """Return the result in an answer to `call_id`; raise Refusal for an error."""
        if "error" in message and message.get("id") in {call_id, None}:
            raise Refusal(as_record(message["error"]))
        if message.get("id") != call_id or "result" not in message:
            raise Lost("the answer is not an answer to what was asked", sent=True)
        return message["result"]

    @property
    def is_drained(self) -> bool:
        """Whether the next `receive` would have to wait."""
        return not self._lines

    def receive(self, deadline: float) -> Record:
        """Return the next message; raise Lost at `deadline` (monotonic seconds) or on garbage."""
        while not self._lines:
            self._read(deadline - time.monotonic())
        try:
            message = loads(self._lines.pop().decode())
        except ValueError as error:
            raise Lost(f"the answer is not JSON: {error}", sent=True) from error
        if not is_record(message):
            raise Lost("the answer is not a JSON-RPC message", sent=True)
        return message

    def _read(self, patience_s: float) -> None:
        """Take what has arrived, and cut it into lines, the first one last."""
        try:
            self._socket.settimeout(max(patience_s, 0.001))
            chunk = self._socket.recv(CHUNK_BYTES)
        except TimeoutError as error:
            raise Silence("no answer in time", sent=True) from error
        except OSError as error:
            raise Lost(f"reading failed: {_words(error)}", sent=True) from error
        if not chunk:
            raise Lost("the daemon hung up", sent=True)
        first, *rest = chunk.split(b"\n")
        self._partial += first
        if len(self._partial) > ANSWER_BYTES_MAX:
            raise Lost(f"the answer is longer than {ANSWER_BYTES_MAX:,} bytes", sent=True)
        if rest:
            lines = [bytes(self._partial), *rest[:-1]]
            self._lines = lines[::-1]
            self._partial = bytearray(rest[-1])


def _connect(paths: list[str], timeout_s: float) -> socket.socket:
    """Connect to the first path where there is anything at all; raise what is wrong with it."""
    try:
        return connect_first(paths, timeout_s)
    except FileNotFoundError as error:
        raise Unreachable(
            f"no daemon: there is no socket at {error.filename}",
            "start it with: brokerd run, or say where it listens with --socket or $BROKERD_SOCKET",
        ) from error
    except PermissionError as error:
        raise Forbidden(
            f"may not open {error.filename}: {_words(error)}",
            "join the group that owns it (ls -l shows it), or name another with --socket",
        ) from error
    except OSError as error:
        raise Unreachable(
            f"no daemon answers at {error.filename}: {_words(error)}",
            "is it running? start it with: brokerd run",
        ) from error


def _words(error: OSError) -> str:
    """
    Say what went wrong in the system's words.

    Some socket errors have no errno, and `str` of those that were given a file name says "None".
    """
    told = error.strerror or " ".join(str(each) for each in error.args)
    return (told or type(error).__name__).lower()
