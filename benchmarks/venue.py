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
BARE = "a bare line, no journal"
SHIPPED = "ccxt create_order as it comes"
SHIPPED_ORDERS_MAX = 40
"""As it comes it throttles itself to some 100 orders a second."""

OTHERS = (*ROADS.values(), SHIPPED)

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
    Take turns at one local venue; return p50 and orders a second of all, and their ratios.

    All place limit orders that do not fill, immediate or cancel, and wait for the venue's word.
    What goes through brokerd is journalled and synced to disk before it is sent. The floor is one
    synced commit with its Unix socket, and the order as a bare line at the venue: what a broker that
    writes before it sends cannot be below, whatever it is written in.
    """
    argv = ["-m", "brokerd_adapters.venue", "--dialect", "binance", "--speed", "0.000001"]
    argv += ["--key", KEY, "--secret", SECRET]
    with programs.speaking(argv, directory / "venue.log") as told:
        venue = {**json.loads(told("")), "key": KEY, "secret": SECRET}
        ccxt = ["-m", "benchmarks.direct", json.dumps(venue)]
        state_dir = _with_key(directory / "venue-daemon")
        with (
            programs.daemon(state_dir, executor=EXECUTOR.format(**venue)) as daemon,
            programs.floor(directory / "venue-floor") as floor,
            programs.speaking(ccxt, directory / "direct.log") as direct,
            programs.speaking([*ccxt, "--as-it-comes"], directory / "shipped.log") as shipped,
        ):
            direct("")
            shipped("")
            places = {"brokerd": _through(daemon.socket)}
            places |= {name: _directly(direct, road) for road, name in ROADS.items()}
            places[BARE] = _directly(direct, "bare")
            places[SHIPPED] = _directly(shipped, "rest", orders_max=SHIPPED_ORDERS_MAX)
            rounds = _Rounds(places, floor.socket)
            for number in range(size.venue_rounds + 1):
                rounds.turn(number, size.venue_orders)
            return rounds.rows()


class _Rounds:
    """What each side took in each round, the first of which warms all of them up."""

    def __init__(self, places: dict[str, Place], floor_socket: str) -> None:
        self._places = places
        self._floor_socket = floor_socket
        self._commits_s: list[float] = []
        self._p50_s: dict[str, list[float]] = {name: [] for name in places}
        self._rates: dict[str, list[float]] = {name: [] for name in places}

    def turn(self, number: int, orders: int) -> None:
        few = orders // 4
        commits_s = bots.one_by_one(self._floor_socket, bots.submits(f"{number}f", few))
        self._commits_s.append(quantile(commits_s, 0.5))
        for at, (name, place) in enumerate(self._places.items()):
            took_s, _ = place(f"{at}-{number}l", few, 1)
            self._p50_s[name].append(quantile(took_s, 0.5))
        for at, (name, place) in enumerate(self._places.items()):
            self._rates[name].append(place(f"{at}-{number}r", orders, IN_FLIGHT)[1])
        told = ", ".join(
            f"{name} {self._p50_s[name][-1] * 1e3:.2f} ms {self._rates[name][-1]:,.0f}/s"
            for name in self._places
        )
        say(f"(e) round {number}: a commit {self._commits_s[-1] * 1e3:.2f} ms, {told}")

    def rows(self) -> list[Row]:
        return [*self._latencies(), *self._throughputs()]

    def _latencies(self) -> list[Row]:
        p50_s = {name: each[1:] for name, each in self._p50_s.items()}
        floor_s = [sum(pair) for pair in zip(self._commits_s[1:], p50_s[BARE], strict=True)]
        target = at_most(LATENCY_RATIO_MAX)
        rows = [_row("a commit and a bare line, p50", statistics.median(floor_s), "ms")]
        for name, each in p50_s.items():
            rows.append(_row(f"order accepted, {name}, p50", statistics.median(each), "ms"))
        for name in OTHERS:
            beside = p50_s[name]
            ours, least = median_ratio(p50_s["brokerd"], beside), median_ratio(floor_s, beside)
            rows.append(row("e", f"brokerd / {name}, p50", ours, "", target))
            rows.append(_row(f"the floor / {name}, p50", least, ""))
        return rows

    def _throughputs(self) -> list[Row]:
        rates = {name: each[1:] for name, each in self._rates.items()}
        pairs = zip(*(rates[name] for name in ROADS.values()), strict=True)
        target = at_least(RATE_RATIO_MIN)
        rows = [
            _row(f"{IN_FLIGHT} in flight, {name}", statistics.median(each), "/s")
            for name, each in rates.items()
        ]
        for name, beside in (
            ("the better of both", [max(pair) for pair in pairs]),
            (SHIPPED, rates[SHIPPED]),
        ):
            ours, most = median_ratio(rates["brokerd"], beside), median_ratio(rates[BARE], beside)
            rows.append(row("e", f"brokerd / {name}, {IN_FLIGHT} in flight", ours, "", target))
            rows.append(_row(f"a bare line / {name}, {IN_FLIGHT} in flight", most, ""))
        return rows


def _row(what: str, value: float, unit: str) -> Row:
    return row("e", what, value * 1e3 if unit == "ms" else value, unit)


def _through(path: str) -> Place:
    def place(tag: str, orders: int, in_flight: int) -> tuple[list[float], float]:
        lines = bots.submits(tag, orders, time_in_force="ioc", wait="venue")
        if in_flight == 1:
            return bots.one_by_one(path, lines), 0.0
        return [], bots.pipelined(path, lines, connections=1, in_flight=in_flight)

    return place


def _directly(direct: Callable[[str], str], road: str, *, orders_max: int | None = None) -> Place:
    def place(tag: str, orders: int, in_flight: int) -> tuple[list[float], float]:
        count = min(orders, orders_max or orders)
        answer = json.loads(direct(f"{road} {tag} {count} {in_flight}"))
        return answer["took_s"], count / answer["all_s"]

    return place


def _with_key(state_dir: Path) -> Path:
    """Lay the key where the daemon looks for it."""
    state_dir.mkdir(parents=True)
    path = state_dir / "bench"
    path.touch(mode=0o600)
    path.write_text(f'api_key = "{KEY}"\nsecret = "{SECRET}"\n')
    return state_dir
