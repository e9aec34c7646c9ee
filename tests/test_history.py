"""The read model: the fold of the journal and nothing else, however it came to be."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from tests.journal_rows import (
    T0_NS,
    Story,
    a_day,
    acknowledged,
    both,
    canceled,
    opened,
    submit,
    traded,
    write,
)

from brokerd.errors import Busy, InvalidParams
from brokerd.events import ExecutorChanged, OrderReplaced
from brokerd.history.model import SqliteHistory, open_history
from brokerd.history.query import FillQuery, OrderQuery
from brokerd.history.schema import Batch
from brokerd.journal.store import SqliteJournal
from brokerd.states import OrdStatus, Status


def feed(history: SqliteHistory, story: Story, after_seq: int = 0) -> None:
    for seq, entry, order in story.noted[after_seq:]:
        history.note(seq, entry, order)


async def live(directory: Path, story: Story, flush_every: int = 4) -> None:
    """Write a story as a running daemon does, its history flushed now and then."""
    async with both(directory) as (journal, history):
        for at in range(0, len(story.noted), flush_every):
            piece = story.noted[at : at + flush_every]
            await journal.append(at + 1, [entry for _, entry, _ in piece])
            for seq, entry, order in piece:
                history.note(seq, entry, order)
            await history.flush()


def dump(path: Path) -> list[str]:
    """Everything in a read model, but for ids that nobody sees."""
    db = sqlite3.connect(path)
    tables = {
        each: f"SELECT * FROM {each}"
        for each in ("order_tags", "venue_ids", "fills", "quotes", "marks", "runs", "meta")
    }
    tables["counts"] = "SELECT * FROM counts WHERE orders"
    tables["group_tags"] = "SELECT key, value, keys FROM group_tags JOIN groups ON id = group_id"
    tables["groups"] = "SELECT keys, newest_at_ns, newest_no FROM groups"
    tables["orders"] = (
        "SELECT no, cl_ord_id, venue_cl_ord_id, executor, symbol, side, keys, created_at_ns,"
        " closed_at_ns, last_fill_at_ns, status, ord_status, live, seqs, body"
        " FROM orders JOIN groups ON groups.id = group_id"
    )
    rows = [str((name, row)) for name, sql in tables.items() for row in db.execute(sql).fetchall()]
    db.close()
    return sorted(rows)


async def test_orders_fills_and_entries_are_found_after_a_restart(tmp_path: Path) -> None:
    story = a_day()
    await live(tmp_path, story)
    async with both(tmp_path) as (_, history):
        for cl_ord_id, order in story.orders.items():
            assert await history.find(cl_ord_id=cl_ord_id) == order
        assert await history.exec_ids("bot-1") == {"x1", "x2"}
        assert await history.exec_ids("bot-4") == set()
        assert [row.seq for row in await history.order_entries("bot-1")] == [2, 6, 7, 11]
        assert await history.order_entries("bot-99") == []
        assert await history.find(cl_ord_id="bot-99") is None


async def test_an_order_is_found_by_its_venues_names_too(tmp_path: Path) -> None:
    story = a_day()
    await live(tmp_path, story)
    async with both(tmp_path) as (_, history):
        order = story.orders["bot-2"]
        assert await history.find(executor="paper", venue_order_id="v2") == order
        assert await history.find(executor="paper", venue_cl_ord_id="e-2") == order
        assert await history.find(executor="other", venue_order_id="v2") is None
        assert await history.find(executor="other", venue_cl_ord_id="e-2") is None


@pytest.mark.parametrize("flush_every", [1, 100])
async def test_an_order_is_found_by_an_id_it_had_before_a_replace(
    tmp_path: Path, flush_every: int
) -> None:
    """A late fill may come under the old name."""
    story = Story()
    for event in (
        submit(1),
        acknowledged(1),
        OrderReplaced(at_ns=T0_NS, cl_ord_id="bot-1", qty=Decimal(3), venue_order_id="v1b"),
        canceled(1),
    ):
        story.tell(event)
    await live(tmp_path, story, flush_every)
    async with both(tmp_path) as (_, history):
        for name in ("v1", "v1b"):
            assert (
                await history.find(executor="paper", venue_order_id=name) == story.orders["bot-1"]
            )


async def test_the_unsettled_are_what_a_start_loads(tmp_path: Path) -> None:
    story = a_day()
    await live(tmp_path, story)
    async with both(tmp_path) as (journal, history):
        assert history.applied_seq == journal.last_seq
        assert await history.unsettled() == [story.orders["bot-4"]]
        assert await history.unsettled_exec_ids() == {}


async def test_the_fills_of_the_unsettled_come_in_one_question(tmp_path: Path) -> None:
    story = a_day()
    story.tell(traded(4, "x4"))
    await live(tmp_path, story)
    async with both(tmp_path) as (_, history):
        assert await history.unsettled_exec_ids() == {"bot-4": {"x4"}}


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_list_that_takes_too_long_is_ended_and_makes_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bot's question must not be the end of everybody's, nor run on when nobody waits for it."""
    story = a_day()
    await live(tmp_path, story)
    async with both(tmp_path) as (_, history):
        monkeypatch.setattr("brokerd.history.read.LIST_S_MAX", 0.2)
        with pytest.raises(Busy) as error:
            await history._fetch(ENDLESS)
        assert error.value.reason == "list_too_long"
        monkeypatch.undo()
        page = await history.list_orders(OrderQuery())
        assert len(page.items) == len(story.orders)
        assert not history.is_damaged


