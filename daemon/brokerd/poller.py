"""
Looks at everything at one executor's venue: after every gap in the stream, and at a slow floor rate.

The stream is a hint, a poll is proof: real streams drop single fills while their heartbeats are
fine, so the floor rate goes on while all looks well.
"""

import asyncio

import structlog
from msgspec.structs import replace

from brokerd.engine import Engine
from brokerd.events import ExecutorSynced
from brokerd.executor import Clock, Executor, Snapshot
from brokerd.guard import guarded, heed_cancellation
from brokerd.messages import Viewed
from brokerd.others import Evidence, Others
from brokerd.pauses import Pauses
from brokerd.questions import TROUBLE, Questions
from brokerd.reconcile import Reconciled, reconcile
from brokerd.retries import ask_again

SNAPSHOT_TRIES_MAX = 5
SNAPSHOT_TIME_S_MAX = 60.0
OVERLAP_S = 5.0
"""How far a snapshot reaches back behind the one before, beyond what its venue says may be late."""

RESTART_OVERLAP_S = 3600.0
"""
How far the first snapshot of a run reaches back behind what the last one knew: that was stamped by
a clock that may have been set right since.
"""

SYNC_NOTED_EVERY_S = 300.0
"""How often it goes on record that all is known up to now: so much is looked at again at a start."""

EVIDENCE_PER_SLICE = 200
"""How much evidence is handed over before other tasks get a turn."""

log = structlog.get_logger(__name__)


class Poller:
    """
    The looks at one venue; `run` goes on at the floor rate until cancelled.

    `since_ns` is when the last run ended; `resume` tells better, where a run was in sync: the first
    snapshot looks for executions from RESTART_OVERLAP_S before that on, however long ago it is.
    """

    def __init__(
        self,
        executor: Executor,
        engine: Engine,
        clock: Clock,
        *,
        questions: Questions,
        others: Others,
        pauses: Pauses,
        deadline_s: float,
        floor_s: float,
        since_ns: int = 0,
    ) -> None:
        self._executor = executor
        self._engine = engine
        self._clock = clock
        self._questions = questions
        self._others = others
        self._pauses = pauses
        self._deadline_s = deadline_s
        self._floor_s = floor_s
        self._since_ns = self._behind_ns(since_ns)
        self._synced_noted_ns = 0

    @property
    def _overlap_ns(self) -> int:
        """How far a snapshot reaches back behind the one before."""
        promised = self._executor.capabilities
        return promised.shown_after_ns + int((promised.clock_error_s + OVERLAP_S) * 1e9)

    def _behind_ns(self, known_until_ns: int) -> int:
        """Return where the first snapshot of a run begins to look."""
        return max(known_until_ns - self._overlap_ns - int(RESTART_OVERLAP_S * 1e9), 0)

    def resume(self, synced_ns: int) -> None:
        """Begin to look where an earlier run was in sync. Called before the first look."""
        self._since_ns = self._behind_ns(synced_ns)

    async def run(self) -> None:
        """Look at the floor rate, until cancelled."""
        while True:
            await asyncio.sleep(self._floor_s)
            try:
                await self.sync()
            except TROUBLE as error:
                log.warning("poll_failed", executor=self._executor.name, why=str(error))
            await heed_cancellation()

    async def sync(self) -> None:
        """Look as soon as the venue wants to be asked; raises one of NO_ANSWER if it gives none."""
        await self._pauses.wait()
        await self._look()

    async def sync_now(self) -> None:
        """Look at once; raises one of NO_ANSWER, also if the venue wants to be left alone."""
        self._pauses.check()
        await self._look()

    async def _look(self) -> None:
        """Take a snapshot and merge it; ask about what it leaves open."""
        snapshot = await ask_again(
            self._snapshot,
            what=f"{self._executor.name}: snapshot",
            tries_max=SNAPSHOT_TRIES_MAX,
            time_s_max=SNAPSHOT_TIME_S_MAX,
        )
        # What the venue shows may be this much older than the question.
        began_ns = snapshot.began_ns - int(self._executor.capabilities.query_lag_s * 1e9)
        snapshot = replace(snapshot, began_ns=began_ns)
        name, books = self._executor.name, self._engine.blotter
        for found in reconcile(name, books, snapshot, self._clock.now_ns()):
            await self._merge(found, began_ns)
            await asyncio.sleep(0)
        self._since_ns = began_ns - self._overlap_ns
        await self._note_synced(began_ns)

    async def _snapshot(self) -> Snapshot:
        async with guarded(self._executor.name, self._deadline_s):
            return await self._executor.snapshot(self._since_ns)

    async def _merge(self, found: Reconciled, began_ns: int) -> None:
        evidence = await self._others.sort_out(found.evidence)
        for number, message in enumerate(await self._engine.recall.unheard(evidence)):
            await self._engine.tell(self._timed(message))
            if number % EVIDENCE_PER_SLICE == 0:
                await asyncio.sleep(0)
        for order in found.to_ask:
            self._questions.ask(order)
        for view in found.strangers:
            await self._others.make_out(view, began_ns)

    def _timed(self, message: Evidence) -> Evidence:
        """Let a view that a snapshot shows wait by this run's clock, as an answer does."""
        if not isinstance(message, Viewed):
            return message
        return replace(message, waits_anew=self._questions.waits_anew(message.cl_ord_id))

    async def _note_synced(self, synced_ns: int) -> None:
        """Put on record now and then how far all is known: the next run looks no further back."""
        if synced_ns < self._synced_noted_ns + int(SYNC_NOTED_EVERY_S * 1e9):
            return
        # What was found must be on record before.
        if await self._engine.has_strangers():
            return
        self._synced_noted_ns = synced_ns
        at_ns, name = self._clock.now_ns(), self._executor.name
        await self._engine.note(ExecutorSynced(at_ns=at_ns, executor=name, synced_ns=synced_ns))
