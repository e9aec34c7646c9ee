"""
The journal: the one sequence of everything that happened, on disk before anybody is told.

Rule 1: `append` returns when its rows are durable (SQLite, WAL, synchronous=FULL); one batch is
        one statement is one transaction: all of it is there after a crash, or nothing.
Rule 2: exactly one connection writes and checkpoints, and only `append` uses it to write.
Rule 3: rows are never changed nor removed: triggers and an authorizer refuse it, and every row
        hashes the one before (see `schema`).
Rule 4: a commit that raised is an unknown outcome: the journal refuses to go on, the process
        stops, and the next one reads what is there. Two failures are certain, because SQLite
        rolls back: a cl_ord_id that is taken, and a full disk.

SQLite's ways end here: the engine knows the `Journal` protocol of `brokerd.storage`.
"""

import asyncio
import os
import secrets
import sqlite3
import stat
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import aiosqlite

from brokerd.errors import BrokerdError, ConfigError, JournalError
from brokerd.events import Entry, OrderSubmitted, encode_entry
from brokerd.executor import Clock
from brokerd.journal.disk import (
    RESERVE_BYTES,
    RESERVE_FREE_BYTES,
    Place,
    Reserve,
    sole_name,
    sole_owner,
)
from brokerd.journal.schema import (
    SELECT_MARKS,
    SELECT_META,
    SELECT_ROWS,
    SELECT_SCHEMA,
    TAGS,
    authorize,
    check_schema,
    columns,
    creation,
    decode_row,
    genesis,
    is_new,
    link,
    untrusted,
)
from brokerd.journal.sqlite import (
    FULL,
    UNIQUE,
    code,
    connection,
    finish,
    multi_row,
    placeholders,
    sync_directory,
)
from brokerd.storage import ENTRIES_MAX, READ_MAX, ClOrdIdTaken, Row

REPLAY_CHUNK = 1_000

PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "recursive_triggers = ON",  # else INSERT OR REPLACE deletes behind the triggers' back
    "journal_size_limit = 67108864",
    "temp_store = MEMORY",  # a full disk must not fail a statement for want of a scratch file
    "trusted_schema = OFF",
)


