"""
The single writer of state: inbox -> decide -> journal -> fold -> answer and act.

Rule 1: one task changes the blotter, and nothing it changed is visible before it is durable.
Rule 2: whatever waits in the inbox becomes one batch and one commit: that is all the speed.
Rule 3: bots are turned away when the inbox is full; evidence from venues waits for room, because
        nothing a venue says may be dropped.
Rule 4: a journal that cannot say whether it wrote ends the process; replay finds the truth.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Protocol

from brokerd.blotter import Blotter, Change, Stage
from brokerd.broker import decide
from brokerd.errors import BrokerdError, Busy
from brokerd.events import AnyEvent
from brokerd.executor import Accepted, Clock
from brokerd.feed import Feed
from brokerd.gate import Gate
from brokerd.hearing import Hearing
from brokerd.limits import Limits
from brokerd.messages import (
    Action,
    Answered,
    Ask,
    Barrier,
    Cancel,
    Freeze,
    Message,
    Note,
    Reported,
    Send,
    Stranger,
)
from brokerd.orders import Order
from brokerd.recall import Recall
from brokerd.states import ExecType
from brokerd.storage import ENTRIES_MAX, ClOrdIdTaken, History, Journal
from brokerd.strangers import Strangers

MESSAGES_PER_BATCH_MAX = 512
CHANGES_PER_BATCH = ENTRIES_MAX // 2
"""Where a batch is full. Only the last message can carry it over ENTRIES_MAX, and only evidence
has that many events, so a batch that takes two appends has all its submits in the first."""

HISTORY_BACKLOG_MAX = 100_000
RECALL_S_MAX = 0.5
"""How long a batch may wait for an order that left memory: everybody's orders wait with it."""

LINGER_S = 0.001
"""How long a venue's word that nobody waits for may wait for company on its way to disk."""

_ACKNOWLEDGED = frozenset({ExecType.NEW})
_ACKNOWLEDGED_OR_OVER = frozenset({ExecType.NEW, ExecType.CANCELED, ExecType.EXPIRED})

Result = Order | BrokerdError | None
"""What a message came to: the order it was about as it then is, or why nothing was done."""

Reply = Callable[[Result], Callable[[], None]]
"""
Called with a message's result while the disk works on it; what it returns is called once that is
durable. So the words of an answer cost no time. Neither may wait nor raise, and the first must
tell nobody: the batch may be decided again, with another result.
"""


class Act(Protocol):
    """Where actions go: whoever reaches the executors."""

    def __call__(self, action: Send | Ask | Freeze) -> None:
        """Take an action that may now be done: what it rests on is durable."""
        ...


