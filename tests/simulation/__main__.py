"""
Live through seeds and see what breaks.

    python -m tests.simulation --seeds 200 --from 0

Prints the story of every seed that fails, with the command that repeats it; exit status 1 if one did.
"""

# ruff: noqa: T201 - a program that prints

import argparse
import sys
import time

from tests.simulation.farm import live_all
from tests.simulation.pinned import pinned_seeds
from tests.simulation.world import Failure, Lived

from brokerd.cli.progress import Progress


def main() -> int:
    """Read the arguments, live, tell; return the exit status."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (200)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first (0)")
    parser.add_argument("--jobs", type=int, help="processes (one a core)")
    parser.add_argument("--pinned", action="store_true", help="the seeds that ever failed, first")
    asked = parser.parse_args()
    seeds = list(range(asked.first, asked.first + asked.seeds))
    if asked.pinned:
        seeds = [*pinned_seeds(), *seeds]
    began_s, done = time.monotonic(), list[Lived]()
    with Progress("seeds") as progress:
        for lived in live_all(seeds, asked.jobs):
            done += lived
            progress(len(done), len(seeds))
            for failure in _failures(lived):
                progress.clear()
                print(told(failure), flush=True)
    failed, lasted_s = len(_failures(done)), time.monotonic() - began_s
    print(f"{len(done):,} seeds, {failed:,} failed, {len(done) / lasted_s:,.0f} seeds/s")
    print(
        f"{sum(each.orders for each in done):,} orders,"
        f" {sum(each.questions for each in done):,} questions about them,"
        f" {max((each.questions_most for each in done), default=0):,} about one at the most"
    )
    return 1 if failed else 0


def _failures(lived: list[Lived]) -> list[Failure]:
    return [each.failure for each in lived if each.failure is not None]


def told(failure: Failure) -> str:
    """Return a failure's story, with the command that repeats it."""
    return (
        f"\nseed {failure.seed}: {failure.invariant}: {failure.what}\n{failure.story}\n"
        f"again: make simulate SEEDS=1 FROM={failure.seed}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
