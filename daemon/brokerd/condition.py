"""
The condition of the link to one executor, as bots see it; every change of it goes on record.

A freeze lies over whatever the link does beneath: safety does not wait for the disk, and nothing
but a person's word and a look without a cause ends it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

import structlog

from brokerd.engine import Engine
from brokerd.errors import Halted, NotFrozen
from brokerd.events import ExecutorChanged, ExecutorThawed
from brokerd.executor import Clock, LinkState
from brokerd.secrets import redact_text

REASON_NOTED_EVERY_S = 60.0
"""How often another reason for the same state goes on record at most."""

_NUMBERS = re.compile(r"\d+")

log = structlog.get_logger(__name__)


class Condition:
    """
    The condition of one link. `settled` is set once the first attempt to come up has succeeded or
    failed, so that one dead venue does not hold up the daemon.
    """

    def __init__(self, executor: str, engine: Engine, clock: Clock) -> None:
        self._executor = executor
        self._engine = engine
        self._clock = clock
        self.state = LinkState.STARTING
        self.reason = ""
        self.since_ns = clock.now_ns()
        self.settled = asyncio.Event()
        self._noted_reason = ""
        self._noted_s = 0.0
        self._frozen_why = ""
        self._causes = 0
        self._beneath = (self.state, self.reason)
        self._to_record = asyncio.Event()

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
            log.error("executor_frozen", executor=self._executor, why=reason)
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

    async def thaw(self, look: Callable[[], Awaitable[None]], by: str, reason: str) -> None:
        """
        Take new orders again, if a `look` at everything finds no cause to stay frozen.

        Raises NotFrozen, Halted if there still is a cause, or what the look raises. What comes up
        later freezes the executor again.
        """
        name = self._executor
        if not self.is_frozen:
            raise NotFrozen(f"executor {name} is {self.state}", hint="there is nothing to thaw")
        causes = self._causes
        await look()
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
                f"executor {self._executor} stays frozen: {self._frozen_why}",
                reason="cause_remains",
                hint="cancel or close that order at the venue, then thaw again",
            )

    async def move(self, state: LinkState, reason: str = "") -> None:
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
        at_ns = self._clock.now_ns()
        return ExecutorChanged(at_ns=at_ns, executor=self._executor, state=state, reason=reason)
