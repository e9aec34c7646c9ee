"""
The read model: orders and fills as the journal has left them, in a SQLite file of its own.

Rule 1: it is the fold of the journal up to `applied_seq` and holds nothing else. It may be thrown
        away at any time: `open_history` rebuilds what is missing, damaged or of another journal.
Rule 2: the engine notes each committed row, cheaply; `run` writes them in batches. A question
        first waits until everything that was durable when it was asked is here (`synced`).
Rule 3: its unsettled orders are the snapshot that a start loads; a settled order leaves the
        engine's memory only for this place, and `find` is how it comes back.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain
from pathlib import Path

import aiosqlite

from brokerd.errors import Busy
from brokerd.events import Entry, OrderSubmitted
from brokerd.history.read import HistoryReader
from brokerd.history.schema import (
    ROWS_MAX,
    SCHEMA,
    SHAPE,
    Batch,
    count_statement,
    decode_order,
    statements,
)
from brokerd.journal.fold import Fold
from brokerd.journal.schema import genesis
from brokerd.journal.sqlite import FULL, code, connection, finish, is_damage, placeholders
from brokerd.orders import Order
from brokerd.storage import Journal, Row

FLUSH_EVERY_S = 0.2
FULL_RETRY_S = 1.0
SYNC_TIMEOUT_S = 10.0
REPLAY_CHUNK = 1_000
REPLAY_FLUSH = 20_000
WRITER_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",  # after a power cut it is consistent, perhaps behind: Rule 1
    "cache_size = -16000",
    "journal_size_limit = 67108864",
    "temp_store = MEMORY",
    "trusted_schema = OFF",
)
READER_PRAGMAS = ("cache_size = -16000", "temp_store = MEMORY", "trusted_schema = OFF")
LOOKUP_PRAGMAS = ("cache_size = -4000", *READER_PRAGMAS[1:])

Progress = Callable[[int, int], None]
"""Called with journal rows done and rows in all."""


class SqliteHistory(HistoryReader):
    """The read model of one journal. Made by `open_history`. `orders` counts all that were noted."""

    def __init__(
        self,
        journal: Journal,
        writer: aiosqlite.Connection,
        lookups: aiosqlite.Connection,
        lists: aiosqlite.Connection,
    ) -> None:
        super().__init__(journal, lookups, lists)
        self.applied_seq = 0
        self.orders = 0
        self._noted_seq = 0
        self._writer = writer
        self._lock = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._batch = Batch()
        self._unwritten: Batch | None = None

    @property
    def backlog(self) -> int:
        """Entries noted and not yet written; the engine waits when they become too many."""
        return self._noted_seq - self.applied_seq

    def note(self, seq: int, entry: Entry, order: Order | None) -> None:
        """
        Take in one committed journal row and the order after it (None for a row about no order).

        Called by the engine in journal order right after each commit; never waits.
        """
        self._batch.note(seq, entry, order)
        self._noted_seq = seq
        self.orders += isinstance(entry.event, OrderSubmitted)
        if not self._arrived.is_set():
            self._arrived.set()

    async def run(self) -> None:
        """Write what was noted, every 0.2 s while there is something; until cancelled."""
        while True:
            if not self.backlog:
                self._arrived.clear()
                await self._arrived.wait()
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                await self.flush()
            except Busy:
                # The journal needs what room there is; what was noted waits.
                await asyncio.sleep(FULL_RETRY_S)

    async def flush(self) -> None:
        """Write everything noted so far, to the end even if cancelled; Busy if the disk is full."""
        try:
            await finish(self._flush())
        except sqlite3.OperationalError as error:
            if code(error) != FULL:
                raise
            raise Busy(
                "history cannot be written: its disk is full",
                reason="history_disk_full",
                hint="free space on the journal's disk",
            ) from error

    async def synced(self, seq: int) -> None:
        """Wait until row `seq` is in; Busy if that takes more than SYNC_TIMEOUT_S."""
        try:
            async with asyncio.timeout(SYNC_TIMEOUT_S):
                while self.applied_seq < seq:
                    if self._noted_seq < seq:
                        self._arrived.clear()
                        await self._arrived.wait()
                    else:
                        await self.flush()
        except TimeoutError as error:
            if self.applied_seq >= seq:
                return  # the write that was waited for ended as the time did
            raise Busy(
                f"history is behind: at row {self.applied_seq} of {seq}",
                reason="history_behind",
                hint="ask again in a moment",
            ) from error

    async def catch_up(self, progress: Progress | None) -> None:
        """Fold the journal's rows that are not here yet, in bounded memory; all of them if new."""
        ((seq,),) = await self._writer.execute_fetchall("SELECT applied_seq FROM meta")
        ((self.orders,),) = await self._writer.execute_fetchall(
            "SELECT coalesce(sum(orders), 0) FROM counts"
        )
        self.applied_seq = self._noted_seq = seq
        target = self._journal.last_seq
        if seq == target:
            return
        fold = Fold(await self._loaded("live = 1", ()))
        rows: list[Row] = []
        async for row in self._journal.replay(seq):
            rows.append(row)
            if len(rows) == REPLAY_CHUNK or row.seq == target:
                await self._fold(fold, rows)
                rows = []
            if self.backlog >= REPLAY_FLUSH or row.seq == target:
                await self.flush()
                fold.forget_settled()
                if progress is not None:
                    progress(row.seq, target)

    async def close(self) -> None:
        """Empty the write-ahead log; what cannot be written now is folded again at the next start."""
        with suppress(sqlite3.Error):
            await self._writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _fold(self, fold: Fold, rows: Sequence[Row]) -> None:
        absent = sorted(fold.missing(rows))
        for at in range(0, len(absent), ROWS_MAX):
            wanted = absent[at : at + ROWS_MAX]
            for order in await self._loaded(f"cl_ord_id IN {placeholders(len(wanted))}", wanted):
                fold.put(order)
        for row in rows:
            self.note(row.seq, row.entry, fold.step(row))

    async def _loaded(self, where: str, params: Sequence[str]) -> list[Order]:
        """Read orders through the writer, which sees its own last word."""
        rows = await self._writer.execute_fetchall(f"SELECT body FROM orders WHERE {where}", params)  # noqa: S608 - our own words
        return [decode_order(body) for (body,) in rows]

    async def _flush(self) -> None:
        async with self._lock:
            if self._unwritten is None:
                if not self.backlog:
                    return
                self._unwritten, self._batch = self._batch, Batch()
            # A batch that could not be written stays whole and is the next one to be tried.
            batch = self._unwritten
            try:
                await self._write(batch)
            except sqlite3.DatabaseError as error:
                self.is_damaged = self.is_damaged or is_damage(error)
                with suppress(sqlite3.Error):
                    await self._writer.execute_fetchall("ROLLBACK")
                raise
            self._unwritten, self.applied_seq = None, batch.last_seq

    async def _write(self, batch: Batch) -> None:
        """Write a batch as one transaction, encoded piece by piece between the awaits."""
        (last,) = await self._journal.rows([batch.last_seq])
        run = self._writer.execute_fetchall
        await run("BEGIN IMMEDIATE")
        for piece in batch.pieces():
            known = [each.order.cl_ord_id for each in piece if each.no is None]
            before = await run(
                "SELECT executor, status, ord_status, count(*) FROM orders"  # noqa: S608 - question marks
                f" WHERE cl_ord_id IN {placeholders(len(known))} GROUP BY 1, 2, 3",
                known,
            )
            for statement in (*statements(piece), count_statement(before, piece)):
                await run(*statement)
        rest = chain(
            batch.fill_statements(),
            batch.quote_statements(),
            batch.mark_statements(),
            batch.run_statements(),
        )
        for statement in rest:
            await run(*statement)
        await run("UPDATE meta SET applied_seq = ?, applied_hash = ?", (last.seq, last.hash))
        await run("COMMIT")


