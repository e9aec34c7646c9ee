"""brokerctl tail: every event once, in order, whatever happens to the connection."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from tests.scripted_daemon import Error, Peer, Request, ScriptedDaemon, hang_up, reply, say

from brokerd.cli import main
from brokerd.cli.errors import Exit
from brokerd.events import EVENT_NAMES

THE_END = Error(400, "that was all")
"""Refuses the next subscription: the only way out of tail that is no signal."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brokerd.cli.commands.tail.WAIT_FIRST_S", 0.0)


def event(seq: int, **members: Any) -> dict[str, Any]:
    params = {"seq": seq, "event": "order_traded", "at": f"2026-01-31T09:30:0{seq}.000000000Z"}
    return {"jsonrpc": "2.0", "method": "event", "params": params | members}


def stream(*messages: object, at: int = 3) -> Callable[[Peer, Request], None]:
    """Subscribe at a seq, send messages, die."""

    def act(peer: Peer, request: Request) -> None:
        reply(peer, request, {"seq": at})
        for message in messages:
            say(peer, message)
        hang_up(peer, request)

    return act


def tail(script: dict[str, Any], *argv: str) -> tuple[int, ScriptedDaemon]:
    with ScriptedDaemon(script) as daemon:
        return main(["--socket", daemon.path, "tail", *argv]), daemon


def seqs(capsys: pytest.CaptureFixture[str]) -> list[int]:
    return [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()]


