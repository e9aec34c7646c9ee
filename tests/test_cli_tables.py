"""What a person sees: tables that fit, colours where they belong, nothing raw from outside."""

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from typing import Any

import pytest
from tests.cpu import empty_s
from tests.scripted_daemon import Error, Peer, Request, ScriptedDaemon, hang_up, order, reply, say

from brokerd.cli import main
from brokerd.cli.progress import Progress, bar
from brokerd.cli.terminal import Column, Output, fit, plain_text, width_of
from brokerd.cli.views import age, duration, order_columns, style_of
from brokerd.states import OrdStatus, Status

ESCAPE = "\x1b["


def table(*orders: dict[str, Any]) -> list[str]:
    return Output("table", no_color=True).layout(order_columns(), orders)


def at_terminal(script: dict[str, Any], *argv: str, columns: int = 200, **env: str) -> str:
    """Run brokerctl on a terminal of its own and return what it wrote there."""
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS", "LINES"}}
    with (
        ScriptedDaemon(script) as daemon,
        subprocess.Popen(
            [sys.executable, "-m", "brokerd.cli", "--socket", daemon.path, *argv],
            stdin=follower,
            stdout=follower,
            stderr=subprocess.DEVNULL,
            env={**clean, "TERM": "xterm", **env},
        ) as process,
    ):
        os.close(follower)
        written = b""
        try:
            while chunk := os.read(leader, 65_536):
                written += chunk
        except OSError:  # EIO: the last writer has gone
            pass
        os.close(leader)
        process.wait(60)
    return written.decode().replace("\r\n", "\n")


def test_a_terminal_gets_a_coloured_table_and_a_pipe_json_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = {"order.list": {"orders": [order()], "next_cursor": None}}
    seen = at_terminal(script, "orders")
    assert "cl_ord_id" in seen
    assert f"{ESCAPE}32mbuy" in seen
    with ScriptedDaemon(script) as daemon:
        main(["--socket", daemon.path, "orders"])
    assert capsys.readouterr().out.startswith('{"cl_ord_id":"a-1"')


@pytest.mark.parametrize(
    ("argv", "env"),
    [((), {"NO_COLOR": "1"}), (("--no-color",), {}), ((), {"TERM": "dumb"})],
    ids=["NO_COLOR", "--no-color", "dumb"],
)
def test_no_colour_where_it_is_not_wanted(argv: tuple[str, ...], env: dict[str, str]) -> None:
    seen = at_terminal({"order.list": {"orders": [order()]}}, "orders", *argv, **env)
    assert "cl_ord_id" in seen
    assert ESCAPE not in seen


