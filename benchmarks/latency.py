"""(a) From a submit to its durable answer, one bot, one order at a time."""

import statistics
from pathlib import Path

from benchmarks import bots, programs
from benchmarks.report import Row, at_most, median_ratio, quantile, row, say
from benchmarks.size import Size

RATIO_MAX = 1.5


def measure(directory: Path, size: Size) -> list[Row]:
    """Take turns with both floors; return each side's p50 and p99, and their ratios to the floor's."""
    took_s: dict[str, list[list[float]]] = {"floor": [], "journal alone": [], "daemon": []}
    with (
        programs.floor(directory / "latency-floor") as floor,
        programs.floor(directory / "latency-journal", "--journal") as journal,
        programs.daemon(directory / "latency-daemon") as daemon,
    ):
        for number in range(size.latency_rounds + 1):
            lines = bots.submits(f"a{number}", size.latency_orders)
            for side, program in zip(took_s, (floor, journal, daemon), strict=True):
                took_s[side].append(bots.one_by_one(program.socket, lines))
            bots.settle(daemon.socket, (number + 1) * size.latency_orders)
            told = ", ".join(f"{side} {_p50_ms(each[-1])}" for side, each in took_s.items())
            say(f"(a) round {number}, ms: {told}")
    # The first round warms all up.
    return _rows({side: each[1:] for side, each in took_s.items()})


def _rows(took_s: dict[str, list[list[float]]]) -> list[Row]:
    rows: list[Row] = []
    for q, target in ((0.5, at_most(RATIO_MAX)), (0.99, None)):
        name = f"p{q * 100:.0f}"
        rounds = {side: [quantile(one, q) for one in each] for side, each in took_s.items()}
        for side, each in rounds.items():
            median = statistics.median(each)
            rows.append(row("a", f"one at a time, {side}, {name}", median * 1e3, "ms"))
        floor, journal, daemon = rounds.values()
        rows += [
            row("a", f"daemon / floor, {name}", median_ratio(daemon, floor), "", target),
            row("a", f"journal alone / floor, {name}", median_ratio(journal, floor), ""),
        ]
    return rows


def _p50_ms(took_s: list[float]) -> str:
    return f"{statistics.median(took_s) * 1e3:.2f}"
