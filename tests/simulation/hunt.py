"""
Hunt the mutants: every weakened build must be caught, or the machinery proves nothing.

    python -m tests.simulation.hunt

Prints a table of what caught each; exit status 1 if one survives.
"""

# ruff: noqa: T201 - a program that prints

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from msgspec import Struct
from tests.simulation.mutants import MUTANTS, Mutant, applied
from tests.simulation.world import LIVES, live, stage

from brokerd.cli.progress import Progress


class Caught(Struct, frozen=True):
    """What caught a mutant, by which seed or test, and the promise that was broken."""

    name: str
    by: str = ""
    seed: str = ""
    invariant: str = "SURVIVES"


FAILED = 1
"""The exit status of pytest when a test failed."""


def main() -> int:
    """Hunt every mutant; print the table; return 1 if one survives."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "--seeds", type=int, default=500, help="how many seeds each must live (500)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("names", nargs="*", help="only these")
    asked = parser.parse_args()
    hunted = [each for each in MUTANTS if not asked.names or each.name in asked.names]
    rows: list[Caught] = []
    with Progress("mutants") as progress, ProcessPoolExecutor(asked.jobs) as pool:
        progress(0, len(hunted))
        numbers = [MUTANTS.index(each) for each in hunted]
        for caught in pool.map(_hunt, numbers, [asked.seeds] * len(numbers)):
            rows.append(caught)
            progress.clear()
            print(
                f"{caught.name:42} {caught.by:14} {caught.seed:>6}  {caught.invariant}", flush=True
            )
            progress(len(rows), len(hunted))
    survivors = [each.name for each in rows if not each.by]
    tested = sum(each.by == "test" for each in rows)
    print(
        f"{len(rows)} mutants, {len(rows) - tested - len(survivors)} caught by the simulator,"
        f" {tested} by a test, {len(survivors)} survive {'  '.join(survivors)}".rstrip()
    )
    return 1 if survivors else 0


def hunt(mutant: Mutant, seeds: Iterable[int]) -> Caught:
    """Let a mutant live through seeds until one catches it, or face the test that it names."""
    if mutant.test is not None:
        is_caught = _fails(mutant.test, mutant)
        return Caught(mutant.name, "test", "", mutant.test) if is_caught else Caught(mutant.name)
    with stage(), applied(mutant):
        for seed in seeds:
            failure = live(seed).failure
            if failure is not None and failure.invariant == LIVES and not mutant.ends:
                raise RuntimeError(f"{mutant.name} is a broken patch: {failure.what}")
            if failure is not None:
                return Caught(mutant.name, "simulator", str(seed), failure.invariant)
    return Caught(mutant.name)


def _hunt(number: int, seeds_max: int) -> Caught:
    return hunt(MUTANTS[number], range(seeds_max))


def _fails(test: str, mutant: Mutant) -> bool:
    """Say whether a test fails on the weakened build."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    environ = {**os.environ, "BROKERD_MUTANT": mutant.name}
    done = subprocess.run(command, env=environ, capture_output=True, check=False)
    return done.returncode == FAILED


if __name__ == "__main__":
    sys.exit(main())
