"""
The wall clock steps while an order is in doubt: no step turns doubt into an answer.

The daemon's clock is stepped by libfaketime, which leaves its monotonic clock alone; the venue, in a
process of its own, holds the order up for longer than the daemon waits for an answer.
"""

import time
from pathlib import Path

import pytest
from tests.daemon_process import PATIENCE_S, Bot, DaemonProcess, Told
from tests.fault_proxy import HEALTHY
from tests.venue_process import wired

UNAVAILABLE = 201
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
HELD_S = 4.0


def submit(bot: Bot, **terms: str) -> None:
    """Submit a limit order once the venue is up: on a slow machine it may miss its first deadline."""
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            bot.call("order.submit", ord_type="limit", **terms)
        except Told as told:
            if told.code != UNAVAILABLE or time.monotonic() > give_up_s:
                raise
            time.sleep(0.1)
        else:
            return


@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not there")
@pytest.mark.parametrize("step", ["+3600", "-3600"])
def test_an_order_that_arrives_late_is_never_called_absent_because_the_clock_stepped(
    tmp_path: Path, step: str
) -> None:
    stepped = tmp_path / "step"
    stepped.write_text("+0")
    faked = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(stepped),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with wired("alpaca", HEALTHY, 1, tmp_path) as venue:
        settings = {
            "daemon": {"request_deadline_s": 1, "credentials_dir": str(tmp_path)},
            "executor": {**venue.executor, "dead_after_s": 0.5},
        }
        under = ["env", *(f"{key}={value}" for key, value in faked.items())]
        with (
            DaemonProcess(tmp_path / "state", under=under, **settings) as daemon,
            daemon.start().bot() as bot,
        ):
            hold = {"fault": "hold", "on": "place", "delay_s": HELD_S}
            venue.oracle.tell("faults", {"script": [hold]})
            bot.call("events.subscribe", after_seq=0)
            submit(bot, cl_ord_id="late", symbol="BTC/USD", side="buy", qty="0.01", px="20000")
            events: list[str] = []
            while "order_acknowledged" not in events:
                event = bot.next_event()["params"]
                events.append(event["event"])
                assert event["event"] != "order_rejected", events
                if event["event"] == "request_doubted":
                    stepped.write_text(step)
            assert "request_doubted" in events, "it was not held up for long enough"
            assert abs(bot.call("daemon.info")["clock_step_s"]) > 3_000, "the clock was not stepped"
        (order,) = venue.oracle.ask("orders")["orders"]
        assert order["wire_requests_by_operation"]["place"] == 1
