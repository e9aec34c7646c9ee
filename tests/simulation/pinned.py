"""The seeds that ever failed: a file of numbers, each with what it found."""

from pathlib import Path

from msgspec import Struct

FAILED_SEEDS = Path(__file__).with_name("failed_seeds.txt")


class Pin(Struct, frozen=True):
    """A seed that is always run. `mutant` is the weakened build, if any, that it must catch."""

    seed: int
    mutant: str = ""


def pins() -> list[Pin]:
    """Return the lines of failed_seeds.txt."""
    lines = FAILED_SEEDS.read_text(encoding="utf-8").splitlines()
    words = [line.split("#")[0].split() for line in lines]
    return [Pin(int(seed), " ".join(mutant)) for seed, *mutant in filter(None, words)]


def pinned_seeds() -> list[int]:
    """Return the seeds of failed_seeds.txt, each once."""
    return list(dict.fromkeys(each.seed for each in pins()))
