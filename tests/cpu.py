"""What a program burns, for bounds on it: in processor time, which a busy machine does not change."""

import os
import subprocess
import sys

RUNS = 7


def cpu_s(*argv: str) -> float:
    """The least CPU time, user and system, of several runs of Python."""
    times_s: list[float] = []
    for _ in range(RUNS):
        process = subprocess.Popen([sys.executable, *argv], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        times_s.append(used.ru_utime + used.ru_stime)
    return min(times_s)


def empty_s() -> float:
    """What a Python costs that does nothing: the measure of how fast this machine is."""
    return cpu_s("-c", "pass")


def as_slow_as_this(seconds: float) -> float:
    """Stretch what a machine is granted that starts an empty Python in 12 ms, if this one is slower."""
    return seconds * max(1.0, empty_s() / 0.012)
