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
SHIPPED = "ccxt create_order as it comes"
SHIPPED_ORDERS_MAX = 40
"""As it comes it throttles itself to some 100 orders a second."""

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
    synced commit with its Unix socket, and one round trip to the venue that carries no order.
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
            places[SHIPPED] = _directly(shipped, "rest", orders_max=SHIPPED_ORDERS_MAX)
            rounds = _Rounds(places, _Floor(floor.socket, _directly(direct, "bare")))
            for number in range(size.venue_rounds + 1):
                rounds.turn(number, size.venue_orders)
            return rounds.rows()


class _Floor:
    """The least that a promise kept costs: a line on disk, and a word with the venue."""

    def __init__(self, socket: str, bare: Place) -> None:
        self._socket = socket
        self._bare = bare

    def p50_s(self, tag: str, count: int) -> float:
        commits_s = bots.one_by_one(self._socket, bots.submits(tag, count))
        trips_s, _ = self._bare(tag, count, 1)
        return quantile(commits_s, 0.5) + quantile(trips_s, 0.5)


class _Rounds:
    """What each side took in each round, the first of which warms all of them up."""

    def __init__(self, places: dict[str, Place], floor: _Floor) -> None:
        self._places = places
        self._floor = floor
        self._floors_s: list[float] = []
        self._p50_s: dict[str, list[float]] = {name: [] for name in places}
        self._rates: dict[str, list[float]] = {name: [] for name in places}

    def turn(self, number: int, orders: int) -> None:
        self._floors_s.append(self._floor.p50_s(f"{number}f", orders // 4))
        for at, (name, place) in enumerate(self._places.items()):
            took_s, _ = place(f"{at}-{number}l", orders // 4, 1)
            self._p50_s[name].append(quantile(took_s, 0.5))
        for at, (name, place) in enumerate(self._places.items()):
            self._rates[name].append(place(f"{at}-{number}r", orders, IN_FLIGHT)[1])
        told = ", ".join(
            f"{name} {self._p50_s[name][-1] * 1e3:.2f} ms {self._rates[name][-1]:,.0f}/s"
            for name in self._places
        )
        say(f"(e) round {number}: {told}")

    def rows(self) -> list[Row]:
        p50_s = {name: each[1:] for name, each in self._p50_s.items()}
        rates = {name: each[1:] for name, each in self._rates.items()}
        better = [max(pair) for pair in zip(*(rates[name] for name in ROADS.values()), strict=True)]
        others = [*ROADS.values(), SHIPPED]
        return [
            _row(
                "a commit and a bare round trip, p50", statistics.median(self._floors_s[1:]), "ms"
            ),
            *(
                _row(f"order accepted, {name}, p50", statistics.median(each), "ms")
                for name, each in p50_s.items()
            ),
            *(
                row(
                    "e",
                    f"brokerd / {name}, p50",
                    median_ratio(p50_s["brokerd"], p50_s[name]),
                    "",
                    at_most(LATENCY_RATIO_MAX),
                )
                for name in others
            ),
            *(
                _row(f"{IN_FLIGHT} in flight, {name}", statistics.median(each), "/s")
                for name, each in rates.items()
            ),
            *(
                row(
                    "e",
                    f"brokerd / {name}, {IN_FLIGHT} in flight",
                    median_ratio(rates["brokerd"], beside),
                    "",
                    at_least(RATE_RATIO_MIN),
                )
                for name, beside in (("the better of both", better), (SHIPPED, rates[SHIPPED]))
            ),
        ]


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
