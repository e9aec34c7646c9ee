"""
The way out to one bot: what is written to it, and how long it may leave that unread.

What we hold for a bot is bounded by making no more: `send` and `turn` wait for room, and whoever
owns the connection takes no calls while there is none.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from brokerd.errors import Refused

WRITE_BUFFER_BYTES = 1024 * 1024
"""Answers a bot may leave unread before we stop reading its calls."""

log = structlog.get_logger(__name__)


class Outgoing:
    """What goes out over one transport, to a bot of user `uid` that has `stall_s` to read it."""

    def __init__(self, transport: asyncio.Transport, uid: int | None, stall_s: float) -> None:
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._transport = transport
        self._uid = uid
        self._stall_s = stall_s
        self._stall: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self.has_room = True
        self._room = asyncio.Event()
        self._room.set()

    @property
    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._transport.is_closing()

    def write(self, line: bytes) -> None:
        """Write a line (without its newline), room or not; drop it if the bot is gone."""
        if not self._transport.is_closing():
            self._transport.write(line + b"\n")

    async def send(self, line: bytes) -> None:
        """Write a line and wait until there is room for another; drop it if the bot is gone."""
        self.write(line)
        await self._room.wait()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """
        Let large answers be made one at a time, each when the one before is nearly out.

        Raises Refused if the bot is gone by then: nobody is left to make it for.
        """
        async with self._turn:
            await self._room.wait()
            if self.is_closing:
                raise Refused("the bot is gone")
            yield

    def pause(self) -> None:
        """Make nothing more: the bot does not read. It has `stall_s` to begin."""
        self.has_room = False
        self._room.clear()
        self._await_reader()

    def resume(self) -> None:
        """Go on: the bot reads again. One that is to be closed has no more time for it."""
        self._make_room()
        if not self.is_closing:
            self._stop_clock()

    def close(self) -> None:
        """Close once what was written is out, which the bot has `stall_s` to read."""
        if not self._transport.is_closing():
            self._transport.close()
            self._await_reader()

    def lose(self) -> None:
        """Let go of whoever waits for room: the bot is gone."""
        self._make_room()
        self._stop_clock()

    def _make_room(self) -> None:
        self.has_room = True
        self._room.set()

    def _await_reader(self) -> None:
        if self._stall is None:
            self._stall = asyncio.get_running_loop().call_later(self._stall_s, self._give_up)

    def _stop_clock(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _give_up(self) -> None:
        log.warning("bot_stalled", uid=self._uid, stall_s=self._stall_s)
        self._transport.abort()
