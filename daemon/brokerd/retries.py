"""
How long to wait before trying again: the one place that speaks to the backoff library.

Only what certainly did not happen is tried again. A venue's Retry-After is a floor under the
exponential wait, never shortened by jitter.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import backoff
import structlog

from brokerd.errors import OutcomeUnknown, VenueUnavailable

FIRST_DELAY_S = 0.1
DELAY_S_MAX = 30.0

HEALTHY_AFTER_S = 60.0
"""How long a connection must have lasted for its end not to count as one more failure."""

WORTH_ASKING_AGAIN = (VenueUnavailable, OutcomeUnknown)
"""What a question may come to that was not answered: a refusal would only be repeated."""

log = structlog.get_logger(__name__)

T = TypeVar("T")


def delay_s(attempt: int, retry_after_s: float | None = None) -> float:
    """Return the wait before attempt `attempt` + 1: exponential with full jitter, in seconds."""
    ceiling_s = min(FIRST_DELAY_S * 2 ** min(attempt, 16), DELAY_S_MAX)
    return max(backoff.full_jitter(ceiling_s), retry_after_s or 0.0)


def failures(before: int, lasted_s: float) -> int:
    """Return how often in a row a connection has failed, now that one ended that lasted so long."""
    return 0 if lasted_s >= HEALTHY_AFTER_S else before + 1


async def ask_again(
    question: Callable[[], Awaitable[T]], *, what: str, tries_max: int, time_s_max: float
) -> T:
    """
    Put a question that changes nothing, again while the venue does not answer.

    Raises the last VenueUnavailable or OutcomeUnknown after `tries_max` tries or `time_s_max`, or
    when the venue wants to be left alone for longer than that. Each try needs a deadline of its own.
    """
    give_up_s = asyncio.get_running_loop().time() + time_s_max
    try:
        return await question()
    except WORTH_ASKING_AGAIN as error:
        first = error
    # Nearly every question is answered at once, and the library takes longer to set up than to ask.
    return await _ask_on(question, first, what, tries_max, give_up_s)


async def _ask_on(
    question: Callable[[], Awaitable[T]],
    first: Exception,
    what: str,
    tries_max: int,
    give_up_s: float,
) -> T:
    """Go on with a question whose first try came to `first`."""
    tries = iter(range(1, tries_max + 1))
    failed = [first]
    loop = asyncio.get_running_loop()

    async def ask() -> T:
        if failed:
            raise failed.pop()
        return await question()

    def wait_s(error: Exception) -> float:
        return delay_s(next(tries), _retry_after_s(error))

    def is_vain(error: Exception) -> bool:
        # The library would cut the wait short, and ask a venue that said when not to.
        return loop.time() + (_retry_after_s(error) or 0.0) > give_up_s

    def tell(details: Mapping[str, object]) -> None:
        log.warning("question_repeated", what=what, why=str(details.get("exception")))

    # Its `logger` is a bare generic, the one unknown in its type.
    patiently = backoff.on_exception(  # pyright: ignore[reportUnknownMemberType]
        backoff.runtime,
        WORTH_ASKING_AGAIN,
        value=wait_s,
        max_tries=tries_max,
        max_time=give_up_s - loop.time(),
        jitter=None,
        giveup=is_vain,
        on_backoff=tell,
        logger=None,
    )
    return await patiently(ask)()


def _retry_after_s(error: Exception) -> float | None:
    told: float | None = getattr(error, "extra", {}).get("retry_after_s")
    return told
