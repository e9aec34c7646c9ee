"""
Proving and copying a journal, for the command line: plain blocking SQLite, read-only.

It may run beside the daemon: rows are read in pieces, so that no long transaction keeps the
write-ahead log from being emptied.
"""

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from msgspec import Struct

from brokerd.errors import ConfigError, JournalError
from brokerd.events import OrderEvent
from brokerd.journal.fold import Fold
from brokerd.journal.schema import (
    SELECT_MARKS,
    SELECT_META,
    SELECT_ROWS,
    SELECT_SCHEMA,
    check_schema,
    columns,
    decode_row,
    genesis,
    is_new,
    link,
    untrusted,
)
from brokerd.orders import Order
from brokerd.storage import Row

Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""

CHUNK = 1_000

_BEFORE_ALL = -(1 << 63)

# A submit has an index; an adoption is looked for only where there was no submit.
_FIRST_ROW = (
    "SELECT seq FROM journal"
    " WHERE event = 'order_submitted' AND cl_ord_id = :cl_ord_id AND seq < :before_seq"
    " UNION ALL SELECT seq FROM journal"
    " WHERE event = 'order_adopted' AND cl_ord_id = :cl_ord_id AND seq < :before_seq LIMIT 1"
)

_SELECT_ALL = (
    "SELECT seq, CAST(body AS BLOB), hash, at_ns, event, cl_ord_id FROM journal"
    " WHERE seq > ? ORDER BY seq LIMIT ?"
)


class Verdict(Struct, frozen=True, kw_only=True):
    """
    What `verify` found: `rows` good ones up to the hash `head`, and the first bad row, if any.

    `why` is None for a good journal; `bad_seq` is None where the fault lies in no single row. Rows
    cut off at the very end leave no trace inside a journal: compare `rows` and `head` with a copy.
    """

    journal_id: str
    rows: int
    head: str
    bad_seq: int | None = None
    why: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether every row holds on to the one before and repeats what the rules say."""
        return self.why is None


def verify(path: Path, progress: Progress | None = None) -> Verdict:
    """
    Prove a journal row by row: seq, hash, columns, and the orders that its events lead to.

    Raises ConfigError if there is no journal at `path`; every other fault is in the verdict.
    """
    good, head, journal_id = 0, b"", ""
    try:
        with _opened(path) as db:
            check_schema(row[0] for row in db.execute(SELECT_SCHEMA))
            (journal_id,) = db.execute(SELECT_META).fetchone()
            head = genesis(journal_id)
            for row in _proved_rows(db, head, progress):
                good, head = row.seq, row.hash
            _check_file(db)
    except JournalError as error:
        bad_seq = error.extra.get("seq")
        return _verdict(journal_id, good, head, bad_seq, error.what)
    except sqlite3.DatabaseError as error:
        return _verdict(journal_id, good, head, good + 1, f"the file is damaged here: {error}")
    return _verdict(journal_id, good, head, None, None)


def export(path: Path, out: IO[bytes], progress: Progress | None = None, after_seq: int = 0) -> int:
    """
    Write the rows after `after_seq` as JSON lines, and return how many.

    One line a row: {"seq": 1, "hash": "<hex>", "event": {...}, "after": {...}}, the last member only
    for orders. Raises ConfigError if there is no journal, JournalError if it cannot be read.
    """
    count = 0
    try:
        with _opened(path) as db:
            for seq, body, digest, *_ in _chunks(db, after_seq, progress):
                out.write(
                    b'{"seq":%d,"hash":"%s",' % (seq, digest.hex().encode()) + body[1:] + b"\n"
                )
                count += 1
    except sqlite3.DatabaseError as error:
        raise untrusted(after_seq + count + 1, f"the file is damaged here: {error}") from error
    return count


@contextmanager
def _opened(path: Path) -> Generator[sqlite3.Connection]:
    """Open a journal to read; on a read-only medium, where nobody can write, as immutable."""
    if not path.is_file():
        raise ConfigError(f"there is no journal at {path}", reason="no_journal", field="journal")
    uri = path.absolute().as_uri()
    db = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        db.close()
        db = sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None)
    except sqlite3.DatabaseError:
        db.close()
        raise
    with closing(db):
        if is_new(db.execute(SELECT_MARKS).fetchone(), str(path)):
            raise ConfigError(f"{path} is empty", reason="no_journal", field="journal")
        yield db


def _chunks(
    db: sqlite3.Connection, after_seq: int, progress: Progress | None
) -> Iterator[tuple[int, bytes, bytes, int, str, str | None]]:
    (total,) = db.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()
    while rows := db.execute(_SELECT_ALL, (after_seq, CHUNK)).fetchall():
        yield from rows
        after_seq = rows[-1][0]
        if progress is not None:
            progress(after_seq, max(total, after_seq))


def _proved_rows(db: sqlite3.Connection, head: bytes, progress: Progress | None) -> Iterator[Row]:
    fold, expected = Fold(), 1
    for seq, body, digest, *told in _chunks(db, _BEFORE_ALL, progress):
        if seq < expected:
            raise untrusted(seq, "it stands before the first row")
        if seq > expected:
            raise untrusted(expected, "it is missing")
        head = link(head, seq, body)
        if head != digest:
            raise untrusted(seq, "its hash does not follow from its body and the row before")
        row = decode_row(seq, body, digest)
        if (*told,) != columns(row.entry.event):
            raise untrusted(seq, "its columns at_ns, event, cl_ord_id do not repeat its body")
        _check_after(db, fold, row)
        if seq % CHUNK == 0:
            fold.forget_settled()
        expected += 1
        yield row


def _check_after(db: sqlite3.Connection, fold: Fold, row: Row) -> None:
    """Replay a row and compare what it says it left behind with what the rules say."""
    for cl_ord_id in fold.missing([row]):
        if (order := _reloaded(db, cl_ord_id, row.seq)) is not None:
            fold.put(order)
    order = fold.step(row)
    if row.entry.after != (order.after() if order is not None else None):
        raise untrusted(row.seq, "what it says the order was after it is not what the rules say")


def _reloaded(db: sqlite3.Connection, cl_ord_id: str, before_seq: int) -> Order | None:
    """Replay one settled order from its first row on: slow, and only for rows that come that late."""
    first = db.execute(_FIRST_ROW, {"cl_ord_id": cl_ord_id, "before_seq": before_seq}).fetchone()
    if first is None:
        return None
    sql = f"{SELECT_ROWS} WHERE seq >= ? AND seq < ? AND cl_ord_id = ? ORDER BY seq"
    fold, order = Fold(), None
    for found in db.execute(sql, (first[0], before_seq, cl_ord_id)):
        row = decode_row(*found)
        if isinstance(row.entry.event, OrderEvent):
            order = fold.step(row)
    return order


def _check_file(db: sqlite3.Connection) -> None:
    (told,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if told != "ok":
        raise JournalError(
            f"the rows are good, but the file is not: {told}", reason="journal_damaged"
        )


def _verdict(
    journal_id: str, rows: int, head: bytes, bad_seq: int | None, why: str | None
) -> Verdict:
    return Verdict(journal_id=journal_id, rows=rows, head=head.hex(), bad_seq=bad_seq, why=why)
