"""brokerctl report: one page that needs nothing else, honest about what could not be measured."""

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.daemon_process import DaemonProcess, limit, market, running
from tests.png import colours
from tests.scripted_daemon import Error, ScriptedDaemon, order

from brokerd.cli import main
from brokerd.cli.commands.report import write
from brokerd.cli.errors import Exit, Failure
from brokerd.cli.figures import decimal
from brokerd.cli.report.axes import Axis, padded, round_ticks
from brokerd.cli.report.charts import histogram, shortened
from brokerd.cli.report.measures import measure, nearest_rank, worst
from brokerd.cli.report.page import Report, page
from brokerd.cli.report.svg import WIDTH
from brokerd.money import add

ANSWER = json.loads((Path(__file__).parent / "fixtures" / "statistics.json").read_text())
ROW = ANSWER["rows"][0] | {"group": {}}
VOID = {"meta", "link", "br", "hr", "img", "input"}


def done(no: int = 0, **changes: Any) -> dict[str, Any]:
    """A filled order: arrival mid 100.05, bought 7 at 100.142857, the definitions' own check value."""
    return (
        order(
            f"o-{no}",
            qty="10",
            cum_qty="7",
            avg_px="100.1428571428571428571428571428571429",
            status="CLOSED",
            ord_status="canceled",
            created_at="2026-01-31T09:30:00.000000000Z",
            sent_at="2026-01-31T09:30:00.001000000Z",
            acked_at="2026-01-31T09:30:00.003000000Z",
            first_fill_at="2026-01-31T09:30:01.003000000Z",
            closed_at="2026-01-31T09:30:11.003000000Z",
            arrival={"bid_px": "100.00", "ask_px": "100.10", "at": "2026-01-31T09:29:59Z"},
        )
        | changes
    )


def by_executor(*names: str, mode: str = "paper") -> dict[str, Any]:
    return {"rows": [ROW | {"group": {"executor": name}, "mode": mode} for name in names]}


def report(orders: list[dict[str, Any]], **changes: Any) -> str:
    told = Report(ANSWER | {"rows": [ROW]}, by_executor("paper"), list(map(measure, orders)), [])
    return page(Report(**{**vars(told), **changes}))


