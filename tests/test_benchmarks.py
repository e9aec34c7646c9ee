"""The benchmarks run whole, and measure what they say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import bots
from benchmarks.__main__ import main
from benchmarks.report import at_least, at_most, median_ratio, quantile, row, table
from scripted_daemon import ScriptedDaemon

ROOT = Path(__file__).parents[1]
TARGETS = [
    ("a", "<= 1.5"),
    ("b", ">= 0.5"),
    ("b", ">= 0.5"),
    ("c", "<= 150"),
    ("c", "<= 150"),
    ("c", "<= 1.3"),
    ("c", "<= 1.3"),
    ("d", ">= 0.9"),
    *[("e", "<= 0.5")] * 3,
    *[("e", ">= 3")] * 2,
    *[("f", "<= 0.5")] * 9,
    *[("f", "<= 0.05")] * 4,
    ("f", "<= 2"),
]


@pytest.mark.timeout(600)
def test_a_quick_run_measures_every_part_against_its_targets(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    argv = ["--quick", "--json", str(path), "--dir", str(tmp_path / "state")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(path.read_text())
    rows = record["rows"]
    assert [(each["part"], each["target"]) for each in rows if each["target"]] == TARGETS
    assert all(each["value"] > 0 for each in rows)
    assert all((each["met"] is None) == (each["target"] is None) for each in rows)
    assert record["quick"]
    assert record["machine"]["sqlite"]
    # Every row stands in the table, and nothing else is on stdout.
    assert len(done.stdout.splitlines()) == len(rows) + 1
    assert "round" in done.stderr


def test_a_history_is_written_once_and_found_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--quick", "--only", "c", "--json", str(tmp_path / "j"), "--dir", str(tmp_path / "s")]
    main(argv)
    assert "writing a history of 500 orders" in capsys.readouterr().err
    main(argv)
    told = capsys.readouterr().err
    assert "found a history of 500 orders" in told
    assert "writing" not in told


def test_an_unknown_part_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "a,x"])
    assert ended.value.code == 2
    assert "'x' is not one of a, b, c, d, e, f" in capsys.readouterr().err


def test_an_answer_that_was_no_order_stops_the_benchmark() -> None:
    info = {"orders": {"pending": 0, "submitted": 99}}
    with (
        ScriptedDaemon({"daemon.info": info}) as daemon,
        pytest.raises(RuntimeError, match="99 orders on record, 100 were sent"),
    ):
        bots.settle(daemon.path, 100)


def test_the_clients_send_every_line_and_wait_for_every_answer() -> None:
    script = {"order.submit": {}}
    with ScriptedDaemon(script) as daemon:
        assert len(bots.one_by_one(daemon.path, bots.submits("x", 5))) == 5
        assert bots.pipelined(daemon.path, bots.submits("y", 50), connections=3, in_flight=4) > 0
        sent = [params["cl_ord_id"] for params in daemon.params("order.submit")]
    assert sorted(sent) == sorted(
        [*(f"x-{number}" for number in range(5)), *(f"y-{number}" for number in range(50))]
    )


def test_a_bound_is_met_on_its_own_side() -> None:
    assert row("a", "ratio", 1.5, "", at_most(1.5)).met
    assert not row("a", "ratio", 1.51, "", at_most(1.5)).met
    assert row("b", "ratio", 0.5, "", at_least(0.5)).met
    assert not row("b", "ratio", 0.49, "", at_least(0.5)).met


def test_a_miss_is_told_in_the_table() -> None:
    text = table([row("a", "ratio", 3.2, "", at_most(1.5)), row("b", "rate", 1234.5, "/s")])
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["a", "ratio", "3.2", "<=", "1.5", "MISSED"],
        ["b", "rate", "1,234", "/s"],
    ]


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert quantile(values, 0.5) == 3.0
    assert quantile(values, 0.99) == 5.0
    assert quantile([7.0], 0.5) == 7.0


def test_a_ratio_is_taken_round_by_round() -> None:
    """Both slow in the last round: by rounds the ratio stays 2, by medians it would be 1."""
    assert median_ratio([2.0, 4.0, 40.0], [1.0, 2.0, 20.0]) == 2.0
    assert median_ratio([2.0, 10.0, 4.0], [1.0, 4.0, 10.0]) == 2.0
