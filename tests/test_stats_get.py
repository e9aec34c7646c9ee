"""`stats.get` at a real daemon's socket."""

import sys
from pathlib import Path

import pytest
from tests.daemon_process import DaemonProcess, Told, market, running

WITHOUT = Path(__file__).parent / "without_call.py"


def test_a_row_says_what_it_rests_on() -> None:
    with running() as daemon, daemon.bot() as bot:
        for number in range(3):
            bot.call(
                "order.submit",
                **market(cl_ord_id=f"b-{number}", group={"strategy": "mm" if number else "arb"}),
                wait="venue",
            )
        told = bot.call("stats.get", group_by="strategy")
    assert [(row["group"], row["mode"], row["orders"]) for row in told["rows"]] == [
        ({"strategy": "mm"}, "paper", 2),
        ({"strategy": "arb"}, "paper", 1),
    ]
    row = told["rows"][0]
    assert row["outcomes"] == {"filled": 2}
    slippage = row["slippage_bps"]
    assert (slippage["n"], slippage["total"], slippage["missing"]) == (2, 2, 0)
    assert slippage["benchmark"] == "mid at arrival"
    assert float(slippage["p5_bps"]) <= float(slippage["bps"]) <= float(slippage["p95_bps"])
    assert row["slippage_cost"].keys() == {"USDT"}
    assert row["fill_ratio_qty"]["value"] == "1"
    assert told["window"]["since"] is None


def test_statistics_do_without_the_right_to_be_nice() -> None:
    """Under the unit's system call filter there may be none."""
    under = (sys.executable, str(WITHOUT), "setpriority")
    with DaemonProcess(under=under) as daemon:
        daemon.start()
        with daemon.bot() as bot:
            bot.call("order.submit", **market(), wait="venue")
            (row,) = bot.call("stats.get")["rows"]
    assert row["orders"] == 1


def test_an_executor_that_never_was_is_told_not_counted_as_nothing() -> None:
    with running() as daemon, daemon.bot() as bot:
        for method in ("stats.get", "order.list", "fill.list"):
            with pytest.raises(Told) as error:
                bot.call(method, executor="papr")
            assert error.value.data["hint"] == 'did you mean "paper"?'


def test_a_bad_question_is_told_the_nearest_right_thing() -> None:
    with running() as daemon, daemon.bot() as bot, pytest.raises(Told) as error:
        bot.call("stats.get", grup_by="strategy")
    assert error.value.data["hint"] == 'did you mean "group_by"?'
