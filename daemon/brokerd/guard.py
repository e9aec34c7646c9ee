"""
The wall around executors: whatever goes wrong inside one comes out as an error of ours.

The only broad `except`s towards executors stand here. They are other people's code talking to
other people's servers: a bug in one must not stop the others, and after it nobody knows what the
venue did.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from brokerd.errors import ConfigError, OutcomeUnknown, VenueRefused, VenueUnavailable
from brokerd.executor import Executor
from brokerd.terms import Quote

log = structlog.get_logger(__name__)


@asynccontextmanager
async def guarded(executor: str, deadline_s: float | None) -> AsyncGenerator[None]:
    """
    Run a block that is inside an executor, at most `deadline_s` (None: as long as it takes).

    Raises VenueUnavailable after the deadline and OutcomeUnknown for anything unforeseen. What an
    executor may raise passes, and ConfigError, which the operator must see.
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
    except Exception as error:
        log.exception("executor_failed", executor=executor)
        raise OutcomeUnknown(
            f"{executor} failed: {type(error).__name__}",
            reason="executor_failed",
            hint="the log has the traceback",
        ) from error


async def heed_cancellation() -> None:
    """
    Raise the cancellation of this task that something has swallowed, if there was one.

    Whoever works round by round until cancelled asks at the end of each: a task group passes over
    its parent's cancellation when a child has failed (before Python 3.13), and a library may lose
    one in ways of its own. A task that never hears of it would hold up the end of the daemon.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await asyncio.sleep(0)  # Python 3.13 asks once more: then it comes here
        raise asyncio.CancelledError


def quote_seen(executor: Executor, symbol: str) -> Quote | None:
    """Return the executor's latest quote; None if it has none, or fails: figures are worth no order."""
    try:
        return executor.quote(symbol)
    except Exception:
        log.exception("executor_failed", executor=executor.name)
        return None