@asynccontextmanager
async def open_history(
    path: Path, journal: Journal, *, progress: Progress | None = None
) -> AsyncGenerator[SqliteHistory]:
    """
    Open the read model of `journal` at `path`, brought up to the journal's last row.

    Where it is missing, damaged, or not this journal's, it is made anew from row 1, with
    `progress(rows done, rows in all)` on the way. Raises JournalError if the journal itself
    cannot be folded.
    """
    if not await _is_usable(path, journal):
        _discard(path)
    history: SqliteHistory | None = None
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        async with connection(path, "rwc", WRITER_PRAGMAS) as writer:
            if not await writer.execute_fetchall("SELECT 1 FROM sqlite_master"):
                await _create(writer, journal)
            async with (
                connection(path, "ro", LOOKUP_PRAGMAS) as lookups,
                connection(path, "ro", READER_PRAGMAS) as lists,
            ):
                history = SqliteHistory(journal, writer, lookups, lists)
                await history.catch_up(progress)
                yield history
                with suppress(Busy):
                    await history.flush()
            await finish(history.close())
    finally:
        if history is not None and history.is_damaged:
            _discard(path)


async def _is_usable(path: Path, journal: Journal) -> bool:
    """Say whether the file is whole at first sight and follows this very journal."""
    try:
        async with connection(path, "ro", READER_PRAGMAS) as db:
            ((journal_id, shape, seq, digest),) = await db.execute_fetchall(
                "SELECT journal_id, shape, applied_seq, applied_hash FROM meta"
            )
            await db.execute_fetchall("SELECT sum(length(body)) FROM orders WHERE live = 1")
    except (sqlite3.Error, ValueError):  # missing, damaged, or half made
        return False
    if (journal_id, shape) != (journal.journal_id, SHAPE) or seq > journal.last_seq:
        return False
    rows = await journal.rows([seq])
    return bool(digest == (rows[0].hash if rows else genesis(journal.journal_id)))


async def _create(writer: aiosqlite.Connection, journal: Journal) -> None:
    await writer.executescript(f"BEGIN IMMEDIATE;{SCHEMA}COMMIT")
    await writer.execute_fetchall(
        "INSERT INTO meta VALUES (?, ?, 0, ?)",
        (journal.journal_id, SHAPE, genesis(journal.journal_id)),
    )


def _discard(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
