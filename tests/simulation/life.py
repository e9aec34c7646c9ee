"""One run of the daemon, from its start to its end: the production desk on a loop of its own."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.simulation.bots import Answer, Ask, Methods
from tests.simulation.disk import MemoryHistory, MemoryJournal
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import SimulatedExecutor

from brokerd.blotter import Change
from brokerd.clock import SteadyClock
from brokerd.desk import Desk
from brokerd.enquiries import Enquiries
from brokerd.errors import BrokerdError
from brokerd.events import DaemonStopped
from brokerd.ids import Ids
from brokerd.trading import Trading

if TYPE_CHECKING:
    from tests.simulation.world import World

GRACE_S = 3.0
TICK_S = 0.005


def draw_epoch(seed: int, run: int) -> str:
    """Draw the epoch of a run, as `brokerd.ids.new_epoch` does from the system's dice."""
    dice = random.Random(f"epoch {seed}/{run}")
    return "".join(dice.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(10))


class Life:
    """
    One run. It ends by `kill`, by `stop`, or by itself, and `on_end` is told of the last two.

    `is_serving` is whether bots find a socket to talk to.
    """

    def __init__(
        self, world: "World", number: int, on_end: Callable[[BaseException | None], None]
    ) -> None:
        self.is_serving = False
        self.methods: Methods
        self._world = world
        self._on_end = on_end
        self._asked_to_stop = asyncio.Event()
        self.loop = VirtualLoop(world.time, on_kill=world.kill, on_error=world.fail)
        world.time.loop = self.loop
        asyncio._set_running_loop(self.loop)
        # The daemon's own dice (the jitter of a backoff) are the seed's, too.
        random.seed(f"{world.seed}/{number}")
        self.epoch = draw_epoch(world.seed, number)
        self.journal = MemoryJournal(world.disk)
        self.history = MemoryHistory(self.journal)
        self.clock = SteadyClock(world.clock)
        newest = world.disk.rows[-1].entry.event.at_ns if world.disk.rows else 0
        self.clock.follow(newest)
        self.desk = Desk(
            world.config, self.clock, self.journal, self.history, on_changes=self._on_changes
        )
        for name, network in world.networks.items():
            executor = SimulatedExecutor(
                network, self.clock, world.oracle, is_over=lambda: self.loop.is_over
            )
            self.desk.add("simulated", executor, newest, world.limits[name])
        self._main = self.loop.create_task(self._run(), name="main")
        self._main.add_done_callback(self._ended)

    def end(self) -> None:
        """Take the run out of the world, as a kill does."""
        self.is_serving = False
        self.journal.is_over = True
        self.loop.end()
        self._world.time.loop = None
        asyncio._set_running_loop(None)

    def stop(self) -> None:
        """Ask for an orderly stop."""
        self._asked_to_stop.set()

    def call(self, ask: Ask, answer: Callable[[Answer], None]) -> None:
        """Answer a bot's question in a task of its own."""
        task = self.loop.create_task(self._answer(ask, answer))
        task.add_done_callback(self._answered)

    async def _answer(self, ask: Ask, answer: Callable[[Answer], None]) -> None:
        try:
            found: Answer = await ask(self.methods)
        except BrokerdError as error:
            found = error
        if not self.loop.is_over:
            answer(found)

    def _answered(self, task: asyncio.Task[None]) -> None:
        if not self.loop.is_over and not task.cancelled() and task.exception() is not None:
            self._world.fail(task.exception())

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = await self.desk.start(group, self.epoch)
            self._world.oracle.on_start(self.desk.engine.blotter)
            engine, links = self.desk.engine, self.desk.links
            self.methods = Methods(
                Trading(engine=engine, links=links, clock=self.clock, ids=Ids(self.epoch)),
                Enquiries(
                    engine=engine,
                    history=self.history,  # type: ignore[arg-type]
                    links=links,
                    clock=self.clock,
                ),
            )
            tasks.append(group.create_task(self._watch(), name="watcher"))
            self.is_serving = True
            await self._asked_to_stop.wait()
            await self._wind_down()
            for task in tasks:
                task.cancel()

    async def _wind_down(self) -> None:
        engine, links = self.desk.engine, self.desk.links
        engine.stop_taking()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                while engine.backlog or any(link.dispatch.is_busy for link in links):  # noqa: ASYNC110 - as the supervisor does
                    await asyncio.sleep(TICK_S)
        self.is_serving = False
        await engine.note(DaemonStopped(at_ns=self.clock.now_ns(), reason="asked"))

    async def _watch(self) -> None:
        """Follow the events as a bot does: from where it was, across all runs."""
        world, feed = self._world, self.desk.feed
        while True:
            await feed.wait(world.watched_seq)
            told = await feed.read(world.watched_seq, 50)
            if not told:
                world.oracle.violated(
                    "seq has no gap", "", f"nothing is told after {world.watched_seq}"
                )
            for seq, entry in told:
                if seq != world.watched_seq + 1:
                    world.oracle.violated(
                        "seq has no gap", "", f"{seq} follows {world.watched_seq}"
                    )
                if seq > world.disk.synced:
                    world.oracle.violated(
                        "acknowledged means durable", "", f"told of {seq} too early"
                    )
                if entry != world.disk.rows[seq - 1].entry:
                    world.oracle.violated(
                        "replay equals memory", "", f"row {seq} was told otherwise"
                    )
                world.watched_seq = seq

    def _on_changes(self, changes: list[Change], bodies: list[bytes]) -> None:
        self._world.oracle.on_commit(changes, self.desk.engine.blotter)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self.loop.is_over:
            self._on_end(None if task.cancelled() else task.exception())
