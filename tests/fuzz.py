"""
Lines that no honest bot would send, by seed, and what must be true of the daemon meanwhile.

    python -m tests.fuzz --lines 100000 --seed 1

Valid calls are mutated as bytes and as JSON. Every line is answered, or the connection is closed
with a reason; no answer is a bug of the daemon's (-32603); the process keeps its memory and files.
"""

import argparse
import copy
import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.daemon_process import Bot, DaemonProcess, HungUp, Message, limit, request, running

from brokerd.rpc import BATCH_MAX, LINE_BYTES_MAX

WARM_UP = 1_000
"""Lines before memory is measured: caches and pools fill."""

GROWTH_BYTES_MAX = 20 << 20
ORDER_BYTES = 8 << 10
"""What an order takes besides, with its events in the feed and its twin at the paper venue."""

LINES_PER_CONNECTION = 200
TOLD_EVERY = 5_000

WEIRD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    -(2**63),
    10**40,
    0.1,
    1e308,
    "",
    " ",
    "0",
    "NaN",
    "-0",
    "1e-8",
    "1e999",
    "9" * 18 + "." + "9" * 18,
    "x" * 65,
    "x" * 5_000,
    "\u0000",
    "\u202e\u0661\u0662",
    "\U0001f600",
    "'; DROP TABLE journal; --",
    "0001-01-01T00:00:00+23:59",
    "2261-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59",
    [],
    {},
    [[]],
    {"": ""},
    {"a": {"b": ["c"]}},
    ["OPEN"] * 40,
    {f"k{no}": "v" for no in range(40)},
)

TIME = {"time_type": "relative", "last": "15m", "by": "created"}
SINCE = {"time_type": "absolute", "since": "2026-01-01T00:00:00Z", "until": "2030-01-01T00:00:00Z"}

CALLS: tuple[tuple[str, Message], ...] = (
    ("order.submit", limit(cl_ord_id="fuzz", group={"a": "b"}, post_only=True, decision_px=1)),
    ("order.submit", limit(time_in_force="gtd", expire_at="2030-01-01T00:00:00Z")),
    ("order.submit", limit(ord_type="stop_limit", stop_px="30000", wait="venue", timeout_s=0.01)),
    ("order.submit", {"symbol": "ETHUSDT", "side": "sell", "ord_type": "market", "qty": 0.01}),
    ("order.cancel", {"cl_ord_id": "fuzz"}),
    ("order.cancel_all", {"symbol": "ETHUSDT", "group": {"a": "b"}, "time": TIME}),
    ("order.replace", {"cl_ord_id": "fuzz", "qty": "0.02", "px": 20000.5}),
    ("order.resolve", {"cl_ord_id": "fuzz", "outcome": "done", "reason": "fuzz"}),
    ("executor.thaw", {"executor": "paper", "reason": "fuzz"}),
    ("order.get", {"cl_ord_id": "fuzz"}),
    ("order.get", {"executor_id": "paper:1"}),
    ("order.check", {"cl_ord_id": "fuzz"}),
    ("order.list", {"status": "OPEN", "ord_status": ["new"], "limit": 3, "time": TIME}),
    ("order.list", {"latest_group": True, "group_by": ["a"], "limit": 3, "time": SINCE}),
    ("order.list", {"executor": "paper", "symbol": "BTCUSDT", "side": "buy", "limit": 1}),
    ("order.explain", {"cl_ord_id": "fuzz"}),
    ("stats.get", {"group_by": ["a"], "status": ["CLOSED"], "limit": 3, "time": TIME}),
    ("fill.list", {"cl_ord_id": "fuzz", "symbol": "BTCUSDT", "limit": 3, "cursor": "x"}),
    ("events.subscribe", {"cl_ord_id": "nobody", "group": {"a": "b"}, "events": ["order_traded"]}),
    ("events.unsubscribe", {}),
    ("executor.list", {}),
    ("daemon.info", {}),
    ("daemon.ping", {}),
    ("no.such", {}),
)
"""Every method but daemon.stop and rpc.discover, whose answer is long; pages are kept small."""

