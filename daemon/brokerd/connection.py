"""
One bot's connection: lines in, calls begun, one answer a line out.

Every connection is bounded: calls in flight, bytes unread, bytes unsent, and the time a bot may
leave its answers unread. A bot that breaks a bound is slowed down or cut off; nobody else notices.
"""

import asyncio
import socket
import struct
from collections import deque
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import cast

from brokerd.errors import BrokerdError, Busy
from brokerd.outgoing import Outgoing
from brokerd.peer import Caller, Work
from brokerd.rpc import NULL, Call, Failure, LineBuffer, Received, batch, failure, receive
from brokerd.server import Server


class Connection(asyncio.Protocol):
    """
    One bot. Calls are started in the order they came; answers go out as they are ready.

    Reading stops while `in_flight_max` calls are under way or the bot leaves answers unread, so
    that the bot's own socket buffer is where its surplus waits.
    """

    uid: int | None
    _transport: asyncio.Transport
    _out: Outgoing

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lines = LineBuffer()
        self._waiting: deque[bytes] = deque()
        self._in_flight = 0
        self._not_begun = 0
        self._is_ended = False
        self.subscriptions: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in a bot, or turn it away if there are too many."""
        # uvloop's transports are no subclass of asyncio's; a stream socket's has all that is used.
        self._transport = cast("asyncio.Transport", transport)
        self.uid = _peer_uid(transport.get_extra_info("socket"))
        limits = self._server.limits
        self._out = Outgoing(self._transport, self.uid, limits.stall_s)
        if len(self._server.connections) >= limits.connections_max:
            refusal = Busy(
                f"{limits.connections_max} connections are open already",
                hint="close idle ones, or raise daemon.connections_max",
            )
            self._refuse(refusal)
            return
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Let go of everything that was done for this bot; its orders live on."""
        self._server.connections.discard(self)
        self._waiting.clear()
        self._out.lose()
        self._stop_tasks()

    def data_received(self, data: bytes) -> None:
        """Cut what arrived into lines and start on them."""
        self._waiting.extend(self._lines.feed(data))
        if self._lines.fault is None:
            self._start_calls()
        else:
            self._refuse(self._lines.fault)

    def eof_received(self) -> bool:
        """
        Answer what was asked, then hang up, also on a subscriber: the bot will say no more, and one
        that has gone for good looks the same.
        """
        if self._lines.fault is None:
            self._lines.end()
            if self._lines.fault is not None:
                self._refuse(self._lines.fault)
        self._is_ended = True
        self._close_if_done()
        return True

    def pause_writing(self) -> None:
        """Stop taking calls: the bot does not read its answers."""
        self._out.pause()
        self._throttle()

    def resume_writing(self) -> None:
        """Go on: the bot reads again."""
        self._out.resume()
        self._start_calls()

    def spawn(self, work: Work, name: str) -> asyncio.Task[None]:
        """Run something until it ends or the connection does, which may have been so by now."""
        task = self._server.group.create_task(work(), name=name)
        if self._out.is_closing:
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def send(self, line: bytes) -> None:
        """Write a line and wait until there is room for another; drop it if the bot is gone."""
        await self._out.send(line)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Let large answers be made one at a time, each when the one before is nearly out."""
        return self._out.turn()

    def end(self) -> None:
        """Take nothing more from this bot."""
        self._is_ended = True
        self._waiting.clear()
        self._throttle()

    def close(self) -> None:
        """Close once what was written is out; nothing more is said."""
        self._out.close()
        self._stop_tasks()

    def _stop_tasks(self) -> None:
        """End what runs for this bot alone, its subscriptions."""
        for task in self._tasks:
            task.cancel()

    def _start_calls(self) -> None:
        while self._waiting and not self._is_throttled():
            received = receive(self._waiting.popleft())
            self._in_flight += len(received.messages)
            self._start(received)
        self._throttle()

    def _start(self, received: Received) -> None:
        only = received.messages[0]
        slowly = partial(self._start_slowly, received)
        # A call that needs a task is begun a turn of the loop later: nothing may overtake it.
        if (
            self._not_begun
            or received.is_batch
            or isinstance(only, Failure)
            or not self._server.express(only, self._done, slowly)
        ):
            slowly()

    def _start_slowly(self, received: Received) -> None:
        calls = [message for message in received.messages if isinstance(message, Call)]
        self._not_begun += len(calls)
        caller = Caller(self)
        if received.is_batch:
            begun = [self._server.start(self._answer(call, caller)) for call in calls]
            self._server.start(self._serve_batch(received, begun, caller))
        else:
            self._server.start(self._serve(received.messages[0], caller))

    def _done(self, reply: bytes | None) -> None:
        """Take the answer to a call that needed no task."""
        self._server.calls += 1
        self._finish(1, reply)

    def _is_throttled(self) -> bool:
        return self._in_flight >= self._server.limits.in_flight_max or not self._out.has_room

    def _throttle(self) -> None:
        transport = self._transport
        if transport.is_closing():
            return
        if self._waiting or self._is_ended or self._is_throttled():
            if transport.is_reading():
                transport.pause_reading()
        elif not transport.is_reading():
            transport.resume_reading()

    def _close_if_done(self) -> None:
        if self._is_ended and not self._waiting and not self._in_flight:
            self.close()

    async def _serve(self, only: Call | Failure, caller: Caller) -> None:
        reply: bytes | None = None
        try:
            if isinstance(only, Call):
                reply = await self._answer(only, caller)
            else:
                reply = failure(only.id, only.error)
        finally:
            self._finish(1, reply)
            caller.answered()

    async def _serve_batch(
        self, received: Received, begun: list[asyncio.Task[bytes | None]], caller: Caller
    ) -> None:
        reply: bytes | None = None
        try:
            replies = await asyncio.gather(*begun)
            failures = [each for each in received.messages if isinstance(each, Failure)]
            answers = [each for each in replies if each is not None]
            answers += [failure(each.id, each.error) for each in failures]
            reply = batch(answers) if answers else None
        finally:
            self._finish(len(received.messages), reply)
            caller.answered()

    async def _answer(self, call: Call, caller: Caller) -> bytes | None:
        self._not_begun -= 1
        self._server.calls += 1
        reply = await self._server.answer(call, caller)
        caller.unsent_bytes += len(reply or b"")
        return reply

    def _finish(self, calls: int, reply: bytes | None) -> None:
        """Write an answer, and go on with what waited for its calls to end."""
        self._in_flight -= calls
        if reply is not None:
            self._out.write(reply)
        if self._waiting:
            self._start_calls()
        else:
            self._throttle()
        self._close_if_done()

    def _refuse(self, error: BrokerdError) -> None:
        """Say why, and hang up once what was asked before is answered."""
        self._server.refusals.log(self.uid, error.reason)
        self._out.write(failure(NULL, error))
        self._is_ended = True
        self._start_calls()
        self._close_if_done()


def _peer_uid(connection: socket.socket | None) -> int | None:
    """Return the uid at the other end, by SO_PEERCRED (unix(7))."""
    if connection is None:
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)