class SqliteJournal:
    """A journal in one SQLite file. Made by `open_journal`."""

    def __init__(
        self,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        reserve: Reserve,
        place: Place,
    ) -> None:
        self.journal_id = ""
        self.last_seq = 0
        self._head = b""
        self._writer = writer
        self._reader = reader
        self._reserve = reserve
        self._place = place
        self._lock = asyncio.Lock()
        self._failure: JournalError | None = None

    @property
    def accepts_orders(self) -> bool:
        """False when the disk is so full that what is left is kept for fills and cancels."""
        return self._reserve.has_room()

    async def append(self, first_seq: int, entries: Sequence[Entry]) -> list[bytes]:
        """
        Write entries as rows `first_seq`, `first_seq` + 1, ...; return their bodies once durable.

        Raises ClOrdIdTaken (nothing was written), JournalError (unknown; stop), or ValueError for
        a batch that is empty, above ENTRIES_MAX, or not the next one. A caller that is cancelled
        leaves an outcome nobody has seen, so the journal takes nothing more after it.
        """
        async with self._lock:
            self._check(first_seq, len(entries))
            bodies = [encode_entry(entry) for entry in entries]
            head, values = self._head, list[Any]()
            for seq, (entry, body) in enumerate(zip(entries, bodies, strict=True), first_seq):
                head = link(head, seq, body)
                values += (seq, *columns(entry.event), body.decode(), head)
            try:
                await self._insert(len(entries), values)
                self._place.check()
            except ClOrdIdTaken:
                raise
            except BaseException as error:  # noqa: BLE001 - any other end leaves the outcome unknown
                self._fail(first_seq, error)
            self.last_seq, self._head = first_seq + len(entries) - 1, head
            return bodies

    async def read(self, after_seq: int, limit: int) -> list[Row]:
        """Return up to `limit` rows (at most READ_MAX) that follow `after_seq`, oldest first."""
        sql = f"{SELECT_ROWS} WHERE seq > ? ORDER BY seq LIMIT ?"
        found = await self._reader.execute_fetchall(sql, (after_seq, min(limit, READ_MAX)))
        return [decode_row(*row) for row in found]

    async def rows(self, seqs: Sequence[int]) -> list[Row]:
        """Return the rows with these seqs (at most READ_MAX), oldest first."""
        wanted = seqs[:READ_MAX]
        sql = f"{SELECT_ROWS} WHERE seq IN {placeholders(len(wanted))} ORDER BY seq"
        found = await self._reader.execute_fetchall(sql, wanted)
        return [decode_row(*row) for row in found]

    async def replay(self, after_seq: int) -> AsyncIterator[Row]:
        """Yield all rows after `after_seq`, checking each hash; JournalError at the first bad one."""
        before = await self.rows([after_seq]) if after_seq else []
        head = before[0].hash if before else genesis(self.journal_id)
        while rows := await self.read(after_seq, REPLAY_CHUNK):
            for row in rows:
                if row.seq != after_seq + 1:
                    raise untrusted(after_seq + 1, "it is missing")
                head = link(head, row.seq, row.body)
                if head != row.hash:
                    raise untrusted(row.seq, "its hash does not follow from the row before")
                after_seq = row.seq
                yield row

    def _check(self, first_seq: int, count: int) -> None:
        if self._failure is not None:
            raise self._failure
        if first_seq != self.last_seq + 1:
            raise ValueError(f"the next row is {self.last_seq + 1}, not {first_seq}")
        if not 0 < count <= ENTRIES_MAX:
            raise ValueError(f"a batch has 1 to {ENTRIES_MAX} entries, not {count}")

    async def _insert(self, count: int, values: list[Any]) -> None:
        """Run the one statement; again, with the ballast's room, if the disk was full."""
        sql = multi_row("INSERT INTO journal", "(?,?,?,?,?,?)", count)
        try:
            await self._writer.execute_fetchall(sql, values)
        except sqlite3.IntegrityError as error:
            if code(error) != UNIQUE:
                raise
            ids = [
                values[at + 3]
                for at in range(0, len(values), 6)
                if values[at + 2] == TAGS[OrderSubmitted]
            ]
            raise ClOrdIdTaken(await self._taken(ids)) from error
        except sqlite3.OperationalError as error:
            if code(error) != FULL or not self._reserve.give_up():
                raise
            await self._writer.execute_fetchall(sql, values)

    async def _taken(self, cl_ord_ids: list[str]) -> frozenset[str]:
        sql = "SELECT cl_ord_id FROM journal WHERE event = 'order_submitted' AND cl_ord_id IN "
        found = await self._writer.execute_fetchall(sql + placeholders(len(cl_ord_ids)), cl_ord_ids)
        repeated = {each for each, times in Counter(cl_ord_ids).items() if times > 1}
        return frozenset(repeated.union(row[0] for row in found))

    async def load(self) -> None:
        """Find the journal's end and see that its last row follows from the one before."""
        ((self.journal_id,),) = await self._writer.execute_fetchall(SELECT_META)
        sql = f"{SELECT_ROWS} ORDER BY seq DESC LIMIT 2"
        newest = [decode_row(*row) for row in await self._writer.execute_fetchall(sql)]
        self._head = genesis(self.journal_id)
        for row in reversed(newest):
            if row.seq == 1 or self.last_seq == row.seq - 1 > 0:
                if link(self._head, row.seq, row.body) != row.hash:
                    raise untrusted(row.seq, "its hash does not follow from the row before")
            elif self.last_seq:
                raise untrusted(row.seq - 1, "it is missing")
            self.last_seq, self._head = row.seq, row.hash

    async def checkpoint(self) -> None:
        """Move the write-ahead log into the file; what cannot be moved now stays safe in the log."""
        async with self._lock:
            if self._failure is None:
                with suppress(sqlite3.Error):
                    await self._writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")

    def _fail(self, first_seq: int, error: BaseException) -> NoReturn:
        """Remember that nobody knows what is on disk, and say so now and ever after."""
        if isinstance(error, JournalError):
            self._failure = error
            raise error
        full = isinstance(error, sqlite3.Error) and code(error) == FULL
        self._failure = JournalError(
            f"row {first_seq} and those with it may or may not be in the journal: {error!r}",
            reason="journal_disk_full" if full else "commit_unknown",
            hint="make room on its disk, then start again"
            if full
            else "start again: it is read then",
        )
        if isinstance(error, Exception):
            raise self._failure from error
        raise error