PING = b'{"jsonrpc":"2.0","id":"next","method":"daemon.ping"}\n'
NAMES = sorted({name for _, params in CALLS for name in params})
PIECES = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b"\\",
    b"\x00",
    b"\xff",
    b"\r",
    b"null",
    b"-",
    b"e9",
)


class Fuzzer:
    """Makes lines. The same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._count = 0

    def line(self) -> bytes:
        """Return the next line, without its newline; now and then a batch."""
        self._count += 1
        if self._chance.random() < 0.03:
            size = self._chance.choice((0, 1, 2, 5, BATCH_MAX, BATCH_MAX + 1))
            return json.dumps([self._message() for _ in range(size)]).encode()
        if self._chance.random() < 0.002:
            return b"[" * self._chance.choice((1_000, LINE_BYTES_MAX - 1, LINE_BYTES_MAX))
        line = json.dumps(self._message()).encode()
        if self._chance.random() < 0.4:
            line = self._torn(line)
        return line.replace(b"\n", b" ") or b" x"

    def _message(self) -> Any:
        method, params = self._chance.choice(CALLS)
        message: Message = request(self._count, method, **copy.deepcopy(params))
        for _ in range(self._chance.choice((0, 1, 1, 1, 2, 3))):
            self._spoil(message, message["params"] if self._chance.random() < 0.8 else message)
        return message

    def _spoil(self, message: Message, at: Any) -> None:
        """Change, drop or add one member, of the params or of the message itself."""
        if not isinstance(at, dict) or "params" not in message:
            return
        name = self._chance.choice([*at, *at, self._chance.choice(NAMES)])
        dice = self._chance.random()
        if dice < 0.15:
            at.pop(name, None)
        elif dice < 0.25 and isinstance(at.get(name), dict):
            at[name] = {**at[name], self._chance.choice(NAMES): self._weird()}
        else:
            at[name] = self._weird()
        message.setdefault("params", {})

    def _weird(self) -> Any:
        return copy.deepcopy(self._chance.choice(WEIRD))

    def _torn(self, line: bytes) -> bytes:
        """Cut, double, swap or overwrite some bytes."""
        for _ in range(self._chance.randint(1, 4)):
            at, to = sorted(self._chance.choices(range(len(line) + 1), k=2))
            line = self._chance.choice(
                (
                    line[:at] + line[to:],
                    line[:to] + line[at:],
                    line[:at] + self._chance.choice(PIECES) + line[at:],
                    line[:at] + bytes([self._chance.randrange(256)]) + line[at + 1 :],
                )
            )
        return line[: LINE_BYTES_MAX + 10]


class Talk:
    """Sends lines one by one and reads what comes of each, on one connection after another."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon
        self.codes: Counter[str] = Counter()
        self._bot: Bot | None = None
        self._sent = 0
        self._unanswered: set[int] = set()
        self._nameless = 0

    def say(self, line: bytes) -> None:
        """Send a line and see that it is answered, or that the end has a reason."""
        if self._bot is None or self._sent >= LINES_PER_CONNECTION:
            self.close()
            self._bot, self._sent = self.daemon.bot(), 0
        self._sent += 1
        self._expect(line)
        # A line may be a notification, or no line at all: the ping after it is always answered.
        # The daemon may hang up before it has read all; its reason can still be read.
        with suppress(HungUp):
            self._bot.send_raw(line + b"\n" + PING)
        reasons: list[str] = []
        try:
            while not self._take(self._bot.receive(), reasons):
                pass
        except HungUp:
            assert reasons[-1:] == ["line_too_long"], (line[:200], reasons)
            self._forget()

    def close(self) -> None:
        """Stop speaking, read what is still to come, and see that no call went unanswered."""
        if self._bot is None:
            return
        self._bot.socket.shutdown(socket.SHUT_WR)
        with suppress(HungUp):
            while True:
                self._take(self._bot.receive(), [])
        # What could not be read, perhaps for its id, was answered under no id.
        assert len(self._unanswered) <= self._nameless, self._unanswered
        self._forget()

    def _forget(self) -> None:
        assert self._bot is not None
        self._bot.close()
        self._bot, self._nameless = None, 0
        self._unanswered.clear()

    def _expect(self, line: bytes) -> None:
        """Note that a line is a call, as far as that can be seen from outside."""
        try:
            call = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(call, dict) and type(call.get("id")) is int:
            self._unanswered.add(call["id"])

    def _take(self, message: Any, reasons: list[str]) -> bool:
        """Count what an answer says; return whether it is the ping's."""
        for each in message if isinstance(message, list) else [message]:
            if each.get("id") == "next":
                # What is slow comes later: it is read with the next line, or at the end.
                return True
            if "method" in each:
                self.codes[each["method"]] += 1
                continue
            assert each["jsonrpc"] == "2.0"
            self._nameless += each["id"] is None
            if type(each["id"]) is int:
                self._unanswered.discard(each["id"])
            if "error" in each:
                code, data = each["error"]["code"], each["error"]["data"]
                assert code != -32603, each
                reasons.append(data["reason"])
                self.codes[f"{code} {data['reason']}"] += 1
            else:
                self.codes["result"] += 1
        return False


