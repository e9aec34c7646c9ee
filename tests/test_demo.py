"""`make demo` and the bot it runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from examples.demo import counted, main
from fixtures.recording import QUOTES, TRADES
from scripted_daemon import Peer, Request, ScriptedDaemon, reply, say

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*argv: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(EXAMPLES / "demo.py"), *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_the_demo_trades_and_shows_what_became_of_its_orders() -> None:
    done = run("--seconds", "2")
    assert done.returncode == 0, done.stderr
    for claim in (
        "differ for: no order",
        "stopped on SIGTERM with status 0",
        "verified   yes",
        "slippage  median",
    ):
        assert claim in done.stdout
    assert re.search(r"^\d+ orders: \d+ [a-z]+", done.stdout, re.MULTILINE)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("in all: ")
    assert "filled" in last


def test_the_demo_plays_a_recording() -> None:
    argv = ("--trades", str(TRADES), "--quotes", str(QUOTES))
    done = run("--market", "replay", *argv, "--seconds", "3")
    assert done.returncode == 0, done.stderr
    # The recorded market is below 39,800; the synthetic one begins at 40,000.
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("bot-")]
    traded = [float(row[-2]) for row in rows if "filled" in row]
    assert traded
    assert all(39_000 < px < 39_800 for px in traded)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--market", "replay"), "needs --trades FILE and --quotes FILE"),
        (("--market", "lunar"), "--market is synthetic or replay, not lunar"),
        (("--market", "synthetic", "--trades", "x"), "are for --market replay"),
        (("--market", "replay", "--trades", "x", "--quotes", "x"), "there is no recording x"),
        (("--market", "replay", "--trades", __file__, "--quotes", __file__), "is no recording"),
        (("--seconds", "0"), "--seconds is from 1 to 3600"),
        (("--seconds", "nan"), "--seconds is from 1 to 3600"),
    ],
)
def test_a_bad_argument_is_one_clear_line(
    argv: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(argv))
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out


@pytest.mark.parametrize(("listed_qty", "status"), [("0.004", 0), ("0.003", 1)])
def test_the_bot_fails_when_events_and_the_list_disagree(listed_qty: str, status: int) -> None:
    ids: list[str] = []

    def submit(peer: Peer, request: Request) -> None:
        ids.append(request["params"]["cl_ord_id"])
        event = {"seq": len(ids), "event": "order_traded", "cl_ord_id": ids[-1]}
        event |= {"ord_status": "filled", "cum_qty": "0.004"}
        say(peer, {"jsonrpc": "2.0", "method": "event", "params": event})
        arrival = {"bid_px": "100", "ask_px": "101", "at": "2026-01-31T09:30:00Z"}
        reply(peer, request, {"arrival": arrival})

    def listed(peer: Peer, request: Request) -> None:
        orders = [{"cl_ord_id": each, "ord_status": "filled", "cum_qty": "0.004"} for each in ids]
        orders[-1]["cum_qty"] = listed_qty
        reply(peer, request, {"orders": orders, "next_cursor": None})

    script = {"events.subscribe": {"seq": 0}, "order.submit": submit, "order.list": listed}
    with ScriptedDaemon(script | {"order.cancel_all": {}}) as daemon:
        command = [sys.executable, str(EXAMPLES / "bot.py"), "--socket", daemon.path]
        done = subprocess.run(
            [*command, "--seconds", "0.6"], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == status, done.stderr
    assert f"differ for: {ids[-1] if status else 'no order'}" in done.stdout


def test_the_bot_needs_no_part_of_brokerd_and_is_short_enough_to_copy() -> None:
    text = (EXAMPLES / "bot.py").read_text()
    assert "brokerd" not in "\n".join(
        line for line in text.splitlines() if line.startswith(("import", "from"))
    )
    assert len(text.splitlines()) <= 120


def order(status: str, ord_status: str) -> dict[str, str]:
    return {"status": status, "ord_status": ord_status}


def test_orders_are_counted_by_how_they_ended() -> None:
    filled = order("CLOSED", "filled")
    orders = [filled, filled, order("CANCELLED", "canceled")]
    assert counted(orders) == "2 CLOSED (filled), 1 CANCELLED (canceled)"
