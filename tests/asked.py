"""A link whose questions and looks are at work on a scripted venue, its listener left out."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.scripted import CLOCK, House, ScriptedExecutor, house, submit

from brokerd.events import RequestKind
from brokerd.executor import Clock, InDoubt, OrderView, Outcome, Snapshot
from brokerd.messages import Answered, Ask


class Desk:
    def __init__(self, home: House, venue: ScriptedExecutor, clock: Clock, **config: float) -> None:
        self.home, self.venue = home, venue
        self.link = home.link(venue, clock, **config)
        self.questions = self.link.questions
        self.waits: list[float] = []
        schedule = self.questions._schedule

        def noted(cl_ord_id: str, delay_s: float, interval_s: float) -> None:
            self.waits.append(delay_s)
            schedule(cl_ord_id, delay_s, interval_s)

        self.questions._schedule = noted  # type: ignore[method-assign]

    async def submitted(self, outcome: Outcome | None = None) -> None:
        await self.home.engine.do(submit(at_ns=CLOCK.now_ns()))
        if outcome is not None:
            now_ns = CLOCK.now_ns()
            await self.home.engine.settle(
                Answered("x", RequestKind.NEW, 1, outcome, now_ns, now_ns)
            )

    async def doubted(self) -> None:
        await self.submitted(InDoubt(evidence="lost"))

    def snapshot(self, *orders: OrderView, **members: object) -> None:
        shown = {"began_ns": CLOCK.now_ns(), "since_ns": 0, "executions": (), **members}
        self.venue.snapshots.append(Snapshot(orders=orders, **shown))  # type: ignore[arg-type]


@asynccontextmanager
async def desk(
    directory: Path,
    deadline_s: float = 5.0,
    floor_s: float = 600,
    clock: Clock = CLOCK,
    **promises: object,
) -> AsyncGenerator[Desk, None]:
    async with house(directory) as home:
        venue = ScriptedExecutor(**promises)
        at = Desk(home, venue, clock, request_deadline_s=deadline_s, poll_floor_s=floor_s)
        home.act = lambda action: (
            at.questions.ask(action.order)
            if isinstance(action, Ask)
            else home.actions.append(action)
        )
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(at.questions.run()),
                group.create_task(at.link.poller.run()),
            ]
            at.link.in_sync.begin()
            yield at
            for task in tasks:
                task.cancel()
