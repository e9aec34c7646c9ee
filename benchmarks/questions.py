"""(f) Questions over a long history: statistics, the latest of each group; and submits meanwhile."""

import statistics
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import bots, programs
from benchmarks.report import Row, at_most, median_ratio, quantile, row, say
from benchmarks.size import Size
from benchmarks.startup import prepared

STATS_S_MAX = 0.5
LATEST_S_MAX = 0.05
P99_RATIO_MAX = 2.0
CATCH_UP_S_MAX = 3_600.0


STATISTICS: dict[str, dict[str, Any]] = {
    "of all": {},
    "by symbol, side, ord_type": {"group_by": ["symbol", "side", "ord_type"]},
    "by strategy": {"group_by": "strategy"},
    "by strategy, user": {"group_by": ["strategy", "user"]},
    "of one user": {"group": {"user": "u3"}, "group_by": "symbol"},
    "of 10 days by strategy": {
        "time": {"time_type": "relative", "last": "10d"},
        "group_by": "strategy",
    },
    "of 5 hours by strategy, exact": {
        "time": {"time_type": "relative", "last": "5h"},
        "group_by": "strategy",
    },
    "canceled, by symbol": {"ord_status": "canceled", "group_by": "symbol"},
    "by pair, a key with 10,000 values": {"group_by": "pair"},
}
LATEST: dict[str, dict[str, Any]] = {
    "of all": {},
    "open": {"status": "OPEN"},
    "by strategy": {"group_by": "strategy"},
    "of one user": {"group": {"user": "u3"}},
}


def measure(directory: Path, size: Size) -> list[Row]:
    """Ask a daemon with a long history, alone; then submit one by one, with and without questions."""
    orders = size.history_orders[1]
    home = prepared(directory, orders, size.history_open)
    with programs.daemon(home) as daemon:
        _until_followed(daemon.socket)
        rows = [
            row(
                "f",
                f"stats.get {what}, {orders:,} orders",
                _asked_s(daemon.socket, size.questions, "stats.get", params),
                "s",
                at_most(STATS_S_MAX),
            )
            for what, params in STATISTICS.items()
        ]
        rows += [
            row(
                "f",
                f"latest of each group {what}, {orders:,} orders",
                _asked_s(
                    daemon.socket, size.questions, "order.list", params | {"latest_group": True}
                ),
                "s",
                at_most(LATEST_S_MAX),
            )
            for what, params in LATEST.items()
        ]
        return rows + _submits(daemon.socket, size)


def _until_followed(path: str) -> None:
    """Wait until the survey has taken in all of the history: once, for it is kept."""
    give_up_s = time.monotonic() + CATCH_UP_S_MAX
    while True:
        try:
            bots.call(path, "stats.get", limit=1)
        except RuntimeError as error:
            if "behind" not in str(error) or time.monotonic() >= give_up_s:
                raise
            say(f"(f) {error}")
        else:
            return


def _asked_s(path: str, rounds: int, method: str, params: dict[str, Any]) -> float:
    """Return the median time of an answer."""
    took_s: list[float] = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        bots.call(path, method, **params)
        took_s.append(time.perf_counter() - began_s)
    say(f"(f) {method} {params}: {statistics.median(took_s) * 1e3:.0f} ms")
    return statistics.median(took_s)


def _submits(path: str, size: Size) -> list[Row]:
    """Take turns between submits alone and submits while statistics are asked without a pause."""
    alone: list[float] = []
    beside: list[float] = []
    began_ns = time.time_ns()
    for number in range(size.latency_rounds + 1):
        for name, p99_s in (("alone", alone), ("beside", beside)):
            tag = f"f{began_ns}-{name}{number}"
            lines = bots.submits(tag, size.latency_orders, time_in_force="ioc")
            if name == "alone":
                took_s = bots.one_by_one(path, lines)
            else:
                with _asking(path):
                    took_s = bots.one_by_one(path, lines)
            p99_s.append(quantile(took_s, 0.99))
        say(f"(f) round {number}: {alone[-1] * 1e3:.2f} alone, {beside[-1] * 1e3:.2f} ms beside")
    return [
        row("f", "submit alone, p99", statistics.median(alone[1:]) * 1e3, "ms"),
        row("f", "submit beside stats.get, p99", statistics.median(beside[1:]) * 1e3, "ms"),
        row(
            "f",
            "beside / alone, p99",
            median_ratio(beside[1:], alone[1:]),
            "",
            at_most(P99_RATIO_MAX),
        ),
    ]


@contextmanager
def _asking(path: str) -> Generator[None]:
    """Ask for statistics over and over in a thread, until the block is done."""
    done, asked = threading.Event(), threading.Event()

    def ask() -> None:
        while not done.is_set():
            asked.set()
            bots.call(path, "stats.get", group_by="strategy")

    thread = threading.Thread(target=ask)
    thread.start()
    asked.wait()
    try:
        yield
    finally:
        done.set()
        thread.join()
