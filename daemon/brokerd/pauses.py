"""
The pauses that one executor's venue asks for: waited out, told of, and put on record.

Who asks too early is banned for longer, so that a restart must not forget a pause either.
"""

import asyncio
from contextlib import suppress

from brokerd.engine import Engine
from brokerd.errors import VenueUnavailable
from brokerd.events import ExecutorPaused
from brokerd.executor import Clock, Executor, Standing

LOOK_S = 1.0
"""How often a pause is looked at again: it may be lifted, or grow."""

NOTED_WITHIN_S = 0.25
"""How soon after the venue asked for it a pause is on record."""

NOTED_NS_MIN = 1_000_000_000
"""A pause that ends sooner, or grows by less, is over before a restart is."""


class Pauses:
    """The pauses of one executor. `record` works until cancelled."""

    def __init__(self, executor: Executor, engine: Engine, clock: Clock) -> None:
        self._executor = executor
        self._engine = engine
        self._clock = clock
        self._noted_until_ns = 0
        self._unkept_until_ns = 0

    @property
    def left_s(self) -> float:
        """How long the venue still wants to be left alone; not above 0 if it does not."""
        return self._left_s(self._executor.standing().paused_until_ns or 0)

    async def wait(self) -> None:
        """Wait for as long as the venue wants to be left alone."""
        while (left_s := self.left_s) > 0:  # noqa: ASYNC110 - the executor tells no event
            await asyncio.sleep(min(left_s, LOOK_S))

    def check(self) -> None:
        """Raise VenueUnavailable in a pause: who wants to know now should not wait for hours."""
        left_s = self.left_s
        if left_s > 0:
            raise VenueUnavailable(
                f"{self._executor.name} wants to be left alone for {left_s:.0f} s",
                reason="paused",
                hint="ask again then",
                retry_after_s=left_s,
            )

    def resume(self, paused_until_ns: int, reason: str) -> None:
        """
        Keep a pause that an earlier run was told of.

        If the executor fails to keep it, it must not be connected until the pause is over.
        """
        if paused_until_ns > self._clock.now_ns():
            try:
                self._executor.resume(paused_until_ns, reason)
            except VenueUnavailable:
                self._unkept_until_ns = paused_until_ns

    def check_may_connect(self) -> None:
        """Raise VenueUnavailable in a pause that the executor does not keep by itself."""
        left_s = self._left_s(self._unkept_until_ns)
        if left_s > 0:
            raise VenueUnavailable("the venue wants to be left alone", retry_after_s=left_s)

    async def record(self) -> None:
        """Put on record until when the venue wants to be left alone: a restart must not forget it."""
        while True:
            with suppress(VenueUnavailable):
                await self._record(self._executor.standing())
            await asyncio.sleep(NOTED_WITHIN_S)

    async def _record(self, standing: Standing) -> None:
        until_ns, now_ns = standing.paused_until_ns or 0, self._clock.now_ns()
        longest_ns = max(self._noted_until_ns, now_ns)
        if until_ns >= longest_ns + NOTED_NS_MIN:
            self._noted_until_ns = until_ns
            await self._engine.note(
                ExecutorPaused(
                    at_ns=now_ns,
                    executor=self._executor.name,
                    paused_until_ns=until_ns,
                    reason=standing.pause_reason,
                )
            )

    def _left_s(self, until_ns: int) -> float:
        return (until_ns - self._clock.now_ns()) / 1e9
