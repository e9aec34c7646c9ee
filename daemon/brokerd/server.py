"""
The Unix socket: connections, their limits, and the lines that go over them.

Every connection is bounded: calls in flight, bytes unread, bytes unsent, and the time a bot may
leave its answers unread. A bot that breaks a bound is slowed down or cut off; nobody else notices.
"""

import asyncio
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import structlog

from brokerd.errors import BrokerdError, Busy, ConfigError, NotPermitted
from brokerd.rpc import NULL, Call, Failure, LineBuffer, Received, batch, failure, receive

WRITE_BUFFER_BYTES = 1024 * 1024
"""Answers a bot may leave unread before we stop reading its calls."""

DRAIN_S = 1.0
"""How long calls under way may still take once the daemon goes down."""

log = structlog.get_logger(__name__)

T = TypeVar("T")


Work = Callable[[], Coroutine[Any, Any, None]]


class Peer(Protocol):
    """The bot at the other end, as the methods see it during one call."""

    @property
    def uid(self) -> int | None:
        """The bot's user."""
        ...

    @property
    def subscriptions(self) -> dict[str, asyncio.Task[None]]:
        """What the connection sends events by, by name."""
        ...

    def spawn(self, work: Work, name: str) -> asyncio.Task[None]:
        """Run something once this call's answer is out, for as long as the connection lives."""
        ...

    async def send(self, line: bytes) -> None:
        """Write a line (without its newline) and wait until there is room for another."""
        ...

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Hold the connection's one turn for a large answer, once there is room for it."""
        ...


def check_owner(peer: Peer, what: str) -> None:
    """Raise NotPermitted unless the bot is the daemon's own user, or root."""
    if peer.uid not in {0, os.geteuid()}:
        raise NotPermitted(f"uid {peer.uid} may not {what}", hint="ask the daemon's owner, or root")


Answer = Callable[[Call, Peer], Awaitable[bytes | None]]
"""Answers one call; never raises. None for a notification."""

Express = Callable[[Call, Callable[[bytes | None], None], Callable[[], None]], bool]
"""
Takes the calls that need no task of their own: (call, done, slowly) -> whether it took this one.

It then ends in exactly one of `done(answer)`, or `slowly()`, which answers like any other call.
"""


class Limits(Protocol):
    """The socket's bounds, from the configuration."""

    @property
    def connections_max(self) -> int:
        """Bots connected at the same time."""
        ...

    @property
    def in_flight_max(self) -> int:
        """Unanswered calls per connection."""
        ...

    @property
    def stall_s(self) -> float:
        """How long a bot may leave its answers unread."""
        ...


class Server:
    """All connections. `answer` and `express` are what the methods make of a call."""

    def __init__(
        self, answer: Answer, express: Express, limits: Limits, group: asyncio.TaskGroup
    ) -> None:
        self.answer = answer
        self.express = express
        self.limits = limits
        self.group = group
        self.connections: set[Connection] = set()
        self.calls = 0
        self._under_way: set[asyncio.Task[Any]] = set()

    def connection(self) -> "Connection":
        """Make the protocol of one more connection."""
        return Connection(self)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work on a bot's call. It is carried through even if the bot is gone meanwhile."""
        task = self.group.create_task(work, name="call")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def drain(self) -> None:
        """Take no more calls, and give those under way DRAIN_S to be answered."""
        for connection in self.connections:
            connection.end()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=DRAIN_S)

    def close(self) -> None:
        """Cut all connections, and with them what still waits for an answer that cannot come."""
        for connection in list(self.connections):
            connection.close()
            connection.stop_tasks()
        for task in self._under_way:
            task.cancel()


