"""
The desk: engine, feed and links put together, and how they start.

What runs here is the same for the daemon, on its disk and its sockets, and for the simulator, on a
disk and a venue of its own: journal, history, clock and executors come from outside.
"""

import asyncio
from collections.abc import Callable

import structlog

from brokerd import __version__
from brokerd.blotter import Blotter, Change
from brokerd.config.load import DaemonConfig
from brokerd.engine import Engine
from brokerd.events import DaemonStarted, ExecutorSynced
from brokerd.executor import Clock, Executor
from brokerd.feed import Feed
from brokerd.guard import Walled
from brokerd.limits import Limits
from brokerd.link import Link
from brokerd.links import Links, doubt_outstanding
from brokerd.sampler import Sampler
from brokerd.storage import History, Journal
from brokerd.times import NS_PER_S

PAUSE_DISTRUST_NS = 3_600 * NS_PER_S
"""How much of a pause is waited for anew, whatever the clock says has passed between two runs."""

log = structlog.get_logger(__name__)


class Desk:
    """
    Everything that works on orders. `add` its executors, then `start` it.

    `on_changes` gets the events of each commit, and their journalled bodies, in journal order.
    """

    def __init__(
        self,
        config: DaemonConfig,
        clock: Clock,
        journal: Journal,
        history: History,
        *,
        on_changes: Callable[[list[Change], list[bytes]], None],
    ) -> None:
        self.feed = Feed(journal)
        self.links = Links()
        self.engine = Engine(
            journal=journal,
            history=history,
            blotter=Blotter(),
            feed=self.feed,
            clock=clock,
            act=self.links.act,
            on_changes=self._on_changes,
            inbox_max=config.inbox_max,
            orders_in_memory_max=config.orders_in_memory_max,
        )
        self._config = config
        self._clock = clock
        self._journal = journal
        self._history = history
        self._told = on_changes
        self._sampler = Sampler(self.engine, self.links, clock)
        self._at_work: list[asyncio.Task[None]] = []

    def add(
        self,
        adapter: str,
        executor: Executor,
        known_until_ns: int,
        limits: Limits | None = None,
    ) -> None:
        """Take in an executor and what works for it; the journal knows it up to `known_until_ns`."""
        executor = Walled(executor)
        if limits is not None:
            self.engine.limit(executor.name, limits)
        self.links.add(
            Link(
                adapter,
                executor,
                self.engine,
                self._clock,
                self._config,
                known_until_ns=known_until_ns,
            )
        )

    async def start(self, group: asyncio.TaskGroup, epoch: str) -> list[asyncio.Task[None]]:
        """
        Load what is not settled, put the new run on record, doubt what the last one left open.

        Returns the tasks, all in `group`, that work until they are cancelled.
        """
        # History is asked before this run writes: on a full disk it could not follow.
        newest = await self._journal.rows([self._journal.last_seq])
        known_until_ns = newest[0].entry.event.at_ns if newest else 0
        now_ns = self._clock.now_ns()
        await self._recall()
        await self._resume(known_until_ns, now_ns)
        tasks = [
            group.create_task(self.engine.run(), name="engine"),
            group.create_task(self._history.run(), name="history"),
        ]
        started = DaemonStarted(at_ns=now_ns, version=__version__, epoch=epoch)
        await self.engine.note(started)
        await self._doubt_outstanding(now_ns)
        self._at_work = [
            group.create_task(self._sampler.run(), name="sampler"),
            *(group.create_task(link.run(), name=f"{link.name}-link") for link in self.links),
        ]
        return tasks + self._at_work

    async def rest(self) -> None:
        """Let go of the venues: what comes on record from here on is what is handed to the engine."""
        for task in self._at_work:
            task.cancel()
        await asyncio.wait(self._at_work)

    async def _recall(self) -> None:
        """Load what is not settled: the read model's unsettled part is the snapshot."""
        exec_ids = await self._history.unsettled_exec_ids()
        for order in await self._history.unsettled():
            self.engine.blotter.remember(order, exec_ids.get(order.cl_ord_id, ()))

    async def _resume(self, known_until_ns: int, now_ns: int) -> None:
        """
        Begin each link where the last run was in sync, and in the pause it was told to make.

        Where no run ever was, it begins with the first order that is not settled.
        """
        for each in self.links:
            unsettled = self.engine.blotter.unsettled(each.name)
            if unsettled:
                each.poller.resume(min(order.created_at_ns for order in unsettled))
        for mark in await self._history.marks():
            link = self.links.by_name.get(mark.executor)
            if link is None:
                continue
            if isinstance(mark, ExecutorSynced):
                link.poller.resume(mark.synced_ns)
            else:
                until_ns = still_paused_until(mark.paused_until_ns, known_until_ns, now_ns)
                link.pauses.resume(until_ns, mark.reason)

    async def _doubt_outstanding(self, now_ns: int) -> None:
        blotter = self.engine.blotter
        for name in blotter.executors():
            orders = blotter.unsettled(name)
            link = self.links.by_name.get(name)
            if link is None:
                log.error("orders_without_executor", executor=name, orders=len(orders))
            else:
                await doubt_outstanding(self.engine, link, orders, now_ns)

    def _on_changes(self, changes: list[Change], bodies: list[bytes]) -> None:
        self._told(changes, bodies)
        self.links.watch(changes)
        self._sampler.watch(changes)


def still_paused_until(paused_until_ns: int, known_until_ns: int, now_ns: int) -> int:
    """
    Return until when a pause of an earlier run is to be kept; `known_until_ns` is its last stamp.

    What was left of it then, up to an hour, is waited for from now on: the clock may have been set
    between the runs, and who asks too early is banned for longer.
    """
    left_ns = max(paused_until_ns - known_until_ns, 0)
    return max(paused_until_ns, now_ns + min(left_ns, PAUSE_DISTRUST_NS))
