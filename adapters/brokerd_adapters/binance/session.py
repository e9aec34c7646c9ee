"""
The road over the WebSocket API: one connection for orders and for the user data stream.

An Ed25519 key logs on once; others sign each request. The venue cuts a connection after 24 hours
and warns before it shuts a server down: either way the connection is retired first. It takes no
more requests, those under way have their replies, and then it ends as a gap like any other.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Self

import msgspec
import structlog

from brokerd.errors import VenueUnavailable
from brokerd.executor import Report
from brokerd_adapters.binance import events
from brokerd_adapters.binance.key import Key
from brokerd_adapters.binance.limits import Meters
from brokerd_adapters.binance.replies import from_envelope
from brokerd_adapters.binance.requests import Call
from brokerd_adapters.binance.rest import Heard, Send
from brokerd_adapters.binance.shapes import Envelope, read
from brokerd_adapters.kit.faults import Unsent
from brokerd_adapters.kit.ws import JsonSocket

LIFE_S = 23.5 * 3_600
RETIRED_S = 5.0
"""How long a retired connection waits for the replies under way."""

SET_UP_S = 10.0

log = structlog.get_logger(__name__)


class Session:
    """
    One connection, and an async iterator over what its events report. `socket` is open; whoever
    opened it closes it. `note` hears of every report before it is handed out.
    """

    def __init__(
        self,
        name: str,
        socket: JsonSocket[Envelope],
        key: Key,
        meters: Meters,
        *,
        note: Callable[[Report], None],
        deadline_s: float,
        life_s: float = LIFE_S,
    ) -> None:
        self._name = name
        self._socket = socket
        self._key = key
        self._meters = meters
        self._note = note
        self._deadline_s = deadline_s
        self._life_s = life_s
        self._ids = count(1)
        self._is_logged_on = False
        self._retired = False
        self._reports: deque[Report] = deque()
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def is_open(self) -> bool:
        """Whether requests may take this road."""
        return self._socket.is_open and not self._retired

    async def begin(self) -> None:
        """Log on if the key may, and subscribe to the account's events; raises VenueUnavailable."""
        if self._key.can_log_on:
            await self._must("session.logon", self._key.signed({}))
            self._is_logged_on = True
            await self._must("userDataStream.subscribe", {})
        else:
            await self._must("userDataStream.subscribe.signature", self._key.signed({}))
        self._later(self._life_s, self.retire, "it was renewed before the venue would cut it")

    def prepare(self, call: Call) -> Send:
        """Sign a request; raises Unsent if that cannot be done, or the connection takes no more."""
        if not self.is_open:
            raise Unsent("the WebSocket connection is not open")
        sign = self._key.stamped if self._is_logged_on else self._key.signed
        return partial(self._send, *self._frame(call.method, sign(call.params)))

    async def _send(self, request_id: str, message: bytes) -> Heard:
        envelope = await self._socket.request(request_id, message, deadline_s=self._deadline_s)
        return Heard(from_envelope(envelope), self._meters.used(envelope.rate_limits))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Report:
        """Return the next thing the account's events report; raises VenueUnavailable at a gap."""
        while not self._reports:
            self._reports.extend(self._told(await anext(self._socket.events)))
        report = self._reports.popleft()
        self._note(report)
        return report

    def retire(self, why: str) -> None:
        """Take no more requests, and end when those under way have had time for their replies."""
        if not self._retired and self._socket.is_open:
            log.info("connection_retired", executor=self._name, why=why)
            self._later(RETIRED_S, self._socket.events.cut, why)
        self._retired = True

    def close(self) -> None:
        """Let go of the timers."""
        self._retired = True
        for timer in self._timers:
            timer.cancel()

    def _later(self, delay_s: float, what: Callable[[str], None], why: str) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(delay_s, what, why))

    def _told(self, envelope: Envelope) -> tuple[Report, ...]:
        if not envelope.is_event:
            self._check_late(envelope)
            return ()
        try:
            return events.reports(envelope.event)
        except events.ShutdownAnnounced as shutdown:
            self.retire(str(shutdown))
            return ()
        except events.StreamEnded as end:
            raise VenueUnavailable(str(end), reason="stream_ended") from None
        except ValueError as error:
            raise VenueUnavailable(
                f"an event cannot be read: {error}", reason="event_unreadable"
            ) from None

    def _check_late(self, envelope: Envelope) -> None:
        """
        Pass over a reply that nobody waits for any more: the events tell the same.

        An error without an id is about the connection as a whole, such as a key that was revoked.
        """
        if envelope.error is not None and envelope.id is None:
            raise VenueUnavailable(
                f"the connection was refused: {envelope.error.code} {envelope.error.msg[:200]}",
                reason="connection_refused",
            )

    async def _must(self, method: str, params: dict[str, str | int]) -> None:
        request_id, message = self._frame(method, params)
        envelope = await self._socket.request(request_id, message, deadline_s=SET_UP_S)
        answer = from_envelope(envelope)
        if not answer.is_good:
            error = envelope.error
            said = f"{error.code} {error.msg[:200]}" if error else "without a reason"
            raise VenueUnavailable(
                f"{method} was refused: status {answer.status}, {said}",
                reason="logon_refused",
                retry_after_s=answer.retry_after_s,
            )

    def _frame(self, method: str, params: dict[str, str | int]) -> tuple[str, bytes]:
        request_id = str(next(self._ids))
        frame = {"id": request_id, "method": method, "params": params}
        return request_id, msgspec.json.encode(frame)


def decode(frame: bytes) -> Envelope:
    """Read one frame; raises ValueError."""
    return read(Envelope, frame)


def reply_to(envelope: Envelope) -> str | None:
    """Return the id of the request that a frame answers."""
    return None if envelope.id is None or envelope.is_event else str(envelope.id)
