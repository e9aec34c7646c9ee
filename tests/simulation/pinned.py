"""The seeds that ever failed: a file of numbers, each with what it found."""

from pathlib import Path

FAILED_SEEDS = Path(__file__).with_name("failed_seeds.txt")


def pinned_seeds() -> list[int]:
    """Return the seeds of failed_seeds.txt."""
    lines = FAILED_SEEDS.read_text(encoding="utf-8").splitlines()
    return [int(line.split("#")[0]) for line in lines if line.split("#")[0].strip()]