def test_output_option_wins_over_what_stdout_is(capsys: pytest.CaptureFixture[str]) -> None:
    script = {"order.get": order()}
    assert at_terminal(script, "order", "a-1", "-o", "json").startswith('{"cl_ord_id"')
    with ScriptedDaemon(script) as daemon:
        main(["-o", "table", "--socket", daemon.path, "order", "a-1"])
    assert re.search(r"^qty +0\.010$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("columns", [20, 40, 62, 80, 100, 200])
def test_a_table_fits_its_terminal_and_keeps_what_matters(columns: int) -> None:
    orders = [order(f"bot-{i}", qty=f"{i}.5", avg_px="39400.123456") for i in range(5)]
    script = {"order.list": {"orders": orders}}
    lines = at_terminal(script, "orders", "--no-color", columns=columns).splitlines()
    titles = lines[0].split()
    assert {"cl_ord_id", "ord_status"} <= set(titles)
    if columns >= 40:
        assert max(map(len, lines)) <= columns
    assert ("age" in titles) == (columns >= 200)


@pytest.mark.parametrize("columns", [60, 90, 120, 200])
def test_a_story_keeps_its_details_however_narrow_the_terminal(columns: int) -> None:
    """One long detail must not cost the times, the quantities and every other detail."""
    reasons = ["canceled_on_request", "x" * 90]
    transitions = [
        {
            "seq": seq,
            "at": "2026-01-31T09:30:00.123456789Z",
            "event": "order_canceled",
            "road": "reply",
            "reason": reason,
            "ord_status": "canceled",
            "cum_qty": "0",
        }
        for seq, reason in enumerate(reasons)
    ]
    script = {"order.explain": {"order": order(), "transitions": transitions}}
    _, titles, *lines = at_terminal(
        script, "explain", "a-1", "--no-color", columns=columns
    ).splitlines()
    assert all(any(f"reason={reason}" in line for line in lines) for reason in reasons)
    assert ("cum_qty" in titles.split()) == (columns >= 90)
    assert ("detail" in titles.split()) == (columns >= 120)
    assert f"    reason={reasons[1]}" in lines or columns == 200


def test_the_most_dispensable_column_goes_first() -> None:
    columns = [Column("a", str, 0), Column("b", str, 2), Column("c", str, 1)]
    assert fit(columns, [5, 5, 5], 19) == [0, 1, 2]
    assert fit(columns, [5, 5, 5], 18) == [0, 2]
    assert fit(columns, [5, 5, 5], 1) == [0]
    assert fit(columns, [5, 5, 5], None) == [0, 1, 2]


def test_numbers_stand_on_the_right_and_words_on_the_left() -> None:
    _, short, long = table(order("a", qty="1"), order("abc", qty="12345.678"))
    start = long.index("12345.678")
    assert short[start : start + 9] == "        1"
    assert short.startswith("a  ")


def test_doubt_is_marked_on_the_status() -> None:
    assert "pending_new?" in table(order(ord_status="pending_new", in_doubt=True))[1]
    assert style_of("filled?") == "magenta"


def test_every_status_has_a_colour() -> None:
    assert all(style_of(status) for status in [*OrdStatus, *Status])


def test_missing_and_unknown_members_do_no_harm() -> None:
    assert len(table({}, {"cl_ord_id": "a", "qty": None, "new": 1}, {"created_at": "soon"})) == 4


def test_control_characters_from_outside_are_shown_not_obeyed() -> None:
    evil = "x\x1b]0;owned\x07\r\n\u202ey"
    shown = plain_text(evil)
    assert shown == "x\\x1b]0;owned\\x07\\r\\n\\u202ey"
    assert ESCAPE not in "\n".join(table(order(evil)))
    assert plain_text("Zürich 1 000") == "Zürich 1 000"


def test_accents_that_combine_take_no_cell() -> None:
    assert width_of("cafe\u0301") == 4
    _, first, second = table(order("cafe\u0301"), order("1234"))
    assert first.index("paper") == second.index("paper") + 1


def test_ten_thousand_rows_take_well_under_a_second() -> None:
    orders = [order(f"bot-{i:06}", qty=f"{i}.5") for i in range(10_000)]
    with ScriptedDaemon({"order.list": {"orders": orders}}) as daemon:
        argv = ["--socket", daemon.path, "orders", "-o", "table"]
        with subprocess.Popen(
            [sys.executable, "-m", "brokerd.cli", *argv], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            lines = process.stdout.read().splitlines()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    assert (process.returncode, len(lines)) == (0, 10_001)
    # Of a machine that starts an empty Python in 12 ms.
    assert used.ru_utime + used.ru_stime < max(0.7, 55 * empty_s())


def test_a_group_it_is_listed_by_leads_the_table() -> None:
    lines = Output("table", no_color=True).layout(order_columns(["strategy", "user"]), [order()])
    assert lines[0].split()[:3] == ["strategy", "user", "cl_ord_id"]
    assert lines[1].split()[:2] == ["mm", "a-1"]


@pytest.mark.parametrize(
    ("length_s", "text"),
    [(0, "0s"), (-5, "0s"), (59.9, "59s"), (60, "1m"), (3_900, "1h05m"), (187_200, "2d04h")],
)
def test_durations_in_two_units(length_s: float, text: str) -> None:
    assert duration(length_s) == text


def test_age_counts_from_nanosecond_stamps() -> None:
    assert age("1970-01-01T00:00:30.123456789Z", 90.5) == "1m"
    assert age(None, 90.5) == ""


def test_a_watch_stays_on_its_screen_and_erases_what_was_there() -> None:
    # The second look ends it: an answer of the wrong shape is the daemon's fault, exit 1.
    script = {"order.list": [{"orders": [order(f"a-{i}") for i in range(100)]}, []]}
    seen = at_terminal(script, "orders", "--watch", "0.01", "--no-color")
    assert seen.startswith(f"{ESCAPE}H")
    lines = seen.removesuffix(f"{ESCAPE}J").splitlines()
    assert len(lines) == 23
    assert all(line.endswith(f"{ESCAPE}K") for line in lines)
    assert lines[-1].startswith("... and 80 more")
    assert "100 orders" in lines[0]


def stream(peer: Peer, request: Request) -> None:
    """Two events, then the end of the connection."""
    reply(peer, request, {"seq": 0})
    for seq, (name, reason) in enumerate([("order_traded", "w"), ("order_rejected", "w " * 50)], 1):
        params = {"seq": seq, "event": name, "cl_ord_id": "a-1", "reason": reason}
        say(peer, {"jsonrpc": "2.0", "method": "event", "params": params})
    hang_up(peer, request)


def test_a_tail_on_a_terminal_is_coloured_by_what_happened() -> None:
    seen = at_terminal({"events.subscribe": [stream, Error(400, "enough")]}, "tail")
    assert f"{ESCAPE}32morder_traded" in seen
    assert f"{ESCAPE}31morder_rejected" in seen


@pytest.mark.parametrize("columns", [36, 40, 60, 80, 200])
def test_a_line_of_a_tail_never_exceeds_its_terminal(columns: int) -> None:
    script = {"events.subscribe": [stream, Error(400, "enough")]}
    short, long = at_terminal(script, "tail", "--no-color", columns=columns).splitlines()
    assert max(len(short), len(long)) <= columns
    assert long.endswith("...") == (40 <= columns < 200)


def test_a_progress_bar_is_drawn_for_a_person_and_for_nobody_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("brokerd.cli.progress.REDRAW_S", 0.0)
    with Progress("rows") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("brokerd.cli.progress.is_terminal", lambda _: True)
    with Progress("rows") as progress:
        progress(1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "1 of 2 rows" in err
    assert err.endswith(f"\r{ESCAPE}K")


def test_a_progress_bar_tells_share_rate_and_time_left() -> None:
    text = bar(250_000, 1_000_000, "rows", 2.0)
    assert text == "[######..................]  25%  250,000 of 1,000,000 rows  125,000/s  6s left"
    assert "100%" in bar(0, 0, "rows", 0.0)
