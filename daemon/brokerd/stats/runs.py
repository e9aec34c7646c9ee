"""
Runs of the daemon: which times lie within one, and which across a restart.

Within a run all stamps come from the monotonic clock (`SteadyClock`). Between two there is nothing
but the wall clock, which somebody may have set meanwhile: a time that lies across is told apart.
"""

from bisect import bisect_right
from collections.abc import Sequence


def is_across(runs: Sequence[int], from_ns: int, to_ns: int) -> bool:
    """
    Whether the daemon was started anew between two moments on record.

    `runs` is when its runs began, the earliest first. What happened as one began belongs to it.
    """
    return bisect_right(runs, from_ns) < bisect_right(runs, to_ns)
