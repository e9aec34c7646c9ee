"""The journal: what was acknowledged is there, in order, once, and nobody can change it."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.journal_rows import SMALL, Story, a_day, opened, submit, write

from brokerd.clock import SystemClock
from brokerd.errors import ConfigError, JournalError
from brokerd.events import decode_entry
from brokerd.journal.audit import verify
from brokerd.journal.schema import genesis, link
from brokerd.journal.store import open_journal
from brokerd.storage import ENTRIES_MAX, ClOrdIdTaken


async def test_what_was_appended_is_read_back_after_a_restart(tmp_path: Path) -> None:
    story = a_day()
    async with opened(tmp_path / "j.db") as journal:
        assert journal.last_seq == 0
        await write(journal, story)
        assert journal.last_seq == len(story.entries)
    async with opened(tmp_path / "j.db") as journal:
        rows = [row async for row in journal.replay(0)]
        assert [row.seq for row in rows] == list(range(1, len(story.entries) + 1))
        assert [row.entry for row in rows] == story.entries
        assert [decode_entry(row.body) for row in rows] == story.entries
        assert [row.seq for row in await journal.read(3, 2)] == [4, 5]
        assert [row.seq for row in await journal.rows([7, 2, 999])] == [2, 7]
        assert [row.seq async for row in journal.replay(8)] == list(range(9, journal.last_seq + 1))


async def test_each_hash_follows_from_the_one_before_its_seq_and_its_body(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, a_day())
        head = genesis(journal.journal_id)
        async for row in journal.replay(0):
            head = link(head, row.seq, row.body)
            assert row.hash == head


async def test_two_journals_have_two_ids_and_two_chains(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as one, opened(tmp_path / "b.db") as two:
        await one.append(1, [a_day().entries[0]])
        await two.append(1, [a_day().entries[0]])
        assert (await one.read(0, 1))[0].hash != (await two.read(0, 1))[0].hash


async def test_a_taken_cl_ord_id_is_named_and_nothing_of_its_batch_is_written(
    tmp_path: Path,
) -> None:
    first, second = Story(), Story()
    for no in (1, 2, 3):
        first.tell(submit(no))
    for no in (4, 2, 5, 3):
        second.tell(submit(no))
    async with opened(tmp_path / "j.db") as journal:
        await journal.append(1, first.entries)
        with pytest.raises(ClOrdIdTaken) as caught:
            await journal.append(4, second.entries)
        assert caught.value.taken == {"bot-2", "bot-3"}
        assert journal.last_seq == 3
        assert await journal.read(3, 10) == []
        await journal.append(4, [second.entries[0]])
        assert journal.last_seq == 4


async def test_a_cl_ord_id_twice_in_one_batch_is_taken_too(tmp_path: Path) -> None:
    entry = Story()
    entry.tell(submit(1))
    async with opened(tmp_path / "j.db") as journal:
        with pytest.raises(ClOrdIdTaken) as caught:
            await journal.append(1, [*entry.entries, *entry.entries])
        assert caught.value.taken == {"bot-1"}


@pytest.mark.parametrize(("first_seq", "count"), [(1, 0), (1, ENTRIES_MAX + 1), (2, 1), (0, 1)])
async def test_an_empty_too_large_or_misplaced_batch_is_refused_whole(
    tmp_path: Path, first_seq: int, count: int
) -> None:
    async with opened(tmp_path / "j.db") as journal:
        with pytest.raises(ValueError, match=r"row|batch"):
            await journal.append(first_seq, [a_day().entries[0]] * count)
        assert journal.last_seq == 0
        await journal.append(1, [a_day().entries[0]] * ENTRIES_MAX)
        assert journal.last_seq == ENTRIES_MAX


FORBIDDEN = [
    "UPDATE journal SET at_ns = 0",
    "DELETE FROM journal WHERE seq = 1",
    "INSERT OR REPLACE INTO journal SELECT seq, 0, event, cl_ord_id, body, hash FROM journal",
    "DROP TRIGGER journal_no_update",
    "DROP TABLE journal",
    "CREATE TABLE other (x)",
    "ALTER TABLE journal ADD COLUMN x",
    "UPDATE meta SET journal_id = 'x'",
    "INSERT INTO meta VALUES ('x', 1)",
    "ATTACH ':memory:' AS other",
    "PRAGMA recursive_triggers = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA synchronous = OFF",
    "VACUUM",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_the_writer_itself_can_only_append(tmp_path: Path, statement: str) -> None:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, a_day())
        before = await journal.read(0, 100)
        with pytest.raises(sqlite3.DatabaseError):
            await journal._writer.execute_fetchall(statement)
        assert await journal.read(0, 100) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET at_ns = 0 WHERE seq = 2",
        "DELETE FROM journal WHERE seq = 2",
        "INSERT INTO journal SELECT 900, 0, event, NULL, body, hash FROM journal WHERE seq = 1",
        "INSERT INTO journal SELECT 0, 0, event, NULL, body, hash FROM journal WHERE seq = 1",
        (
            "INSERT OR REPLACE INTO journal SELECT 14, at_ns, event, cl_ord_id, body, hash FROM journal"
            " WHERE seq = 2"
        ),
        "UPDATE meta SET journal_id = 'x'",
        "DELETE FROM meta",
    ],
)
async def test_triggers_refuse_changes_from_any_other_program(
    tmp_path: Path, statement: str
) -> None:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, a_day())
    with sqlite3.connect(tmp_path / "j.db") as other:
        other.execute("PRAGMA recursive_triggers = ON")
        with pytest.raises(sqlite3.IntegrityError, match=r"append-only|next one"):
            other.execute(statement)
    other.close()
    assert verify(tmp_path / "j.db").is_good


async def test_a_second_daemon_is_told_who_holds_the_journal(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db"):
        with pytest.raises(ConfigError, match=f"pid {os.getpid()}"):
            async with opened(tmp_path / "j.db"):
                pass
    async with opened(tmp_path / "j.db"):
        pass


@pytest.mark.parametrize("link", [os.symlink, os.link])
async def test_a_second_daemon_finds_the_journal_held_by_whatever_name_it_has(
    tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    """SQLite keeps a log for each name of a file: two daemons would tear it apart."""
    async with opened(tmp_path / "j.db") as journal:
        (tmp_path / "elsewhere").mkdir()
        link(tmp_path / "j.db", tmp_path / "elsewhere" / "other.db")
        with pytest.raises(ConfigError, match="another daemon") as refused:
            async with opened(tmp_path / "elsewhere" / "other.db"):
                pass
        assert refused.value.reason == "journal_in_use"
        await journal.append(1, a_day().entries[:1])
    assert verify(tmp_path / "j.db").rows == 1


async def test_the_ballast_of_a_symlink_lies_on_the_disk_of_the_journal(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "j.db").symlink_to(tmp_path / "disk" / "journal.db")
    async with opened(tmp_path / "j.db"):
        assert (tmp_path / "disk" / "journal.db.reserve").stat().st_size > 0


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "j.db")
    with pytest.raises(ConfigError, match="is no ordinary file"):
        async with opened(tmp_path / "j.db"):
            pass


@pytest.mark.parametrize("name", ["j.db", "j.db-wal"])
@pytest.mark.parametrize("is_replaced", [False, True])
async def test_nothing_is_acknowledged_into_a_file_that_a_restart_would_not_find(
    tmp_path: Path, name: str, is_replaced: bool
) -> None:
    """SQLite does not notice: it has the file open, whatever became of its name."""
    entries = a_day().entries
    async with opened(tmp_path / "j.db") as journal:
        await journal.append(1, entries[:1])
        (tmp_path / name).rename(tmp_path / "moved")
        if is_replaced:
            (tmp_path / name).write_bytes(b"garbage" * 1_000)
        for _ in range(2):
            with pytest.raises(JournalError, match="removed or replaced") as told:
                await journal.append(2, entries[1:2])
            assert told.value.reason == "journal_moved"


async def test_a_missing_directory_is_made(tmp_path: Path) -> None:
    async with opened(tmp_path / "a" / "b" / "j.db") as journal:
        await journal.append(1, a_day().entries[:1])
    assert verify(tmp_path / "a" / "b" / "j.db").rows == 1


async def test_a_directory_is_not_a_journal(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        async with opened(tmp_path):
            pass


async def test_a_file_that_is_no_database_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"my notes\n" * 1_000)
    with pytest.raises(ConfigError, match="not a database"):
        async with opened(tmp_path / "j.db"):
            pass
    assert (tmp_path / "j.db").read_bytes() == b"my notes\n" * 1_000


async def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "j.db") as other:
        other.execute("CREATE TABLE notes (x)")
    other.close()
    with pytest.raises(ConfigError, match="no journal of brokerd"):
        async with opened(tmp_path / "j.db"):
            pass


async def test_a_journal_of_another_version_is_not_touched(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db"):
        pass
    with sqlite3.connect(tmp_path / "j.db") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(ConfigError, match="version 99"):
        async with opened(tmp_path / "j.db"):
            pass


async def test_a_journal_without_its_triggers_is_not_trusted(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db"):
        pass
    with sqlite3.connect(tmp_path / "j.db") as other:
        other.execute("DROP TRIGGER journal_no_delete")
    other.close()
    with pytest.raises(JournalError, match="journal_no_delete"):
        async with opened(tmp_path / "j.db"):
            pass


async def test_a_journal_whose_last_row_was_changed_is_not_opened(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, a_day())
        last_seq = journal.last_seq
    with sqlite3.connect(tmp_path / "j.db") as other:
        (made,) = other.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'journal_no_update'"
        ).fetchone()
        other.execute("DROP TRIGGER journal_no_update")
        other.execute(
            "UPDATE journal SET body = replace(body, 'bot-2', 'bot-1') WHERE seq = ?", (last_seq,)
        )
        other.execute(made)
    other.close()
    with pytest.raises(JournalError, match=f"row {last_seq} "):
        async with opened(tmp_path / "j.db"):
            pass


READ_ONLY = """
import asyncio, os, sys
from collections.abc import Callable
from pathlib import Path
from brokerd.clock import SystemClock
from brokerd.errors import ConfigError
from brokerd.journal.store import open_journal
os.setgroups([]); os.setgid(65534); os.setuid(65534)
async def main():
    async with open_journal(Path(sys.argv[1]), SystemClock()):
        pass
