"""The bot at the other end, as the methods see it during one call."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from brokerd.errors import InvalidRequest, NotPermitted

BATCH_BYTES = 4 * 1024 * 1024
"""What the answers to one batch may come to before it gets no more large ones."""

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


class Caller:
    """
    The bot as the calls of one line see it.

    What they spawn begins once that line is answered, whatever the connection answers meanwhile:
    a batch is one line, and has one answer.
    """

    __slots__ = ("_answered", "_connection", "unsent_bytes")

    def __init__(self, connection: Peer) -> None:
        self._connection = connection
        self._answered: asyncio.Event | None = None  # few calls spawn anything
        self.unsent_bytes = 0

    @property
    def uid(self) -> int | None:
        """The bot's user."""
        return self._connection.uid

    @property
    def subscriptions(self) -> dict[str, asyncio.Task[None]]:
        """What the connection sends events by, by name."""
        return self._connection.subscriptions

    def spawn(self, work: Work, name: str) -> asyncio.Task[None]:
        """Run something once the line is answered, until it ends or the connection does."""
        answered = self._answered = self._answered or asyncio.Event()

        async def begin() -> None:
            await answered.wait()
            await work()

        return self._connection.spawn(begin, name)

    def answered(self) -> None:
        """Let begin what was spawned."""
        if self._answered is not None:
            self._answered.set()

    async def send(self, line: bytes) -> None:
        """Write a line and wait until there is room for another."""
        await self._connection.send(line)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """
        Hold the connection's turn for a large answer.

        Raises InvalidRequest in a batch that holds BATCH_BYTES already: none of it goes out before
        all of it is made.
        """
        async with self._connection.turn():
            if self.unsent_bytes >= BATCH_BYTES:
                raise InvalidRequest(
                    f"the batch's answers have come to {self.unsent_bytes} bytes",
                    reason="batch_answer_too_large",
                    hint="ask for large answers in lines of their own",
                )
            yield
