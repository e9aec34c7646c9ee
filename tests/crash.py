"""
kill -9 under load, again and again, and what must be true after each.

    python -m tests.crash --cycles 200 --seed 1
    python -m tests.crash --cycles 300 --venue binance     over a bad network, see `fault_proxy`

Bots submit, cancel and replace; a watcher follows the events; the daemon is killed at a random
moment, sometimes while it starts, sometimes twice. `Crash.cycle` then checks the promises:
acknowledged means durable, told means told the same for ever, journal before send, never twice.
`Crash.finish` lets everything settle and holds the journal against the venue's own log.
"""

import argparse
import io
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.daemon_process import PATIENCE_S, Bot, DaemonProcess, HungUp, Message, Told, request
from tests.fault_proxy import Network
from tests.oracles import Oracle, PaperOracle
from tests.venue_process import wired

from brokerd.journal.audit import export, verify

BOTS = 3
LOAD_S_MAX = 0.3
STARTING_S_MAX = 0.35
VERIFY_EVERY = 10
RESEND_EVERY = 10
TERMS = ("symbol", "side", "ord_type", "group")
AFTER = ("ord_status", "cum_qty", "leaves_qty")
FINAL = {"filled", "canceled", "rejected", "expired"}

Tell = Callable[[str], None]

NETWORK = Network(
    refuse=0.02,
    cut_before=0.005,
    cut_inside=0.005,
    cut_after=0.005,
    cut_reply=0.005,
    delay=0.02,
    hole=0.002,
    repeat=0.02,
)
WIRE_FAULTS = {
    "late": 0.01,
    "hold": 0.01,
    "fail": 0.01,
    "garble": 0.01,
    "repeat_report": 0.05,
    "reorder_report": 0.05,
    "drop_report": 0.02,
    "terms": {"fault": "none", "delay_s": 0.5},
}
WIRE: dict[str, Message] = {
    "binance": {"recv_window_ms": 1_000},
    "alpaca": {"dead_after_s": 2, "requests_per_minute": 10_000},
}
MARKETS = {"BTCUSDT": ("1000", "90000"), "ETHUSDT": ("1000", "9000")}
"""What is traded, each with a price far below and one far above its market."""

MARKETS_OF = {"alpaca": {"BTC/USD": ("1000", "90000"), "ETH/USD": ("1000", "9000")}}
SETTLE_S_MAX = 180.0
"""The longest doubt: until a request can no longer arrive, and two answers a query's lag apart."""

TOO_LATE = 102
FILLED_BY_NOW = "qty_not_above_filled"
NOT_NOW = {201, 300, 303}
"""The venue is down, or not yet up; the inbox is full. Nothing happened."""

NOT_NOW_S = 0.005
FREEZES = 0.05
FROZEN_S = 1.5

FAULTS = {"lose_reply": 0.02, "lose_request": 0.005, "repeat_report": 0.05, "reorder_report": 0.05}


class LoadBot(threading.Thread):
    """Trades until the daemon is gone, and remembers what it asked and what it was answered."""

    def __init__(
        self, daemon: DaemonProcess, name: str, seed: str, markets: dict[str, tuple[str, str]]
    ) -> None:
        super().__init__(name=name)
        self._markets = markets
        self.asked: dict[str, Message] = {}
        self.answered: dict[str, Message] = {}
        self.surprises: list[str] = []
        self.busy = 0
        self._chance = random.Random(seed)
        self._bot = daemon.bot()

    def run(self) -> None:
        with self._bot as bot, suppress(HungUp):
            while True:
                self._act(bot)

    def _act(self, bot: Bot) -> None:
        open_ids = [name for name, order in self.answered.items() if not _is_final(order)]
        dice = self._chance.random()
        if dice < 0.5 or not open_ids:
            self._submit(bot)
        elif dice < 0.6:
            self._submit_batch(bot)
        elif dice < 0.85:
            self._call(bot, "order.cancel", cl_ord_id=self._chance.choice(open_ids))
        else:
            qty = f"0.0{self._chance.randint(1, 9)}"
            self._call(bot, "order.replace", cl_ord_id=self._chance.choice(open_ids), qty=qty)

    def _terms(self) -> Message:
        cl_ord_id = f"{self.name}-{len(self.asked)}"
        terms: Message = {
            "cl_ord_id": cl_ord_id,
            "symbol": self._chance.choice(tuple(self._markets)),
            "side": self._chance.choice(("buy", "sell")),
            "ord_type": "market",
            "qty": f"0.0{self._chance.randint(1, 9)}",
            "group": {"bot": self.name},
        }
        if self._chance.random() < 0.7:
            cheap, dear = self._markets[terms["symbol"]]
            terms |= {"ord_type": "limit", "px": cheap if terms["side"] == "buy" else dear}
        self.asked[cl_ord_id] = terms
        return terms

    def _submit(self, bot: Bot) -> None:
        wait = self._chance.choice(("journal", "venue"))
        self._call(bot, "order.submit", **self._terms(), wait=wait)

    def _submit_batch(self, bot: Bot) -> None:
        bot.send([request(no, "order.submit", **self._terms()) for no in range(10)])
        for answer in bot.receive():
            if "result" in answer:
                self._remember(answer["result"])
            else:
                self._refused(Told(answer["error"]))

    def _call(self, bot: Bot, method: str, **params: Any) -> None:
        try:
            self._remember(bot.call(method, **params))
        except Told as told:
            self._refused(told)

    def _refused(self, told: Told) -> None:
        """Count what may be refused: a change that comes too late, and what cannot be taken now."""
        if told.code in NOT_NOW:
            self.busy += 1
            time.sleep(NOT_NOW_S)
        elif told.code != TOO_LATE and told.data.get("reason") != FILLED_BY_NOW:
            self.surprises.append(str(told))

    def _remember(self, order: Message) -> None:
        known = self.answered.get(order["cl_ord_id"])
        if known is None or order["seq"] >= known["seq"]:
            self.answered[order["cl_ord_id"]] = order


