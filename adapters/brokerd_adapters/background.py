"""The tasks that an adapter has beside its calls: a clock to measure, a market to follow."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

import structlog

from brokerd.errors import BrokerdError
from brokerd.guard import guarded

Work = Callable[[], Coroutine[None, None, None]]

CANCEL_AGAIN_S = 0.5

log = structlog.get_logger(__name__)


class Background:
    """
    An async context manager, entered in `connect` and left in `aclose`; its end cancels every task.

    A fault of one is logged and ends that one alone: the listener, whose task all of this runs in,
    goes on.
    """

    def __init__(self, name: str) -> None:
        self.is_open = False
        self._name = name
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self.is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_open = False
        try:
            # A library may lose a cancellation that comes just as its own timeout does.
            while running := tuple(self._running):
                for task in running:
                    task.cancel()
                await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
        finally:
            await self._group.__aexit__(kind, error, trace)

    def start(self, work: Work, what: str) -> asyncio.Task[None]:
        """Begin a task while it is open; it may be cancelled by itself, too."""
        task = self._group.create_task(self._guarded(work, what), name=f"{self._name}-{what}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _guarded(self, work: Work, what: str) -> None:
        try:
            async with guarded(self._name, None):
                await work()
        except BrokerdError as error:
            log.error("background_task_failed", executor=self._name, task=what, why=str(error))  # noqa: TRY400 - the guard has logged the traceback
