"""brokerctl stats: figures with their units, and how many orders they are made of."""

import json
import re
from decimal import ROUND_UP, localcontext
from pathlib import Path
from typing import Any

import pytest
from tests.daemon_process import limit, market, running
from tests.scripted_daemon import ScriptedDaemon

from brokerd.cli import main, statviews
from brokerd.cli.errors import Exit
from brokerd.cli.figures import amount, amounts, bps, curve, n_of, percent, span
from brokerd.cli.terminal import Output

ANSWER = json.loads((Path(__file__).parent / "fixtures" / "statistics.json").read_text())


def stats(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[str, list[dict[str, Any]]]:
    with ScriptedDaemon({"stats.get": ANSWER}) as daemon:
        assert main(["--socket", daemon.path, "stats", *argv]) == Exit.DONE
    return capsys.readouterr().out, daemon.params("stats.get")


def test_filters_and_groups_are_the_daemons_business(capsys: pytest.CaptureFixture[str]) -> None:
    argv = "--by strategy side --last 1h --time-by filled --symbol X --group a=b --status closed"
    _, params = stats(capsys, *argv.split(), "--limit", "5")
    assert params == [
        {
            "group_by": ["strategy", "side"],
            "time": {"time_type": "relative", "last": "1h", "by": "filled"},
            "symbol": "X",
            "group": {"a": "b"},
            "status": "CLOSED",
            "limit": 5,
        }
    ]


def test_a_pipe_gets_the_rows_as_they_came(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = stats(capsys)
    assert [json.loads(line) for line in out.splitlines()] == ANSWER["rows"]


def test_a_table_has_a_row_a_group_led_by_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = stats(capsys, "-o", "table", "--by", "strategy")
    titles, *rows = out.splitlines()
    assert titles.split()[:4] == ["strategy", "mode", "orders", "filled"]
    cells = re.split(r"  +", rows[0])
    assert cells[:3] == ["maker", "paper", "427"]
    assert "372 of 372" in cells


def test_without_groups_there_is_a_card_with_every_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, _ = stats(capsys, "-o", "table")
    for words in (
        "created at any time until 2026-11-24",
        "paper  strategy=maker  427 orders",
        "372 of 427",
        "why rejected  insufficient balance 2",
        "doubts        3, 1 unresolved, lasted 1.25 s (p95 1.75 s); across a restart: 1, retries 0",
        "mid at arrival",
        "2.90 USDT",
        "from sending to the venue's first word",
        "from receipt to the last fill, of orders filled in full; across a restart: 2",
    ):
        assert words in out
    assert out.count("across a restart") == 2, "it is said only where it is so"
    assert re.search(r"gain at 5s +\+0\.43 +\+0\.40 +-1\.50 +\+0\.35 +\+2\.10 +300 of 372", out)
    assert re.search(r"filled by .*[▁▂▃▄▅▆▇█]{40} .*: \d+\.\d%", out)


REFUSED = {"fill_ratio_qty": {"value": "0.00001", "rejected_orders": 1, "rejected_share": "0.999"}}
NONE_REFUSED = {"fill_ratio_qty": {"value": "1", "rejected_orders": 0, "rejected_share": "0"}}


def test_a_card_says_what_rejected_orders_are_of_the_quantity() -> None:
    for told, words in (
        (REFUSED, "0.0% of the quantity (99.9% of it in 1 rejected order), 8"),
        (ANSWER["rows"][0], "87.2% of the quantity (0.9% of it in 2 rejected orders), 8"),
        (NONE_REFUSED, "100.0% of the quantity, 8"),
    ):
        card = "\n".join(statviews.card(Output("table", no_color=True), ANSWER["rows"][0] | told))
        assert words in card


def test_a_table_says_of_the_row_with_the_most_what_was_rejected() -> None:
    def hint(*rows: dict[str, Any]) -> list[str]:
        found = statviews.remarks(ANSWER | {"rows": [ANSWER["rows"][0] | row for row in rows]})
        return [each for each in found if each.startswith("filled: ")]

    told = "filled: of all that was ordered, "
    assert hint(REFUSED) == [f"{told}99.9% of it in 1 rejected order"]
    assert hint({}, REFUSED, NONE_REFUSED) == [f"{told}in one row 99.9% of it in 1 rejected order"]
    assert hint(NONE_REFUSED) == hint() == []


def test_what_nobody_could_measure_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = stats(capsys, "-o", "table")
    assert re.search(r"to decision +- +- +- +- +- +0 of 372", out)


def test_colours_say_paper_and_what_was_paid() -> None:
    columns = {each.title: each for each in statviews.columns([])}
    styles = [columns["slippage"].style, columns["mode"].style]
    assert [style("paper") for style in styles[1:] if style] == ["yellow"]
    assert [style("live") for style in styles[1:] if style] == [None]
    for text, colour in (("  +0.10", "red"), (" -0.10", "green"), ("0.00", None), ("   -", None)):
        assert [style(text) for style in styles[:1] if style] == [colour]


def test_an_order_that_never_filled_has_no_curve(capsys: pytest.CaptureFixture[str]) -> None:
    row = ANSWER["rows"][0] | {"filled_by": []}
    with ScriptedDaemon({"stats.get": ANSWER | {"rows": [row]}}) as daemon:
        assert main(["--socket", daemon.path, "stats", "-o", "table"]) == Exit.DONE
    assert "filled by" not in capsys.readouterr().out


@pytest.mark.parametrize("form", ["json", "table"])
@pytest.mark.parametrize("argv", [["--by", "strategy"], []])
def test_what_the_figures_mean_and_what_is_left_out_is_said_beside_them(
    capsys: pytest.CaptureFixture[str], form: str, argv: list[str]
) -> None:
    with ScriptedDaemon({"stats.get": ANSWER | {"rows_left_out": 2}}) as daemon:
        assert main(["--socket", daemon.path, "-o", form, "stats", *argv]) == Exit.DONE
    out, err = capsys.readouterr()
    window = "created at any time until 2026-11-24 15:13:57, up to seq 1,483"
    assert window in (out if (form, argv) == ("table", []) else err)
    assert "above 0 is worse for us" in err
    assert err.endswith("rows left out: 2 (--limit shows more)\n")


def test_no_orders_are_said_beside_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedDaemon({"stats.get": {"rows": []}}) as daemon:
        assert main(["--socket", daemon.path, "stats", "-o", "table"]) == Exit.DONE
    out, err = capsys.readouterr()
    assert (out, err) == ("", "brokerctl: no orders match\n")


def test_a_real_daemons_figures_fit_the_table_and_the_card(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running() as daemon, daemon.bot() as bot:
        bot.call("order.submit", **market(group={"strategy": "a"}), wait="venue")
        bot.call("order.submit", **limit(group={"strategy": "b"}), wait="venue")
        path = str(daemon.socket_path)
        assert main(["--socket", path, "-o", "table", "stats", "--by", "strategy"]) == Exit.DONE
        table = capsys.readouterr().out.splitlines()
        assert main(["--socket", path, "-o", "table", "stats", "--last", "1h"]) == Exit.DONE
        card = capsys.readouterr().out
    assert re.match(r"a +paper +1 +100.0% +[+-]?\d+\.\d\d ", table[1])
    assert "1 of 1" in table[1]
    assert re.match(r"b +paper +1 +0.0% +- ", table[2])
    assert "paper  2 orders" in card
    assert re.search(r"to ack +(\d+ us|[\d.]+ m?s) .* 2 of 2", card)


@pytest.mark.parametrize(
    ("value", "told"),
    [("1.037", "+1.04"), ("-0.07", "-0.07"), ("-0.0001", "0.00"), (None, "-"), ("NaN", "-")],
)
def test_basis_points_have_a_sign_and_two_digits(value: object, told: str) -> None:
    assert bps(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [("52167.4018", "52,167.40"), ("0.00001234567", "0.00001235"), ("0", "0.00"), (None, "-")],
)
def test_amounts_are_cut_to_what_a_person_reads(value: object, told: str) -> None:
    assert amount(value) == told


def test_figures_are_rounded_the_same_whatever_a_library_has_set() -> None:
    with localcontext(rounding=ROUND_UP, prec=3):
        assert percent("0.8125") == "81.2%"
        assert bps("1.031") == "+1.03"
        assert amount("52167.4018") == "52,167.40"


def test_figures_say_what_they_are_of() -> None:
    assert n_of({"n": 812, "total": 8300}) == "812 of 8,300"
    assert percent("0.8125") == "81.2%"
    assert percent(None) == "-"
    assert amounts({"USDT": "1.5", "BNB": "0.002"}) == "1.50 USDT, 0.002 BNB"
    assert amounts({}) == "-"


@pytest.mark.parametrize(
    ("took_s", "told"),
    [(0.00085, "850 us"), (0.0012, "1.2 ms"), (3.4, "3.40 s"), (720, "12m"), (-1, "0 us")],
)
def test_a_time_is_told_in_the_unit_that_suits_it(took_s: float, told: str) -> None:
    assert span(took_s) == told
    assert span(None) == "-"


def test_the_curve_of_fills_climbs_from_its_first_step_to_its_last() -> None:
    points = [{"after_s": 0.001, "share": "0.25"}, {"after_s": 1.0, "share": "1"}]
    assert curve(points, 4) == "▃▃▃█"
    assert curve(points[:1], 4) == "▃▃▃▃"
    assert curve([], 4) == ""