class Balanced(HTMLParser):
    """Sees that every tag that opens is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def pictures(text: str) -> dict[str, ET.Element]:
    found = [ET.fromstring(each) for each in re.findall(r"<svg .*?</svg>", text, re.DOTALL)]
    return {each.attrib["aria-label"]: each for each in found}


def test_an_order_is_measured_as_the_definitions_say() -> None:
    measured = measure(done())
    assert measured.bps is not None
    assert measured.cost is not None
    assert round(measured.bps, 4) == Decimal("9.2811")
    assert round(measured.cost, 6) == Decimal("0.65")
    assert measured.stages_s == pytest.approx(
        {
            "receipt to sent": 0.001,
            "sent to the venue's word": 0.002,
            "word to first fill": 1.0,
            "first fill to done": 10.0,
            "receipt to done": 11.003,
        }
    )
    sold = measure(done(side="sell"))
    assert sold.bps is not None
    assert not add(sold.bps, measured.bps)


@pytest.mark.parametrize(
    "changes",
    [
        {"arrival": None},
        {"arrival": {"bid_px": "100", "ask_px": "100.1", "at": "2026-01-31T09:29:49Z"}},
        {"arrival": {"bid_px": "0", "ask_px": "100.1", "at": "2026-01-31T09:29:59Z"}},
        {"cum_qty": "0", "avg_px": None},
    ],
)
def test_what_has_no_benchmark_is_not_measured(changes: dict[str, Any]) -> None:
    assert measure(done(**changes)).bps is None


def test_what_was_rejected_stands_beside_what_was_filled() -> None:
    ratio = {"value": "0.00001", "rejected_orders": 1, "rejected_share": "0.999"}
    refused = ROW | {"fill_ratio_qty": ratio, "rejected": {"insufficient_balance": 1}}
    text = report([], told=ANSWER | {"rows": [refused]}, by_executor={"rows": [refused]})
    assert "of the quantity; 99.9% of it in 1 rejected order; 8" in text
    assert "1 (99.9%)" in text


def test_a_stage_that_ran_backwards_or_was_not_reached_is_missing() -> None:
    measured = measure(done(sent_at="2026-01-31T09:29:00Z", closed_at=None))
    assert set(measured.stages_s) == {"sent to the venue's word", "word to first fill"}
    assert measure(done(sent_at="soon", acked_at=None, closed_at=None)).stages_s == {}


def test_the_worst_are_the_dearest_and_gains_are_not_among_them() -> None:
    small = measure(done(1, cum_qty="1", avg_px="101"))
    large, gain = measure(done(2)), measure(done(3, side="sell"))
    assert worst([large, small, gain], 10, by_cost=False) == [small, large]
    assert worst([small, large, gain], 1, by_cost=True) == [small]
    assert small.cost == Decimal("0.95")


def test_single_orders_agree_with_the_daemons_own_figures() -> None:
    with running() as daemon, daemon.bot() as bot:
        for no in range(6):
            bot.call("order.submit", **market(side="buy" if no % 2 else "sell"), wait="venue")
        row = bot.call("stats.get")["rows"][0]
        orders = [measure(each) for each in bot.call("order.list")["orders"]]
    costs = sum(each.cost for each in orders if each.cost is not None)
    worth = sum(
        each.size - each.cost * (1 if each.order["side"] == "buy" else -1)
        for each in orders
        if each.size is not None and each.cost is not None
    )
    told = decimal(row["slippage_bps"]["bps"])
    assert told is not None
    assert abs(costs / worth * 10_000 - told) < Decimal("0.0001")
    assert row["slippage_bps"]["n"] == 6


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    text = report([done(no) for no in range(50)])
    balanced = Balanced(text)
    assert not balanced.seen & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"""(https?:|url\(|@import|src=|href=|\son\w+=)""", text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme:dark" in text


def test_every_picture_is_there_well_formed_and_within_its_frame() -> None:
    text = report([done(no, cum_qty=str(no + 1)) for no in range(50)])
    drawn = pictures(text)
    assert set(drawn) == {
        "Histogram of slippage by order",
        "Share of orders filled by the time since receipt",
        "Slippage against size",
        "Stages of an order from receipt to done",
        "How orders ended",
        "Markouts of fills by horizon",
    }
    for picture in drawn.values():
        _, _, width, height = map(float, picture.attrib["viewBox"].split())
        for part in picture.iter():
            places = [(part.attrib.get("x"), part.attrib.get("y"))] if "x" in part.attrib else []
            places += re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", part.attrib.get("d", ""))
            assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in places)


@pytest.mark.parametrize("values", [(0.01, 0.02), (-0.02, -0.01), (-1.0, 1.0), (0.0, 0.0)])
def test_the_words_at_a_mark_stand_within_the_picture(values: tuple[float, float]) -> None:
    """A label at the edge would lose its end, and with it the figure."""
    low, high = values
    marks = [(f"weighted {low:+}", low, "mark"), (f"median {high:+}", high, "middle")]
    drawn = ET.fromstring(histogram([low] * 9 + [high] * 9, marks))
    labels = [part for part in drawn.iter() if part.text in {label for label, _, _ in marks}]
    assert len(labels) == len(marks)
    for part in labels:
        x, length = float(part.attrib["x"]), 6 * len(part.text or "")
        begin = x - length if part.attrib.get("text-anchor") == "end" else x
        assert 0 <= begin <= begin + length <= WIDTH


def test_what_came_from_outside_is_text_and_nothing_else() -> None:
    evil = "<script>alert(1)</script>\"'&"
    row = ROW | {"rejected": {evil: 3}, "mode": evil, "outcomes": {evil: 4}, "fees": {evil: "1"}}
    told = ANSWER | {
        "rows": [row],
        "sign": evil,
        "window": {"by": evil, "since": evil, "until": evil},
    }
    names = by_executor(evil, "other", mode=evil)
    order_of_evil = done(executor=evil, symbol=evil, side="buy") | {"cl_ord_id": evil}
    text = page(Report(told, names, [measure(order_of_evil)], [evil]))
    assert "script" not in Balanced(text).seen
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_counts_say_what_is_missing() -> None:
    text = report([done(), done(1, arrival=None), done(2, cum_qty="0", avg_px=None)])
    assert "1 of 427 orders: the rest have no fill, no fresh quote at arrival" in text
    assert "n 372 of 372" in text
    assert "3 orders were read one by one" in text


def test_an_empty_window_is_said() -> None:
    text = page(Report(ANSWER | {"rows": []}, {"rows": []}, [], []))
    Balanced(text)
    assert "No order matches." in text


def test_nothing_measured_draws_nothing_and_says_so() -> None:
    row = ROW | {"filled_by": [], "markout_bps": {}, "outcomes": {}, "canceled": {}, "rejected": {}}
    text = report([], told=ANSWER | {"rows": [row]})
    assert pictures(text) == {}
    assert text.count("nothing to draw") == 6
    assert "No order cost more than its mid at arrival" in text


def test_paper_and_live_are_told_apart_and_an_executor_that_was_both_is_left_out() -> None:
    live = ROW | {"mode": "live"}
    names = {
        "rows": [*by_executor("p", "both")["rows"], *by_executor("l", "both", mode="live")["rows"]]
    }
    orders = [measure(done(n, executor=name)) for n, name in enumerate(("p", "l", "both"))]
    text = page(Report(ANSWER | {"rows": [live, ROW]}, names, orders, []))
    first, second = text.split("<h2>")[1:]
    assert first.startswith("live")
    assert second.startswith("paper")
    assert ">o-1<" in first
    assert ">o-0<" not in first
    assert ">o-0<" in second
    assert ">o-1<" not in second
    assert ">o-2<" not in text


def test_twenty_thousand_orders_fit_in_200_kb() -> None:
    orders = [
        done(no, cum_qty=str(no % 97 + 1), avg_px=str(100 + Decimal(no % 301 - 150) / 1000))
        for no in range(20_000)
    ]
    assert len(report(orders).encode()) < 200_000


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_are_round_and_within_the_range(low: float, width: float, about: int) -> None:
    ticks = round_ticks(low, low + width, about)
    assert 1 <= len(ticks) <= 2 * about + 1
    air = width * 1e-3 + abs(low) * 1e-9
    assert all(low - air <= tick <= low + width + air for tick in ticks)


@given(st.floats(1e-6, 1e6), st.floats(1.01, 1e9))
def test_ticks_of_factors_are_within_the_range(low: float, factor: float) -> None:
    axis = Axis(low, low * factor, 0, 100, log=True)
    assert 1 <= len(axis.ticks) <= 10
    assert all(0 <= axis.at(tick) <= 100 for tick in axis.ticks)
    assert axis.at(low) == pytest.approx(0)
    assert axis.at(low * factor) == pytest.approx(100)


def test_a_value_beyond_the_edge_stands_on_it() -> None:
    axis = Axis(*padded([5.0, 5.0]), 0, 100)
    assert axis.at(1e9) == 100
    assert not axis.holds(1e9)
    assert axis.at(5) == pytest.approx(50)
    assert Axis(1, 1, 0, 100).at(1) == 50
    assert nearest_rank([1, 2, 3, 4], 0.5) == 2
    assert round_ticks(3, 3) == [3]
    assert shortened("x" * 99) == "x" * 25 + "..."


# The command.


def script() -> dict[str, Any]:
    pages = [
        {"orders": [done(0)], "next_cursor": "c"},
        {"orders": [done(1)], "next_cursor": None},
    ]
    return {
        "stats.get": [ANSWER | {"rows": [ROW]}, by_executor("paper")],
        "order.list": pages,
    }


def test_all_that_is_asked_is_of_one_window(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.html"
    argv = ["report", "--last", "1d", "--symbol", "X", "--html", str(path)]
    with ScriptedDaemon(script()) as daemon:
        assert main(["--socket", daemon.path, *argv]) == Exit.DONE
    first, *later = [*daemon.params("stats.get"), *daemon.params("order.list")]
    assert first == {"symbol": "X", "time": {"time_type": "relative", "last": "1d"}}
    until = ANSWER["window"]["until"]
    assert [each["time"] for each in later] == [
        {"time_type": "absolute", "by": "created", "until": until}
    ] * 3
    assert later[-1]["cursor"] == "c"
    assert "symbol X" in path.read_text()
    assert capsys.readouterr().out == ""
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


def test_a_dash_is_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedDaemon(script()) as daemon:
        assert main(["--socket", daemon.path, "report", "--html", "-"]) == Exit.DONE
    assert capsys.readouterr().out.startswith("<!doctype html>")


def test_it_must_be_told_where_to_and_must_be_able_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedDaemon({"stats.get": Error(1, "unasked")}) as daemon:
        assert main(["--socket", daemon.path, "report"]) == Exit.USAGE
    assert daemon.requests == []
    with ScriptedDaemon(script()) as daemon:
        argv = ["report", "--html", str(tmp_path / "no" / "r.html")]
        assert main(["--socket", daemon.path, *argv]) == Exit.REFUSED
    assert "no such file or directory" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_leaves_the_old_one_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "\ud800")
    path.unlink()
    path.mkdir()
    with pytest.raises(Failure):
        write(path, "new")
    assert list(tmp_path.iterdir()) == [path]


# A real browser.


@pytest.fixture(scope="module")
def traded() -> Iterator[DaemonProcess]:
    with running() as daemon, daemon.bot() as bot:
        for no in range(12):
            bot.call("order.submit", **market(side="buy" if no % 2 else "sell"), wait="venue")
        bot.call("order.submit", **limit(cl_ord_id="r-1"), wait="venue")
        bot.call("order.cancel", cl_ord_id="r-1")
        yield daemon


@pytest.mark.parametrize(
    ("scheme", "ground", "ink"),
    [(1, (251, 251, 249), (28, 33, 38)), (0, (20, 23, 26), (230, 232, 234))],
    ids=["light", "dark"],
)
def test_a_browser_shows_it_light_and_dark_and_has_nothing_to_complain_of(
    traded: DaemonProcess, tmp_path: Path, scheme: int, ground: Any, ink: Any
) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium fonts-dejavu-core")
    path, picture = tmp_path / "r.html", tmp_path / "r.png"
    assert main(["--socket", str(traded.socket_path), "report", "--html", str(path)]) == Exit.DONE
    command = [
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'b'}",
        ),
        *("--window-size=1000,1400", "--force-device-scale-factor=0.5"),
        *(f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={picture}"),
        path.as_uri(),
    ]
    environ = {**os.environ, "HOME": str(tmp_path)}
    seen = subprocess.run(
        command, capture_output=True, text=True, timeout=200, check=False, env=environ
    )
    assert picture.exists(), seen.stderr[-3000:]
    assert "CONSOLE" not in seen.stderr
    found = colours(picture)
    (most, _), *_ = found.most_common(1)
    assert _near(most, ground) or found[ground] > 10_000
    assert sum(many for colour, many in found.items() if _near(colour, ink)) > 50
    assert len(found) > 100


def _near(colour: Any, other: Any) -> bool:
    return max(abs(a - b) for a, b in zip(colour, other, strict=True)) <= 12