class Watcher(threading.Thread):
    """Follows the events from one seq on; `lines` are what it was told, byte for byte, by seq."""

    def __init__(self, daemon: DaemonProcess, after_seq: int) -> None:
        super().__init__(name="watcher")
        self.lines: dict[int, bytes] = {}
        self.gaps: list[tuple[int, int]] = []
        self._after_seq = after_seq
        self._news = threading.Condition()
        self._bot = daemon.bot()
        self._bot.call("events.subscribe", after_seq=after_seq)

    def run(self) -> None:
        last_seq = self._after_seq
        with self._bot as bot, suppress(HungUp):
            while True:
                line = bot.receive_raw()
                message = json.loads(line)
                if message["method"] != "event":
                    continue
                seq = message["params"]["seq"]
                if seq != last_seq + 1:
                    self.gaps.append((last_seq, seq))
                last_seq = seq
                self.lines[seq] = line
                with self._news:
                    self._news.notify()

    def has_read(self, seq: int) -> bool:
        """Wait until it was told of a row."""
        with self._news:
            return self._news.wait_for(lambda: seq in self.lines, PATIENCE_S)


class Crash:
    """One journal through many deaths."""

    def __init__(
        self,
        daemon: DaemonProcess,
        oracle: Oracle,
        seed: int,
        *,
        freezes: float = 0.0,
        markets: dict[str, tuple[str, str]] = MARKETS,
    ) -> None:
        self.freezes = freezes
        self.markets = markets
        self.frozen = 0
        self.daemon = daemon
        self.oracle = oracle
        self.chance = random.Random(seed)
        self.seed = seed
        self.asked: dict[str, Message] = {}
        self.answered: dict[str, Message] = {}
        self.told: dict[int, bytes] = {}
        self.rows: list[Message] = []
        self.submitted: dict[str, Message] = {}
        self.resent = 0
        self.busy = 0
        self.starts_killed = 0

    def cycle(self, number: int) -> None:
        """Start, load, kill, and check."""
        self._kill_while_starting()
        self.daemon.start()
        self._check_answered()
        after_seq = 0 if number % VERIFY_EVERY == 0 else max(0, len(self.told) - 500)
        watcher = Watcher(self.daemon, after_seq)
        bots = [
            LoadBot(self.daemon, f"c{number}b{no}", f"{self.seed}/{number}/{no}", self.markets)
            for no in range(BOTS)
        ]
        for thread in (watcher, *bots):
            thread.start()
        self._send_again()
        time.sleep(self.chance.uniform(0.01, LOAD_S_MAX))
        if self.chance.random() < self.freezes:
            self._freeze()
        self.daemon.kill()
        for thread in (watcher, *bots):
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), f"{thread.name} hangs"
        for bot in bots:
            assert not bot.surprises, bot.surprises[:3]
            self.asked |= bot.asked
            self.answered |= bot.answered
            self.busy += bot.busy
        self._check_told(watcher)
        self._check_journal(whole=number % VERIFY_EVERY == 0)

    def finish(self) -> Message:
        """Let all settle, stop in order, and compare journal and venue; return the numbers."""
        self.daemon.start()
        self._check_answered()
        self._send_again(everything=True)
        with self.daemon.bot() as bot:
            self._settle(bot)
            self._check_states(bot)
            seq = bot.call("daemon.info")["seq"]
        watcher = Watcher(self.daemon, 0)
        watcher.start()
        assert watcher.has_read(seq), "the watcher was not told all rows"
        assert self.daemon.stop() == 0
        watcher.join(PATIENCE_S)
        self._check_told(watcher)
        self._check_journal(whole=True)
        return {
            "rows": len(self.rows),
            "orders_acknowledged": len(self.answered),
            "orders_unanswered_and_sent_again": self.resent,
            "told_busy": self.busy,
            "starts_killed": self.starts_killed,
            "frozen": self.frozen,
            "orders_in_doubt": self._count("request_doubted"),
            "fills": self._count("order_traded"),
            **self._check_venue(),
        }

    def _kill_while_starting(self) -> None:
        for _ in range(self.chance.choice((0, 0, 0, 1, 2))):
            self.daemon.spawn()
            time.sleep(self.chance.uniform(0, STARTING_S_MAX))
            self.daemon.kill()
            self.starts_killed += 1

    def _freeze(self) -> None:
        """Stop the process for longer than its requests are valid, and let it go on for a moment."""
        self.daemon.signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        self.daemon.signal(signal.SIGCONT)
        time.sleep(self.chance.uniform(0, LOAD_S_MAX))
        self.frozen += 1

    def _check_answered(self) -> None:
        """Every acknowledged order is there, with its terms, and no younger than it was told."""
        with self.daemon.bot() as bot:
            for cl_ord_id, answer in list(self.answered.items())[-500:]:
                order = bot.call("order.get", cl_ord_id=cl_ord_id)
                assert all(order[name] == answer[name] for name in TERMS), (order, answer)
                assert order["seq"] >= answer["seq"], (order, answer)
                assert Decimal(order["cum_qty"]) >= Decimal(answer["cum_qty"]), (order, answer)
                assert order["venue_order_id"] or not answer["venue_order_id"], (order, answer)
                if _is_final(answer) and answer["ord_status"] != order["ord_status"]:
                    assert order["ord_status"] == "filled", (order, answer)

    def _send_again(self, *, everything: bool = False) -> None:
        """Repeat the submits that went unanswered: each is answered with one order, old or new."""
        lost = [each for each in list(self.asked) if each not in self.answered]
        with self.daemon.bot() as bot:
            for cl_ord_id in lost if everything else lost[:RESEND_EVERY]:
                try:
                    self.answered[cl_ord_id] = bot.call("order.submit", **self.asked[cl_ord_id])
                    self.resent += 1
                except Told as told:
                    if told.code not in NOT_NOW:
                        raise
                    self.busy += 1

    def _check_told(self, watcher: Watcher) -> None:
        assert not watcher.gaps, watcher.gaps[:3]
        for seq, line in watcher.lines.items():
            assert self.told.setdefault(seq, line) == line, (seq, self.told[seq], line)

    def _check_journal(self, *, whole: bool) -> None:
        """What was told is on disk; what is at the venue was on disk first; the chain holds."""
        out = io.BytesIO()
        export(self.daemon.journal, out, after_seq=len(self.rows))
        for line in out.getvalue().splitlines():
            row = json.loads(line)
            self.rows.append(row)
            assert row["seq"] == len(self.rows)
            event = row["event"]
            if event["event"] == "order_submitted":
                assert event["cl_ord_id"] not in self.submitted, "an order was submitted twice"
                self.submitted[event["cl_ord_id"]] = event
                self._check_terms(event)
        assert max(self.told, default=0) <= len(self.rows), "an event was told that is not on disk"
        assert self.answered.keys() <= self.submitted.keys(), "an acknowledged order is gone"
        ours = {event["venue_cl_ord_id"] for event in self.submitted.values()}
        if whole or self.oracle.is_cheap:
            early = self.oracle.filled().keys() - ours
            assert not early, f"sent before it was journalled: {sorted(early)[:3]}"
        if whole:
            verdict = verify(self.daemon.journal)
            assert verdict.is_good, verdict
            assert verdict.rows == len(self.rows)

    def _check_terms(self, event: Message) -> None:
        asked, terms = self.asked[event["cl_ord_id"]], event["terms"]
        for name in ("symbol", "side", "ord_type", "group", "qty", "px"):
            assert terms.get(name) == asked.get(name), (name, event, asked)

    def _settle(self, bot: Bot) -> None:
        """Cancel what works, and wait until nothing is in doubt or under way."""
        give_up_s = time.monotonic() + SETTLE_S_MAX
        while True:
            bot.call("order.cancel_all")
            counts = bot.call("daemon.info")["orders"]
            if not (counts["open"] or counts["pending"] or counts["in_doubt"]):
                return
            assert time.monotonic() < give_up_s, counts
            time.sleep(0.1)

    def _check_states(self, bot: Bot) -> None:
        """Each order is listed under one status, and is what the last event said of it."""
        seq = bot.call("daemon.info")["seq"]
        bot.call("events.subscribe", after_seq=0)
        last: dict[str, Message] = {}
        while (event := bot.next_event()["params"])["seq"] < seq:
            last[event.get("cl_ord_id", "")] = event
        last[event.get("cl_ord_id", "")] = event
        bot.call("events.unsubscribe")
        listed: dict[str, Message] = {}
        for status in ("PENDING", "OPEN", "CLOSED", "CANCELLED"):
            cursor = None
            while True:
                page = bot.call("order.list", status=status, limit=1000, cursor=cursor)
                for order in page["orders"]:
                    assert order["cl_ord_id"] not in listed, "an order in two states"
                    listed[order["cl_ord_id"]] = order
                cursor = page["next_cursor"]
                if cursor is None:
                    break
        assert listed.keys() == last.keys() - {""}
        for cl_ord_id, order in listed.items():
            event = last[cl_ord_id]
            assert order["seq"] == event["seq"], (order, event)
            assert all(order[name] == event[name] for name in AFTER), (order, event)
            assert order["ord_status"] in FINAL, order

    def _check_venue(self) -> Message:
        """Filled quantities are the venue's, each execution counted once."""
        venue = self.oracle.filled()
        filled: dict[str, Decimal] = dict.fromkeys(self.submitted, Decimal(0))
        seen: set[str] = set()
        for row in self.rows:
            event = row["event"]
            if event["event"] == "order_traded":
                assert event["exec_id"] not in seen, "an execution was counted twice"
                seen.add(event["exec_id"])
                filled[event["cl_ord_id"]] += Decimal(event["last_qty"])
        compared = 0
        for cl_ord_id, event in self.submitted.items():
            at_venue = venue.get(event["venue_cl_ord_id"])
            if at_venue is not None:
                compared += 1
                assert filled[cl_ord_id] == at_venue, (cl_ord_id, filled[cl_ord_id], at_venue)
        return {"orders_at_venue": len(venue), "quantities_compared": compared}

    def _count(self, event: str) -> int:
        return sum(row["event"]["event"] == event for row in self.rows)