try:
    asyncio.run(main())
except ConfigError as error:
    print(error)
    sys.exit(78)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_directory_that_cannot_be_written_is_bad_configuration() -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, f"{place}/j.db"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (78, "")
    assert "cannot be written: Permission denied" in done.stdout


async def test_a_commit_that_raised_ends_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, a_day())

        async def broken(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(journal._writer, "execute_fetchall", broken)
            with pytest.raises(JournalError, match="may or may not"):
                await journal.append(journal.last_seq + 1, a_day().entries[:1])
        with pytest.raises(JournalError, match="may or may not"):
            await journal.append(journal.last_seq + 1, a_day().entries[:1])


async def test_after_a_cancelled_append_the_journal_takes_nothing_more(tmp_path: Path) -> None:
    """Nobody saw the outcome, so nothing may be built on it; the next start reads what is there."""
    story = a_day()
    async with opened(tmp_path / "j.db") as journal:
        async with asyncio.TaskGroup() as group:
            append = group.create_task(journal.append(1, story.entries[:3]))
            await asyncio.sleep(0)
            append.cancel()
        assert append.cancelled()
        with pytest.raises(JournalError, match="may or may not be in the journal"):
            await journal.append(1, story.entries[:3])
    assert verify(tmp_path / "j.db").is_good
    async with opened(tmp_path / "j.db") as journal:
        assert journal.last_seq in {0, 3}
        await journal.append(
            journal.last_seq + 1, [story.entries[0]] if journal.last_seq == 0 else story.entries[3:]
        )


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await journal._reader.execute_fetchall("INSERT INTO meta VALUES ('x', 1)")


async def test_the_log_is_emptied_by_a_clean_close(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, a_day())
        assert (tmp_path / "j.db-wal").stat().st_size > 0
    assert not (tmp_path / "j.db-wal").exists()


WRITER = """
import asyncio, sys
from collections.abc import Callable
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from tests.journal_rows import Story, opened, submit, acknowledged, canceled
async def main():
    async with opened(Path(sys.argv[1])) as journal:
        while True:
            story, first_seq = Story(), journal.last_seq + 1
            for no in range(first_seq, first_seq + 3):
                story.tell(submit(no))
                story.tell(acknowledged(no))
                story.tell(canceled(no))
            await journal.append(first_seq, story.entries)
            print(journal.last_seq, flush=True)
asyncio.run(main())
"""


def test_acknowledged_rows_survive_kill_9(tmp_path: Path) -> None:
    """Promise 2: whatever was told to be durable is there, whole batches only, and it verifies."""
    path, told = tmp_path / "j.db", 0
    for cycle in range(4):
        root = str(Path(__file__).parents[1])
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), root], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(20 + 7 * cycle):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            told = max([told, *map(int, writer.stdout.read().split())])
        verdict = verify(path)
        assert verdict.why is None
        assert verdict.rows >= told
        assert verdict.rows % 9 == 0
    assert told > 20 * 9


def test_the_lock_outlives_no_process(tmp_path: Path) -> None:
    """The kernel lets go of the lock of a killed daemon: nobody has to remove a file."""
    path = tmp_path / "j.db"
    root = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), root], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()

        async def try_open() -> None:
            async with open_journal(path, SystemClock(), **SMALL):
                pass

        with pytest.raises(ConfigError, match=f"pid {writer.pid}"):
            asyncio.run(try_open())
        writer.kill()
        writer.stdout.read()
    asyncio.run(try_open())


async def test_replay_stops_at_the_first_row_that_does_not_follow(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, a_day())
        with sqlite3.connect(tmp_path / "j.db") as other:
            other.execute("DROP TRIGGER journal_no_update")
            other.execute("UPDATE journal SET hash = zeroblob(32) WHERE seq = 5")
        other.close()
        rows = journal.replay(2)
        assert [(await anext(rows)).seq for _ in range(2)] == [3, 4]
        with pytest.raises(JournalError, match="row 5 "):
            await anext(rows)
