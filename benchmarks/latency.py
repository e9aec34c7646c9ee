"""(a) From a submit to its durable answer, one bot, one order at a time."""

import statistics
from pathlib import Path

from benchmarks import bots, programs
from benchmarks.report import Row, at_most, median_ratio, quantile, row, say
from benchmarks.size import Size

RATIO_MAX = 1.5


def measure(directory: Path, size: Size) -> list[Row]:
    """Take turns with the floor; return both sides' p50 and p99, and the ratio of their p50."""
    floor_s: list[list[float]] = []
    daemon_s: list[list[float]] = []
    with (
        programs.floor(directory / "latency-floor") as floor,
        programs.daemon(directory / "latency-daemon") as daemon,
    ):
        for number in range(size.latency_rounds + 1):
            lines = bots.submits(f"a{number}", size.latency_orders)
            floor_s.append(bots.one_by_one(floor.socket, lines))
            daemon_s.append(bots.one_by_one(daemon.socket, lines))
            bots.settle(daemon.socket, (number + 1) * size.latency_orders)
            say(f"(a) round {number}: {_p50_ms(floor_s[-1])} beside {_p50_ms(daemon_s[-1])} ms")
    # The first round warms both up.
    return _rows(floor_s[1:], daemon_s[1:])


def _rows(floor_s: list[list[float]], daemon_s: list[list[float]]) -> list[Row]:
    rows: list[Row] = []
    for q, target in ((0.5, at_most(RATIO_MAX)), (0.99, None)):
        floor = [quantile(took_s, q) for took_s in floor_s]
        daemon = [quantile(took_s, q) for took_s in daemon_s]
        name = f"p{q * 100:.0f}"
        rows += [
            row("a", f"one at a time, floor, {name}", statistics.median(floor) * 1e3, "ms"),
            row("a", f"one at a time, daemon, {name}", statistics.median(daemon) * 1e3, "ms"),
            row("a", f"daemon / floor, {name}", median_ratio(daemon, floor), "", target),
        ]
    return rows


def _p50_ms(took_s: list[float]) -> str:
    return f"{statistics.median(took_s) * 1e3:.2f}"
