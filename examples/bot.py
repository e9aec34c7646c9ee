"""
A small market maker over brokerd's socket: one blocking connection, one message a line.

It quotes both sides, moves its quotes, withdraws old ones, takes a little now and then, and in the
end checks what events told it against the daemon's own list. Beside a running daemon: `python examples/bot.py --socket var/brokerd.sock`.
"""

import argparse
import random
import socket
import sys
import time
import uuid
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec

FINAL = {"filled", "canceled", "rejected", "expired"}
ANSWER_S_MAX = 5.0
RESTING_MAX = 8
PAUSE_S = 0.2
TOO_LATE = 102  # not_cancelable: the order was done, or is being changed already


class Broker:
    """The connection. `told` is what events said of each order last: (ord_status, cum_qty)."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_S_MAX)
        self._socket.connect(path)
        self._lines = self._socket.makefile("rb")
        self._last_id = 0
        self.told: dict[str, tuple[str, Decimal]] = {}

    def call(self, method: str, forgive: int = 0, **params: Any) -> dict[str, Any]:
        """Ask, and return the result; events that come before it are taken in on the way."""
        self._last_id += 1
        call = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        self._socket.sendall(msgspec.json.encode(call) + b"\n")
        while (answer := self.read()).get("id") != self._last_id:
            pass
        if "error" in answer and answer["error"]["code"] != forgive:
            raise RuntimeError(answer["error"]["message"])
        return dict(answer.get("result", {}))

    def read(self) -> dict[str, Any]:
        """Return the next message; an event of an order is taken in first."""
        message: dict[str, Any] = msgspec.json.decode(self._lines.readline())
        if message.get("method") == "event" and "ord_status" in message["params"]:
            event = message["params"]
            self.told[event["cl_ord_id"]] = (event["ord_status"], Decimal(event["cum_qty"]))
        return message


def trade(broker: Broker, run_id: str, symbol: str, steps: int) -> set[str]:
    """Do one thing a step; return the ids of all orders."""
    chance, sides, px_of = random.Random(run_id), dict[str, str](), dict[str, Decimal]()
    for step in range(steps):
        working = [k for k in sides if k in broker.told and broker.told[k][0] not in FINAL]
        side, choice = chance.choice(("buy", "sell")), chance.random()
        if working and (choice < 0.2 or len(working) > RESTING_MAX):
            broker.call("order.cancel", TOO_LATE, cl_ord_id=working[0])
        elif working and choice < 0.4:
            px = px_of[sides[working[-1]]]
            broker.call("order.replace", TOO_LATE, cl_ord_id=working[-1], px=px)
        else:
            # An id of our own: repeated after a lost answer, it is still one order.
            cl_ord_id = f"{run_id}-{step}"
            order: dict[str, Any] = {"cl_ord_id": cl_ord_id, "symbol": symbol, "side": side}
            order |= {"ord_type": "market", "qty": Decimal(chance.randint(1, 20)) / 1000}
            if px_of and choice < 0.8:
                behind = Decimal(chance.randint(0, 200)) / 100 * (-1 if side == "buy" else 1)
                order |= {"ord_type": "limit", "px": px_of[side] + behind}
            group = {"run": run_id, "strategy": "maker" if "px" in order else "taker"}
            # The daemon notes the market at arrival; a real bot has market data of its own.
            arrival = broker.call("order.submit", **order, group=group)["arrival"]
            px_of = {"buy": Decimal(arrival["bid_px"]), "sell": Decimal(arrival["ask_px"])}
            sides[cl_ord_id] = side
        time.sleep(PAUSE_S)
    return set(sides)


def listed(broker: Broker, run_id: str) -> dict[str, tuple[str, Decimal]]:
    """Return every order of the run as the daemon lists it."""
    found: dict[str, tuple[str, Decimal]] = {}
    cursor = None
    while cursor or not found:
        page = broker.call("order.list", group={"run": run_id}, cursor=cursor)
        found |= {o["cl_ord_id"]: (o["ord_status"], Decimal(o["cum_qty"])) for o in page["orders"]}
        cursor = page["next_cursor"]
    return found


def main() -> int:
    """Trade, take everything off, compare notes; return 0 if they agree."""
    parser = argparse.ArgumentParser(description="A small market maker.")
    parser.add_argument("--socket", default="var/brokerd.sock")
    parser.add_argument("--symbol", default="BTCUSDT")
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    broker, run_id = Broker(options.socket), f"bot-{uuid.uuid4().hex[:6]}"
    broker.call("events.subscribe", group={"run": run_id})
    ids = trade(broker, run_id, options.symbol, max(round(options.seconds / PAUSE_S), 1))
    broker.call("order.cancel_all", group={"run": run_id})
    while any(broker.told.get(each, ("", 0))[0] not in FINAL for each in ids):
        broker.read()
    orders = listed(broker, run_id)
    differing = sorted(i for i in ids | set(orders) if orders.get(i) != broker.told.get(i))
    ended = Counter(ord_status for ord_status, _ in orders.values()).most_common()
    print(f"{len(orders)} orders: {', '.join(f'{many} {status}' for status, many in ended)}")
    print(f"events and order.list differ for: {', '.join(differing) or 'no order'}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
