"""(d) Submits a second with few and with many open orders."""

import statistics
from pathlib import Path

from benchmarks import bots, programs
from benchmarks.report import Row, at_least, median_ratio, row, say
from benchmarks.size import Size

IN_FLIGHT = 64
RATIO_MIN = 0.9


def measure(directory: Path, size: Size) -> list[Row]:
    """
    Take turns between two daemons, one with few and one with many open orders.

    What they are measured with is immediate-or-cancel below the market: it opens nothing more.
    """
    few, many = size.crowd_open
    with (
        programs.daemon(directory / "crowd-few") as calm,
        programs.daemon(directory / "crowd-many") as crowded,
    ):
        sides = [_Side(calm, few), _Side(crowded, many)]
        rates = [
            [side.turn(number, size.crowd_orders) for side in sides]
            for number in range(size.crowd_rounds + 1)
        ][1:]
    at_few, at_many = ([each[side] for each in rates] for side in (0, 1))
    return [
        row("d", f"{few:,} open", statistics.median(at_few), "/s"),
        row("d", f"{many:,} open", statistics.median(at_many), "/s"),
        row("d", "many / few", median_ratio(at_many, at_few), "", at_least(RATIO_MIN)),
    ]


class _Side:
    """One daemon with its open orders."""

    def __init__(self, daemon: programs.Program, count: int) -> None:
        self._path = daemon.socket
        self._open = self._submitted = count
        say(f"(d) opening {count:,} orders")
        bots.pipelined(self._path, bots.submits("open", count), connections=1, in_flight=IN_FLIGHT)
        bots.settle(self._path, count)

    def turn(self, number: int, orders: int) -> float:
        """Return submits a second of one round."""
        lines = bots.submits(f"d{number}", orders, time_in_force="ioc")
        rate = bots.pipelined(self._path, lines, connections=1, in_flight=IN_FLIGHT)
        self._submitted += orders
        bots.settle(self._path, self._submitted)
        say(f"(d) {self._open:,} open: {rate:,.0f} orders/s")
        return rate
