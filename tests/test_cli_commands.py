"""Each command: what it asks of the daemon, and what it makes of the answer."""

import importlib
import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest
from tests.scripted_daemon import Peer, Request, ScriptedDaemon, order, reply

from brokerd.cli import arguments, main
from brokerd.cli.commands import submit
from brokerd.cli.errors import Exit
from brokerd.states import OrdStatus, Status
from brokerd.terms import CL_ORD_ID_MAX, OrdType, Side, TimeInForce


def run(script: dict[str, Any], *argv: str) -> tuple[int, ScriptedDaemon]:
    with ScriptedDaemon(script) as daemon:
        return main(["--socket", daemon.path, *argv]), daemon


def submitted(*argv: str) -> dict[str, Any]:
    _, daemon = run({"order.submit": order()}, "submit", "BTCUSDT", "buy", "0.010", *argv)
    return daemon.params("order.submit")[0]


def test_the_words_offered_are_the_daemons_own() -> None:
    assert tuple(Side) == submit.SIDES
    assert tuple(OrdType) == submit.ORD_TYPES
    assert tuple(TimeInForce) == submit.TIMES_IN_FORCE
    assert tuple(Status) == arguments.STATUSES
    assert tuple(OrdStatus) == arguments.ORD_STATUSES


@pytest.mark.parametrize(
    ("argv", "ord_type"),
    [
        ([], "market"),
        (["--px", "1"], "limit"),
        (["--stop-px", "1"], "stop"),
        (["--px", "1", "--stop-px", "2"], "stop_limit"),
        (["--type", "limit"], "limit"),
    ],
)
def test_submit_infers_the_type_from_the_prices(argv: list[str], ord_type: str) -> None:
    assert submitted(*argv)["ord_type"] == ord_type


def test_submit_sends_the_terms_as_they_were_written() -> None:
    params = submitted(
        *["--px", "39400.10", "--tif", "gtd", "--expire-at", "2026-01-31", "--post-only"],
        *["--executor", "paper", "--group", "a=b", "--group", "c=d=e", "--decision-px", "1e2"],
        *["--id", "my-1", "--wait", "journal"],
    )
    assert params == {
        "cl_ord_id": "my-1",
        "executor": "paper",
        "symbol": "BTCUSDT",
        "side": "buy",
        "ord_type": "limit",
        "qty": "0.010",
        "px": "39400.10",
        "time_in_force": "gtd",
        "expire_at": "2026-01-31T00:00:00Z",
        "post_only": True,
        "group": {"a": "b", "c": "d=e"},
        "decision_px": "1e2",
        "wait": "journal",
    }


