"""(b) Durable submits a second with 64 in flight: on one connection, and as 8 on each of 8."""

import statistics
import time
from pathlib import Path

from benchmarks import bots, programs
from benchmarks.report import Row, at_least, median_ratio, row, say
from benchmarks.size import Size

SHAPES = ((1, 64), (8, 8))
"""Connections, and lines in flight on each."""

RATIO_MIN = 0.5


def measure(directory: Path, size: Size) -> list[Row]:
    """
    Take turns with both floors; return each side's rate and the ratios, for each shape.

    "settled" counts until the venue has answered for every order and that is durable too.
    """
    rows: list[Row] = []
    with (
        programs.floor(directory / "throughput-floor") as floor,
        programs.floor(directory / "throughput-journal", "--journal") as journal,
        programs.daemon(directory / "throughput-daemon") as daemon,
    ):
        sides = _Sides(floor, journal, daemon, size.throughput_orders)
        for connections, in_flight in SHAPES:
            taken = [sides.turn(connections, in_flight) for _ in range(size.throughput_rounds + 1)]
            rows += _rows(f"{connections} x {in_flight}", taken[1:])
    return rows


def profile(directory: Path, size: Size) -> Path:
    """Run the daemon's side under cProfile; return the file with what it saw of the loop's thread."""
    path = directory / "throughput.prof"
    with programs.daemon(directory / "profile-daemon", profile=path) as daemon:
        lines = bots.submits("p", size.throughput_orders * size.throughput_rounds)
        bots.pipelined(daemon.socket, lines, connections=1, in_flight=64)
    return path


class _Sides:
    def __init__(
        self,
        floor: programs.Program,
        journal: programs.Program,
        daemon: programs.Program,
        orders: int,
    ) -> None:
        self._floors = (floor, journal)
        self._daemon = daemon
        self._orders = orders
        self._turns = 0

    def turn(self, connections: int, in_flight: int) -> tuple[float, float, float, float]:
        """Return lines a second: the floors', the daemon's, the daemon's until settled."""
        lines = bots.submits(f"b{self._turns}", self._orders)
        self._turns += 1
        floor, journal = (
            bots.pipelined(each.socket, lines, connections=connections, in_flight=in_flight)
            for each in self._floors
        )
        began_s = time.perf_counter()
        daemon = bots.pipelined(
            self._daemon.socket, lines, connections=connections, in_flight=in_flight
        )
        bots.settle(self._daemon.socket, self._turns * self._orders)
        settled = self._orders / (time.perf_counter() - began_s)
        say(
            f"(b) {connections} x {in_flight}, orders/s: floor {floor:,.0f}, "
            f"journal alone {journal:,.0f}, daemon {daemon:,.0f}"
        )
        return floor, journal, daemon, settled


def _rows(shape: str, taken: list[tuple[float, float, float, float]]) -> list[Row]:
    floor, journal, daemon, settled = (list(each) for each in zip(*taken, strict=True))
    return [
        row("b", f"{shape} in flight, floor", statistics.median(floor), "/s"),
        row("b", f"{shape} in flight, journal alone", statistics.median(journal), "/s"),
        row("b", f"{shape} in flight, daemon", statistics.median(daemon), "/s"),
        row("b", f"{shape} in flight, daemon, settled", statistics.median(settled), "/s"),
        row("b", f"{shape}, daemon / floor", median_ratio(daemon, floor), "", at_least(RATIO_MIN)),
        row("b", f"{shape}, journal alone / floor", median_ratio(journal, floor), ""),
    ]
