"""
Virtual time, and an asyncio loop that runs on it.

When nothing is ready the clock jumps to the next timer, so that an hour costs what happens in it.
One order of events, decided by time and then by who was first: a run can be repeated call for call.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from itertools import count
from typing import Any

from tests.simulation.story import STARTS_S

STEPS_AT_ONCE_MAX = 50_000
"""Calls without the clock moving on: whoever needs more is a busy loop."""


class BusyLoop(AssertionError):
    """The daemon works and works and no time passes."""


class Time:
    """The one queue of what will happen. `now_s` only grows; nothing more happens once it `is_over`."""

    def __init__(self) -> None:
        self.now_s = STARTS_S
        self.is_over = False
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = count()
        self.loop: VirtualLoop | None = None

    def at(self, when_s: float, call: Callable[..., None], *args: Any) -> None:
        """Call at a time; who asked first comes first."""
        heapq.heappush(self._due, (when_s, next(self._number), call, args))

    def after(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """Call after a delay."""
        self.at(self.now_s + delay_s, call, *args)

    def run(self, until_s: float) -> None:
        """Let everything happen that is due until then."""
        while True:
            if self.loop is not None:
                self.loop.run_ready()
            if self.is_over:
                return
            if not self._due or self._due[0][0] > until_s:
                break
            when_s, _, call, args = heapq.heappop(self._due)
            if when_s > self.now_s:
                self.now_s = when_s
                if self.loop is not None:
                    self.loop.steps_at_once = 0
            call(*args)
        self.now_s = until_s


class Call(asyncio.TimerHandle):
    """What asyncio's handles are, without what a seed never asks of its two thousand."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self._callback = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._cancelled = False

    def __repr__(self) -> str:
        return f"{self._callback!r} of {self._args!r}"

    def cancel(self) -> None:
        """Make it pass by: it stays where it waits."""
        self._cancelled = True

    def run(self) -> None:
        """Do it, unless it was cancelled; raises what it raises."""
        if not self._cancelled:
            self._context.run(self._callback, *self._args)


class VirtualLoop(asyncio.AbstractEventLoop):
    """
    The loop of one run of the daemon. `end` may come between any two of its calls.

    `kill_in` counts down with every call; at 0 `on_kill` is called between two of them.
    """

    def __init__(
        self,
        time: Time,
        on_kill: Callable[[], None],
        on_error: Callable[[BaseException | None], None],
    ) -> None:
        self._time = time
        self._ready: deque[Call] = deque()
        self._on_kill = on_kill
        self._on_error = on_error
        self.kill_in: int | None = None
        self.is_over = False
        self.steps_at_once = 0

    def run_ready(self) -> None:
        """Run what is ready, and what that makes ready, until nothing is."""
        ready = self._ready
        while ready and not self.is_over:
            if self.kill_in is not None:
                self.kill_in -= 1
                if self.kill_in <= 0:
                    self.kill_in = None
                    self._on_kill()
                    return
            call = ready.popleft()
            self.steps_at_once += 1
            if self.steps_at_once > STEPS_AT_ONCE_MAX:
                raise BusyLoop(f"{STEPS_AT_ONCE_MAX} calls and no time passed: {call!r}")
            self._run(call)

    def end(self) -> None:
        """Take the run to pieces: its tasks are cancelled, and nothing they do is seen outside."""
        self.is_over = True
        for task in asyncio.all_tasks(self):
            task.cancel()
        budget = STEPS_AT_ONCE_MAX
        while self._ready and budget:
            budget -= 1
            self._run(self._ready.popleft())
        self._ready.clear()

    def _run(self, call: Call) -> None:
        try:
            call.run()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - as asyncio does: a violation is one, too
            self.call_exception_handler({"exception": error})

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._time.now_s

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Call:
        call = Call(callback, args, context)
        self._ready.append(call)
        return call

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Call:
        return self.call_at(self._time.now_s + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Call:
        call = Call(callback, args, context)
        if not self.is_over:
            self._time.at(when, self._due, call)
        return call

    def _due(self, call: Call) -> None:
        if not self.is_over and not call.cancelled():
            self._ready.append(call)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, **kwargs)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_over:
            self._on_error(context.get("exception"))
