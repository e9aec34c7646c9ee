"""What serves bots, whoever they are: who answers a call, what is under way, who is connected."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import structlog

from brokerd.peer import Peer
from brokerd.rpc import Call

DRAIN_S = 1.0
"""How long calls under way may still take once the daemon goes down."""

REFUSALS_EVERY_S = 1.0

log = structlog.get_logger(__name__)

T = TypeVar("T")

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


class Connected(Protocol):
    """A bot's connection, as what serves them all sees it."""

    def end(self) -> None:
        """Take nothing more from this bot."""
        ...

    def close(self) -> None:
        """Close once what was written is out."""
        ...


class Refusals:
    """
    Logs which bots were turned away: one line a second, with how many went `untold` before it.

    A bot that comes again at once, and again, must not fill the disk that the journal needs.
    """

    def __init__(self) -> None:
        self._untold = 0
        self._quiet_until_s = 0.0

    def log(self, uid: int | None, reason: str) -> None:
        """Log one, or count it."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._quiet_until_s:
            self._untold += 1
            return
        log.warning("bot_refused", uid=uid, reason=reason, untold=self._untold)
        self._untold = 0
        self._quiet_until_s = now_s + REFUSALS_EVERY_S


class Server:
    """What connections share. `answer` and `express` are what the methods make of a call."""

    def __init__(
        self, answer: Answer, express: Express, limits: Limits, group: asyncio.TaskGroup
    ) -> None:
        self.answer = answer
        self.express = express
        self.limits = limits
        self.group = group
        self.connections: set[Connected] = set()
        self.calls = 0
        self.refusals = Refusals()
        self._under_way: set[asyncio.Task[Any]] = set()

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
        for task in self._under_way:
            task.cancel()
