"""
Keeps one executor connected: connect, subscribe, take a snapshot, listen, and again after a gap.

Reports commute and repeat harmlessly, so the stream is merged while the snapshot is under way and
no order of the two has to be kept.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import structlog

from brokerd.engine import Engine
from brokerd.errors import (
    NO_ANSWER,
    BrokerdError,
    ConfigError,
    Halted,
    NotFrozen,
    VenueUnavailable,
)
from brokerd.events import ExecutorChanged, ExecutorPaused, ExecutorThawed, Road
from brokerd.executor import Clock, Executor, LinkState, Report, Standing
from brokerd.guard import guarded, heed_cancellation
from brokerd.messages import Reported
from brokerd.poller import Poller
from brokerd.retries import delay_s, failures
from brokerd.secrets import redact_text

"""A link that held this long starts its next reconnects from the shortest wait again."""

PAUSE_NOTED_WITHIN_S = 0.25
"""How soon after the venue asked for it a pause is on record."""

PAUSE_NOTED_NS_MIN = 1_000_000_000
"""A pause that ends sooner, or grows by less, is over before a restart is."""

REASON_NOTED_EVERY_S = 60.0
"""How often another reason for the same state goes on record at most."""

CONNECT_S_MAX = 30.0
CLOSE_S_MAX = 5.0

_NUMBERS = re.compile(r"\d+")

log = structlog.get_logger(__name__)


class Listener:
    """
    The link to one executor. `state` is what bots see; `settled` is set once the first attempt to
    come up has succeeded or failed, so that one dead venue does not hold up the daemon.
    """

    def __init__(self, executor: Executor, engine: Engine, poller: Poller, clock: Clock) -> None:
        self._executor = executor
        self._engine = engine
        self._poller = poller
        self._clock = clock
        self.state = LinkState.STARTING
        self.reason = ""
        self.since_ns = clock.now_ns()
        self.settled = asyncio.Event()
        self.reports = 0
        self._up_since_s: float | None = None
        self._noted_reason = ""
        self._noted_s = 0.0
        self._frozen_why = ""
        self._causes = 0
        self._beneath = (self.state, self.reason)
        self._to_record = asyncio.Event()
        self._paused_until_ns = 0
        self._left_alone_until_ns = 0
        poller.others.on_unknown = self.freeze

    @property
    def is_frozen(self) -> bool:
        """Whether no new orders are taken until somebody has looked."""
        return self.state is LinkState.FROZEN

    def freeze(self, reason: str) -> None:
        """
        Take no new orders until somebody has looked, and thaws it or starts the daemon anew.

        The link goes on: fills are taken in and cancels go out. Safety does not wait for the disk,
        `record_freezes` does.
        """
        self._causes += 1
        self._frozen_why = reason
        if not self.is_frozen:
            log.error("executor_frozen", executor=self._executor.name, why=reason)
            self._beneath = (self.state, self.reason)
            self.state, self.reason = LinkState.FROZEN, reason
            self.since_ns = self._clock.now_ns()
            self._to_record.set()
            self.settled.set()

    async def record_freezes(self) -> None:
        """Put every freeze on record, until cancelled."""
        while True:
            await self._to_record.wait()
            self._to_record.clear()
            await self._engine.note(self._changed(LinkState.FROZEN, self._frozen_why))

    async def thaw(self, by: str, reason: str) -> None:
        """
        Take new orders again, if a look at everything finds no cause to stay frozen.

        Raises NotFrozen, Halted if there still is a cause, or one of NO_ANSWER if the venue gives
        no picture. What comes up later freezes the executor again.
        """
        name = self._executor.name
        if not self.is_frozen:
            raise NotFrozen(f"executor {name} is {self.state}", hint="there is nothing to thaw")
        causes = self._causes
        await self._poller.sync()
        self._check_no_cause_since(causes)
        at_ns, state = self._clock.now_ns(), self._beneath[0]
        thawed = ExecutorThawed(at_ns=at_ns, executor=name, by=by, reason=reason, state=state)
        await self._engine.note(thawed)
        try:
            self._check_no_cause_since(causes)
        except Halted:
            self._to_record.set()
            raise
        if self.is_frozen:  # not if another thaw was quicker
            (self.state, self.reason), self.since_ns = self._beneath, at_ns

    def _check_no_cause_since(self, causes: int) -> None:
        if self._causes != causes:
            raise Halted(
                f"executor {self._executor.name} stays frozen: {self._frozen_why}",
                reason="cause_remains",
                hint="cancel or close that order at the venue, then thaw again",
            )

    def resume(self, paused_until_ns: int, reason: str) -> None:
        """
        Keep a pause that an earlier run was told of, and note it by this run's clock. Called before `run`.

        If the executor fails to keep it, it is not connected until the pause is over.
        """
        if paused_until_ns > self._clock.now_ns():
            try:
                self._executor.resume(paused_until_ns, reason)
            except VenueUnavailable:
                self._left_alone_until_ns = paused_until_ns

    async def record_pauses(self) -> None:
        """Put on record until when the venue wants to be left alone: a restart must not forget it."""
        while True:
            with suppress(VenueUnavailable):
                await self._record_pause(self._executor.standing())
            await asyncio.sleep(PAUSE_NOTED_WITHIN_S)

    async def _record_pause(self, standing: Standing) -> None:
        until_ns, now_ns = standing.paused_until_ns or 0, self._clock.now_ns()
        longest_ns = max(self._paused_until_ns, now_ns)
        if until_ns >= longest_ns + PAUSE_NOTED_NS_MIN:
            self._paused_until_ns = until_ns
            await self._engine.note(
                ExecutorPaused(
                    at_ns=now_ns,
                    executor=self._executor.name,
                    paused_until_ns=until_ns,
                    reason=standing.pause_reason,
                )
            )

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
            await self._move(LinkState.DOWN, str(why))
            up_since_s = loop.time() if self._up_since_s is None else self._up_since_s
            attempt = failures(attempt, loop.time() - up_since_s)
            await asyncio.sleep(delay_s(attempt, why.extra.get("retry_after_s")))

    async def _connection(self) -> None:
        """Live through one connection, from the first attempt to the first gap."""
        async with self._subscribed() as reports:
            await self._move(LinkState.SYNCING)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._sync(), name=f"{self._executor.name}-sync")
                    await self._listen(reports)
                    raise VenueUnavailable("the stream ended", reason="stream_ended")
            finally:
                self._poller.out_of_sync()

    @asynccontextmanager
    async def _subscribed(self) -> AsyncGenerator[AsyncIterator[Report]]:
        """Connect and subscribe; let go of the subscription at the end, however that goes."""
        subscription = AsyncExitStack()
        left_s = (self._left_alone_until_ns - self._clock.now_ns()) / 1e9
        if left_s > 0:
            raise VenueUnavailable("the venue wants to be left alone", retry_after_s=left_s)
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
        self._poller.in_sync()
        self._up_since_s = asyncio.get_running_loop().time()
        await self._move(LinkState.UP)

    async def _listen(self, reports: AsyncIterator[Report]) -> None:
        name = self._executor.name
        async with guarded(name, None):
            async for report in reports:
                self.reports += 1
                if self._poller.others.leaves_out(report):
                    continue
                quote = self._executor.quote(report.symbol)
                at_ns = self._clock.now_ns()
                reported = Reported(name, report, Road.STREAM, at_ns, quote=quote)
                with self._poller.stream_waiting():
                    await self._engine.tell(reported)

    async def _move(self, state: LinkState, reason: str = "") -> None:
        """
        Put a change of state on record before anyone sees it.

        Another reason for the same state shows at once, and goes on record as far as it says
        something new, but not often: a venue may fail in many words for days.
        """
        reason = redact_text(reason)
        is_change = state is not self.state
        if not self.is_frozen and (is_change or self._is_worth_noting(reason)):
            changed = self._changed(state, reason)
            self._noted_reason, self._noted_s = reason, asyncio.get_running_loop().time()
            await self._engine.note(changed)
            if is_change and not self.is_frozen:
                self.state, self.since_ns = state, changed.at_ns
        if not self.is_frozen:
            self.reason = reason
        if self.is_frozen:
            self._beneath = (state, reason)
        if state is not LinkState.SYNCING:
            self.settled.set()

    def _is_worth_noting(self, reason: str) -> bool:
        since_s = asyncio.get_running_loop().time() - self._noted_s
        is_news = _NUMBERS.sub("", reason) != _NUMBERS.sub("", self._noted_reason)
        return is_news and since_s >= REASON_NOTED_EVERY_S

    def _changed(self, state: LinkState, reason: str) -> ExecutorChanged:
        return ExecutorChanged(
            at_ns=self._clock.now_ns(), executor=self._executor.name, state=state, reason=reason
        )


def _first(group: BaseExceptionGroup[BrokerdError]) -> BrokerdError:
    """Return the first error of a group, however deep the groups nest."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, BrokerdError)  # noqa: S101 - the group holds nothing else
    return error
