"""(e) From a bot to the venue's word: brokerd over Binance's WebSocket API, beside ccxt directly."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

from benchmarks import bots, programs
from benchmarks.report import Row, at_least, at_most, median_ratio, quantile, row, say
from benchmarks.size import Size

LATENCY_RATIO_MAX = 0.5
RATE_RATIO_MIN = 3.0
IN_FLIGHT = 32
KEY, SECRET = "bench-key", "bench-secret"
ROADS = {"rest": "ccxt create_order", "ws": "ccxt.pro create_order_ws"}

EXECUTOR = """\
[executors.venue]
adapter = "binance"
credential = "bench"
rest_url = "{rest}"
ws_api_url = "{ws_api}"
stream_url = "{streams}"
symbols = ["BTCUSDT"]
"""

Place = Callable[[str, int, int], tuple[list[float], float]]
"""(tag, orders, in flight) -> the time of each order in seconds, and orders a second."""


def measure(directory: Path, size: Size) -> list[Row]:
    """
    Take turns at one local venue; return p50 and orders a second of the three, and their ratios.

    All place limit orders that do not fill, immediate or cancel, and wait for the venue's word.
    What goes through brokerd is journalled and synced to disk before it is sent.
    """
    argv = ["-m", "brokerd_adapters.venue", "--dialect", "binance", "--speed", "0.000001"]
    argv += ["--key", KEY, "--secret", SECRET]
    with programs.speaking(argv, directory / "venue.log") as told:
        venue = {**json.loads(told("")), "key": KEY, "secret": SECRET}
        state_dir = directory / "venue-daemon"
        with (
            programs.daemon(_with_key(state_dir), executor=EXECUTOR.format(**venue)) as daemon,
            programs.speaking(
                ["-m", "benchmarks.direct", json.dumps(venue)], directory / "direct.log"
            ) as direct,
        ):
            direct("")
            return _measured(_through(daemon.socket), _directly(direct), size)


def _measured(brokerd: Place, directly: Callable[[str], Place], size: Size) -> list[Row]:
    places = {"brokerd": brokerd, **{road: directly(road) for road in ROADS}}
    latencies: dict[str, list[float]] = {name: [] for name in places}
    rates: dict[str, list[float]] = {name: [] for name in places}
    for number in range(size.venue_rounds + 1):
        for name, place in places.items():
            took_s, _ = place(f"{name}{number}l", size.venue_orders // 4, 1)
            latencies[name].append(quantile(took_s, 0.5))
        for name, place in places.items():
            _, rate = place(f"{name}{number}r", size.venue_orders, IN_FLIGHT)
            rates[name].append(rate)
        told = ", ".join(
            f"{name} {latencies[name][-1] * 1e3:.2f} ms {rates[name][-1]:,.0f}/s" for name in places
        )
        say(f"(e) round {number}: {told}")
    # The first round warms all of them up.
    return _rows(
        {name: each[1:] for name, each in latencies.items()},
        {name: each[1:] for name, each in rates.items()},
    )


def _rows(latencies: dict[str, list[float]], rates: dict[str, list[float]]) -> list[Row]:
    names = {"brokerd": "brokerd", **ROADS}
    rows = [
        row("e", f"order accepted, {names[name]}, p50", statistics.median(each) * 1e3, "ms")
        for name, each in latencies.items()
    ]
    rows += [
        row(
            "e",
            f"brokerd / {names[road]}, p50",
            median_ratio(latencies["brokerd"], latencies[road]),
            "",
            at_most(LATENCY_RATIO_MAX),
        )
        for road in ROADS
    ]
    rows += [
        row("e", f"{IN_FLIGHT} in flight, {names[name]}", statistics.median(each), "/s")
        for name, each in rates.items()
    ]
    better = [max(pair) for pair in zip(*(rates[road] for road in ROADS), strict=True)]
    rows.append(
        row(
            "e",
            "brokerd / the better of both",
            median_ratio(rates["brokerd"], better),
            "",
            at_least(RATE_RATIO_MIN),
        )
    )
    return rows


def _through(path: str) -> Place:
    def place(tag: str, orders: int, in_flight: int) -> tuple[list[float], float]:
        lines = bots.submits(tag, orders, time_in_force="ioc", wait="venue")
        if in_flight == 1:
            return bots.one_by_one(path, lines), 0.0
        return [], bots.pipelined(path, lines, connections=1, in_flight=in_flight)

    return place


def _directly(direct: Callable[[str], str]) -> Callable[[str], Place]:
    def by(road: str) -> Place:
        def place(tag: str, orders: int, in_flight: int) -> tuple[list[float], float]:
            answer = json.loads(direct(f"{road} {tag} {orders} {in_flight}"))
            return answer["took_s"], orders / answer["all_s"]

        return place

    return by


def _with_key(state_dir: Path) -> Path:
    """Lay the key where the daemon looks for it."""
    state_dir.mkdir(parents=True)
    path = state_dir / "bench"
    path.touch(mode=0o600)
    path.write_text(f'api_key = "{KEY}"\nsecret = "{SECRET}"\n')
    return state_dir
