"""
One WebSocket connection to a venue: requests with replies, and everything else as events.

What cannot be seen cannot be trusted: a frame that is not data, one that cannot be read, a missed
heartbeat, a reader that is too slow, the end itself - each is a gap. It ends the connection, the
events, and every request that still waits, which is then `lost`: the venue may have done it.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Generic, Literal, Self, TypeVar

import aiohttp
from aiohttp import ClientTimeout, WSMsgType
from msgspec import MsgspecError

from brokerd.errors import BrokerdError
from brokerd.guard import guarded
from brokerd.outcomes import NoAnswer
from brokerd_adapters.kit.faults import Unanswered, Unsent
from brokerd_adapters.kit.http import never_redirected
from brokerd_adapters.subscription import Subscription

CLOSE_S_MAX = 2.0

# aiohttp raises this before it writes a frame; also a lost connection has it, and is doubt.
_NOT_WRITTEN = "Cannot write to closing transport"

_DATA = {WSMsgType.TEXT, WSMsgType.BINARY}

M = TypeVar("M")

_Connection = aiohttp.ClientWebSocketResponse[Literal[False]]


class JsonSocket(Generic[M]):
    """
    A connection, as an async context manager that is entered and left by the same task.

    `name` is the executor's, for the log. `decode` reads one frame, text or binary, and raises
    ValueError or msgspec's errors if it cannot; `blank` takes our key out of it before
    (`Credential.blank`). `reply_to` says which request a message answers. What no request waits for
    (any longer) is an event: a late reply is evidence, too.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        decode: Callable[[bytes], M],
        reply_to: Callable[[M], str | None],
        headers: Mapping[str, str] | None = None,
        blank: Callable[[bytes], bytes] = bytes,
        connect_s: float = 5.0,
        heartbeat_s: float = 10.0,
        message_bytes_max: int = 4 * 1024 * 1024,
        events_max: int = 10_000,
        pending_max: int = 1_024,
    ) -> None:
        self._name = name
        self._url = url
        self._decode = decode
        self._reply_to = reply_to
        self._headers = headers
        self._blank = blank
        self._connect_s = connect_s
        self._heartbeat_s = heartbeat_s
        self._message_bytes_max = message_bytes_max
        self._pending_max = pending_max
        self._pending: dict[str, asyncio.Future[M]] = {}
        self._ws: _Connection | None = None
        self._stack = AsyncExitStack()
        self._reader: asyncio.Task[None] | None = None
        self.events: Subscription[M] = Subscription(events_max)

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._ws is not None and self.events.gap is None

    async def __aenter__(self) -> Self:
        """Connect; raises Unsent if that fails."""
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=ClientTimeout(total=None, connect=self._connect_s),
                    middlewares=(never_redirected,),
                )
            )
            self._ws = await self._connected(session)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            self._reader = group.create_task(self._read(self._ws), name="ws-reader")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end("it was closed")
        if self._reader is not None:
            self._reader.cancel()
        try:
            if self._ws is not None:
                await self._close(self._ws)
        finally:
            await self._stack.aclose()

    async def _connected(self, session: aiohttp.ClientSession) -> _Connection:
        try:
            async with asyncio.timeout(self._connect_s):
                return await session.ws_connect(
                    self._url,
                    headers=self._headers,
                    heartbeat=self._heartbeat_s,
                    max_msg_size=self._message_bytes_max,
                    decode_text=False,
                )
        except Unanswered as error:
            raise Unsent(f"no WebSocket connection: {error}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # A foreign text may quote the URL, and some venues have a key in it.
            status = getattr(error, "status", None)
            why = type(error).__name__ + (f" {status}" if status else "")
            raise Unsent(f"no WebSocket connection: {why}", status=status) from None

    async def request(self, request_id: str, message: bytes, *, deadline_s: float) -> M:
        """
        Send a request under an id of its own, and wait for its reply.

        Raises Unsent if the connection has ended, or too many requests wait; Unanswered for a
        reply that did not come.
        """
        if len(self._pending) >= self._pending_max:
            told = f"{len(self._pending)} requests wait for replies"
            raise Unsent(told, reason="too_many_pending")
        reply: asyncio.Future[M] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = reply
        try:
            async with asyncio.timeout(deadline_s):
                await self.send(message)
                return await reply
        except TimeoutError:
            told = f"no reply within {deadline_s:g} s"
            raise Unanswered(NoAnswer.TIMEOUT, told) from None
        finally:
            del self._pending[request_id]
            # A request that was given up hears of the gap no more.
            reply.cancel()

    async def send(self, message: bytes) -> None:
        """Send a frame that has no reply of its own; raises Unsent, or Unanswered for a doubt."""
        if self._ws is None or self.events.gap is not None:
            raise Unsent(f"the connection has ended: {self.events.gap or 'it was never open'}")
        try:
            await self._ws.send_frame(message, WSMsgType.TEXT)
        except (aiohttp.ClientError, OSError) as error:
            self._end(f"{type(error).__name__} while sending")
            if str(error) == _NOT_WRITTEN:
                raise Unsent("the connection was closing") from None
            raise Unanswered(NoAnswer.LOST, "the connection ended while sending") from None

    async def _read(self, ws: _Connection) -> None:
        """Sort what comes in, until the gap; then close, so that the venue knows as well."""
        why = "the connection ended"
        try:
            async with guarded(self._name, None):
                why = await self._sort(ws)
        except BrokerdError as error:
            why = str(error)
        finally:
            self._end(why)
        await self._close(ws)

    async def _sort(self, ws: _Connection) -> str:
        """Give replies to who waits for them, all else to the events; return why it ended."""
        while self.events.gap is None:
            try:
                frame = await ws.receive()
            except (aiohttp.ClientError, OSError) as error:
                # A ping that could not be answered any more.
                return f"the connection broke: {type(error).__name__}"
            if frame.type not in _DATA:
                return _ending(frame.type, frame.data, frame.extra)
            try:
                message = self._decode(self._blank(frame.data))
            except (ValueError, MsgspecError, RecursionError) as error:
                return f"a frame of {len(frame.data)} bytes cannot be read: {type(error).__name__}"
            self._hand_over(message)
        return self.events.gap

    def _hand_over(self, message: M) -> None:
        request_id = self._reply_to(message)
        waiting = None if request_id is None else self._pending.get(request_id)
        if waiting is None or waiting.done():
            self.events.put(message)
        else:
            waiting.set_result(message)

    def _end(self, why: str) -> None:
        self.events.cut(why)
        for reply in self._pending.values():
            if not reply.done():
                reply.set_exception(Unanswered(NoAnswer.LOST, f"the connection ended: {why}"))

    async def _close(self, ws: _Connection) -> None:
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S_MAX):
                await ws.close()


def _ending(kind: WSMsgType, content: object, reason: str | None) -> str:
    """Say why no more will come: a close code and the venue's reason, or the error's name."""
    match kind:
        case WSMsgType.CLOSE:
            return f"the venue closed it: {content} {reason or ''}".strip()
        case WSMsgType.ERROR:
            return f"the connection broke: {type(content).__name__}"
        case _:
            return f"the connection ended: {kind.name.lower()}"