class Engine:
    """
    Owns the blotter. `post` is for bots' commands, `tell` for evidence, `settle` for evidence whose
    effect somebody waits for.

    `pending_since_ns` is when, by the monotonic clock, a batch that is not durable yet was handed
    to the journal: the watchdog's evidence. `act` and `on_changes` (events and their journalled
    bodies) are called after each commit, in journal order; they must not wait.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        history: History,
        blotter: Blotter,
        feed: Feed,
        clock: Clock,
        act: Act,
        on_changes: Callable[[list[Change], list[bytes]], None],
        inbox_max: int,
        orders_in_memory_max: int,
    ) -> None:
        self.blotter = blotter
        self.recall = Recall(blotter, history)
        self._journal = journal
        self._history = history
        self._feed = feed
        self._clock = clock
        self._act = act
        self._on_changes = on_changes
        self._inbox: deque[tuple[Message, Reply | None]] = deque()
        self._inbox_max = inbox_max
        self._orders_in_memory_max = orders_in_memory_max
        self._wake = asyncio.Event()
        self._pressing = asyncio.Event()
        self._is_pressing = False
        self._room = asyncio.Event()
        self._room.set()
        self._hearing = Hearing()
        self._gate = Gate()
        self._last: _Batch | None = None
        self.pending_since_ns: int | None = None
        self.strangers = Strangers(self.recall, self._take_back, act)
        self._returned = 0
        self.batches = 0

    @property
    def backlog(self) -> int:
        """How many messages wait, strangers among them, and a batch that has yet to be told of."""
        return len(self._inbox) + len(self.strangers) + (self._last is not None)

    def stop_taking(self) -> None:
        """Refuse new orders from now on; everything else goes on until the daemon has stopped."""
        self._gate.is_stopping = True

    def post(self, message: Message, reply: Reply) -> None:
        """
        Take a command; `reply` gets its result once that is durable.

        The result is what the rules refuse with, Busy when the inbox is full, JournalFull or
        Stopping for a new order that cannot be taken, or else the order.
        """
        if self._is_full(message):
            reply(Busy("the daemon's inbox is full", hint="try again in a moment"))()
        else:
            self._put(message, reply)

    async def do(self, message: Message) -> Order | None:
        """Post a command and wait for its result; raises it if it is an error."""
        if self._is_full(message):
            raise Busy("the daemon's inbox is full", hint="try again in a moment")
        return await self.settle(message)

    def _is_full(self, message: Message) -> bool:
        """Whether a command must be turned away; a cancel, which lessens risk, as the last."""
        return len(self._inbox) >= self._inbox_max * (2 if type(message) is Cancel else 1)

    async def tell(self, message: Message) -> None:
        """Hand over evidence; wait only for room in the inbox."""
        while len(self._inbox) + len(self.strangers) >= 2 * self._inbox_max:
            self._room.clear()
            await self._room.wait()
        self._put(message, None)

    def _take_back(self, message: Message | None) -> None:
        """Decide about evidence that has found its order (None: it has none); there is room now."""
        if message is not None:
            self._returned += 1
            self._put(message, lambda _: self._decided_again)
        self._room.set()

    def _decided_again(self) -> None:
        self._returned -= 1

    async def note(self, event: AnyEvent) -> None:
        """Put something that is about no order on record, and return when it is durable."""
        await self.settle(Note(event))

    async def settle(self, message: Message) -> Order | None:
        """
        Hand over a message and return its order when its events are durable.

        If the caller is cancelled the message stands.
        """
        waiter: asyncio.Future[Order | None] = asyncio.get_running_loop().create_future()
        self._put(message, partial(_wake, waiter))
        return await waiter

    async def has_strangers(self) -> bool:
        """Whether any evidence that was handed over so far waits for history to name its order."""
        await self.settle(Barrier())
        return len(self.strangers) + self._returned > 0

    async def heard(self, cl_ord_id: str, timeout_s: float) -> None:
        """Return when the venue has said its first word about the order, or after `timeout_s`."""
        order = self.blotter.get(cl_ord_id)
        if order is not None:
            await self._hearing.wait(order, timeout_s)

    async def run(self) -> None:
        """Work until cancelled. Whatever ends this task otherwise ends the daemon."""
        async with asyncio.TaskGroup() as disk:
            disk.create_task(self.strangers.run(), name="strangers")
            while True:
                if not self._must_work:
                    await self._rest()
                self._is_pressing = False
                await self._work(disk)

    async def _rest(self) -> None:
        """
        Do what the last batch calls for, and return once there is something to decide.

        Requests go out at once. What follows them is done when the disk or the bots give time for
        it, unless somebody waits for the events.
        """
        self._act_on_last()
        if self._feed.is_awaited:
            await self._tell_of_last()
        while not self._must_work:
            if self._inbox or self._last is not None:
                await self._linger()
            if self._must_work:
                return
            await self._tell_of_last()
            if self._inbox:
                return
            self._wake.clear()
            await self._wake.wait()

    @property
    def _must_work(self) -> bool:
        """Whether a batch is due: for what must not wait, or the word that a bot waits for."""
        return self._is_pressing or bool(self._inbox and self._hearing)

    async def _linger(self) -> None:
        """
        Let what may wait do so for a moment, for something to share its commit with.

        Else the reply to one order would hold the disk just when the next order comes in.
        """
        self._pressing.clear()
        enough = asyncio.get_running_loop().call_later(LINGER_S, self._pressing.set)
        await self._pressing.wait()
        enough.cancel()

    def _put(self, message: Message, reply: Reply | None) -> None:
        self._inbox.append((message, reply))
        if reply is not None or not _may_linger(message, is_awaited=self._feed.is_awaited):
            self._is_pressing = True
        if self._must_work:
            self._pressing.set()
        self._wake.set()

    async def _work(self, disk: asyncio.TaskGroup) -> None:
        """Take one batch through to its answers. A cl_ord_id taken long ago makes it start over."""
        while True:
            batch = self._decide_all()
            committed = asyncio.Event()
            disk.create_task(self._commit(batch, committed), name="commit")
            await asyncio.sleep(0)
            # The disk is at work: time for what the batch before calls for, and for words.
            self._act_on_last()
            answers = [reply(result) for reply, result in batch.replies]
            await self._tell_of_last()
            # If it fails, its group ends the engine right here.
            await committed.wait()
            if not batch.taken_ids:
                break
            for cl_ord_id in batch.taken_ids:
                try:
                    async with asyncio.timeout(RECALL_S_MAX):
                        await self.recall.order(cl_ord_id)
                except (Busy, TimeoutError):
                    self._gate.out_of_reach.add(cl_ord_id)
        self._gate.out_of_reach.clear()
        for _ in range(batch.taken):
            self._inbox.popleft()
        self._room.set()
        self.blotter.absorb(batch.stage)
        for answer in answers:
            answer()
        for change in batch.stage.changes:
            # At once: who has an answer and asks history for the order must find it there.
            self._history.note(change.seq, change.entry, change.order)
            if self._hearing and change.order is not None:
                self._hearing.tell(change.order)
        if len(self.blotter) > self._orders_in_memory_max:
            # What evidence was brought back for stays until that is decided.
            waiting = 2 * self._inbox_max if self._returned else 0
            self.blotter.forget(self._orders_in_memory_max + waiting, self._history.applied_seq)
        # Before anything is waited for: what is known to be missing must not be nowhere.
        self.strangers.add(batch.strangers)
        self._last = batch
        # What bots say to their answers is heard first: then the next commit is soon under way.
        await asyncio.sleep(0)

    def _act_on_last(self) -> None:
        """Let the requests of the last durable batch go out."""
        if self._last is not None:
            for action in self._last.actions:
                self._act(action)
            self._last.actions = []

    async def _tell_of_last(self) -> None:
        """Tell everybody of the last durable batch: its requests are out by now."""
        batch, self._last = self._last, None
        if batch is not None and batch.bodies:
            await self._publish(batch.stage.changes, batch.bodies)

    def _decide_all(self) -> "_Batch":
        """Decide about what waits, up to a batch."""
        stage = Stage(self.blotter, self._journal.last_seq + 1)
        batch = _Batch(stage)
        told: list[tuple[Reply, str | BrokerdError | None]] = []
        accepts_orders = self._journal.accepts_orders
        for message, reply in self._inbox:
            if batch.taken >= MESSAGES_PER_BATCH_MAX or len(stage.changes) >= CHANGES_PER_BATCH:
                self._is_pressing = True  # what found no room has waited for its company
                break
            batch.taken += 1
            result: str | BrokerdError | None = self._gate.refusal(
                message, stage, accepts_orders=accepts_orders
            )
            if result is None:
                decision = decide(stage, message)
                batch.add(decision.actions)
                result = decision.reply or getattr(message, "cl_ord_id", None)
            if reply is not None:
                told.append((reply, result))
        # Looked up when all is decided: a later message of the batch may have changed the order.
        batch.replies = [
            (reply, stage.get(result) if isinstance(result, str) else result)
            for reply, result in told
        ]
        return batch

    async def _commit(self, batch: "_Batch", committed: asyncio.Event) -> None:
        """Make a batch's events durable, or note the cl_ord_ids that were taken, if that kept it."""
        self.pending_since_ns = self._clock.monotonic_ns()
        try:
            for chunk in _chunks(batch.stage.changes):
                entries = [change.entry for change in chunk]
                batch.bodies += await self._journal.append(chunk[0].seq, entries)
            self.batches += 1
        except ClOrdIdTaken as error:
            batch.taken_ids = error.taken
        finally:
            self.pending_since_ns = None
        committed.set()

    def limit(self, executor: str, limits: Limits) -> None:
        """Hold an executor's orders to limits. Called before it has any."""
        self._gate.limits[executor] = limits
        self.blotter.weigh(executor)

    def limits_of(self, executor: str) -> Limits | None:
        """Return what an executor's orders are held to; None if they have no limits."""
        return self._gate.limits.get(executor)

    async def _publish(self, changes: list[Change], bodies: list[bytes]) -> None:
        self._feed.publish(changes)
        self._on_changes(changes, bodies)
        if self._history.backlog > HISTORY_BACKLOG_MAX:
            with suppress(Busy):
                await self._history.flush()