def test_submit_makes_an_id_of_its_own_that_no_other_run_makes() -> None:
    ids = {submitted()["cl_ord_id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch(r"ctl-\d{8}T\d{6}-[0-9a-f]{12}", one) for one in ids)
    assert max(map(len, ids)) <= CL_ORD_ID_MAX


def test_waiting_for_the_venue_is_told_how_long_and_outwaited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert submitted("--wait", "venue", "--timeout", "7")["timeout_s"] == 7
    assert submitted("--wait", "venue", "--timeout", "3600")["timeout_s"] == 60
    assert "timeout_s" not in submitted("--timeout", "7")


def test_cancel_all_sends_its_filters_and_prints_the_ids(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = {"order.cancel_all": {"requested": 2, "cl_ord_ids": ["a-1", "a-2"]}}
    argv = ["cancel-all", "--yes", "-o", "table", "--symbol", "BTCUSDT", "--group", "k=v"]
    status, daemon = run(script, *argv)
    out, err = capsys.readouterr()
    assert (status, out) == (Exit.DONE, "a-1\na-2\n")
    assert "2 orders" in err
    assert daemon.params("order.cancel_all") == [{"symbol": "BTCUSDT", "group": {"k": "v"}}]


def test_cancel_all_says_what_it_could_not_reach(capsys: pytest.CaptureFixture[str]) -> None:
    told = {"requested": 0, "cl_ord_ids": [], "out_of_reach": ["a-1", "a-2"]}
    status, _ = run({"order.cancel_all": told}, "cancel-all", "--yes", "-o", "table")
    assert status == Exit.REFUSED
    assert "not configured any more: a-1, a-2" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "sent"), [("y", 1), ("", 0), ("n", 0)])
def test_cancel_all_asks_a_person_first(answer: str, sent: int) -> None:
    leader, follower = pty.openpty()
    with (
        ScriptedDaemon({"order.cancel_all": {"requested": 0, "cl_ord_ids": []}}) as daemon,
        subprocess.Popen(
            [sys.executable, "-m", "brokerd.cli", "--socket", daemon.path, "cancel-all"],
            stdin=follower,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        os.write(leader, answer.encode() + b"\n")
        _, err = process.communicate(timeout=60)
    os.close(follower)
    os.close(leader)
    assert b"Cancel every open order? [y/N]" in err
    assert len(daemon.requests) == sent
    assert process.returncode == (Exit.DONE if sent else Exit.REFUSED)


@pytest.mark.parametrize(
    "argv",
    [
        ["cancel", "a-1"],
        ["replace", "a-1", "--qty", "2"],
        ["resolve", "a-1", "executed", "--reason", "seen"],
    ],
)
def test_a_changed_order_is_shown_in_a_table(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    script = {f"order.{name}": order() for name in ("cancel", "replace", "resolve")}
    run(script, *argv, "-o", "table")
    title, row = capsys.readouterr().out.splitlines()
    assert (title.split()[0], row.split()[0]) == ("cl_ord_id", "a-1")


def test_call_shows_an_object_as_a_card_with_what_is_nested_left_as_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run({"m.get": {"a": "text", "b": {"c": [1, 0.10]}}}, "call", "m.get", "-o", "table")
    assert capsys.readouterr().out == 'a  text\nb  {"c":[1,0.1]}\n'


def test_call_takes_an_id_for_text_even_where_it_looks_like_a_number() -> None:
    _, daemon = run({"order.get": order()}, "call", "order.get", "cl_ord_id=123", "limit=5")
    assert daemon.params("order.get") == [{"cl_ord_id": "123", "limit": 5}]


def test_replace_sends_only_what_changes() -> None:
    _, daemon = run({"order.replace": order()}, "replace", "a-1", "--px", "39500.0")
    assert daemon.params("order.replace") == [{"cl_ord_id": "a-1", "px": "39500.0"}]


def test_resolve_sends_what_became_of_it_and_how_that_is_known() -> None:
    said = ["NOT_EXECUTED", "--reason", "not on the page", "--venue-order-id", "17"]
    status, daemon = run({"order.resolve": order(ord_status="rejected")}, "resolve", "a-1", *said)
    assert status == Exit.DONE
    assert daemon.params("order.resolve") == [
        {
            "cl_ord_id": "a-1",
            "outcome": "not_executed",
            "reason": "not on the page",
            "venue_order_id": "17",
        }
    ]


def test_thaw_names_the_executor_and_shows_what_its_link_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = {"executor.thaw": {"executor": "paper", "state": "up"}}
    _, daemon = run(script, "thaw", "paper", "--reason", "it is gone", "-o", "table")
    assert daemon.params("executor.thaw") == [{"executor": "paper", "reason": "it is gone"}]
    assert capsys.readouterr().out.split() == ["executor", "paper", "state", "up"]


@pytest.mark.parametrize("argv", [["resolve", "a-1", "done"], ["thaw", "paper"]])
def test_what_a_person_decides_needs_a_reason(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run({}, *argv)[0] == Exit.USAGE
    assert "--reason" in capsys.readouterr().err


def test_orders_sends_every_filter() -> None:
    argv = "--status open --status CLOSED --ord-status new --executor paper --symbol X --side sell"
    times = "--since 2026-01-31T09:30:00 --until 2026-02-01T00:00:00+01:00 --time-by closed"
    more = "--group a=b --by user strategy --latest-group --limit 5"
    _, daemon = run({"order.list": {"orders": []}}, "orders", *f"{argv} {times} {more}".split())
    assert daemon.params("order.list") == [
        {
            "status": ["OPEN", "CLOSED"],
            "ord_status": "new",
            "executor": "paper",
            "symbol": "X",
            "side": "sell",
            "group": {"a": "b"},
            "time": {
                "time_type": "absolute",
                "since": "2026-01-31T09:30:00Z",
                "until": "2026-02-01T00:00:00+01:00",
                "by": "closed",
            },
            "group_by": ["user", "strategy"],
            "latest_group": True,
            "limit": 5,
        }
    ]


def test_a_window_that_is_empty_is_not_all_of_time() -> None:
    """It is mostly a shell's variable that was not set: the daemon says what is wrong with it."""
    answer = {"requested": 0, "cl_ord_ids": []}
    _, daemon = run({"order.cancel_all": answer}, "cancel-all", "--yes", "--last", "")
    assert daemon.params("order.cancel_all") == [{"time": {"time_type": "relative", "last": ""}}]


def test_columns_of_orders_are_the_tables_business() -> None:
    """The daemon refuses keys of a group that nobody asked for."""
    _, daemon = run({"order.list": {"orders": []}}, "orders", "--by", "user")
    assert daemon.params("order.list") == [{}]


def test_fills_sends_every_filter() -> None:
    argv = "--last 1h --executor paper --symbol X --side buy --group a=b --id a-1"
    argv += " --status closed --ord-status filled"
    _, daemon = run({"fill.list": {"fills": []}}, "fills", *argv.split())
    assert daemon.params("fill.list") == [
        {
            "status": "CLOSED",
            "ord_status": "filled",
            "executor": "paper",
            "symbol": "X",
            "side": "buy",
            "group": {"a": "b"},
            "time": {"time_type": "relative", "last": "1h"},
            "cl_ord_id": "a-1",
        }
    ]


def pages(peer: Peer, request: Request) -> None:
    """Three pages of two, by cursor."""
    page = int(request["params"].get("cursor", "0"))
    orders = [order(f"a-{2 * page + i}") for i in range(2)]
    cursor = str(page + 1) if page < 2 else None
    reply(peer, request, {"orders": orders, "next_cursor": cursor})


@pytest.mark.parametrize("form", ["json", "table"])
def test_all_follows_the_cursor_to_the_end(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, daemon = run({"order.list": pages}, "orders", "--all", "-o", form)
    captured = capsys.readouterr()
    assert re.findall(r"a-\d", captured.out) == [f"a-{i}" for i in range(6)]
    assert captured.err == ""
    assert daemon.params("order.list")[1:] == [
        {"limit": 1000, "cursor": "1"},
        {"limit": 1000, "cursor": "2"},
    ]


def test_one_page_says_that_there_are_more(capsys: pytest.CaptureFixture[str]) -> None:
    run({"order.list": pages}, "orders")
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "--all" in captured.err


def test_an_empty_table_says_so_beside_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run({"fill.list": {"fills": []}}, "fills", "-o", "table")[0] == Exit.DONE
    assert capsys.readouterr() == ("", "no fills match\n")


class Stop(Exception):
    """Ends a watch."""


def test_watch_draws_again_and_outlives_a_daemon_that_is_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []

    def wait(length_s: float) -> None:
        waits.append(length_s)
        if len(waits) == 3:
            raise Stop

    monkeypatch.setattr("brokerd.cli.lists.time.sleep", wait)
    away = lambda peer, request: peer.shutdown(2)  # noqa: E731
    answers = [{"orders": [order("a-1")]}, away, {"orders": [order("a-2")]}]
    with pytest.raises(Stop):
        run({"order.list": answers}, "orders", "--watch", "0.5", "-o", "table")
    out = capsys.readouterr().out
    assert waits == [0.5] * 3
    assert out.index("a-1") < out.index("went unanswered") < out.index("a-2")


def test_order_shows_every_member_that_says_something_and_may_ask_the_venue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, daemon = run({"order.check": order()}, "order", "a-1", "--check", "-o", "table")
    out = capsys.readouterr().out
    assert re.search(r"^executor_id +paper:17$", out, re.MULTILINE)
    assert re.search(r"^group +strategy=mm$", out, re.MULTILINE)
    assert "stop_px" not in out
    assert daemon.params("order.check") == [{"cl_ord_id": "a-1"}]


TRANSITIONS = [
    {
        "seq": 4,
        "at": "2026-01-31T09:30:00.123456789Z",
        "event": "order_submitted",
        "road": "bot",
        "side": "buy",
        "qty": "0.01",
        "symbol": "BTCUSDT",
        "ord_type": "limit",
        "px": "39400",
        "ord_status": "pending_new",
        "cum_qty": "0",
    },
    {
        "seq": 5,
        "at": "2026-01-31T09:30:00.223456789Z",
        "event": "request_doubted",
        "road": "reply",
        "request": "new",
        "evidence": "the venue hung up",
        "sent_at": "2026-01-31T09:30:00.200000000Z",
        "ord_status": "pending_new",
        "in_doubt": True,
        "cum_qty": "0",
    },
    {
        "seq": 9,
        "at": "2026-01-31T09:30:01.223456789Z",
        "event": "order_traded",
        "road": "query",
        "last_qty": "0.01",
        "last_px": "39399",
        "ord_status": "filled",
        "cum_qty": "0.01",
    },
]


def test_explain_tells_when_what_from_where_to_where_how_we_know_and_the_evidence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = {"order.explain": {"order": order(), "transitions": TRANSITIONS}}
    run(script, "explain", "a-1", "-o", "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a-1  buy 0.010 BTCUSDT limit 39400.10  paper:17  new"
    assert [re.split(r" {2,}", line)[0] for line in lines[2:4]] == [
        "2026-01-31 09:30:00.123",
        "2026-01-31 09:30:00.223",
    ]
    assert "buy 0.01 BTCUSDT limit 39400" in lines[2]
    assert "pending_new -> pending_new?" in lines[3]
    assert "sent_at" not in lines[3]
    assert lines[4] == "    the venue hung up"
    assert re.search(r"pending_new\? -> filled +0\.01 +query +0\.01 @ 39399", lines[5])


@pytest.mark.parametrize(("in_doubt", "shown"), [(True, True), (False, False)])
def test_explain_says_why_a_doubt_may_last(
    in_doubt: bool, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {
        "order": order(in_doubt=in_doubt),
        "transitions": TRANSITIONS,
        "weaknesses": ["requests do not expire here"],
    }
    run({"order.explain": told}, "explain", "a-1", "-o", "table")
    lines = capsys.readouterr().out.splitlines()
    assert (lines[-1] == "weakness: requests do not expire here") == shown


def test_explain_shows_a_quote_as_bid_and_ask(capsys: pytest.CaptureFixture[str]) -> None:
    quote = {"bid_px": "39399.9", "ask_px": "39400", "at": "2026-01-31T09:30:00Z"}
    told = {"order": order(), "transitions": [{**TRANSITIONS[1], "quote": quote}]}
    run({"order.explain": told}, "explain", "a-1", "-o", "table")
    assert "quote=39399.9/39400" in capsys.readouterr().out


def test_explain_as_json_is_a_line_a_transition(capsys: pytest.CaptureFixture[str]) -> None:
    run({"order.explain": {"order": order(), "transitions": TRANSITIONS}}, "explain", "a-1")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == TRANSITIONS


def test_status_and_executors_show_what_the_daemon_tells(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {"version": "9", "uptime_s": 3900.5, "orders": {"open": 3}, "unheard_of": [1, 2]}
    doubts = [{"cl_ord_id": "a-1"}, {"cl_ord_id": "a-2"}]
    paper = {"name": "paper", "state": "up", "budget_left": {"orders": 99}, "in_doubt": doubts}
    run({"daemon.info": told}, "status", "-o", "table")
    out = capsys.readouterr().out
    assert re.search(r"^uptime_s +1h05m$", out, re.MULTILINE)
    assert re.search(r"^orders +open=3$", out, re.MULTILINE)
    assert "unheard_of" in out
    run({"daemon.info": told}, "status")
    assert json.loads(capsys.readouterr().out) == told
    run({"executor.list": {"executors": [paper]}}, "executors", "-o", "table")
    assert re.search(r"^paper +up +2 +orders=99$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("position", ["before", "behind"])
def test_global_options_stand_before_or_behind_the_command(
    position: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedDaemon({"daemon.ping": "pong"}) as daemon:
        call, options = ["call", "daemon.ping"], ["--socket", daemon.path, "-o", "json"]
        assert main(options + call if position == "before" else call + options) == Exit.DONE
    assert capsys.readouterr().out == '"pong"\n'


def test_every_command_has_help_and_the_overview_names_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == Exit.DONE
    overview = capsys.readouterr().out
    for command in arguments.COMMANDS:
        assert main([command, "--help"]) == Exit.DONE
        assert f"usage: brokerctl {command} " in capsys.readouterr().out
        assert f"  {command} " in overview
    assert "4 outcome unknown" in overview


@pytest.mark.parametrize("command", arguments.COMMANDS)
def test_every_argument_of_a_command_says_what_it_is(command: str) -> None:
    module = importlib.import_module(f"brokerd.cli.commands.{command.replace('-', '_')}")
    parser = arguments.command_parser(command)
    module.add_options(parser)
    assert parser.description is not None
    assert parser.description.casefold() == f"{arguments.COMMANDS[command]}.".casefold()
    assert "html" not in parser.description
    for action in parser._actions:
        assert action.help, f"{command}: {action.dest}"


@pytest.mark.parametrize("command", ["orders", "fills", "stats"])
def test_a_limit_of_0_is_asked_for_not_taken_for_none(command: str) -> None:
    """The daemon says what is wrong with it; a page of 100 would be something else."""
    told: dict[str, Any] = {"orders": [], "fills": [], "rows": []}
    methods = ("order.list", "fill.list", "stats.get")
    with ScriptedDaemon(dict.fromkeys(methods, told)) as daemon:
        main(["--socket", daemon.path, command, "--limit", "0"])
    assert [request["params"]["limit"] for request in daemon.requests] == [0]


def test_a_call_without_params_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call"]) == Exit.USAGE
    assert "required: METHOD\n" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == Exit.DONE
    assert re.fullmatch(r"brokerctl \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
