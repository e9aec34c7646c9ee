"""brokerctl journal and doctor, on real journals and real directories."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.scripted_daemon import Error, ScriptedDaemon

from brokerd.cli import checks, main, paths
from brokerd.cli.checks import FAIL, OK, WARN, Check
from brokerd.cli.errors import Exit
from brokerd.clock import SystemClock
from brokerd.events import DaemonStarted, Entry
from brokerd.journal.store import open_journal

ROWS = 30


@pytest.fixture(autouse=True)
def no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed on this machine."""
    monkeypatch.setattr(paths, "SYSTEM_STATE", "/nowhere/at/all")


@pytest.fixture
async def journal(tmp_path: Path) -> Path:
    path = tmp_path / "var" / "journal.db"
    started = Entry(DaemonStarted(at_ns=1, version="0", epoch="e"))
    async with open_journal(
        path, SystemClock(), reserve_bytes=4096, reserve_free_bytes=0
    ) as opened:
        await opened.append(1, [started] * ROWS)
    return path


def damage(path: Path, seq: int) -> None:
    """Do what no program of ours would: take the guard off and rewrite a row."""
    with sqlite3.connect(path) as db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(
            "UPDATE journal SET body = replace(body, '\"e\"', '\"f\"') WHERE seq = ?", (seq,)
        )
    db.close()


