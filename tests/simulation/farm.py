"""Many seeds on many cores."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.world import Failure, live, stage

SEEDS_AT_ONCE = 20


def live_all(seeds: list[int], jobs: int | None = None) -> Iterator[tuple[int, list[Failure]]]:
    """Yield, as they come, how many seeds are done more, and what is wrong with any of them."""
    jobs = jobs or os.cpu_count() or 1
    pieces = [seeds[at : at + SEEDS_AT_ONCE] for at in range(0, len(seeds), SEEDS_AT_ONCE)]
    if jobs == 1 or len(pieces) == 1:
        yield from ((len(piece), live_some(piece)) for piece in pieces)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for piece, failures in zip(pieces, pool.map(live_some, pieces), strict=True):
            yield len(piece), failures


def live_some(seeds: Iterable[int]) -> list[Failure]:
    """Live through some seeds, one after the other, in this process."""
    with stage():
        return [failure for seed in seeds if (failure := live(seed)) is not None]