def _may_linger(message: Message, *, is_awaited: bool) -> bool:
    """
    Whether a message only says that the venue has an order, which no bot can act on; or, while no
    subscriber waits for events (`is_awaited`), that the venue is done with one.
    """
    words = _ACKNOWLEDGED if is_awaited else _ACKNOWLEDGED_OR_OVER
    if type(message) is Answered and type(message.outcome) is Accepted:
        told = {report.exec_type for report in message.outcome.reports}
        return bool(told) and told <= words  # a silent one is a doubt, and doubts do not wait
    return type(message) is Reported and message.report.exec_type in words


class _Batch:
    """What one batch comes to: how much of the inbox it took, and what follows the commit."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.taken = 0
        self.taken_ids: frozenset[str] = frozenset()
        self.bodies: list[bytes] = []
        self.actions: list[Send | Ask] = []
        self.strangers: list[Stranger] = []
        self.replies: list[tuple[Reply, Result]] = []

    def add(self, actions: Iterable[Action]) -> None:
        """Sort a decision's actions by who carries them out."""
        for action in actions:
            if isinstance(action, Stranger):
                self.strangers.append(action)
            else:
                self.actions.append(action)


def _wake(waiter: asyncio.Future[Order | None], result: Result) -> Callable[[], None]:
    def wake() -> None:
        if waiter.done():
            return
        if isinstance(result, BrokerdError):
            waiter.set_exception(result)
        else:
            waiter.set_result(result)

    return wake


def _chunks(changes: list[Change]) -> Iterable[list[Change]]:
    for start in range(0, len(changes), ENTRIES_MAX):
        yield changes[start : start + ENTRIES_MAX]
