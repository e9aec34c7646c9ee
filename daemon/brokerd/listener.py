"""
Keeps one executor connected: connect, subscribe, take a snapshot, listen, and again after a gap.

Reports commute and repeat harmlessly, so the stream is merged while the snapshot is under way and
no order of the two has to be kept.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import structlog

from brokerd.condition import Condition
from brokerd.engine import Engine
from brokerd.errors import NO_ANSWER, BrokerdError, ConfigError, VenueUnavailable
from brokerd.events import Road
from brokerd.executor import Clock, Executor, LinkState, Report
from brokerd.guard import guarded, heed_cancellation
from brokerd.insync import InSync
from brokerd.messages import Reported
from brokerd.others import Others
from brokerd.pauses import Pauses
from brokerd.poller import Poller
from brokerd.retries import delay_s, failures

CONNECT_S_MAX = 30.0
CLOSE_S_MAX = 5.0

log = structlog.get_logger(__name__)


class Listener:
    """The connection to one executor; `run` keeps it until cancelled. `reports` counts the stream's."""

    def __init__(
        self,
        executor: Executor,
        engine: Engine,
        clock: Clock,
        *,
        poller: Poller,
        condition: Condition,
        in_sync: InSync,
        others: Others,
        pauses: Pauses,
    ) -> None:
        self._executor = executor
        self._engine = engine
        self._clock = clock
        self._poller = poller
        self._condition = condition
        self._in_sync = in_sync
        self._others = others
        self._pauses = pauses
        self._up_since_s: float | None = None
        self.reports = 0

    async def run(self) -> None:
        """Work until cancelled, then let go of the executor: in the task that connected it."""
        try:
            await self._keep_connected()
        finally:
            await self._let_go(self._executor.aclose())

    async def _keep_connected(self) -> None:
        """Trouble at the venue is waited out, never raised."""
        attempt, why = 0, BrokerdError("not tried yet")
        loop = asyncio.get_running_loop()
        while True:
            self._up_since_s = None
            try:
                await self._connection()
            except* NO_ANSWER as group:
                why = _first(group)
            except* ConfigError as group:
                # Somebody must mend it; until then it is the trouble of this link alone. A venue
                # that refuses a key may mean it, or be a firewall's page for an hour.
                why = _first(group)
                log.error("executor_misconfigured", executor=self._executor.name, why=str(why))  # noqa: TRY400 - it says what is wrong
            await heed_cancellation()
            await self._condition.move(LinkState.DOWN, str(why))
            up_since_s = loop.time() if self._up_since_s is None else self._up_since_s
            attempt = failures(attempt, loop.time() - up_since_s)
            await asyncio.sleep(delay_s(attempt, why.extra.get("retry_after_s")))

    async def _connection(self) -> None:
        """Live through one connection, from the first attempt to the first gap."""
        async with self._subscribed() as reports:
            await self._condition.move(LinkState.SYNCING)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._sync(), name=f"{self._executor.name}-sync")
                    await self._listen(reports)
                    raise VenueUnavailable("the stream ended", reason="stream_ended")
            finally:
                self._in_sync.end()

    @asynccontextmanager
    async def _subscribed(self) -> AsyncGenerator[AsyncIterator[Report]]:
        """Connect and subscribe; let go of the subscription at the end, however that goes."""
        subscription = AsyncExitStack()
        self._pauses.check_may_connect()
        async with guarded(self._executor.name, CONNECT_S_MAX):
            await self._executor.connect()
            reports = await subscription.enter_async_context(self._executor.stream())
        try:
            yield reports
        finally:
            await self._let_go(subscription.aclose())

    async def _let_go(self, closing: Awaitable[None]) -> None:
        """Wait for something of the executor's to close. A fault there is logged and stops nobody."""
        with suppress(BrokerdError):
            async with guarded(self._executor.name, CLOSE_S_MAX):
                await closing

    async def _sync(self) -> None:
        await self._poller.sync()
        self._in_sync.begin()
        self._up_since_s = asyncio.get_running_loop().time()
        await self._condition.move(LinkState.UP)

    async def _listen(self, reports: AsyncIterator[Report]) -> None:
        name = self._executor.name
        async with guarded(name, None):
            async for report in reports:
                self.reports += 1
                if self._others.leaves_out(report):
                    continue
                quote = self._executor.quote(report.symbol)
                at_ns = self._clock.now_ns()
                reported = Reported(name, report, Road.STREAM, at_ns, quote=quote)
                with self._in_sync.waiting():
                    await self._engine.tell(reported)


def _first(group: BaseExceptionGroup[BrokerdError]) -> BrokerdError:
    """Return the first error of a group, however deep the groups nest."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, BrokerdError)  # noqa: S101 - the group holds nothing else
    return error