async def test_two_lists_that_take_too_long_are_both_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by its own limit: one that ran on with nobody waiting would hang whoever closes."""
    monkeypatch.setattr("brokerd.history.read.LIST_S_MAX", 0.2)
    async with both(tmp_path) as (_, history), asyncio.TaskGroup() as group:
        asked = [group.create_task(refused(history, ENDLESS), name="asked") for _ in range(2)]
    assert [each.result() for each in asked] == ["list_too_long"] * 2


async def test_a_short_list_behind_a_long_one_has_its_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = a_day()
    await live(tmp_path, story)
    async with both(tmp_path) as (_, history), asyncio.TaskGroup() as group:
        monkeypatch.setattr("brokerd.history.read.LIST_S_MAX", 0.2)
        long = group.create_task(refused(history, ENDLESS), name="long")
        await asyncio.sleep(0)
        monkeypatch.undo()
        entries = await history.order_entries("bot-1")
        assert long.result() == "list_too_long"
        assert len(entries) == 4


async def test_who_waits_in_vain_is_told_of_the_others_and_interrupts_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(tmp_path) as (_, history), asyncio.TaskGroup() as group:
        gate = await Gate.of(history)
        first = group.create_task(history._fetch(GATED), name="first")
        await gate.entered()
        monkeypatch.setattr("brokerd.history.read.TURN_S_MAX", 0.01)
        assert await refused(history, "SELECT 1") == "lists_busy"
        gate.open.set()
        assert await first == [(GATED_ROWS,)]


@pytest.mark.parametrize("is_begun", [False, True])
async def test_a_list_whose_caller_is_cancelled_is_ended(tmp_path: Path, *, is_begun: bool) -> None:
    """Also one that its thread has not begun yet, which an interrupt does not hit."""
    async with both(tmp_path) as (_, history), asyncio.TaskGroup() as group:
        gate = await Gate.of(history)
        gate.open.set()
        asked = group.create_task(history._fetch(GATED.replace(" LIMIT 100000", "")), name="asked")
        await (gate.entered() if is_begun else asyncio.sleep(0))
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await history._fetch("SELECT 1") == [(1,)]


async def test_one_that_is_cancelled_while_it_waits_leaves_the_others_alone(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, history), asyncio.TaskGroup() as group:
        gate = await Gate.of(history)
        first, second, third = (
            group.create_task(history._fetch(sql), name=sql) for sql in (GATED, ENDLESS, "SELECT 1")
        )
        await gate.entered()
        second.cancel()
        gate.open.set()
        assert await first == [(GATED_ROWS,)]
        assert await third == [(1,)]


GATED_ROWS = 100_000
GATED = (
    "WITH RECURSIVE n(i) AS (SELECT gate() UNION ALL SELECT i + 1 FROM n LIMIT 100000)"
    " SELECT count(*) FROM n"
)


class Gate:
    """A function of SQL's that a statement cannot get by until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self._entered = threading.Event()

    @classmethod
    async def of(cls, history: SqliteHistory) -> "Gate":
        gate = cls()
        await history._lists.create_function("gate", 0, gate._pass)
        return gate

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 30)

    def _pass(self) -> int:
        self._entered.set()
        return self.open.wait(30)


