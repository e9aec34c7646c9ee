"""Orders of other origin at a venue on a real wire: by hand, and by another brokerd."""

import hashlib
import hmac
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.daemon_process import PATIENCE_S, Bot, DaemonProcess, Message, Told, exported
from tests.fault_proxy import HEALTHY
from tests.venue_process import KEY, SECRET, Wired, wired

BY_HAND: Message = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "30000",
}
OURS: Message = {
    "symbol": "BTCUSDT",
    "side": "buy",
    "ord_type": "limit",
    "qty": "0.01",
    "px": "30000",
}


def at_venue(venue: Wired, verb: str, path: str, params: Message) -> Message:
    """Do something at the venue as a person with the account's key would."""
    query = urlencode({**params, "timestamp": time.time_ns() // 1_000_000})
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    url = f"{venue.executor['rest_url']}/api/v3/{path}?{query}&signature={signature}"
    asked = urllib.request.Request(url, method=verb, headers={"X-MBX-APIKEY": KEY})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        told: Message = json.loads(answer.read())
    return told


@contextmanager
def traded(tmp_path: Path) -> Iterator[tuple[Wired, DaemonProcess, Bot]]:
    with wired("binance", HEALTHY, 1, tmp_path) as venue:
        daemon_keys = {"credentials_dir": str(tmp_path), "poll_floor_s": 1}
        with (
            DaemonProcess(
                tmp_path / "state", daemon=daemon_keys, executor=venue.executor
            ) as daemon,
            daemon.start().bot() as bot,
        ):
            yield venue, daemon, bot


def until(is_so: Callable[[], object], what: str) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up_s, f"never so: {what}"
        time.sleep(0.02)


def listed(bot: Bot) -> dict[str, Message]:
    return {order["venue_order_id"]: order for order in bot.call("order.list")["orders"]}


def test_an_order_by_hand_is_followed_to_its_end_and_left_alone(tmp_path: Path) -> None:
    with traded(tmp_path) as (venue, _, bot):
        ours = bot.call("order.submit", wait="venue", **OURS)
        placed = at_venue(venue, "POST", "order", BY_HAND)

        def followed() -> Message | None:
            found = [
                order for order in bot.call("order.list")["orders"] if order["origin"] == "external"
            ]
            return found[0] if found else None

        until(followed, "the order by hand is followed")
        order = followed()
        assert order is not None
        assert (order["qty"], order["px"], order["group"]) == (
            "0.01",
            "30000",
            {"origin": "external"},
        )
        assert str(placed["orderId"]) in order["venue_order_id"]
        with pytest.raises(Told) as refused:
            bot.call("order.cancel", cl_ord_id=order["cl_ord_id"])
        assert (refused.value.code, refused.value.data["reason"]) == (102, "external_order")
        assert bot.call("order.cancel_all")["cl_ord_ids"] == [ours["cl_ord_id"]]
        checked = bot.call("order.check", cl_ord_id=order["cl_ord_id"])
        assert checked["ord_status"] == "new"
        at_venue(venue, "DELETE", "order", {"symbol": "BTCUSDT", "orderId": placed["orderId"]})
        until(lambda: (followed() or {})["status"] == "CANCELLED", "its end is seen")


def test_an_order_of_another_brokerd_freezes_the_executor_until_it_is_gone(tmp_path: Path) -> None:
    """Same account, another journal: both would act on what neither knows of the other."""
    with traded(tmp_path) as (venue, daemon, bot):
        ours = bot.call("order.submit", wait="venue", **OURS)
        theirs = {**BY_HAND, "newClientOrderId": "bkd-0elsewhere-1"}
        placed = at_venue(venue, "POST", "order", theirs)
        until(
            lambda: bot.call("executor.list")["executors"][0]["state"] == "frozen",
            "the executor is frozen",
        )
        (executor,) = bot.call("executor.list")["executors"]
        assert "bkd-0elsewhere-1, which is not in this journal" in executor["reason"]
        for method, params in (
            ("order.submit", OURS),
            ("order.replace", {"cl_ord_id": ours["cl_ord_id"], "qty": "0.02"}),
        ):
            with pytest.raises(Told) as halted:
                bot.call(method, **params)
            assert halted.value.code == 104
        bot.call("events.subscribe", cl_ord_id=ours["cl_ord_id"])
        bot.call("order.cancel", cl_ord_id=ours["cl_ord_id"])
        events: list[str] = []
        while "order_canceled" not in events:
            events.append(bot.next_event()["params"]["event"])
        looked = {"executor": executor["name"], "reason": "the other one was stopped"}
        with pytest.raises(Told) as still:
            bot.call("executor.thaw", **looked)
        assert (still.value.code, still.value.data["reason"]) == (104, "cause_remains")
        at_venue(venue, "DELETE", "order", {"symbol": "BTCUSDT", "orderId": placed["orderId"]})
        thawed: list[Message] = []

        def is_thawed() -> bool:
            # What the stream tells of its cancel is a sign of them as well, if it comes just now.
            with suppress(Told):
                thawed.append(bot.call("executor.thaw", **looked))
            return bool(thawed)

        until(is_thawed, "it is thawed")
        assert thawed == [{"executor": executor["name"], "state": "up"}]
        assert bot.call("order.submit", wait="venue", **OURS)["ord_status"] == "new"
        told = [row["event"] for row in exported(daemon.journal)]
        last = [each for each in told if each["event"] == "executor_thawed"][-1]
        assert (last["by"], last["reason"]) == (f"uid {os.geteuid()}", looked["reason"])
