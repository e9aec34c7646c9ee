"""The daemon's figures against an independent calculation over the exported journal."""

import random
import time
from decimal import Decimal
from typing import Any

import pytest
from tests import independent
from tests.daemon_process import PATIENCE_S, DaemonProcess, exported
from tests.fixtures.recording import QUOTES, TRADES

from brokerd.client import Broker, Trade
from brokerd.times import parse_rfc3339

RECORDING = {"market": "replay", "trades": str(TRADES), "quotes": str(QUOTES), "loop": True}
ORDERS = 120
MARKED_S = 12.0
"""By then the marks of 1 and 5 seconds are in, and those of 30 are still to come."""


def trade(broker: Broker, chance: random.Random) -> None:
    """Submit a random order near the market; now and then cancel one, or price it out."""
    side = chance.choice(("buy", "sell"))
    probe = Trade(symbol="BTCUSDT", side=side, ord_type="market", qty="0.001")
    broker.submit(probe, wait="venue")
    assert probe.arrival is not None
    px = (probe.arrival.bid_px + probe.arrival.ask_px) / 2
    away = Decimal(chance.randint(-40, 20)) / 10
    terms: dict[str, Any] = {"qty": Decimal(chance.randint(1, 50)) / 1000, "decision_px": px}
    if chance.random() < 0.5:
        rest = px + away if side == "buy" else px - away
        terms |= {"ord_type": "limit", "px": rest.quantize(Decimal("0.01"))}
        terms["time_in_force"] = chance.choice(("gtc", "gtc", "ioc"))
    else:
        terms["ord_type"] = "market"
    terms["decision_px"] += Decimal(chance.randint(-20, 20)) / 10
    order = Trade(symbol="BTCUSDT", side=side, **terms)
    broker.submit(order, wait="venue")
    if chance.random() < 0.1:
        broker.cancel_all(symbol="BTCUSDT")


def rest(broker: Broker) -> Trade:
    """Submit an order that stays open: it is filled in the next run of the daemon."""
    order = Trade(symbol="BTCUSDT", side="buy", ord_type="limit", qty="0.01", px="1000")
    broker.submit(order, wait="venue")
    assert order.status == "OPEN"
    return order


def fill(broker: Broker, order: Trade) -> None:
    """Move a resting order beyond the market: by its first arrival it is still the same one."""
    broker.replace(order, px="1000000")


def all_told(daemon: DaemonProcess, broker: Broker) -> dict[str, Any]:
    """
    Return the statistics once no order is open and every fill's first mark is in.

    On a busy machine a quote may come too late to be a mark: its fill lacks it for ever.
    """
    give_up_s = time.monotonic() + PATIENCE_S
    quiet_s = time.monotonic() + MARKED_S
    while True:
        orders, told = daemon.call("daemon.info")["orders"], broker.stats()
        marks = told["rows"][0]["markout_bps"]["1s"]
        if orders["open"] + orders["pending"]:
            quiet_s = time.monotonic() + MARKED_S
        elif not marks["missing"] or time.monotonic() >= quiet_s:
            # They hold what was there when they were asked for, and perhaps a row more.
            return broker.stats()
        assert time.monotonic() < give_up_s, (orders, marks)


@pytest.mark.parametrize(
    "executor",
    [pytest.param({}, id="synthetic"), pytest.param(RECORDING, id="recorded")],
)
def test_every_figure_comes_out_the_same_by_another_road(executor: dict[str, Any]) -> None:
    chance = random.Random(3)
    with DaemonProcess(executor=executor) as daemon:
        daemon.start()
        with Broker(str(daemon.socket_path)) as broker:
            for _ in range(ORDERS // 4):
                trade(broker, chance)
            resting = rest(broker)
        daemon.kill()
        daemon.start()
        with Broker(str(daemon.socket_path)) as broker:
            fill(broker, resting)
            for _ in range(ORDERS // 4, ORDERS // 2):
                trade(broker, chance)
            broker.cancel_all()
            told = all_told(daemon, broker)
        daemon.stop()
        rows = [row for row in exported(daemon.journal) if row["seq"] <= told["seq"]]
    expected = independent.figures(rows, parse_rfc3339(told["at"]))
    (row,) = told["rows"]
    assert row["mode"] == "paper"
    assert row["orders"] == expected["orders"] == ORDERS + 1
    assert row["time_to_fill"]["across_restarts"] > 0
    assert row["outcomes"] == expected["outcomes"]
    for name in ("slippage", "slippage_touch", "slippage_decision", "slippage_limit", "delay"):
        assert_near(row[f"{name}_bps"], expected[name])
    assert_near(row["markout_bps"]["1s"], expected["markout_1s"])
    for name in ("time_to_ack", "time_to_first_fill", "time_to_fill"):
        assert_near(row[name], expected[name])
    for name in ("fill_ratio_qty", "orders_any_fill", "orders_full_fill"):
        assert float(row[name]["value"]) == pytest.approx(expected[name], abs=1e-6)
    assert float(row["fees"]["USDT"]) == pytest.approx(expected["fees"])
    assert float(row["volume"]["USDT"]) == pytest.approx(expected["volume"])
    assert float(row["filled_by"][-1]["share"]) == pytest.approx(expected["filled_by"], abs=1e-6)
    shortfall = row["shortfall"]
    assert shortfall["n"] == expected["shortfall"]["n"] > 0
    assert float(shortfall["sum"]["USDT"]) == pytest.approx(expected["shortfall"].pop("sum"))
    assert_near(shortfall, expected["shortfall"])


def assert_near(shown: dict[str, Any], expected: dict[str, float]) -> None:
    """Figures are shown to 0.0001 bps and a microsecond; floats are good for that."""
    for name, value in expected.items():
        assert float(shown[name]) == pytest.approx(value, abs=2e-4), (name, shown)