def ctl(*argv: str, info: dict[str, Any] | None = None, **script: Any) -> int:
    if info is None:
        return main(["--socket", "/nowhere/at/all", *argv])
    answers = {"daemon.info": info, "executor.list": {"executors": []}} | script
    with ScriptedDaemon(answers) as daemon:
        return main(["--socket", daemon.path, *argv])


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_verify_counts_the_rows_of_a_good_journal(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctl("journal", "verify", str(journal)) == Exit.DONE
    (verdict,) = told(capsys)
    assert (verdict["verified"], verdict["rows"], verdict["first_bad"]) == (True, ROWS, None)
    assert len(verdict["head_hash"]) == 64


def test_verify_exits_5_on_a_changed_journal_and_says_why(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(journal, 17)
    assert ctl("journal", "verify", str(journal)) == Exit.CHECK_FAILED
    (verdict,) = told(capsys)
    assert verdict["verified"] is False
    assert verdict["why"]


def test_verify_of_something_else_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database at all, just a long enough text to be read as a header" * 20)
    assert ctl("journal", "verify", str(other)) == Exit.CHECK_FAILED
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out


def test_export_writes_one_json_line_a_row_behind_a_seq(
    journal: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert ctl("journal", "export", str(journal), "--after-seq", "27") == Exit.DONE
    rows = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [row["seq"] for row in rows] == [28, 29, 30]
    assert rows[0]["event"]["event"] == "daemon_started"


def test_the_journal_is_the_running_daemons_unless_named(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctl("journal", "verify", info={"journal": str(journal)}) == Exit.DONE
    assert told(capsys)[0]["journal"] == str(journal)


def test_a_daemon_that_will_not_say_its_journal_is_no_leave_to_take_another(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(journal.parent.parent)
    with ScriptedDaemon({"daemon.info": Error(303, "busy")}) as daemon:
        assert main(["--socket", daemon.path, "journal", "verify"]) == Exit.REFUSED


def test_the_journal_is_the_configs_where_one_is_given(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = journal.parent.parent / "config.toml"
    config.write_text('[executors.paper]\nadapter = "paper"\n')
    assert ctl("journal", "verify", "--config", str(config)) == Exit.DONE
    assert told(capsys)[0]["journal"] == str(journal)
    assert ctl("journal", "verify", "--config", str(config) + "x") == Exit.USAGE


def test_the_journal_is_the_directorys_own_without_a_daemon(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(journal.parent.parent)
    assert ctl("journal", "verify") == Exit.DONE
    assert told(capsys)[0]["journal"] == "var/journal.db"


def verdicts(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in told(capsys)}


def test_doctor_finds_nothing_wrong_with_a_healthy_house(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.parent.chmod(0o750)
    journal.chmod(0o640)
    info = {"version": "0.1.0", "journal": str(journal), "accepts_orders": True}
    paper = {"name": "paper", "state": "up", "clock_offset_s": 0.01}
    status = ctl("doctor", info=info, **{"executor.list": {"executors": [paper]}})
    found = verdicts(capsys)
    assert status == Exit.DONE
    names = ["journal file", "journal directory", "journal tail", "daemon", "executor paper clock"]
    assert {name: found[name] for name in names} == dict.fromkeys(names, OK)


@pytest.fixture
def service(journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The journal lies where the unit has it, with the unit's config; no daemon runs, nor is any here."""
    config = tmp_path / "etc" / "config.toml"
    config.parent.mkdir()
    config.write_text('[executors.paper]\nadapter = "paper"\n')
    monkeypatch.setattr(paths, "SYSTEM_CONFIG", str(config))
    monkeypatch.setattr(paths, "SYSTEM_STATE", str(journal.parent))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return config


@pytest.mark.parametrize("by_config", [False, True])
def test_the_services_journal_is_found_while_it_is_down(
    service: Path, journal: Path, capsys: pytest.CaptureFixture[str], *, by_config: bool
) -> None:
    more = ["--config", str(service)] if by_config else []
    assert ctl("journal", "verify", *more) == Exit.DONE
    assert told(capsys)[0]["journal"] == str(journal)
    ctl("doctor", *more)
    (tail,) = [row for row in told(capsys) if row["name"] == "journal tail"]
    assert tail["verdict"] == OK, tail


def test_another_config_is_read_as_it_stands(
    service: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.toml"
    other.write_bytes(service.read_bytes())
    (tmp_path / "var").rename(tmp_path / "away")
    assert ctl("journal", "verify", "--config", str(other)) == Exit.USAGE
    assert str(tmp_path / "var" / "journal.db") in capsys.readouterr().err


def test_doctor_works_without_a_daemon_and_fails_for_it(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(journal.parent.parent)
    assert ctl("doctor") == Exit.CHECK_FAILED
    found = verdicts(capsys)
    assert (found["daemon"], found["journal tail"]) == (FAIL, OK)


def test_doctor_prints_the_fix_under_what_is_wrong(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.chmod(0o666)
    assert ctl("doctor", "-o", "table", info={"journal": str(journal)}) == Exit.CHECK_FAILED
    lines = capsys.readouterr().out.splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("journal file"))
    assert "fail" in lines[row]
    assert lines[row + 1] == f"    chmod go-w {journal}"


@pytest.mark.parametrize(
    ("mode", "verdict"), [(0o750, OK), (0o770, OK), (0o777, FAIL), (0o1777, WARN)]
)
def test_a_directory_anybody_may_write_to_is_no_place_for_a_journal(
    journal: Path, mode: int, verdict: str
) -> None:
    journal.parent.chmod(mode)
    found = {check.name: check for check in checks.check_modes(None, journal)}
    assert found["journal directory"].verdict == verdict


@pytest.mark.parametrize(("mode", "verdict"), [(0o660, OK), (0o666, FAIL)])
def test_a_socket_anybody_may_write_to_is_none(journal: Path, mode: int, verdict: str) -> None:
    with ScriptedDaemon({}) as daemon:
        Path(daemon.path).chmod(mode)
        assert checks.check_modes(daemon.path, journal)[0].verdict == verdict


def test_a_changed_row_in_the_tail_is_found_and_named(journal: Path) -> None:
    damage(journal, ROWS - 2)
    check = checks.check_tail(journal)
    assert (check.verdict, f"row {ROWS - 2}" in check.measured) == (FAIL, True)


def test_a_missing_row_in_the_tail_is_found(journal: Path) -> None:
    damage(journal, 0)
    with sqlite3.connect(journal) as db:
        db.execute("DELETE FROM journal WHERE seq = 9")
    db.close()
    assert "row 10" in checks.check_tail(journal).measured


def test_the_first_row_of_a_short_journal_is_checked_too(journal: Path) -> None:
    damage(journal, 1)
    assert checks.check_tail(journal).verdict == FAIL


def test_a_journal_that_is_no_database_fails(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.write_text("no" * 4096)
    assert checks.check_tail(path).verdict == FAIL


def test_the_disk_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    found = checks.check_disk(tmp_path)
    assert [check.name for check in found] == ["sync time", "free space"]
    assert "ms, median of 20" in found[0].measured
    assert list(tmp_path.iterdir()) == []
    assert checks.check_disk(tmp_path / "none")[0].verdict == WARN


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (checks.check_python(), OK),
        (checks.check_sqlite("3.40.1"), WARN),
        (checks.check_sqlite("3.51.2"), WARN),
        (checks.check_sqlite("3.51.3"), OK),
        (checks.check_sqlite("4.0"), OK),
        (checks.check_uvloop("0.22.1"), FAIL),
        (checks.check_uvloop("0.23.0"), OK),
        (checks.check_uvloop("0.23.0rc1"), OK),
        (checks.check_uvloop(None), FAIL),
        (checks.judged_sync(0.001), OK),
        (checks.judged_sync(0.050), WARN),
        (checks.judged_room(10 << 30), OK),
        (checks.judged_room(500 << 20), WARN),
        (checks.judged_room(50 << 20), FAIL),
        (checks.judged_clock("c", -0.1), OK),
        (checks.judged_clock("c", -0.5), WARN),
        (checks.judged_clock("c", 2.0), FAIL),
        (checks.check_executor({"name": "p", "state": "up"})[0], OK),
        (checks.check_executor({"name": "p", "state": "syncing"})[0], WARN),
        (checks.check_executor({"name": "p", "state": "down"})[0], WARN),
        (checks.check_executor({"name": "p", "state": "frozen"})[0], FAIL),
        (checks.check_executor({"name": "p", "state": "up", "paused_until": "soon"})[1], WARN),
        (checks.check_daemon({"accepts_orders": False})[1], FAIL),
        (checks.check_daemon({"log_lines_dropped": 3})[1], WARN),
        (checks.check_daemon({"log_lines_dropped": "x"})[1], OK),
        (checks.check_daemon({"orders": {"in_doubt": 1}})[2], WARN),
    ],
)
def test_a_verdict_that_is_not_ok_comes_with_a_fix(check: Check, verdict: str) -> None:
    assert check.verdict == verdict
    assert bool(check.fix) == (verdict != OK)


def test_a_copy_on_a_full_medium_is_never_written_to(journal: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(journal, copy)
    before = copy.read_bytes()
    checks.check_tail(copy)
    ctl("journal", "verify", str(copy))
    assert copy.read_bytes() == before
