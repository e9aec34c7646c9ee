"""
Asks one executor's venue: about single orders in doubt, and about everything at a slow floor rate.

The stream is a hint, a poll is proof: real streams drop single fills while their heartbeats are
fine, so the floor rate goes on while all looks well.
"""

import asyncio
import heapq
import math
from collections.abc import Generator
from contextlib import contextmanager

import structlog
from msgspec.structs import replace

from brokerd.dispatch import order_ref
from brokerd.doubt import answer_counts_from_ns, by_this_run
from brokerd.engine import Engine
from brokerd.errors import NO_ANSWER, ConfigError, VenueUnavailable
from brokerd.events import ExecutorSynced, Road
from brokerd.executor import Clock, Executor, Snapshot
from brokerd.guard import guarded, heed_cancellation
from brokerd.messages import Viewed
from brokerd.orders import Order, Request
from brokerd.others import Evidence, Others
from brokerd.reconcile import Reconciled, reconcile
from brokerd.retries import ask_again

FIRST_ASK_S = 0.05
ASK_INTERVAL_S_MAX = 30.0
QUESTIONS_AT_ONCE = 8
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

QUESTIONS_PER_S = 20.0
"""How many questions about single orders go out in a second at most, whoever asks them."""

PAUSE_LOOK_S = 1.0
"""How often a pause is looked at again: it may be lifted, or grow."""

EVIDENCE_PER_SLICE = 200
"""How much evidence is handed over before other tasks get a turn."""

TROUBLE = (*NO_ANSWER, ConfigError)
"""What ends one question and no more: also a key that was good when the link came up."""

log = structlog.get_logger(__name__)


