"""How much is measured: enough to trust the medians, or just enough to see that all of it runs."""

from msgspec import Struct


class Size(Struct, frozen=True, kw_only=True):
    """Counts of rounds and of orders in a round. A first round more warms up where that matters."""

    latency_rounds: int = 9
    latency_orders: int = 300
    throughput_rounds: int = 5
    throughput_orders: int = 4_000
    starts: int = 5
    history_orders: tuple[int, int] = (10_000, 1_000_000)
    history_open: int = 1_000
    questions: int = 7
    crowd_rounds: int = 5
    crowd_orders: int = 4_000
    crowd_open: tuple[int, int] = (100, 100_000)
    venue_rounds: int = 5
    venue_orders: int = 800


FULL = Size()

QUICK = Size(
    latency_rounds=2,
    latency_orders=20,
    throughput_rounds=1,
    throughput_orders=200,
    starts=1,
    history_orders=(50, 500),
    history_open=10,
    questions=1,
    crowd_rounds=1,
    crowd_orders=100,
    crowd_open=(10, 200),
    venue_rounds=1,
    venue_orders=64,
)