@asynccontextmanager
async def open_journal(
    path: Path,
    clock: Clock,
    *,
    reserve_bytes: int = RESERVE_BYTES,
    reserve_free_bytes: int = RESERVE_FREE_BYTES,
) -> AsyncGenerator[SqliteJournal]:
    """
    Open the journal at `path`, made with its directory if it is not there, for one daemon alone.

    Beside it lie `<path>.lock` and `<path>.reserve` (see `disk`): of a symlink, beside what it leads
    to, for the ballast must lie on the journal's disk. Raises ConfigError for what the operator
    must mend (in use, not writable, not a journal), JournalError for a damaged journal.
    """
    path = _make_directory(path)
    async with AsyncExitStack() as stack:
        stack.enter_context(sole_owner(_beside(path, ".lock")))
        reserve = Reserve(
            _beside(path, ".reserve"),
            clock.monotonic_ns,
            ballast_bytes=reserve_bytes,
            free_bytes_min=reserve_free_bytes,
        )
        reserve.prepare()
        try:
            stack.enter_context(sole_name(path))
            writer = await stack.enter_async_context(connection(path, "rw", PRAGMAS))
            await _prepare(writer, path, clock.now_ns())
            reader = await stack.enter_async_context(connection(path, "ro"))
            journal = SqliteJournal(writer, reader, reserve, Place(path))
            await journal.load()
        except (OSError, sqlite3.Error) as error:
            raise _not_opened(path, error) from error
        try:
            yield journal
        finally:
            await finish(journal.checkpoint())


def _make_directory(path: Path) -> Path:
    """Return where the journal really is, in a directory that is there; ConfigError if it cannot be."""
    path = Path(os.path.realpath(path))
    try:
        kind = path.stat().st_mode if path.exists() else stat.S_IFREG
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise _not_opened(path, error) from error
    if not stat.S_ISREG(kind):
        what = "a directory" if stat.S_ISDIR(kind) else "no ordinary file"
        raise ConfigError(
            f"{path} is {what}", reason="not_a_journal", field="journal", hint="name a file"
        )
    return path


async def _prepare(writer: aiosqlite.Connection, path: Path, now_ns: int) -> None:
    """Make a new file a journal, or see that an old one is still as it was made; then lock it down."""
    ((application_id, version, objects),) = await writer.execute_fetchall(SELECT_MARKS)
    if is_new((application_id, version, objects), str(path)):
        await writer.executescript(creation(secrets.token_hex(16), now_ns))
        sync_directory(path.parent)
        sync_directory(path.parent.parent)
    check_schema([row[0] for row in await writer.execute_fetchall(SELECT_SCHEMA)])
    await writer.set_authorizer(authorize)


def _not_opened(path: Path, error: OSError | sqlite3.Error) -> BrokerdError:
    if isinstance(error, sqlite3.Error) and code(error).startswith("SQLITE_CORRUPT"):
        return JournalError(
            f"the journal {path} is damaged: {error}",
            reason="journal_damaged",
            hint="keep the file, restore a copy that verifies, and reconcile with the venues",
        )
    if isinstance(error, sqlite3.Error) and code(error) == "SQLITE_NOTADB":
        reason, hint = "not_a_journal", "set another journal path"
    else:
        reason, hint = "journal_not_writable", "see to its permissions and its disk"
    return ConfigError(
        f"the journal {path} cannot be opened: {error}", reason=reason, field="journal", hint=hint
    )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
