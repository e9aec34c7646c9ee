"""Many seeds on many cores."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.world import Lived, live, stage

SEEDS_AT_ONCE = 20


def live_all(seeds: list[int], jobs: int | None = None) -> Iterator[list[Lived]]:
    """Yield, as they come, the seeds that are done more."""
    jobs = jobs or os.cpu_count() or 1
    pieces = [seeds[at : at + SEEDS_AT_ONCE] for at in range(0, len(seeds), SEEDS_AT_ONCE)]
    if jobs == 1 or len(pieces) == 1:
        yield from map(live_some, pieces)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(live_some, pieces)


def live_some(seeds: Iterable[int]) -> list[Lived]:
    """Live through some seeds, one after the other, in this process."""
    with stage():
        return [live(seed) for seed in seeds]
