"""A power cut at any write or sync of the journal never takes a row that was acknowledged."""

import random
from pathlib import Path

import pytest
from tests.power_cut import lost, recorded

from brokerd.journal.store import PRAGMAS

MOMENTS = 30


def some(count: int, seed: int) -> set[int]:
    return set(random.Random(seed).sample(range(count), MOMENTS))


@pytest.mark.parametrize("seed", range(3))
async def test_no_acknowledged_row_is_lost_to_a_power_cut(tmp_path: Path, seed: int) -> None:
    log = await recorded(tmp_path, seed)
    assert lost(log, some(len(log), seed), seed) == []
    checkpoints = sum(io.verb == "sync" and io.file == "journal.db" for io in log)
    assert checkpoints >= 2, "the run is too short to prove anything about checkpoints"


async def test_a_journal_that_does_not_sync_loses_rows(tmp_path: Path) -> None:
    """The proof that the test above can fail."""
    careless = tuple(each.replace("synchronous = FULL", "synchronous = OFF") for each in PRAGMAS)
    assert careless != PRAGMAS
    log = await recorded(tmp_path, 1, careless)
    assert any("told" in each for each in lost(log, some(len(log), 1), 1))