class Poller:
    """
    The questions to one executor. `ask` never waits; `run` works until cancelled. `since_ns` is when
    the last run ended; `resume` tells better, where a run was in sync: the first snapshot looks for
    executions from RESTART_OVERLAP_S before that on, however long ago it is.

    An order is asked about until nothing is in doubt or missing any more, at intervals that
    double up to ASK_INTERVAL_S_MAX, so that the rate of requests an order costs is bounded; a
    question comes sooner where an answer begins to count before the interval has passed.

    "No such order" is passed on as proof only while the stream is in sync, which the listener
    tells by `in_sync` and `out_of_sync`, and by `stream_waiting` while a report waits for room.
    """

    def __init__(
        self,
        executor: Executor,
        engine: Engine,
        clock: Clock,
        *,
        deadline_s: float,
        floor_s: float,
        since_ns: int = 0,
    ) -> None:
        self._executor = executor
        self._engine = engine
        self._clock = clock
        self._deadline_s = deadline_s
        self._floor_s = floor_s
        self._due: list[tuple[float, str]] = []
        self._scheduled: dict[str, tuple[float, float]] = {}
        self._answered: dict[str, int] = {}
        self._news = asyncio.Event()
        self._places = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        self._since_ns = self._behind_ns(since_ns)
        self._began_ns = clock.now_ns()
        self._sync: object | None = None
        self._stream_waits = False
        self._synced_noted_ns = 0
        self._next_question_s = 0.0
        self._asked: dict[str, int] = {}
        self._waiting_anew: dict[str, tuple[Request, ...]] = {}
        self._doubted: set[str] = set()
        self._out: set[str] = set()
        self._overtaken: set[str] = set()
        self.others = Others(executor.name, engine, clock)
        self.questions = 0
        self.missed_by_stream = 0

    @property
    def apart_ns(self) -> int:
        """How long a request may take at the venue until a question shows what it did."""
        promised = self._executor.capabilities
        return int((promised.processing_bound_s + promised.query_lag_s) * 1e9)

    @property
    def _overlap_ns(self) -> int:
        """How far a snapshot reaches back behind the one before."""
        overlap_s = self._executor.capabilities.clock_error_s + OVERLAP_S
        return self.apart_ns + int(overlap_s * 1e9)

    def _behind_ns(self, known_until_ns: int) -> int:
        """Return where the first snapshot of a run begins to look."""
        return max(known_until_ns - self._overlap_ns - int(RESTART_OVERLAP_S * 1e9), 0)

    @property
    def is_in_sync(self) -> bool:
        """Whether the stream tells what happens, and what happened before is merged."""
        return self._sync is not None

    def resume(self, synced_ns: int) -> None:
        """Begin to look where an earlier run was in sync. Called before the first look."""
        self._since_ns = self._behind_ns(synced_ns)

    def questions_about(self, cl_ord_id: str) -> int:
        """Return how often the venue was asked about an order since the matter came up."""
        return self._asked.get(cl_ord_id, 0)

    def in_sync(self) -> None:
        """From now on the stream tells what happens, and what happened before is merged."""
        self._sync = object()

    def out_of_sync(self) -> None:
        """The stream may have missed something."""
        self._sync = None

    @contextmanager
    def stream_waiting(self) -> Generator[None]:
        """Hold for as long as a report of the stream waits for room: an absence proves nothing then."""
        self._stream_waits = True
        try:
            yield
        finally:
            self._stream_waits = False

    def found(self) -> None:
        """Count what only asking brought to light: what the stream missed, if it seemed well."""
        self.missed_by_stream += self.is_in_sync

    def ask(self, order: Order) -> None:
        """
        See that the order is asked about soon, and again until the matter is settled.

        That the last answer about it told nothing new is no reason to ask any sooner.
        """
        if self._answered.get(order.cl_ord_id) == order.seq:
            return
        (self._doubted.add if order.must_be_asked else self._doubted.discard)(order.cl_ord_id)
        if order.cl_ord_id in self._out:
            # What the venue is about to say may be older than why it is to be asked.
            self._overtaken.add(order.cl_ord_id)
        soon_s = asyncio.get_running_loop().time() + FIRST_ASK_S
        due_s, interval_s = self._scheduled.get(order.cl_ord_id, (math.inf, FIRST_ASK_S))
        if due_s > soon_s:
            self._schedule(order.cl_ord_id, FIRST_ASK_S, interval_s)

    def wait_anew(self, order: Order, final_at_ns: int | None) -> None:
        """
        Ask about an order that an earlier run left in doubt, and wait for its end by this run's clock.

        `final_at_ns` is when, by that, its requests can no longer arrive. Called before `run`.
        """
        self._waiting_anew[order.cl_ord_id] = tuple(
            replace(each, final_at_ns=final_at_ns)
            for each in order.requests
            if each.final_at_ns is not None
        )
        self.ask(order)

    def waits_anew(self, cl_ord_id: str) -> tuple[Request, ...]:
        """Return the requests that an earlier run left in doubt, with their end by this run's clock."""
        return self._waiting_anew.get(cl_ord_id, ())

    async def check(self, order: Order) -> Order | None:
        """
        Ask about an order at the next turn; return it as it is after the venue's answer.

        Raises one of NO_ANSWER if there is none, or if the venue wants to be left alone.
        """
        self._check_no_pause()
        async with self._places:
            await self._turn()
            return await self._question(order)

    async def sync(self) -> None:
        """
        Take a snapshot and merge it; ask about what it leaves open.

        Raises one of NO_ANSWER if the venue gives none.
        """
        await self._while_paused()
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
        if began_ns < self._synced_noted_ns + int(SYNC_NOTED_EVERY_S * 1e9):
            return
        # The next run looks no further back than this: what was found must be on record before.
        if not await self._engine.has_strangers():
            self._synced_noted_ns = began_ns
            at_ns = self._clock.now_ns()
            synced = ExecutorSynced(at_ns=at_ns, executor=name, synced_ns=began_ns)
            await self._engine.note(synced)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll(), name=f"{self._executor.name}-poll")
            while True:
                cl_ord_id, interval_s = await self._next_due()
                await self._places.acquire()
                name = f"{self._executor.name}-ask-{cl_ord_id}"
                group.create_task(self._pursue(cl_ord_id, interval_s), name=name)

    async def _turn(self) -> None:
        """Wait until the next question may go out: neither too soon after the last, nor in a pause."""
        await self._while_paused()
        now_s = asyncio.get_running_loop().time()
        turn_s = max(now_s, self._next_question_s)
        self._next_question_s = turn_s + 1 / QUESTIONS_PER_S
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)

    async def _while_paused(self) -> None:
        """Wait for as long as the venue wants to be left alone."""
        while (wait_s := self._pause_left_s()) > 0:  # noqa: ASYNC110 - the executor tells no event
            await asyncio.sleep(min(wait_s, PAUSE_LOOK_S))

    def _check_no_pause(self) -> None:
        """Raise VenueUnavailable in a pause: who asks for one order should not wait for hours."""
        wait_s = self._pause_left_s()
        if wait_s > 0:
            raise VenueUnavailable(
                f"{self._executor.name} wants to be left alone for {wait_s:.0f} s",
                reason="paused",
                retry_after_s=wait_s,
            )

    def _pause_left_s(self) -> float:
        paused_until_ns = self._executor.standing().paused_until_ns or 0
        return (paused_until_ns - self._clock.now_ns()) / 1e9

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._floor_s)
            try:
                await self.sync()
            except TROUBLE as error:
                log.warning("poll_failed", executor=self._executor.name, why=str(error))
            await heed_cancellation()

    async def _snapshot(self) -> Snapshot:
        async with guarded(self._executor.name, self._deadline_s):
            return await self._executor.snapshot(self._since_ns)

    async def _merge(self, found: Reconciled, began_ns: int) -> None:
        evidence = await self.others.sort_out(found.evidence)
        for number, message in enumerate(await self._engine.recall.unheard(evidence)):
            await self._engine.tell(self._timed(message))
            if number % EVIDENCE_PER_SLICE == 0:
                await asyncio.sleep(0)
        for order in found.to_ask:
            self.ask(order)
        for view in found.strangers:
            await self.others.make_out(view, began_ns)

    def _timed(self, message: Evidence) -> Evidence:
        """Let a view that a snapshot shows wait by this run's clock, as an answer does."""
        anew = self.waits_anew(message.cl_ord_id) if isinstance(message, Viewed) else ()
        return replace(message, waits_anew=anew) if anew else message

    def _schedule(self, cl_ord_id: str, delay_s: float, interval_s: float) -> None:
        due_s = asyncio.get_running_loop().time() + delay_s
        self._scheduled[cl_ord_id] = (due_s, interval_s)
        heapq.heappush(self._due, (due_s, cl_ord_id))
        self._news.set()

    async def _next_due(self) -> tuple[str, float]:
        """Wait until the earliest question is due; return its order and the interval it had."""
        while True:
            self._news.clear()
            if not self._due:
                await self._news.wait()
                continue
            due_s, cl_ord_id = self._due[0]
            scheduled_s, interval_s = self._scheduled.get(cl_ord_id, (math.inf, FIRST_ASK_S))
            if scheduled_s != due_s:
                # It was brought forward since, and is in the queue a second time.
                heapq.heappop(self._due)
                continue
            wait_s = due_s - asyncio.get_running_loop().time()
            if wait_s <= 0:
                heapq.heappop(self._due)
                return cl_ord_id, interval_s
            try:
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _pursue(self, cl_ord_id: str, interval_s: float) -> None:
        """Ask once; put the order back in the queue if the answer did not settle it, or was overtaken."""
        try:
            order = self._still_to_ask(cl_ord_id)
            if order is not None:
                await self._turn()
                # Much may have been heard while it waited: a snapshot answers for thousands.
                order = self._still_to_ask(cl_ord_id)
            if order is not None:
                self._asked[cl_ord_id] = self._asked.get(cl_ord_id, 0) + 1
                self._overtaken.discard(cl_ord_id)
                order = await self._question(order)
            is_open = order is not None and order.must_be_asked
            if order is not None:
                self._answered[cl_ord_id] = order.seq
        except TROUBLE as error:
            log.warning("question_unanswered", cl_ord_id=cl_ord_id, why=str(error))
            is_open = True
        finally:
            self._places.release()
        if cl_ord_id in self._overtaken:
            self._overtaken.discard(cl_ord_id)
            self._schedule(cl_ord_id, FIRST_ASK_S, interval_s)
        elif is_open:
            interval_s = min(interval_s * 2, ASK_INTERVAL_S_MAX)
            self._schedule(cl_ord_id, self._delay_s(cl_ord_id, interval_s), interval_s)
        else:
            self._scheduled.pop(cl_ord_id, None)
            self._asked.pop(cl_ord_id, None)
            self._doubted.discard(cl_ord_id)
            self._answered.pop(cl_ord_id, None)
            self._waiting_anew.pop(cl_ord_id, None)

    def _delay_s(self, cl_ord_id: str, interval_s: float) -> float:
        """Return the interval, or less if an answer can prove more before it has passed."""
        order = self._engine.blotter.get(cl_ord_id)
        promised = self._executor.capabilities
        shown_ns = self._clock.now_ns() - int(promised.query_lag_s * 1e9)
        apart_ns = self.apart_ns if promised.query_closed else None
        counts_ns = None
        if order is not None:
            counts_ns = answer_counts_from_ns(
                by_this_run(order, self.waits_anew(cl_ord_id)), apart_ns, shown_ns
            )
        if counts_ns is None:
            return interval_s
        return min(interval_s, (counts_ns - shown_ns) / 1e9 + FIRST_ASK_S)

    def _still_to_ask(self, cl_ord_id: str) -> Order | None:
        """Return the order if it is still to be asked about: not if what was in doubt is known by now."""
        order = self._engine.blotter.get(cl_ord_id)
        if order is None or order.is_settled:
            return None
        return None if cl_ord_id in self._doubted and not order.must_be_asked else order

    async def _question(self, order: Order) -> Order | None:
        self.questions += 1
        sync, asked_at_ns = self._sync, self._clock.now_ns()
        self._out.add(order.cl_ord_id)
        try:
            async with guarded(self._executor.name, self._deadline_s):
                view = await self._executor.query(order_ref(order))
        finally:
            self._out.discard(order.cl_ord_id)
        # What the venue shows may be this much older than the question.
        asked_at_ns -= int(self._executor.capabilities.query_lag_s * 1e9)
        was_in_sync = sync is not None and sync is self._sync and not self._stream_waits
        viewed = Viewed(
            cl_ord_id=order.cl_ord_id,
            view=view,
            road=Road.QUERY,
            asked_at_ns=asked_at_ns,
            at_ns=self._clock.now_ns(),
            absence_after_ns=self._absence_after_ns(asked_at_ns) if was_in_sync else None,
            quote=self._executor.quote(order.terms.symbol),
            waits_anew=self.waits_anew(order.cl_ord_id),
        )
        return await self._engine.settle(viewed)

    def _absence_after_ns(self, asked_at_ns: int) -> int | None:
        """
        Return how far apart two answers of "no such order" must lie; None if this one is no proof.

        The first of the two may be an earlier run's: so much of this run must have passed by its
        own clock, which is the only one that was not set in between.
        """
        is_old_enough = asked_at_ns >= self._began_ns + self.apart_ns
        is_proof = self._executor.capabilities.query_closed and is_old_enough
        return self.apart_ns if is_proof else None
