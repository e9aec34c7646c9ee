"""contrib/lnav: the log format, held against the lines of a real daemon."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.daemon_process import Message, limit, market, running

FORMAT = Path(__file__).parents[1] / "contrib" / "lnav" / "brokerd_log.json"
FORMAT_FIELDS = json.loads(FORMAT.read_text())["brokerd_log"]
LNAVS_OWN = {"__timestamp__", "__level__"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a run in which an order traded, another was replaced and canceled."""
    path = tmp_path_factory.mktemp("lnav") / "brokerd.log"
    with running() as daemon, daemon.bot() as bot:
        bot.call("order.submit", **market(cl_ord_id="m-1"), wait="venue")
        bot.call("order.submit", **limit(cl_ord_id="l-1"), wait="venue")
        bot.call("order.replace", cl_ord_id="l-1", px="20001")
        bot.call("order.cancel", cl_ord_id="l-1")
        daemon.stop()
        path.write_bytes(daemon.log.read_bytes())
    return path


@pytest.fixture(scope="module")
def lines(log: Path) -> list[Message]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_every_line_has_the_time_level_and_name_that_the_format_points_to(
    lines: list[Message],
) -> None:
    pointed_to = [FORMAT_FIELDS["timestamp-field"], FORMAT_FIELDS["level-field"], "event"]
    assert all(set(pointed_to) <= set(line) for line in lines)
    assert {line["level"] for line in lines} <= set(FORMAT_FIELDS["level"])


def test_the_fields_of_the_format_are_fields_of_the_log(lines: list[Message]) -> None:
    seen = {name for line in lines for name in line}
    told = seen | {"in_doubt", "exception", "evidence"}  # nothing went wrong here
    assert set(FORMAT_FIELDS["value"]) <= told
    shown = {each["field"] for each in FORMAT_FIELDS["line-format"] if isinstance(each, dict)}
    assert shown - LNAVS_OWN <= seen


def test_lnav_takes_the_format_and_reads_every_line(
    log: Path, lines: list[Message], tmp_path: Path
) -> None:
    lnav = shutil.which("lnav")
    if lnav is None:
        pytest.skip("lnav is not installed: apt-get install lnav")
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    query = ";SELECT log_level, event, seq, cl_ord_id, ord_status FROM brokerd_log"
    for command in (
        [lnav, "-i", str(FORMAT)],
        [lnav, "-n", "-c", query, "-c", f":write-json-to {tmp_path / 'rows'}", str(log)],
    ):
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows").read_text())
    told = ("event", "seq", "cl_ord_id", "ord_status")
    assert [[row["log_level"], *map(row.get, told)] for row in rows] == [
        [line["level"], *map(line.get, told)] for line in lines
    ]
