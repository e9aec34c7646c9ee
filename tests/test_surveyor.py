"""The survey's process and its keeper: whatever becomes of the one, the other answers or says why."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import Raw
from structlog.testing import capture_logs
from tests.survey_desk import LATER, Desk, lives

from brokerd.clock import SystemClock
from brokerd.errors import Busy, InvalidParams
from brokerd.survey import __main__ as process
from brokerd.survey import answers, schema, store, surveyor
from brokerd.survey.pace import Pace, told
from brokerd.survey.question import Asked, Question, encode
from brokerd.survey.surveyor import Surveyor

EVERYTHING = Question(seq=0, now_ns=LATER)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.tell(lives(60))
    return desk


@asynccontextmanager
async def kept(desk: Desk, has_room: Callable[[], bool] = lambda: True) -> AsyncIterator[Surveyor]:
    """A keeper whose process is started by the first question, and ended with the test."""
    history = SimpleNamespace(applied_seq=len(desk.entries))
    keeper = Surveyor(
        history,  # type: ignore[arg-type]
        desk.history,
        desk.survey,
        SystemClock(),
        has_room,
    )
    try:
        yield keeper
    finally:
        await keeper._end()


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveyor, "PAUSE_S_MIN", 0.0)
    monkeypatch.setattr(surveyor, "PAUSE_S_MAX", 0.0)


def orders(result: Raw) -> int:
    told: int = json.loads(bytes(result))["orders"]
    return told


async def test_a_process_that_was_killed_is_started_again_for_the_next_question(
    desk: Desk,
) -> None:
    async with kept(desk) as keeper:
        assert orders(await keeper.ask(EVERYTHING)) == 60
        assert keeper._process is not None
        os.kill(keeper._process.pid, signal.SIGKILL)
        await keeper._process.wait()
        assert orders(await keeper.ask(EVERYTHING)) == 60


async def test_what_is_left_of_a_disk_belongs_to_the_journal(desk: Desk) -> None:
    room = [False, True]
    async with kept(desk, lambda: room[0]) as keeper:
        with pytest.raises(Busy, match="nearly full"):
            await keeper.ask(EVERYTHING)
        assert not await keeper._follow()
        assert keeper._process is None
        assert not desk.survey.exists()
        room.pop(0)
        assert orders(await keeper.ask(EVERYTHING)) == 60


async def test_a_file_that_was_removed_is_made_anew_by_the_next_process(desk: Desk) -> None:
    for _ in range(2):
        async with kept(desk) as keeper:
            assert orders(await keeper.ask(EVERYTHING)) == 60
        schema.remove(desk.survey)


@pytest.mark.usefixtures("no_pause")
async def test_a_file_that_is_damaged_inside_is_told_of_and_made_anew(desk: Desk) -> None:
    async with kept(desk) as keeper:
        await keeper.ask(EVERYTHING)
    with closing(sqlite3.connect(desk.survey)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = desk.survey.stat().st_size
    with desk.survey.open("r+b") as file:
        file.seek(3 * 4096)  # what says whose it is stays whole
        file.write(b"\xff" * (size - 3 * 4096))
    async with kept(desk) as keeper:
        with pytest.raises(Busy, match="a damaged file, which is made anew") as error:
            await keeper.ask(EVERYTHING)
        assert error.value.reason == "survey_failed"
        assert orders(await keeper.ask(EVERYTHING)) == 60


async def test_what_keeps_failing_is_tried_ever_more_seldom(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveyor, "COMMAND", (sys.executable, "-c", "raise SystemExit(1)"))
    async with kept(desk) as keeper:
        with pytest.raises(Busy, match="statistics failed: IncompleteReadError"):
            await keeper.ask(EVERYTHING)
        with pytest.raises(Busy, match="ask again in 1 s"):
            await keeper.ask(EVERYTHING)
        assert keeper._process is None, "within the pause no other is started"
        keeper._paused_until_s = 0.0
        with pytest.raises(Busy, match="ask again in 2 s"):
            await keeper.ask(EVERYTHING)


async def test_the_last_words_of_a_process_are_one_line_of_the_log(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveyor, "COMMAND", (sys.executable, "-c", "print(1 // 0)"))
    with capture_logs() as lines:
        async with kept(desk) as keeper:
            with pytest.raises(Busy):
                await keeper.ask(EVERYTHING)
    (line,) = [line for line in lines if line["event"] == "survey_ended"]
    assert line["said"].endswith("ZeroDivisionError: integer division or modulo by zero\n")


async def test_a_module_in_the_directory_the_daemon_was_started_in_is_not_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "decimal.py").write_text("raise SystemExit('somebody else')")
    monkeypatch.chdir(tmp_path)
    async with kept(desk) as keeper:
        assert orders(await keeper.ask(EVERYTHING)) == 60


async def test_a_survey_that_is_behind_says_how_far_it_is_and_how_long_it_will_take(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = (
        "import json, sys\n"
        "for number, line in enumerate(sys.stdin):\n"
        " id = json.loads(line)['id']\n"
        " print(json.dumps({'id': id, 'kind': 'behind', 'seq': 100 * number}), flush=True)\n"
    )
    monkeypatch.setattr(surveyor, "COMMAND", (sys.executable, "-c", slow))
    async with kept(desk) as keeper:
        keeper._pace.note(0, asyncio.get_running_loop().time() - 100, is_done=False)
        question = Question(seq=1_000_000, now_ns=LATER)
        await keeper._tell(question)
        with pytest.raises(Busy, match=r"behind: at row 100 of 1000000 \(0 %\), about") as error:
            await keeper.ask(question)
    assert error.value.reason == "survey_behind"
    assert error.value.data["seq"] == 100
    assert error.value.data["of_seq"] == 1_000_000
    assert error.value.data["left_s"] == pytest.approx(1_000_000, rel=0.5)


async def test_an_answer_that_would_take_too_long_is_refused_with_what_to_do(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = (
        "import json, sys\n"
        "for line in sys.stdin:\n"
        " id = json.loads(line)['id']\n"
        " print(json.dumps({'id': id, 'kind': 'refused', 'seq': 1, 'why': 'too much'}), flush=True)\n"
    )
    monkeypatch.setattr(surveyor, "COMMAND", (sys.executable, "-c", refuses))
    async with kept(desk) as keeper:
        with pytest.raises(InvalidParams, match="too much") as error:
            await keeper.ask(EVERYTHING)
    assert error.value.data["field"] == "group_by"
    assert "shorter window" in error.value.data["hint"]


def answered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> tuple[int, dict[str, object]]:
    """Run the process here, for one line; its exit status and its last word."""
    line = encode(Asked(7, LATER, EVERYTHING)) + b"\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(line)))
    monkeypatch.setattr(os, "nice", int)
    status = process.main([str(desk.history), str(desk.survey)])
    return status, json.loads(capfdbinary.readouterr().out.splitlines()[-1])


def test_a_full_disk_is_the_last_word(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(schema, "PRAGMAS", (*schema.PRAGMAS, "max_page_count = 30"))
    status, last = answered(desk, monkeypatch, capfdbinary)
    assert (status, last["kind"], last["why"]) == (1, "failed", "the disk is full")
    assert desk.survey.exists(), "what is there stays, for the next try to go on from"


def test_a_read_model_that_cannot_be_read_is_the_last_word(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    desk.history.unlink()
    status, last = answered(desk, monkeypatch, capfdbinary)
    assert (status, last["kind"], last["why"]) == (1, "failed", "SQLITE_CANTOPEN")


def test_too_much_is_no_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def too_much(*_: object) -> None:
        raise answers.TooMuch("60 orders")

    monkeypatch.setattr(store.Store, "ask", too_much)
    status, last = answered(desk, monkeypatch, capfdbinary)
    assert (status, last["id"], last["kind"], last["why"]) == (0, 7, "refused", "60 orders")


def test_what_is_far_behind_is_told_before_anything_is_added_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(store, "ROWS_PER_STEP", 3)
    _, last = answered(desk, monkeypatch, capfdbinary)
    assert last["kind"] == "behind"
    with closing(sqlite3.connect(desk.survey)) as db:
        (count,) = db.execute("SELECT count(*) FROM samples").fetchone()
    assert count == 3 * process.STEPS_PER_LINE


def test_a_pace_is_measured_from_where_the_survey_fell_behind() -> None:
    pace = Pace()
    pace.note(500, 0.0, is_done=True)
    assert pace.left_s(1_000) is None
    pace.note(600, 10.0, is_done=False)
    pace.note(650, 11.0, is_done=False)
    assert pace.left_s(1_000) is None, "a second is too short to tell"
    pace.note(700, 14.0, is_done=False)
    assert pace.left_s(1_000) == pytest.approx(12.0)
    assert pace.left_s(100) == 0.0
    pace.note(0, 20.0, is_done=False)
    assert pace.left_s(1_000) is None, "another survey, from the start"
    pace.note(1_000, 30.0, is_done=True)
    assert pace.left_s(2_000) is None


@pytest.mark.parametrize(
    ("left_s", "text"),
    [
        (None, "at row 60 of 200 (30 %)"),
        (0.2, "at row 60 of 200 (30 %), about 1 s to go"),
        (89.0, "at row 60 of 200 (30 %), about 89 s to go"),
        (150.0, "at row 60 of 200 (30 %), about 2 min to go"),
    ],
)
def test_how_far_it_is_reads_well(left_s: float | None, text: str) -> None:
    assert told(60, 200, left_s) == text
