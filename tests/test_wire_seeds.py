"""A hundred seeds on a real wire for each dialect: none lost, none twice, quantities equal."""

import pytest
from tests.wire_seeds import DIALECTS, run_seeds

from brokerd import dispatch
from brokerd.executor import InDoubt, NotSent, Outcome
from brokerd.orders import Order, Request

SEEDS, PIECES = 100, 4


@pytest.mark.timeout(600)
@pytest.mark.parametrize("piece", range(PIECES))
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_whatever_the_wire_does_nothing_is_lost_and_nothing_twice(
    dialect: str, piece: int
) -> None:
    totals, failed = await run_seeds(dialect, list(range(piece, SEEDS, PIECES)))
    assert failed == {}
    assert totals["orders"] > SEEDS / PIECES
    assert totals["doubts"] > 0
    assert totals["fills"] > 0


@pytest.mark.timeout(600)
async def test_a_build_that_repeats_what_it_is_not_sure_of_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proof that the test above can fail."""
    call = dispatch.Dispatch._call

    async def sure_of_itself(self: dispatch.Dispatch, order: Order, request: Request) -> Outcome:
        outcome = await call(self, order, request)
        if isinstance(outcome, InDoubt):
            return NotSent(reason="surely_not", evidence=outcome.evidence)
        return outcome

    monkeypatch.setattr(dispatch.Dispatch, "_call", sure_of_itself)
    for first in range(0, SEEDS, 20):
        _, failed = await run_seeds("binance", list(range(first, first + 20)))
        if failed:
            return
    pytest.fail("no seed caught it")
