"""
The wall around executors: whatever goes wrong inside one comes out as an error of ours.

The only broad `except`s towards executors stand here. They are other people's code talking to
other people's servers: a bug in one must not stop the others, and after it nobody knows what the
venue did. `Walled` is the wall's one door: the daemon holds executors by nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from traceback import extract_tb
from types import UnionType
from typing import TypeVar

import structlog

from brokerd.errors import ConfigError, OutcomeUnknown, VenueRefused, VenueUnavailable
from brokerd.executor import (
    Accepted,
    Balance,
    CancelOrder,
    Capabilities,
    Executor,
    InDoubt,
    NotSent,
    OrderRef,
    OrderView,
    Outcome,
    PlaceOrder,
    Refused,
    ReplaceOrder,
    Report,
    Snapshot,
    Standing,
)
from brokerd.terms import Instrument, Quote

log = structlog.get_logger(__name__)

T = TypeVar("T")

Kind = type[object] | UnionType | tuple[type[object], ...]

SEE_LOG = "the log has the traceback"

NO_PROMISES = Capabilities(
    repeat_id="nothing",
    validity_window_s=None,
    processing_bound_s=0.0,
    query_lag_s=0.0,
    query_closed=False,
    amend="none",
)
"""What an executor promises that fails to say it."""


@asynccontextmanager
async def guarded(executor: str, deadline_s: float | None) -> AsyncGenerator[None]:
    """
    Run a block that is inside an executor, at most `deadline_s` (None: as long as it takes).

    Raises VenueUnavailable after the deadline and OutcomeUnknown for anything unforeseen, also for
    a cancellation that nobody asked of this task. What an executor may raise passes, and
    ConfigError, which the operator must see.
    """
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except (VenueUnavailable, OutcomeUnknown, VenueRefused, ConfigError):
        raise
    except TimeoutError:
        # An executor may also have a deadline of its own, where there is none of ours.
        within = "in time" if deadline_s is None else f"within {deadline_s:g} s"
        raise VenueUnavailable(f"{executor} gave no answer {within}", reason="no_answer") from None
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        # It waited for a task or future of its own that was cancelled.
        raise _failed(executor, error) from error
    except Exception as error:
        raise _failed(executor, error) from error


def _failed(executor: str, error: BaseException) -> OutcomeUnknown:
    """Log what came out of an executor, and return what to raise for it."""
    log.error("executor_failed", executor=executor, exc_info=error)
    what = f"{executor} failed: {type(error).__name__}"
    return OutcomeUnknown(what, reason="executor_failed", hint=SEE_LOG)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def heed_cancellation() -> None:
    """
    Raise the cancellation of this task that something has swallowed, if there was one.

    Whoever works round by round until cancelled asks at the end of each: a task group passes over
    its parent's cancellation when a child has failed (before Python 3.13), and a library may lose
    one in ways of its own. A task that never hears of it would hold up the end of the daemon.
    """
    if _is_cancelled():
        await asyncio.sleep(0)  # Python 3.13 asks once more: then it comes here
        raise asyncio.CancelledError


@contextmanager
def building(executor: str, adapter: str) -> Generator[None]:
    """Run a block that makes an executor; raises ConfigError for anything that goes wrong in there."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        at = extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"executor {executor} cannot be made: its adapter {adapter} failed:"
            f" {type(error).__name__} at {at.filename}:{at.lineno}",
            hint="mend the adapter, or take the executor out of the configuration",
        ) from error


class Walled:
    """
    An executor as the rest of the daemon knows it: an `Executor` whose faults are foreseen.

    What is answered without waiting raises VenueUnavailable when the executor fails or answers
    with something else, which is logged once until it works again; a quote is then missing,
    and promises are what they last were: figures are worth no order. What is waited for is made
    a coroutine and its answer checked, so that all that is wrong shows inside `guarded`.
    """

    def __init__(self, executor: Executor) -> None:
        self.name = executor.name
        self._executor = executor
        self._failing: set[str] = set()
        self.capabilities = NO_PROMISES
        with suppress(VenueUnavailable):  # `connect` asks again: until then the link stays down
            self.capabilities = self._promised()

    def standing(self) -> Standing:
        """Return how things stand with the venue."""
        return self._ask("standing", self._executor.standing, Standing)

    def resume(self, paused_until_ns: int, reason: str) -> None:
        """Keep a pause that an earlier run was told of."""
        self._ask("resume", lambda: self._executor.resume(paused_until_ns, reason), object)

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of every symbol."""
        return self._ask("instruments", self._executor.instruments, (dict, Mapping))

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest best bid and ask; None if there is none."""
        # Written out, for speed: every order and every report asks for one.
        try:
            quote = self._executor.quote(symbol)
            if quote is not None:
                _sound(quote, Quote)
        except Exception as error:  # noqa: BLE001 - it is logged in there
            self._note_failure("quote", error)
            return None
        if self._failing:
            self._failing.discard("quote")
        return quote

    async def connect(self) -> None:
        """Make ready, and hear what the venue promises."""
        await self._executor.connect()
        self.capabilities = self._promised()

    async def aclose(self) -> None:
        """Let go of everything."""
        await self._executor.aclose()

    async def place(self, request: PlaceOrder) -> Outcome:
        """Send a new order."""
        return _sound(await self._executor.place(request), _OUTCOMES)

    async def cancel(self, request: CancelOrder) -> Outcome:
        """Ask for a cancel."""
        return _sound(await self._executor.cancel(request), _OUTCOMES)

    async def replace(self, request: ReplaceOrder) -> Outcome:
        """Ask for a replace."""
        return _sound(await self._executor.replace(request), _OUTCOMES)

    async def query(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order."""
        return _sound(await self._executor.query(ref), OrderView | None)

    async def snapshot(self, since_ns: int) -> Snapshot:
        """Ask for everything open."""
        return _sound(await self._executor.snapshot(since_ns), Snapshot)

    async def balances(self) -> tuple[Balance, ...]:
        """Ask for the account's balances."""
        return _sound(await self._executor.balances(), tuple)

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Report]]:
        """Subscribe to the venue's reports. Called, entered, read and left inside `guarded`."""
        return self._executor.stream()

    def _promised(self) -> Capabilities:
        return self._ask("capabilities", lambda: self._executor.capabilities, Capabilities)

    def _ask(self, method: str, question: Callable[[], T], kind: Kind) -> T:
        try:
            answer = _sound(question(), kind)
        except Exception as error:
            self._note_failure(method, error)
            raise VenueUnavailable(
                f"{self.name} failed: {type(error).__name__} in {method}",
                reason="executor_failed",
                hint=SEE_LOG,
            ) from error
        if self._failing:
            self._failing.discard(method)
        return answer

    def _note_failure(self, method: str, error: Exception) -> None:
        if method not in self._failing:
            self._failing.add(method)
            log.error("executor_failed", executor=self.name, method=method, exc_info=error)


_OUTCOMES = (Accepted, Refused, NotSent, InDoubt)


def _sound(answer: T, kind: Kind) -> T:
    if not isinstance(answer, kind):
        raise TypeError(f"an executor answered with {type(answer).__name__}")
    return answer
