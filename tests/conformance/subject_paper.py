"""The paper executor, whose venue is in the same process: there is no wire, and nothing to count."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance.subjects import Subject

from brokerd.clock import SystemClock
from brokerd_adapters.paper import Fault, Faults, PaperConfig, PaperExecutor


@asynccontextmanager
async def subject(directory: Path) -> AsyncGenerator[Subject]:
    """Make it with a market that nearly stands still."""
    executor = PaperExecutor(
        "paper",
        PaperConfig(speed=1e-6),
        clock=SystemClock(),
        state_dir=directory,
        base_dir=directory,
    )

    def befall(fault: Fault) -> Callable[[], None]:
        return lambda: executor.misbehave(Faults(script=(fault,)))

    yield Subject(
        executor=executor,
        symbol="BTCUSDT",
        befall={
            "lose_request": befall(Fault.LOSE_REQUEST),
            "lose_reply": befall(Fault.LOSE_REPLY),
            "unavailable": befall(Fault.UNAVAILABLE),
        },
        cut=lambda: executor._host.cut("the test cut it"),
    )
