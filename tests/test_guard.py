"""The wall around executors: whatever goes wrong inside one comes out as an error of ours."""

import asyncio

import pytest

from brokerd.errors import ConfigError, InvalidOrder, OutcomeUnknown, VenueUnavailable
from brokerd.guard import guarded


async def enter(error: BaseException | None, deadline_s: float | None = 5.0) -> str:
    async with guarded("sim", deadline_s):
        if error is not None:
            raise error
    return "went well"


async def test_what_goes_well_goes_through() -> None:
    assert await enter(None) == "went well"


@pytest.mark.parametrize(
    "error", [VenueUnavailable("down"), OutcomeUnknown("lost"), ConfigError("no key")]
)
async def test_what_an_executor_may_raise_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await enter(error)
    assert caught.value is error


@pytest.mark.parametrize(
    "error",
    [ValueError("secret"), KeyError("x"), ExceptionGroup("g", [OSError()]), InvalidOrder("x")],
)
async def test_anything_else_is_an_unknown_outcome_without_its_words(error: Exception) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        await enter(error)
    assert caught.value.reason == "executor_failed"
    assert type(error).__name__ in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_no_answer_within_the_deadline_is_no_answer() -> None:
    with pytest.raises(VenueUnavailable, match=r"sim gave no answer within 0\.01 s"):
        async with guarded("sim", 0.01):
            await asyncio.Event().wait()


async def test_a_timeout_of_the_executors_own_is_no_answer_either() -> None:
    """There is no deadline of ours on a stream; a library's timeout must not break the sentence."""
    with pytest.raises(VenueUnavailable, match="sim gave no answer in time"):
        await enter(TimeoutError(), None)