def at_rest(daemon: DaemonProcess) -> tuple[Message, int, int]:
    """
    Return daemon.info, memory in bytes and open files, with one connection open: ours.

    A question for statistics comes first: the process that answers it has its files, too, and is
    otherwise started a while after the daemon.
    """
    with daemon.bot() as bot:
        bot.call("stats.get")
        while (info := bot.call("daemon.info"))["connections"] > 1:
            pass
        return info, daemon.rss_bytes(), daemon.fds()


def fuzz(lines: int, seed: int, *, told: Callable[[str], None] | None = None) -> Message:
    """Send so many lines; return the numbers. AssertionError says what was wrong with an answer."""
    fuzzer = Fuzzer(seed)
    with running(daemon={"log_level": "warning", "orders_in_memory_max": 100}) as daemon:
        talk = Talk(daemon)
        for _ in range(WARM_UP):
            talk.say(fuzzer.line())
        talk.close()
        _, rss_bytes, fds = at_rest(daemon)
        for number in range(1, lines + 1):
            talk.say(fuzzer.line())
            if told is not None and number % TOLD_EVERY == 0:
                told(
                    f"{number} of {lines} lines: {(daemon.rss_bytes() - rss_bytes) >> 10} KiB more"
                )
        talk.close()
        info, rss_bytes_after, fds_after = at_rest(daemon)
        assert (info["executors"], info["subscribers"]) == ({"paper": "up"}, 0)
        growth_bytes, more_fds = rss_bytes_after - rss_bytes, fds_after - fds
        growth_bytes_max = GROWTH_BYTES_MAX + ORDER_BYTES * info["orders"]["submitted"]
        assert growth_bytes < growth_bytes_max, f"{growth_bytes} bytes more"
        assert more_fds <= 0, f"{more_fds} files more"
        bugs = [*daemon.logged("method_failed"), *daemon.logged("subscription_failed")]
        assert not bugs, bugs[:3]
        assert daemon.stop() == 0
    return {
        "lines": lines,
        "grown_kib": growth_bytes >> 10,
        "more_fds": more_fds,
        "orders": info["orders"]["submitted"],
        "answers": dict(talk.codes.most_common()),
    }


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="hostile lines, and what the daemon makes of them")
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began_s = time.monotonic()
    numbers = fuzz(options.lines, options.seed, told=say)
    say(json.dumps({**numbers, "s": round(time.monotonic() - began_s, 1)}, indent=1))


if __name__ == "__main__":
    main()
