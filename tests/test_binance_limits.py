"""Binance's rate limits by name: what replies say of them, and what a request costs."""

import pytest
from tests.fixtures.binance import REPLIES, place, raw

from brokerd_adapters.binance import requests
from brokerd_adapters.binance.limits import Meters
from brokerd_adapters.binance.shapes import ExchangeInfo, RateLimit, read

METERS = Meters("ab12")


def test_the_windows_are_those_of_exchange_info() -> None:
    info = read(ExchangeInfo, raw(REPLIES["exchange_info"]))
    windows = {window.name: window for window in METERS.windows(info.rate_limits)}
    assert {
        name: (each.counts, each.limit, each.interval_ns // 10**9) for name, each in windows.items()
    } == {
        "weight_1m": ("weight", 6_000, 60),
        "orders_10s:ab12": ("orders:ab12", 50, 10),
        "orders_1d:ab12": ("orders:ab12", 160_000, 86_400),
        "raw_5m": ("raw", 300_000, 300),
    }


def test_both_roads_tell_the_counts_by_the_same_names() -> None:
    headers = {
        "X-MBX-USED-WEIGHT-1M": "71",
        "x-mbx-order-count-10s": "3",
        "X-MBX-USED-WEIGHT": "71",
        "X-MBX-ORDER-COUNT-1D": "many",
        "Server": "nginx",
    }
    assert METERS.used_by_headers(headers) == {"weight_1m": 71, "orders_10s:ab12": 3}
    limits = (
        RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 6_000, 71),
        RateLimit("ORDERS", "SECOND", 10, 50, 3),
        RateLimit("ORDERS", "SECOND", 10, 50),
        RateLimit("ELBOW_ROOM", "MINUTE", 1, 10, 9),
    )
    assert METERS.used(limits) == {"weight_1m": 71, "orders_10s:ab12": 3}


@pytest.mark.parametrize(
    "limit",
    [
        RateLimit("ELBOW_ROOM", "MINUTE", 1, 10),
        RateLimit("ORDERS", "FORTNIGHT", 1, 10),
        RateLimit("ORDERS", "MINUTE", 0, 10),
        RateLimit("ORDERS", "MINUTE", 1, 0),
    ],
)
def test_a_limit_that_cannot_be_understood_is_left_out(limit: RateLimit) -> None:
    assert METERS.windows((limit,)) == ()


def test_an_order_costs_weight_and_counts_against_its_key() -> None:
    assert METERS.cost(requests.place(place())) == {"weight": 1, "raw": 1, "orders:ab12": 1}
    assert METERS.cost(requests.open_orders()) == {"weight": 80, "raw": 1}


def test_only_ones_own_key_is_shown() -> None:
    left = {"weight_1m": 5_000, "orders_10s:ab12": 40, "orders_10s:ffff": 2}
    assert METERS.shown(left) == {"weight_1m": 5_000, "orders_10s": 40}