def _is_final(order: Message) -> bool:
    return order["ord_status"] in FINAL


def crash(cycles: int, seed: int, *, told: Tell | None = None) -> Message:
    """Run so many cycles on the paper venue; AssertionError says which promise was broken."""
    settings: Message = {
        "daemon": {"poll_floor_s": 1, "log_level": "warning"},
        "executor": {"latency_ms": 2.0, "faults": {"seed": seed, **FAULTS}},
    }
    with DaemonProcess(**settings) as daemon:
        return _through(
            Crash(daemon, PaperOracle(daemon.state / "paper-paper.log"), seed), cycles, told
        )


def crash_on_the_wire(dialect: str, cycles: int, seed: int, *, told: Tell | None = None) -> Message:
    """
    Run so many cycles against a venue in a process of its own, over a bad network.

    The daemon is sometimes frozen for longer than its requests are valid. The network heals at the
    end; what the venue says it did is what counts.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bkd") as credentials,
        wired(dialect, NETWORK, seed, Path(credentials)) as venue,
    ):
        settings: Message = {
            "daemon": {
                "poll_floor_s": 1,
                "log_level": "warning",
                "request_deadline_s": 1,
                "credentials_dir": credentials,
            },
            "executor": {**venue.executor, **WIRE[dialect]},
        }
        with DaemonProcess(**settings) as daemon:
            venue.oracle.tell("faults", {"seed": seed, **WIRE_FAULTS})
            markets = MARKETS_OF.get(dialect, MARKETS)
            run = Crash(daemon, venue.oracle, seed, freezes=FREEZES, markets=markets)

            def heal() -> None:
                venue.oracle.tell("faults", None)
                venue.proxy.heal()

            numbers = _through(run, cycles, told, heal)
            struck = {f"network_{name}": count for name, count in venue.proxy.struck.items()}
            return numbers | struck


def _through(
    run: "Crash", cycles: int, told: Tell | None, heal: Callable[[], None] | None = None
) -> Message:
    for number in range(cycles):
        run.cycle(number)
        if told is not None:
            told(
                f"cycle {number + 1} of {cycles}: {len(run.rows)} rows, {len(run.answered)} orders"
            )
    if heal is not None:
        heal()
    return run.finish()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="kill -9 under load, and check the promises")
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--venue", choices=("paper", *WIRE), default="paper")
    options = parser.parse_args()
    began_s = time.monotonic()
    if options.venue == "paper":
        numbers = crash(options.cycles, options.seed, told=say)
    else:
        numbers = crash_on_the_wire(options.venue, options.cycles, options.seed, told=say)
    numbers |= {"cycles": options.cycles, "s": round(time.monotonic() - began_s, 1)}
    say(json.dumps(numbers))


if __name__ == "__main__":
    main()