class Connection(asyncio.Protocol):
    """
    One bot. Calls are started in the order they came; answers go out as they are ready.

    Reading stops while `in_flight_max` calls are under way or the bot leaves answers unread, so
    that the bot's own socket buffer is where its surplus waits.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lines = LineBuffer()
        self._waiting: deque[bytes] = deque()
        self._in_flight = 0
        self._not_begun = 0
        self._is_ended = False
        self._turn = asyncio.Lock()
        self._writable = asyncio.Event()
        self._writable.set()
        self._stall: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.subscriptions: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.uid: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in a bot, or turn it away if there are too many."""
        # uvloop's transports are no subclass of asyncio's; a stream socket's has all that is used.
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.uid = _peer_uid(transport.get_extra_info("socket"))
        connections_max = self._server.limits.connections_max
        if len(self._server.connections) >= connections_max:
            refusal = Busy(
                f"{connections_max} connections are open already",
                hint="close idle ones, or raise daemon.connections_max",
            )
            self._refuse(refusal)
            return
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Let go of everything that was done for this bot; its orders live on."""
        self._server.connections.discard(self)
        self._waiting.clear()
        self._writable.set()
        if self._stall is not None:
            self._stall.cancel()
        self.stop_tasks()

    def stop_tasks(self) -> None:
        """End what runs for this bot alone, its subscriptions."""
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Cut what arrived into lines and start on them."""
        try:
            self._waiting.extend(self._lines.feed(data))
        except BrokerdError as error:
            self._refuse(error)
            return
        self._start_calls()

    def eof_received(self) -> bool:
        """
        Answer what was asked, then hang up, also on a subscriber: the bot will say no more, and one
        that has gone for good looks the same.
        """
        self._is_ended = True
        self._close_if_done()
        return True

    def pause_writing(self) -> None:
        """Stop taking calls: the bot does not read its answers. It has `stall_s` to resume."""
        self._writable.clear()
        self._await_reader()
        self._throttle()

    def resume_writing(self) -> None:
        """Go on: the bot reads again."""
        self._writable.set()
        if self._stall is not None and not self._is_closing():
            self._stall.cancel()
            self._stall = None
        self._start_calls()

    def spawn(self, work: Work, name: str) -> asyncio.Task[None]:
        """Run something until it ends or the connection does, which may have been so by now."""
        task = self._server.group.create_task(work(), name=name)
        if self._is_closing():
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def send(self, line: bytes) -> None:
        """Write a line and wait until there is room for another; drop it if the bot is gone."""
        self._write(line)
        await self._writable.wait()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Let large answers be made one at a time, each when the one before is nearly out."""
        async with self._turn:
            await self._writable.wait()
            yield

    def end(self) -> None:
        """Take nothing more from this bot."""
        self._is_ended = True
        self._waiting.clear()
        self._throttle()

    def close(self) -> None:
        """Close once what was written is out, which the bot has `stall_s` to read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._await_reader()

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
        return self._in_flight >= self._server.limits.in_flight_max or not self._writable.is_set()

    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _throttle(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._waiting or self._is_ended or self._is_throttled():
            if transport.is_reading():
                transport.pause_reading()
        elif not transport.is_reading():
            transport.resume_reading()

    def _close_if_done(self) -> None:
        if self._is_ended and not self._waiting and not self._in_flight:
            self.close()

    async def _serve(self, only: Call | Failure, caller: "Caller") -> None:
        reply: bytes | None = None
        try:
            if isinstance(only, Call):
                reply = await self._answer(only, caller)
            else:
                reply = failure(only.id, only.error)
        finally:
            self._finish(1, reply)
            caller.is_answered.set()

    async def _serve_batch(
        self, received: Received, begun: list[asyncio.Task[bytes | None]], caller: "Caller"
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
            caller.is_answered.set()

    async def _answer(self, call: Call, caller: "Caller") -> bytes | None:
        self._not_begun -= 1
        self._server.calls += 1
        return await self._server.answer(call, caller)

    def _finish(self, calls: int, reply: bytes | None) -> None:
        """Write an answer, and go on with what waited for its calls to end."""
        self._in_flight -= calls
        if reply is not None:
            self._write(reply)
        if self._waiting:
            self._start_calls()
        else:
            self._throttle()
        self._close_if_done()

    def _write(self, line: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(line + b"\n")

    def _await_reader(self) -> None:
        """Start the clock on a bot that leaves its answers unread."""
        if self._stall is None:
            loop = asyncio.get_running_loop()
            self._stall = loop.call_later(self._server.limits.stall_s, self._give_up)

    def _refuse(self, error: BrokerdError) -> None:
        """Say why, and hang up."""
        log.warning("bot_refused", uid=self.uid, reason=error.reason)
        self._write(failure(NULL, error))
        self.close()

    def _give_up(self) -> None:
        log.warning("bot_stalled", uid=self.uid, stall_s=self._server.limits.stall_s)
        if self._transport is not None:
            self._transport.abort()


class Caller:
    """
    The bot as the calls of one line see it.

    What they spawn begins once that line is answered, whatever the connection answers meanwhile:
    a batch is one line, and has one answer.
    """

    def __init__(self, connection: Connection) -> None:
        self.uid = connection.uid
        self.subscriptions = connection.subscriptions
        self.send = connection.send
        self.turn = connection.turn
        self.is_answered = asyncio.Event()
        self._connection = connection

    def spawn(self, work: Work, name: str) -> asyncio.Task[None]:
        """Run something once the line is answered, until it ends or the connection does."""

        async def begin() -> None:
            await self.is_answered.wait()
            await work()

        return self._connection.spawn(begin, name)


def _peer_uid(connection: socket.socket | None) -> int | None:
    """Return the uid at the other end, by SO_PEERCRED (unix(7))."""
    if connection is None:
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)


@asynccontextmanager
async def listening(path: Path, server: Server) -> AsyncGenerator[None]:
    """
    Listen on a Unix socket for the length of the block; the file is gone afterwards.

    A socket file that nobody answers on is stale and is removed; one that somebody does is not.
    The file's mode comes from the umask at bind, which here never lets the world in: it is not
    changed after, when it would be late.
    """
    _clear_the_way(path)
    loop = asyncio.get_running_loop()
    # As many may knock at once as may come in: after a restart they all do.
    backlog = server.limits.connections_max
    umask = os.umask(0o077)
    os.umask(umask | 0o007)
    try:
        listener = await loop.create_unix_server(server.connection, str(path), backlog=backlog)
    except OSError as error:
        raise _no_socket(path, error) from error
    finally:
        os.umask(umask)
    ours = path.stat().st_ino  # noqa: ASYNC240 - one quick call
    try:
        yield
    finally:
        listener.close()
        server.close()
        with suppress(FileNotFoundError):
            if path.stat().st_ino == ours:  # noqa: ASYNC240 - see above, and nothing runs any more
                path.unlink()  # noqa: ASYNC240


def _no_socket(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the socket {path} cannot be made: {(error.strerror or str(error)).lower()}",
        field="daemon.socket",
        hint="give the daemon's user write access to its directory, or choose another socket",
    )


def _clear_the_way(path: Path) -> None:
    try:
        _remove_stale(path)
    except OSError as error:
        raise _no_socket(path, error) from error


def _remove_stale(path: Path) -> None:
    if path.exists() and not path.is_socket():
        raise ConfigError(
            f"{path} is there and is not a socket", field="daemon.socket", hint="move it away"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        said = probe.connect_ex(str(path))
    if said not in {errno.ECONNREFUSED, errno.ENOENT}:  # nobody listens, by connect(2)
        what = f"somebody answers on {path}: another daemon has that socket"
        if said != 0:
            what = f"{path} may be somebody's socket: {os.strerror(said).lower()}"
        hint = "stop it, or choose another socket"
        raise ConfigError(what, field="daemon.socket", hint=hint)
    path.unlink(missing_ok=True)
