"""brokerctl top: what it shows, what its keys do, and that the terminal is left as it was found."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest
from tests.daemon_process import PATIENCE_S, limit, market, running
from tests.scripted_daemon import Error, ScriptedDaemon, hang_up, order

from brokerd.cli import main
from brokerd.cli.activity import Activity, quantile
from brokerd.cli.errors import Exit
from brokerd.cli.plots import bar, spark
from brokerd.cli.screen import keys_in
from brokerd.cli.terminal import Output
from brokerd.cli.topview import Told, View, doubts_of, frame, latency, shown_orders

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
INFO = {
    "version": "0.1.0",
    "uptime_s": 3900.0,
    "seq": 12345,
    "accepts_orders": True,
    "orders": {"open": 1, "pending": 0, "in_doubt": 1, "submitted": 7},
    "connections": 3,
    "subscribers": 1,
    "calls": 100,
}
DOUBT = {
    "cl_ord_id": "d-1",
    "request": "new",
    "since": "2026-01-31T09:30:00.000000000Z",
    "leaves_qty": "1",
}
EXECUTORS = [
    {"name": "paper", "adapter": "paper", "state": "up", "orders_unsettled": 1, "in_doubt": [DOUBT]}
]


class Terminal:
    """A terminal with `brokerctl top` on it."""

    def __init__(self, path: str, columns: int = 120, lines: int = 30) -> None:
        self.leader, follower = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.leader)
        environ = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        for name in ("COLUMNS", "LINES"):  # they would win over the terminal's size
            environ.pop(name, None)
        command = [sys.executable, "-m", "brokerd.cli", "--socket", path, "top", "--every", "0.25"]
        self.process = subprocess.Popen(
            command,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environ,
            process_group=0,  # its stop is not ignored, as it is in a group without a parent
        )
        self.follower = follower
        self.text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self.leader)
        os.close(self.follower)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, words: str) -> str:
        """Read until a frame has these words; return what came since the last call."""
        give_up_s = time.monotonic() + PATIENCE_S
        while re.search(words, self.text) is None:
            if not select.select([self.leader], [], [], max(give_up_s - time.monotonic(), 0))[0]:
                raise AssertionError(f"{words} did not come: {self.text[-3000:]!r}")
            self.text += os.read(self.leader, 65_536).decode(errors="replace")
        seen, self.text = self.text, ""
        return seen

    def press(self, keys: str) -> None:
        os.write(self.leader, keys.encode())

    def end(self) -> int:
        """Wait for the end, and see that the terminal is as it was."""
        assert LEAVE in self.until(re.escape(LEAVE))
        status = self.process.wait(PATIENCE_S)
        assert termios.tcgetattr(self.leader) == self.before
        return status


def script(**changes: Any) -> dict[str, Any]:
    return {
        "daemon.info": INFO,
        "executor.list": {"executors": EXECUTORS},
        "order.list": {"orders": [order("a-1"), order("b-1", symbol="AAAUSDT")]},
        "events.subscribe": {"seq": 3},
        "order.explain": {"order": order("a-1"), "transitions": []},
        **changes,
    }


@contextmanager
def top(**changes: Any) -> Iterator[Terminal]:
    with ScriptedDaemon(script(**changes)) as daemon, Terminal(daemon.path) as terminal:
        yield terminal


def test_q_ends_it_and_leaves_the_terminal_as_it_was() -> None:
    with top() as terminal:
        shown = terminal.until("b-1")
        assert ENTER in shown
        for words in ("brokerd 0.1.0", "up 1h05m", "1 in doubt", "d-1", "live orders: 2"):
            assert words in shown
        terminal.press("q")
        assert terminal.end() == Exit.DONE


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGHUP, 128 + signal.SIGHUP),
        (signal.SIGINT, Exit.INTERRUPTED),
    ],
)
def test_a_signal_ends_it_and_leaves_the_terminal_as_it_was(
    number: signal.Signals, status: int
) -> None:
    with top() as terminal:
        terminal.until("b-1")
        terminal.process.send_signal(number)
        assert terminal.end() == status


def test_stopped_it_gives_the_terminal_back_and_takes_it_again() -> None:
    with top() as terminal:
        terminal.until("b-1")
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.until(re.escape(LEAVE))
        assert os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED) is not None
        assert termios.tcgetattr(terminal.leader) == terminal.before
        terminal.process.send_signal(signal.SIGCONT)
        assert ENTER in terminal.until("b-1")
        terminal.press("q")
        assert terminal.end() == Exit.DONE


def test_a_resize_is_followed() -> None:
    with top() as terminal:
        assert "executor" in terminal.until("b-1")
        terminal.resize(50, 30)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.until(r"cl_ord_id\s+symbol\s+side\s+qty\s+ord_status")
        terminal.press("q")
        assert terminal.end() == Exit.DONE


def test_keys_choose_an_order_and_open_its_story() -> None:
    with top() as terminal:
        terminal.until("b-1")
        terminal.press("j")
        terminal.until(r">\s+a-1")
        terminal.press("\x1b[B")
        terminal.until(r">\s+b-1")
        terminal.press("\x1b[A\r")
        terminal.until("a-1  buy 0.010 BTCUSDT limit 39400.10  paper:17")
        terminal.press("\x1b")
        terminal.until("live orders")
        terminal.press("?")
        terminal.until("this help")
        terminal.press("q")
        assert terminal.end() == Exit.DONE


def test_a_daemon_that_is_away_is_said_and_waited_for() -> None:
    with top(**{"daemon.info": [INFO, hang_up, INFO]}) as terminal:
        terminal.until("the daemon hung up.*: waiting for the daemon")
        terminal.until("1 in doubt")
        terminal.press("q")
        assert terminal.end() == Exit.DONE


def test_a_real_daemons_orders_rates_and_times_are_shown() -> None:
    with running() as daemon, Terminal(str(daemon.socket_path)) as terminal:
        terminal.until("live orders: 0")
        with daemon.bot() as bot:
            bot.call("order.submit", **limit(cl_ord_id="rest-1"), wait="venue")
            bot.call("order.submit", **market(), wait="venue")
        terminal.until(r"rest-1")
        terminal.until(r"ack p50 .*\(n 2\) +first fill p50 .*\(n 1\)")
        terminal.press("q")
        assert terminal.end() == Exit.DONE


@pytest.mark.parametrize("argv", [["top"], ["top", "-o", "json"]])
def test_without_a_terminal_it_is_a_usage_error(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedDaemon({"daemon.info": Error(1, "unasked")}) as daemon:
        assert main(["--socket", daemon.path, *argv]) == Exit.USAGE
    assert daemon.requests == []
    assert capsys.readouterr().err.startswith("brokerctl: ")


def test_keys_are_read_from_what_a_terminal_sends() -> None:
    assert keys_in(b"q\x1b[Aj\x1bOB\r\x1b") == ["q", "up", "j", "down", "enter", "escape"]
    assert keys_in(b"\x1b[15;2~x\x01\xc3\xa9") == ["x"]


OUT = Output("table", no_color=True)


def lines(told: Told, view: View | None = None, activity: Activity | None = None) -> str:
    return "\n".join(frame(OUT, told, view or View(), activity or Activity(), 100.0))


def test_nothing_told_is_a_dash_and_never_a_zero() -> None:
    shown = lines(Told())
    assert "submits -" in shown
    assert "ack -" in shown
    assert "answer -" in shown
    assert "- open" in shown


def test_doubts_of_every_executor_are_listed_the_longest_first() -> None:
    later = {**DOUBT, "cl_ord_id": "d-2", "since": "2026-01-31T09:31:00Z"}
    doubts = doubts_of([{"name": "x", "in_doubt": [later]}, *EXECUTORS])
    assert [(doubt["cl_ord_id"], doubt["executor"]) for doubt in doubts] == [
        ("d-1", "paper"),
        ("d-2", "x"),
    ]


def test_text_from_outside_cannot_move_the_cursor() -> None:
    evil = "\x1b[2Jx"
    told = Told(
        daemon={**INFO, "version": evil},
        executors=[{"name": evil, "reason": evil}],
        orders=[order(evil)],
        away=evil,
    )
    assert "\x1b" not in lines(told)
    assert "\x1b" not in lines(told, View(executor=evil))


def test_help_and_a_story_take_the_place_of_the_tables() -> None:
    told = Told(daemon=INFO, executors=EXECUTORS, story=["the story"])
    assert "this help" in lines(told, View(helping=True))
    story = lines(told, View(story_of="a-1"))
    assert "the story" in story
    assert "live orders" not in lines(told, View(helping=True)) + story


def test_a_daemon_that_takes_no_orders_says_so_and_without_doubts_there_is_no_table_of_them() -> (
    None
):
    assert "it takes no new orders" in lines(Told(daemon=INFO | {"accepts_orders": False}))
    assert "in doubt: nobody" not in lines(Told(daemon=INFO))
    assert "in doubt: nobody knows yet whether it happened (1)" in lines(Told(executors=EXECUTORS))


def test_colours_say_what_stands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OUT, "colour", True)
    told = Told(daemon=INFO, executors=EXECUTORS, orders=[order()])
    assert "\x1b[35m1 in doubt" in lines(told)
    assert "0 pending" in lines(told)
    assert "\x1b[33m0 pending" not in lines(told)
    assert "\x1b[35mnew" in lines(told)


def test_orders_are_filtered_and_sorted_as_chosen() -> None:
    orders = [order("c", symbol="B"), order("b", symbol="A"), order("a", executor="other")]
    told = Told(orders=orders)
    ids = {
        sort: [each["cl_ord_id"] for each in shown_orders(told, View(sort=sort))]
        for sort in ("newest", "oldest", "symbol")
    }
    assert ids == {"newest": ["c", "b", "a"], "oldest": ["a", "b", "c"], "symbol": ["b", "c", "a"]}
    assert shown_orders(told, View(executor="other")) == orders[2:]


def test_more_orders_than_were_asked_for_are_counted() -> None:
    told = Told(daemon={"orders": {"open": 1200, "pending": 34}}, orders=[order()])
    assert "live orders: 1, newest first, of the newest 1 of 1,234" in lines(told)


def event(name: str, at: float, **members: Any) -> dict[str, Any]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{round(at % 1 * 1e9):09}Z"
    return {"event": name, "at": stamp, "cl_ord_id": "a-1", **members}


def test_rates_are_over_the_last_minute_and_there_is_none_before_we_listened() -> None:
    activity = Activity()
    assert activity.per_s("order_submitted", 100.0) is None
    activity.begin(100.0)
    assert activity.per_s("order_submitted", 100.5) is None
    for no in range(20):
        activity.take(event("order_submitted", 0), 100.0 + no)
    assert activity.per_s("order_submitted", 120.0) == 1.0
    assert activity.by_second("order_submitted", 120.0, 22) == [None, None, *[1.0] * 20]
    assert activity.per_s("order_submitted", 300.0) == 0.0


def test_times_are_from_sending_to_the_word_and_from_receipt_to_the_first_fill_only() -> None:
    activity = Activity()
    activity.begin(0.0)
    activity.take(event("order_submitted", 10.0), 1.0)
    sent_at = event("", 10.001)["at"]
    activity.take(event("order_acknowledged", 10.003, sent_at=sent_at), 1.0)
    activity.take(event("order_traded", 10.5), 1.0)
    activity.take(event("order_traded", 11.5), 1.0)
    assert activity.ack_s(2.0) == pytest.approx([0.002])
    assert activity.first_fill_s(2.0) == pytest.approx([0.5])
    assert activity.ack_s(62.0) == []


def test_what_is_remembered_is_bounded_and_what_makes_no_sense_is_only_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("brokerd.cli.activity.FOLLOWED_MAX", 1)
    activity = Activity()
    activity.begin(0.0)
    activity.begin(50.0)
    for no in range(200):
        activity.take(event("order_submitted", no, cl_ord_id=f"o-{no}"), float(no))
    assert activity.per_s("order_submitted", 200.0) == 1.0
    assert len(activity._counts) <= 62
    activity.take(event("order_traded", 300.0, cl_ord_id="o-1"), 200.0)
    activity.take({"event": "order_traded", "at": "soon"}, 200.0)
    activity.take(event("order_acknowledged", 300.0), 200.0)
    assert activity.first_fill_s(200.0) == activity.ack_s(200.0) == []
    assert activity.by_second("order_traded", 201.0, 1) == [2]


def test_quantiles_are_values_that_were_measured() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0, 0.5, 0.75, 1)] == [1, 2, 3, 4]
    assert latency("ack", [0.001] * 1000) == "ack p50 1.0 ms  p95 1.0 ms  p99 1.0 ms (n 1,000)"


def test_a_spark_line_has_a_gap_for_what_is_missing_and_a_floor_for_zero() -> None:
    assert spark([None, 0, 1, 8]) == " ▁▂█"
    assert spark([0, 0]) == "▁▁"
    assert spark([]) == ""


@pytest.mark.parametrize(
    ("share", "told"),
    [(0, "    "), (1, "████"), (0.5, "██  "), (0.53125, "██▏ "), (2, "████"), (-1, "    ")],
)
def test_a_bar_is_as_long_as_its_share(share: float, told: str) -> None:
    assert bar(share, 4) == told