async def refused(history: SqliteHistory, sql: str) -> str:
    with pytest.raises(Busy) as error:
        await history._fetch(sql)
    return error.value.reason


async def test_counts_follow_every_change_of_status(tmp_path: Path) -> None:
    story = a_day()
    await live(tmp_path, story, flush_every=1)
    async with both(tmp_path) as (_, history):
        sql = "SELECT executor, status, ord_status, orders FROM counts WHERE orders"
        counts = await history._fetch(sql)
    assert {*counts} == {
        ("paper", Status.CLOSED, OrdStatus.FILLED, 1),
        ("paper", Status.CANCELLED, OrdStatus.CANCELED, 1),
        ("paper", Status.CLOSED, OrdStatus.REJECTED, 1),
        ("paper", Status.OPEN, OrdStatus.NEW, 1),
    }


async def test_all_orders_on_record_are_counted_though_nothing_is_written(tmp_path: Path) -> None:
    """A full disk must not keep the daemon from saying how it is."""
    story = a_day()
    async with both(tmp_path) as (journal, history):
        await write(journal, story)
        feed(history, story)
        assert (history.applied_seq, history.orders) == (0, 4)
    async with both(tmp_path) as (_, history):
        assert history.orders == 4, "also after a restart"


async def test_a_question_waits_for_what_is_durable(tmp_path: Path) -> None:
    """Promise 2: whoever was answered finds the order, though nothing was flushed yet."""
    story = a_day()
    async with both(tmp_path) as (journal, history):
        await write(journal, story)
        feed(history, story)
        assert history.backlog == len(story.entries)
        assert await history.find(cl_ord_id="bot-4") == story.orders["bot-4"]
        assert history.backlog == 0


