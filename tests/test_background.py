"""An adapter's tasks beside its calls: faults stay where they are, and the end ends them all."""

import asyncio
from contextlib import suppress

from structlog.testing import capture_logs
from tests.scripted import until

from brokerd_adapters.kit import Background


async def test_a_fault_is_logged_and_ends_one_task_alone() -> None:
    ticks = 0

    async def broken() -> None:
        raise KeyError("what nobody foresaw")

    async def steady() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async with Background("binance") as background:
        background.start(steady, "steady")
        with capture_logs() as logs:
            failed = background.start(broken, "broken")
            await until(failed.done)
        so_far = ticks
        await until(lambda: ticks > so_far, "the other goes on")
    failures = [each for each in logs if each["event"] == "background_task_failed"]
    assert [(each["executor"], each["task"]) for each in failures] == [("binance", "broken")]


async def test_its_end_cancels_every_task_also_one_that_has_not_begun() -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("endless")

    background = Background("binance")
    assert not background.is_open
    async with background:
        assert background.is_open
        begun = background.start(endless, "begun")
        await asyncio.sleep(0)
        not_begun = background.start(endless, "not-begun")
    assert not background.is_open
    assert begun.cancelled()
    assert not_begun.cancelled()
    assert ended == ["endless"]


async def test_its_end_cancels_again_what_has_lost_a_cancellation() -> None:
    async def deaf_once() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        async with Background("binance") as background:
            task = background.start(deaf_once, "deaf")
            await asyncio.sleep(0)
        assert task.cancelled()
