"""
How hard laws are tried.

`make test` tries each law on the same examples in every run: a run fails for what is in the tree,
never by chance. `make laws` tries it on TIMES as many, and on new ones every time.
"""

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("BROKERD_LAW_TIMES", "1"))


def examples(count: int) -> int:
    """Return how many examples a law is tried on, of which a run of `make test` takes so many."""
    return count * TIMES


def load() -> None:
    """Let this be so for every law."""
    settings.register_profile(
        "brokerd",
        derandomize=TIMES == 1,
        max_examples=examples(100),
        # A loaded machine is no defect: tests have a deadline of their own.
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("brokerd")
