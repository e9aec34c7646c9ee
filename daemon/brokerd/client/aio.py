"""
`AsyncBroker`: the client for asyncio. What it asks and how it repeats is `Broker`'s; calls of
several tasks run side by side over one connection.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from os import PathLike
from typing import Any, Self, TypeVar, Unpack, cast

from brokerd.client import requests
from brokerd.client.blocking import AWAY_S_MAX, CHUNK_BYTES, TIMEOUT_S
from brokerd.client.protocol import (
    Answer,
    Conversation,
    Lost,
    Request,
    Told,
    unanswered,
    waits_s,
)
from brokerd.client.requests import LOOK_S, Page
from brokerd.client.settings import Filters, WithSettings
from brokerd.client.trade import Event, Fill, Number, Order, Trade, event_of
from brokerd.errors import BrokerdError, InvalidRequest
from brokerd.sockets import connect_first, socket_paths

T = TypeVar("T")

UNREAD_MAX = 1_000
"""Events that wait for their reader before the daemon is made to wait."""


class AsyncBroker(WithSettings):
    """
    `Broker` for asyncio: the same methods and errors, awaited.

    It is used in one event loop at a time. Where that one is over (`asyncio.run` came back), it
    connects anew in the next.
    """

    def __init__(
        self,
        socket: str | PathLike[str] | None = None,
        *,
        executor: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(executor)
        self._paths = socket_paths(socket)
        self._timeout_s = timeout_s
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Hang up. The next call connects again."""
        self._enter(asyncio.get_running_loop())
        if self._link is not None:
            self._link.close()
            self._link = None

    async def submit(
        self, trade: Trade, *, wait: str = "journal", timeout_s: float | None = None
    ) -> Trade:
        """Submit a trade, and return it, updated: see `Broker.submit`."""
        request = requests.submit(self._settings, trade, wait=wait, timeout_s=timeout_s)
        return await self._update(trade, request, extra_s=timeout_s or 0)

    async def cancel(self, trade: Trade | str) -> Trade:
        """Ask for a cancel of what is left of a trade, and return it, updated."""
        return await self._update(trade, requests.cancel(trade))

    async def cancel_all(self, **filters: Unpack[Filters]) -> list[str]:
        """
        Ask for a cancel of every working order that matches; return their cl_ord_ids.

        Executor and group count as they are set; the window of `time_settings` does not. What is open
        at executors that are not configured any more is out of reach: a RuntimeWarning names it.
        """
        told = await self._run(requests.cancel_all(self._settings, filters))
        return requests.canceled(told)

    async def replace(
        self, trade: Trade | str, *, qty: Number | None = None, px: Number | None = None
    ) -> Trade:
        """Ask for another total quantity (filled part included) or limit price."""
        return await self._update(trade, requests.replace(trade, qty, px))

    async def resolve(
        self,
        trade: Trade | str,
        outcome: str,
        *,
        reason: str,
        venue_order_id: str | None = None,
    ) -> Trade:
        """Say what became of a trade's request in doubt: see `Broker.resolve`."""
        return await self._update(
            trade, requests.resolve(trade, outcome, reason, venue_order_id), LOOK_S
        )

    async def thaw(self, executor: str, *, reason: str) -> str:
        """Let a frozen executor take new orders again; return the state of its link."""
        return str((await self._run(requests.thaw(executor, reason), LOOK_S))["state"])

    async def check_trade(self, trade: Trade | str) -> Trade:
        """Ask the venue about a trade, and return it, updated: see `Broker.check_trade`."""
        if isinstance(trade, Trade) and not trade.is_trade:
            return trade
        return await self._update(trade, requests.check(trade))

    async def load(
        self,
        *,
        group_by: str | Sequence[str] = (),
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> list[Trade]:
        """Load trades, newest first: see `Broker.load`."""
        return await self._all(
            lambda cursor: requests.page(self._settings, group_by, cursor, filters), limit
        )

    async def fills(
        self,
        trade: Trade | str | None = None,
        *,
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> list[Fill]:
        """Load executions, newest first: see `Broker.fills`."""
        return await self._all(
            lambda cursor: requests.fills(self._settings, trade, cursor, filters), limit
        )

    async def stats(
        self, group_by: str | Sequence[str] = (), **filters: Unpack[Filters]
    ) -> dict[str, Any]:
        """Return execution statistics as `stats.get` gives them."""
        return await self._run(requests.stats(self._settings, group_by, filters))

    async def call(self, method: str, **params: Any) -> Any:
        """Call any method by its name."""
        return await self._run(requests.anything(method, params))

    async def events(
        self, after_seq: int | None = None, *, idle_s: float | None = None, **wanted: Any
    ) -> AsyncGenerator[Event]:
        """Yield events without gap or repeat: see `Broker.events`."""
        loop = asyncio.get_running_loop()
        away_since_s: float | None = None
        waits = waits_s()
        while True:
            try:
                link = await _connected(self._paths, self._timeout_s)
                try:
                    async with asyncio.timeout(self._timeout_s):
                        request = requests.subscribe(after_seq, wanted)
                        answer = request.read(await link.call(request))
                    after_seq = answer["seq"] if after_seq is None else after_seq
                    away_since_s, waits = None, waits_s()
                    async with aclosing(link.events(idle_s)) as events:
                        async for event in events:
                            yield event
                            after_seq = event.seq
                    return
                finally:
                    link.close()
            except (Lost, TimeoutError) as lost:
                away_since_s = away_since_s or loop.time()
                if loop.time() - away_since_s >= AWAY_S_MAX:
                    raise unanswered(requests.subscribe(0, {}), str(lost), was_sent=False) from lost
                await asyncio.sleep(next(waits))

    async def _all(
        self, ask: Callable[[str | None], Request[Page[T]]], limit: int | None
    ) -> list[T]:
        """Read page after page, to the end or to the limit."""
        requests.check_limit(limit)
        found: list[T] = []
        cursor: str | None = None
        while limit is None or len(found) < limit:
            page = await self._run(ask(cursor))
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return found[:limit]

    async def _update(
        self, trade: Trade | str, request: Request[Order], extra_s: float = 0
    ) -> Trade:
        return requests.updated(trade, await self._run(request, extra_s))

    async def _run(self, request: Request[T], extra_s: float = 0) -> T:
        """Call until there is an answer, as long as that is safe and there is time."""
        loop = asyncio.get_running_loop()
        self._enter(loop)
        deadline_s, was_sent, why = (
            loop.time() + self._timeout_s + extra_s,
            False,
            "no answer in time",
        )
        for wait_s in waits_s():
            try:
                async with asyncio.timeout_at(deadline_s):
                    link = await self._connection()
                    return request.read(await link.call(request))
            except TimeoutError as error:
                raise unanswered(request, why, was_sent=True) from error
            except Lost as lost:
                why, was_sent = str(lost), was_sent or lost.was_sent
                is_final = was_sent and not request.repeats
                if is_final or loop.time() + wait_s >= deadline_s:
                    raise unanswered(request, why, was_sent=was_sent) from lost
            await asyncio.sleep(wait_s)
        raise AssertionError("waits_s never ends")

    def _enter(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave behind what belongs to a loop that is over; refuse to share with one that is not."""
        if loop is self._loop:
            return
        if self._loop is not None and self._link is not None:
            if self._loop.is_closed():
                self._link.abandon()
            elif not self._link.is_lost:
                raise InvalidRequest(
                    "this AsyncBroker is in use in another event loop",
                    reason="another_loop",
                    hint="make one in each loop, or aclose() it there first",
                )
        self._link = None
        self._loop, self._connecting = loop, asyncio.Lock()

    async def _connection(self) -> "_Link":
        async with self._connecting:
            if self._link is None or self._link.is_lost:
                self._link = await _connected(self._paths, self._timeout_s)
            return self._link


async def _connected(paths: list[str], timeout_s: float) -> "_Link":
    """Connect; a Unix socket answers at once or not at all, so that this does not wait."""
    try:
        found = connect_first(paths, timeout_s)
    except OSError as error:
        raise Lost(f"{error.filename}: {error.strerror or error}", was_sent=False) from error
    found.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(lambda: _Link(found), sock=found)
    return link


class _Link(asyncio.Protocol):
    """One connection. Whoever waits for it is told Lost when it ends."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._conversation = Conversation()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._unread: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._why = ""
        self._refusal: BrokerdError | None = None

    @property
    def is_lost(self) -> bool:
        """Whether nothing more will come."""
        return bool(self._why)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's; a stream socket's has all that is used.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._conversation.feed(data):
                self._take(message)
        except Lost as lost:
            self._end(str(lost))

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._read_rest()
        self._end(f"the connection broke: {exc}" if exc else "the daemon hung up")

    def close(self) -> None:
        self._end("closed")

    def abandon(self) -> None:
        """Hang up where the loop is over, and with it whatever could close a transport."""
        self._socket.close()

    async def call(self, request: Request[Any]) -> Any:
        """Return the result, still raw; raise the daemon's error, or Lost."""
        if self._refusal is not None:
            raise self._refusal
        if self._why or self._transport is None:
            raise Lost(self._why, was_sent=False)
        call_id, line = self._conversation.ask(request)
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = waiter
        self._transport.write(line)
        try:
            answer = await waiter
        finally:
            self._waiting.pop(call_id, None)
        if answer.error is not None:
            raise answer.error
        return answer.result

    async def events(self, idle_s: float | None) -> AsyncGenerator[Event]:
        """Yield what a subscription tells; return after `idle_s` of silence."""
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self._transport is not None and not self._why:
                self._transport.resume_reading()
            if self._why:
                raise Lost(self._why)
            self._arrived.clear()
            try:
                async with asyncio.timeout(idle_s):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _read_rest(self) -> None:
        """Read what the daemon said before it hung up: a write that fails drops it unread."""
        with suppress(OSError):
            while data := self._socket.recv(CHUNK_BYTES):
                self.data_received(data)

    def _take(self, message: Answer | Told) -> None:
        if isinstance(message, Answer):
            self._answer(message)
        elif message.method == "event":
            self._unread.append(event_of(message.params))
            self._arrived.set()
            if len(self._unread) >= UNREAD_MAX and self._transport is not None:
                self._transport.pause_reading()
        elif message.method == "events.ended":
            self._end("the daemon ended the subscription")

    def _answer(self, answer: Answer) -> None:
        if answer.id is None:
            self._refuse(answer)
            return
        waiter = self._waiting.get(answer.id)
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def _refuse(self, refusal: Answer) -> None:
        """Tell all who wait, and whoever was about to ask: what answers no call turns away all."""
        self._refusal = refusal.error
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_result(refusal)
        self._end("the daemon turned the connection away")

    def _end(self, why: str) -> None:
        self._why = self._why or why
        self._arrived.set()
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(Lost(self._why))
        if self._transport is not None:
            self._transport.close()