def test_resumes_behind_the_last_event_seen_without_gap_or_repeat(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = stream(event(4), event(5)), stream(event(5), event(6), event(6), event(7))
    status, daemon = tail({"events.subscribe": [first, second, THE_END]})
    assert status == Exit.FORBIDDEN
    assert seqs(capsys) == [4, 5, 6, 7]
    assert daemon.params("events.subscribe") == [{}, {"after_seq": 5}, {"after_seq": 7}]


def test_resumes_where_it_subscribed_if_nothing_came(capsys: pytest.CaptureFixture[str]) -> None:
    _, daemon = tail({"events.subscribe": [stream(at=41), stream(event(42)), THE_END]})
    assert daemon.params("events.subscribe")[1] == {"after_seq": 41}
    assert seqs(capsys) == [42]


def test_its_own_after_seq_counts_for_more_than_where_the_daemon_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = {"events.subscribe": [stream(event(1), at=900), THE_END]}
    _, daemon = tail(script, "--after-seq", "0")
    assert daemon.params("events.subscribe") == [{"after_seq": 0}, {"after_seq": 1}]
    assert seqs(capsys) == [1]


def test_an_event_may_overtake_the_answer_to_its_subscription(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def overtaking(peer: Peer, request: Request) -> None:
        say(peer, event(4))
        stream(event(5), at=3)(peer, request)

    tail({"events.subscribe": [overtaking, THE_END]})
    assert seqs(capsys) == [4, 5]


def test_a_torn_last_line_is_not_an_event_and_is_asked_for_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def torn(peer: Peer, request: Request) -> None:
        reply(peer, request, {"seq": 3})
        say(peer, event(4))
        peer.sendall(json.dumps(event(5)).encode()[:-9])
        hang_up(peer, request)

    tail({"events.subscribe": [torn, stream(event(5)), THE_END]})
    assert seqs(capsys) == [4, 5]


def test_goes_on_while_the_daemon_restarts_and_says_once_that_it_waits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("brokerd.cli.commands.tail.WAIT_FIRST_S", 0.001)
    script = {"events.subscribe": [stream(event(4)), Error(300, "starting"), hang_up, THE_END]}
    status, daemon = tail(script)
    assert status == Exit.FORBIDDEN
    assert daemon.params("events.subscribe")[1:] == [{"after_seq": 4}] * 3
    assert capsys.readouterr().err.count("waiting for the daemon") == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [(hang_up, Exit.UNREACHABLE), (Error(300, "starting"), Exit.REFUSED)],
)
def test_does_not_wait_for_a_daemon_that_was_never_there(answer: object, status: Exit) -> None:
    assert tail({"events.subscribe": answer})[0] == status


def test_an_event_without_a_seq_is_not_trusted_and_the_stream_taken_up_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = {"jsonrpc": "2.0", "method": "event", "params": {"event": "x"}}
    tail({"events.subscribe": [stream(event(4), bad, event(6)), stream(event(5)), THE_END]})
    assert seqs(capsys) == [4, 5]


def test_a_quiet_daemon_is_asked_and_one_that_answers_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("brokerd.cli.commands.tail.QUIET_S", 0.1)

    def quiet(peer: Peer, request: Request) -> None:
        reply(peer, request, {"seq": 3})

    def pong(peer: Peer, request: Request) -> None:
        reply(peer, request, "pong")
        say(peer, event(4))
        hang_up(peer, request)

    _, daemon = tail({"events.subscribe": [quiet, THE_END], "daemon.ping": pong})
    assert [request["method"] for request in daemon.requests].count("daemon.ping") == 1
    assert seqs(capsys) == [4]


def test_a_daemon_that_does_not_answer_a_ping_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brokerd.cli.commands.tail.QUIET_S", 0.05)
    script = {
        "events.subscribe": [lambda peer, request: reply(peer, request, {"seq": 3}), THE_END],
        "daemon.ping": lambda peer, request: None,
    }
    assert tail(script)[0] == Exit.FORBIDDEN


def test_filters_are_the_daemons_business() -> None:
    argv = ["--executor", "paper", "--symbol", "BTCUSDT", "--group", "a=b", "--id", "x"]
    argv += ["--side", "sell", "--status", "open", "--ord-status", "new"]
    _, daemon = tail({"events.subscribe": THE_END}, *argv, "--event", "e1", "--event", "e2")
    assert daemon.params("events.subscribe") == [
        {
            "executor": "paper",
            "symbol": "BTCUSDT",
            "side": "sell",
            "status": ["OPEN"],
            "ord_status": ["new"],
            "group": {"a": "b"},
            "cl_ord_id": "x",
            "events": ["e1", "e2"],
        }
    ]


def test_json_is_the_notifications_params_as_they_came(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = event(4, last_qty="0.010", new_member={"x": [1]})
    tail({"events.subscribe": [stream(told), THE_END]})
    assert json.loads(capsys.readouterr().out) == told["params"]


def test_falling_behind_is_said_beside_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    lagging = {"jsonrpc": "2.0", "method": "events.lagging", "params": {"seq": 4, "behind": 512}}
    tail({"events.subscribe": [stream(event(4), lagging, event(5)), THE_END]})
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "512 events behind" in captured.err


def test_a_line_for_a_person_says_when_what_whose_and_how_much(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill = event(4, cl_ord_id="a-1", last_qty="0.01", last_px="39400", fee="0.1", fee_asset="USDT")
    fill["params"]["ord_status"] = "filled"
    tail({"events.subscribe": [stream(fill), THE_END]}, "-o", "table")
    assert capsys.readouterr().out == (
        "-- 2026-01-31 --\n"
        "09:30:04.000       4  order_traded        a-1  filled  0.01 @ 39400 fee 0.1 USDT\n"
    )


@pytest.mark.parametrize(
    ("argv", "start"),
    [
        (["-n", "5"], {"last": 5}),
        (["--since", "2026-01-31"], {"since": "2026-01-31T00:00:00Z"}),
        (["--after-seq", "7"], {"after_seq": 7}),
    ],
)
def test_begins_where_it_is_told_and_resumes_where_it_was(
    argv: list[str], start: dict[str, Any]
) -> None:
    _, daemon = tail({"events.subscribe": [stream(event(8), at=7), THE_END]}, *argv)
    assert daemon.params("events.subscribe") == [start, {"after_seq": 8}]


def test_last_is_a_time_ago() -> None:
    before_s = int(time.time()) - 900
    _, daemon = tail({"events.subscribe": THE_END}, "--last", "15m")
    since = datetime.fromisoformat(daemon.params("events.subscribe")[0]["since"])
    assert before_s <= since.timestamp() <= time.time() - 900


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["-n", "5", "--since", "2026-01-31"], "exclude each other"),
        (["--last", "5m", "--since", "2026-01-31"], "exclude each other"),
        (["--last", "soon"], "no span of time"),
        (["--status", "CANECELLED"], "did you mean CANCELLED?"),
    ],
)
def test_a_start_or_filter_that_makes_no_sense_is_a_usage_error(
    argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", *argv]) == Exit.USAGE
    assert says in capsys.readouterr().err


def test_a_new_day_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    days = [event(4), event(5), event(6, at="2026-02-01T00:00:01.000000000Z")]
    tail({"events.subscribe": [stream(*days), THE_END]}, "-o", "table")
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("--")]
    assert said == ["-- 2026-01-31 --", "-- 2026-02-01 --"]


def on_a_terminal(script: dict[str, Any], *argv: str) -> tuple[str, ScriptedDaemon]:
    """Run tail as a person does, and return what the terminal got."""
    leader, follower = pty.openpty()
    environ = {name: v for name, v in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    with ScriptedDaemon(script) as daemon:
        command = [sys.executable, "-m", "brokerd.cli", "--socket", daemon.path, "tail", *argv]
        with subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, env=environ):
            os.close(follower)
            shown = b""
            with suppress(OSError):  # the other end is closed
                while chunk := os.read(leader, 65_536):
                    shown += chunk
    os.close(leader)
    return shown.decode(), daemon


def test_a_person_gets_the_last_ten_first_and_colours_by_outcome() -> None:
    outcomes = {
        "order_traded": 32,
        "order_rejected": 31,
        "request_doubted": 35,
        "order_canceled": 2,
    }
    events = [event(no, event=name) for no, name in enumerate(outcomes, 4)]
    script = {"events.subscribe": [stream(*events), Error(400, "that was all")]}
    shown, daemon = on_a_terminal(script)
    first = daemon.params("events.subscribe")[0]
    assert first.pop("last") == 10
    assert set(first.pop("events")) == EVENT_NAMES - {"quote_sampled"}
    assert first == {}
    for name, colour in outcomes.items():
        assert f"\x1b[{colour}m{name}" in shown
