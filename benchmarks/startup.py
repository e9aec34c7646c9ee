"""(c) Start-up time and memory when ready, with a short and with a long history behind them."""

import statistics
from pathlib import Path

from benchmarks import bots, histories, programs
from benchmarks.report import Row, at_most, row, say
from benchmarks.size import Size

TIME_RATIO_MAX = 1.3
MEMORY_RATIO_MAX = 1.3
MEMORY_MB_MAX = 150.0
MIB = 1024 * 1024


def measure(directory: Path, size: Size) -> list[Row]:
    """Start on both histories in turn; return the medians of time and memory, and their ratios."""
    homes = [prepared(directory, orders, size.history_open) for orders in size.history_orders]
    starts = [[_start(home) for home in homes] for _ in range(size.starts + 1)][1:]
    ready_s, rss_mb, pss_mb, peak_mb = (
        [statistics.median(start[side][measured] for start in starts) for side in (0, 1)]
        for measured in range(4)
    )
    rows: list[Row] = []
    for side, orders in enumerate(size.history_orders):
        name = f"{orders:,} orders of history, {size.history_open:,} open"
        rows += [
            row("c", f"{name}: start to ready", ready_s[side], "s"),
            row("c", f"{name}: RSS", rss_mb[side], "MiB", at_most(MEMORY_MB_MAX)),
            row("c", f"{name}: PSS", pss_mb[side], "MiB"),
            row("c", f"{name}: RSS at its peak", peak_mb[side], "MiB"),
        ]
    return [
        *rows,
        row(
            "c",
            "long / short: start to ready",
            ready_s[1] / ready_s[0],
            "",
            at_most(TIME_RATIO_MAX),
        ),
        row("c", "long / short: RSS", rss_mb[1] / rss_mb[0], "", at_most(MEMORY_RATIO_MAX)),
    ]


def prepared(directory: Path, orders: int, count_open: int) -> Path:
    """Return a state directory with that history, and `count_open` orders that the daemon placed."""
    home = histories.home(directory, orders)
    if histories.is_made(home, count_open):
        say(f"(c) found a history of {orders:,} orders")
        return home
    say(f"(c) writing a history of {orders:,} orders")
    histories.make(home, orders)
    with programs.daemon(home) as daemon:
        lines = bots.submits("open", count_open)
        bots.pipelined(daemon.socket, lines, connections=1, in_flight=64)
        bots.settle(daemon.socket, orders + count_open)
    histories.mark_made(home, count_open)
    return home


def _start(home: Path) -> tuple[float, ...]:
    """Return seconds to ready, then MiB of RSS, PSS and RSS at its peak."""
    with programs.daemon(home) as daemon:
        memory = daemon.memory()
        still_open = bots.call(daemon.socket, "daemon.info")["orders"]["open"]
    if still_open != histories.count_open(home):
        raise RuntimeError(f"{home}: {still_open} orders are open")
    say(f"(c) {home.name}: {daemon.ready_s:.2f} s, {memory['rss'] / MIB:.0f} MiB")
    return (daemon.ready_s, *(memory[each] / MIB for each in ("rss", "pss", "rss_peak")))