async def test_a_question_waits_for_rows_that_are_committed_but_not_yet_noted(
    tmp_path: Path,
) -> None:
    story = a_day()
    async with both(tmp_path) as (journal, history), asyncio.TaskGroup() as group:
        await write(journal, story)
        question = group.create_task(history.find(cl_ord_id="bot-4"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not question.done()
        feed(history, story)
        assert await question == story.orders["bot-4"]


async def test_a_question_that_waits_too_long_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brokerd.history.model.SYNC_TIMEOUT_S", 0.01)
    async with both(tmp_path) as (journal, history):
        await write(journal, a_day())
        with pytest.raises(Busy, match="behind"):
            await history.executors()


async def test_a_question_whose_write_ends_too_late_is_answered_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brokerd.history.model.SYNC_TIMEOUT_S", 0.01)
    async with both(tmp_path) as (journal, history):
        story = a_day()
        await write(journal, story)
        feed(history, story)
        real = history._write

        async def slowly(batch: Batch) -> None:
            await asyncio.sleep(0.05)
            await real(batch)

        monkeypatch.setattr(history, "_write", slowly)
        await history.synced(journal.last_seq)
        assert history.applied_seq == journal.last_seq


async def test_run_writes_what_was_noted(tmp_path: Path) -> None:
    story = a_day()
    async with both(tmp_path) as (journal, history), asyncio.TaskGroup() as group:
        running = group.create_task(history.run())
        await write(journal, story)
        feed(history, story)
        written = asyncio.Event()
        real = history._write

        async def seen(batch: Batch) -> None:
            await real(batch)
            written.set()

        history._write = seen  # type: ignore[method-assign]
        async with asyncio.timeout(30):
            await written.wait()
        running.cancel()
    assert history.applied_seq == len(story.entries)


async def test_a_flush_that_is_cancelled_is_still_whole(tmp_path: Path) -> None:
    story = a_day()
    async with both(tmp_path) as (journal, history), asyncio.TaskGroup() as group:
        await write(journal, story)
        feed(history, story)
        flush = group.create_task(history.flush())
        await asyncio.sleep(0)
        flush.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flush
        assert history.applied_seq == len(story.entries)
        assert await history.find(cl_ord_id="bot-4") == story.orders["bot-4"]


async def test_a_flush_that_failed_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk for a while: what was noted waits, what comes meanwhile waits behind it."""
    story = a_day()
    async with both(tmp_path) as (journal, history):
        await write(journal, story)
        real = history._writer.execute_fetchall

        async def full(sql: str, params: object = None) -> object:
            if sql.startswith("INSERT INTO fills"):
                raise sqlite3.OperationalError("database or disk is full")
            return await real(sql, params)  # type: ignore[arg-type]

        for seq, entry, order in story.noted[:8]:
            history.note(seq, entry, order)
        with monkeypatch.context() as patch:
            patch.setattr(history._writer, "execute_fetchall", full)
            with pytest.raises(sqlite3.OperationalError, match="full"):
                await history.flush()
        assert history.applied_seq == 0
        feed(history, story, after_seq=8)
        assert await history.find(cl_ord_id="bot-1") == story.orders["bot-1"]
        assert await history.exec_ids("bot-1") == {"x1", "x2"}


async def test_a_rebuilt_history_is_the_same_as_a_live_one(tmp_path: Path) -> None:
    story = a_day()
    for no in range(5, 200):
        story.tell(submit(no, group={"user": f"u{no % 7}"} if no % 3 else {}))
        story.tell(acknowledged(no))
        if no % 2:
            story.tell(traded(no, f"y{no}", qty=1 + no % 4 // 2))
        if no > 30:
            story.tell(canceled(no - 25) if (no - 25) % 4 == 0 else traded(no - 25, f"z{no}"))
    story.tell(ExecutorChanged(at_ns=T0_NS, executor="paper", state="up"))
    await live(tmp_path, story, flush_every=7)
    path = tmp_path / "journal-history.db"
    before = dump(path)
    path.unlink()
    told: list[tuple[int, int]] = []
    async with (
        opened(tmp_path / "journal.db") as journal,
        open_history(path, journal, progress=lambda *done: told.append(done)),
    ):
        pass
    assert dump(path) == before
    assert told[-1] == (len(story.entries), len(story.entries))


async def test_a_history_that_is_behind_catches_up_from_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may cost the read model its last second, and rows for settled orders follow."""
    story = a_day()
    head, tail = story.noted[:11], story.noted[11:]
    async with both(tmp_path) as (journal, history):
        await journal.append(1, [entry for _, entry, _ in head])
        for note in head:
            history.note(*note)
    async with opened(tmp_path / "journal.db") as journal:
        await journal.append(12, [entry for _, entry, _ in tail])
    asked: list[int] = []
    real = SqliteJournal.replay
    monkeypatch.setattr(
        SqliteJournal, "replay", lambda self, seq: asked.append(seq) or real(self, seq)
    )
    async with both(tmp_path) as (_, history):
        for cl_ord_id, order in story.orders.items():
            assert await history.find(cl_ord_id=cl_ord_id) == order
    assert asked == [11]


async def test_the_history_of_another_journal_is_thrown_away(tmp_path: Path) -> None:
    await live(tmp_path / "a", a_day())
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "journal-history.db").rename(tmp_path / "b" / "journal-history.db")
    async with both(tmp_path / "b") as (journal, history):
        assert (history.applied_seq, journal.last_seq) == (0, 0)
        assert await history.unsettled() == []


def nonsense(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1_000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    os.truncate(path, 4096 * 3)


def broken_inside(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096:] = b"\xff" * (len(whole) - 4096)
    path.write_bytes(whole)


def sql(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute(statement)
        db.close()

    return change


DAMAGES = {
    "no database": nonsense,
    "an empty file": empty,
    "a truncated file": truncated,
    "overwritten pages": broken_inside,
    "another shape": sql("UPDATE meta SET shape = 'old'"),
    "another hash": sql("UPDATE meta SET applied_hash = zeroblob(32)"),
    "ahead of the journal": sql("UPDATE meta SET applied_seq = 900"),
    "half made": sql("DELETE FROM meta"),
    "a table lost": sql("DROP TABLE meta"),
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_a_history_that_cannot_be_used_is_made_anew(tmp_path: Path, what: str) -> None:
    story = a_day()
    await live(tmp_path, story)
    path = tmp_path / "journal-history.db"
    before = dump(path)
    DAMAGES[what](path)
    async with both(tmp_path) as (_, history):
        assert await history.find(cl_ord_id="bot-1") == story.orders["bot-1"]
    assert dump(path) == before


async def test_damage_met_while_running_is_gone_after_a_restart(tmp_path: Path) -> None:
    story = a_day()
    await live(tmp_path, story)
    path = tmp_path / "journal-history.db"
    async with both(tmp_path) as (_, history):
        whole = bytearray(path.read_bytes())
        db = sqlite3.connect(path)
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'fills'").fetchone()
        db.close()
        whole[4096 * (root - 1) : 4096 * root] = b"\xff" * 4096
        path.write_bytes(whole)
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            await history.list_fills(FillQuery())
    assert not path.exists()
    async with both(tmp_path) as (_, history):
        assert len((await history.list_fills(FillQuery())).items) == 3


async def test_nothing_a_reader_does_can_change_it(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, history):
        for reader in (history._lookups, history._lists):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await reader.execute_fetchall("DELETE FROM orders")


@pytest.mark.parametrize("cursor", ["", "x", "é", "ImEi", "W10", "A" * 5_000, "bnVsbA"])
async def test_a_cursor_that_is_not_ours_is_refused(tmp_path: Path, cursor: str) -> None:
    async with both(tmp_path) as (_, history):
        for ask in (
            history.list_orders(OrderQuery(cursor=cursor)),
            history.list_fills(FillQuery(cursor=cursor)),
        ):
            with pytest.raises(InvalidParams) as caught:
                await ask
            assert caught.value.field == "cursor"


async def test_a_cursor_of_another_question_is_refused(tmp_path: Path) -> None:
    await live(tmp_path, a_day())
    async with both(tmp_path) as (_, history):
        page = await history.list_orders(OrderQuery(limit=1))
        with pytest.raises(InvalidParams):
            await history.list_orders(OrderQuery(limit=1, by="closed", cursor=page.next_cursor))


@pytest.mark.parametrize("limit", [0, -1, 1_001])
async def test_a_page_has_a_limit(tmp_path: Path, limit: int) -> None:
    async with both(tmp_path) as (_, history):
        with pytest.raises(InvalidParams) as caught:
            await history.list_orders(OrderQuery(limit=limit))
        assert caught.value.field == "limit"


async def test_orders_that_come_between_two_pages_neither_repeat_nor_hide_one(
    tmp_path: Path,
) -> None:
    story = Story()
    for no in range(1, 11):
        story.tell(submit(no))
    async with both(tmp_path) as (journal, history):
        await write(journal, story)
        feed(history, story)
        first = await history.list_orders(OrderQuery(limit=4))
        known = len(story.noted)
        for event in (submit(11), submit(12), *map(acknowledged, range(1, 11)), canceled(6)):
            story.tell(event)
        await journal.append(known + 1, story.entries[known:])
        feed(history, story, known)
        second = await history.list_orders(OrderQuery(limit=100, cursor=first.next_cursor))
    seen = [order.cl_ord_id for order in (*first.items, *second.items)]
    assert seen == [f"bot-{no}" for no in range(10, 0, -1)]
    assert second.next_cursor is None
