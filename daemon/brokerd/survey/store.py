"""
The survey's file: a sample of every order, and tallies of them in blocks.

Rule 1: it is what the read model's orders add up to, up to `followed_seq`, and holds nothing else.
        It may be thrown away at any time: `open_store` makes it anew.
Rule 2: a sample goes into a block when nothing more can come of its order: it is settled, and its
        fills' marks are in. If something comes after all, its block is taken apart again.
Rule 3: FANOUT blocks of a level make one of the next, so that a question over all of time adds up
        a few large blocks, and one over a window a few more, and at its edges single samples.
"""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

import os
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from brokerd.history.schema import SHAPE as HISTORY_SHAPE
from brokerd.history.schema import decode_fill, decode_order
from brokerd.journal.sqlite import address, placeholders
from brokerd.money import parse_decimal
from brokerd.orders import Order
from brokerd.params import Window
from brokerd.states import OrdStatus
from brokerd.stats.marks import HORIZONS, SETTLED_AFTER_NS, Mids
from brokerd.stats.sample import (
    SPREADS,
    SUMS,
    Fill,
    Key,
    Sample,
    fill_of,
    mid,
    sample,
    unfilled_for,
)
from brokerd.stats.tally import Table, Tally, coarsely, count, empty, merge
from brokerd.survey.question import Question
from brokerd.terms import Quote

ROWS_PER_STEP = 1_000
BLOCK_ORDERS = 4_096
FANOUT = 8
EXACT_ORDERS_MAX = 10_000
"""Questions about more orders than this have their distributions rounded (`coarsely`)."""

LIVE, WAITING, WAITING_LONG = None, 0, -1
"""Where a sample is that is in no block: it may change, or waits for a block of its series."""

LONG_NS = 3_600_000_000_000
"""Orders that lived longer go into blocks of their own, lest they stretch those of all others."""

LATE_NS = 2_000_000_000
"""How far the read model may trail behind the clock that says what is due."""

VALUES_MAX = 256
"""Group keys with no more values in a block get tallies that leave out the other keys."""

KEYS_ALONE_MAX = 4
"""How many such keys may also get tallies of their own."""

SCHEMA = """
CREATE TABLE meta (shape TEXT, journal_id TEXT, followed_seq INTEGER);
CREATE TABLE keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE samples (no INTEGER PRIMARY KEY, key INTEGER NOT NULL, created INTEGER NOT NULL,
    closed INTEGER, filled INTEGER, status TEXT NOT NULL, ord_status TEXT NOT NULL, block INTEGER,
    due INTEGER, body BLOB NOT NULL);
CREATE INDEX samples_created ON samples (created);
CREATE INDEX samples_closed ON samples (closed) WHERE closed IS NOT NULL;
CREATE INDEX samples_filled ON samples (filled) WHERE filled IS NOT NULL;
CREATE INDEX samples_key ON samples (key, created);
CREATE INDEX samples_block ON samples (block, no);
CREATE INDEX samples_due ON samples (due) WHERE due IS NOT NULL;
CREATE TABLE blocks (id INTEGER PRIMARY KEY, level INTEGER NOT NULL, series INTEGER NOT NULL,
    parent INTEGER, created_from INTEGER, created_to INTEGER, closed_from INTEGER,
    closed_to INTEGER, filled_from INTEGER, filled_to INTEGER);
CREATE INDEX blocks_parent ON blocks (parent, series, level);
CREATE TABLE cells (block INTEGER, projection TEXT, size INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (block, projection)) WITHOUT ROWID;
"""

SHAPE = sha256(repr((SCHEMA, HISTORY_SHAPE, SUMS, SPREADS, BLOCK_ORDERS)).encode()).hexdigest()
PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "cache_size = -32000",
    "temp_store = MEMORY",
)
ALL = "*"
"""The name of cells that leave out no group key; others are named by the keys they keep."""

KEYS_CACHED = 20_000

Cells = dict[tuple[int, str, bool], Tally]
"""Tallies by key, ord_status, and whether there is a fill."""

Body = tuple[list[int], list[tuple[str, int]], list[str], dict[str, int]]
encode = msgspec.json.Encoder().encode
decode_body = msgspec.json.Decoder(Body).decode
decode_cells = msgspec.json.Decoder(list[tuple[int, str, bool, Tally]]).decode
decode_name = msgspec.json.Decoder(list[str]).decode
decode_key = msgspec.json.Decoder(Key).decode


class Store:
    """The survey over one read model. Made by `open_store`; blocking, for a process of its own."""

    def __init__(self, own: sqlite3.Connection, history: sqlite3.Connection) -> None:
        self._own = own
        self._history = history
        ((self.followed_seq,),) = own.execute("SELECT followed_seq FROM meta").fetchall()
        self._keys: dict[int, Key] = {}
        self._ids: dict[str, int] = {}

    def step(self, now_ns: int) -> bool:
        """Take in the next changed orders and whatever is due by now; False if there was nothing."""
        changed = self._history.execute(
            "SELECT no, seq, body FROM orders WHERE seq > ? ORDER BY seq LIMIT ?",
            (self.followed_seq, ROWS_PER_STEP),
        ).fetchall()
        due = self._own.execute(
            "SELECT no FROM samples WHERE due <= ? LIMIT ?", (now_ns, ROWS_PER_STEP)
        ).fetchall()
        if not changed and not due:
            return False
        orders = {no: decode_order(body) for no, _, body in changed}
        orders |= self._orders([no for (no,) in due if no not in orders])
        if changed:
            self.followed_seq = changed[-1][1]
        with self._own:
            self._own.execute("BEGIN IMMEDIATE")
            self._put(orders, now_ns)
            for series in (WAITING, WAITING_LONG):
                self._build(series)
            self._own.execute("UPDATE meta SET followed_seq = ?", (self.followed_seq,))
        return True

    def ask(self, question: Question) -> Table:
        """Add up the orders that are meant."""
        self._want(question)
        is_exact = self._count(question) <= EXACT_ORDERS_MAX
        table = Table(question.group_by, is_exact=is_exact)
        if is_exact:
            self._take(table, question, self._chosen(question), "1")
            return table
        singly = "samples s INDEXED BY samples_block"
        for where in ("s.block IS NULL", f"s.block = {WAITING}", f"s.block = {WAITING_LONG}"):
            self._take(table, question, singly, where)
        for block, is_inside in self._walk(question.window):
            if is_inside:
                self._merge(table, question, block)
            else:
                self._take(table, question, singly, f"s.block = {block}")
        return table

    def _orders(self, numbers: Sequence[int]) -> dict[int, Order]:
        sql = f"SELECT no, body FROM orders WHERE no IN {placeholders(len(numbers))}"
        return {no: decode_order(body) for no, body in self._history.execute(sql, numbers)}

    # --- taking in

    def _put(self, orders: dict[int, Order], now_ns: int) -> None:
        fills = self._fills(orders)
        numbers = list(orders)
        sql = f"SELECT DISTINCT block FROM samples WHERE block > 0 AND no IN {placeholders(len(numbers))}"
        for (block,) in self._own.execute(sql, numbers).fetchall():
            self._dissolve(block)
        self._own.executemany(
            "INSERT OR REPLACE INTO samples VALUES (?,?,?,?,?,?,?,?,?,?)",
            [self._row(no, order, fills.get(no, []), now_ns) for no, order in orders.items()],
        )

    def _row(self, no: int, order: Order, fills: list[Fill], now_ns: int) -> tuple[Any, ...]:
        measured = sample(order, fills, None)
        last_ns = order.last_fill_at_ns
        due_ns = _next_due_ns(last_ns, now_ns) if last_ns is not None else None
        place: int | None = LIVE
        if order.is_settled and due_ns is None:
            ended_ns = max(order.closed_at_ns or 0, last_ns or 0)
            place = WAITING_LONG if ended_ns - order.created_at_ns > LONG_NS else WAITING
        return (
            no,
            self._key_id(measured.key),
            order.created_at_ns,
            order.closed_at_ns,
            last_ns,
            order.status.value,
            order.shown_status.value,
            place,
            due_ns,
            encode((measured.sums, measured.values, measured.words, measured.fees)),
        )

    def _fills(self, orders: dict[int, Order]) -> dict[int, list[Fill]]:
        """Return the orders' fills with what marks are on record by now."""
        filled = [no for no, order in orders.items() if order.fill_count]
        sql = (
            "SELECT order_no, at_ns, body FROM fills"
            f" WHERE order_no IN {placeholders(len(filled))} ORDER BY seq"
        )
        rows = self._history.execute(sql, filled).fetchall()
        spans: dict[tuple[str, str], tuple[int, int]] = {}
        for no, at_ns, _ in rows:
            where = orders[no].terms.executor, orders[no].terms.symbol
            first, last = spans.get(where, (at_ns, at_ns))
            spans[where] = min(first, at_ns), max(last, at_ns)
        seen = {where: self._mids(*where, *span) for where, span in spans.items()}
        found: dict[int, list[Fill]] = {}
        for no, _, body in rows:
            terms = orders[no].terms
            mids = seen[terms.executor, terms.symbol]
            found.setdefault(no, []).append(fill_of(decode_fill(body), mids))
        return found

    def _mids(self, executor: str, symbol: str, from_ns: int, to_ns: int) -> Mids:
        rows = self._history.execute(
            "SELECT at_ns, bid_px, ask_px FROM quotes WHERE executor = ? AND symbol = ?"
            " AND at_ns BETWEEN ? AND ? ORDER BY at_ns",
            (executor, symbol, from_ns, to_ns + SETTLED_AFTER_NS),
        ).fetchall()
        return Mids(
            [at_ns for at_ns, _, _ in rows],
            [mid(Quote(parse_decimal(bid), parse_decimal(ask), at_ns)) for at_ns, bid, ask in rows],
        )

    def _key_id(self, key: Key) -> int:
        text = encode(key).decode()
        if text in self._ids:
            return self._ids[text]
        self._own.execute("INSERT OR IGNORE INTO keys (key) VALUES (?)", (text,))
        ((found,),) = self._own.execute("SELECT id FROM keys WHERE key = ?", (text,)).fetchall()
        if len(self._ids) >= KEYS_CACHED:
            self._ids.clear()
        self._ids[text] = found
        return int(found)

    def _key(self, key_id: int) -> Key:
        key = self._keys.get(key_id)
        if key is None:
            ((text,),) = self._own.execute(
                "SELECT key FROM keys WHERE id = ?", (key_id,)
            ).fetchall()
            if len(self._keys) >= KEYS_CACHED:
                self._keys.clear()
            key = self._keys[key_id] = decode_key(text)
        return key

    # --- blocks

    def _build(self, series: int) -> None:
        """Make what blocks can be made of samples that wait, and blocks of blocks."""
        while True:
            rows = self._own.execute(
                "SELECT no, key, created, closed, filled, ord_status, body FROM samples"
                " WHERE block = ? ORDER BY no LIMIT ?",
                (series, BLOCK_ORDERS),
            ).fetchall()
            if len(rows) < BLOCK_ORDERS:
                break
            cells: Cells = {}
            for _, key, _, _, filled, ord_status, body in rows:
                cell = cells.setdefault((key, ord_status, filled is not None), empty())
                count(cell, Sample(self._key(key), *decode_body(body)), coarsely)
            spans = [_span([row[place] for row in rows]) for place in (2, 3, 4)]
            block = self._add_block(0, series, spans, cells)
            self._own.execute(
                "UPDATE samples SET block = ? WHERE block = ? AND no <= ?",
                (block, series, rows[-1][0]),
            )
            self._compact(series)

    def _compact(self, series: int) -> None:
        level = 0
        while True:
            rows = self._own.execute(
                "SELECT * FROM blocks WHERE parent IS NULL AND series = ? AND level = ?"
                " ORDER BY id LIMIT ?",
                (series, level, FANOUT),
            ).fetchall()
            if len(rows) < FANOUT:
                return
            cells: Cells = {}
            for row in rows:
                for key, ord_status, is_filled, tally in self._cells_as(row[0], ALL):
                    merge(cells.setdefault((key, ord_status, is_filled), empty()), tally)
            spans = [_span([*(r[place] for r in rows), *(r[place + 1] for r in rows)])
                     for place in (4, 6, 8)]  # fmt: skip
            parent = self._add_block(level + 1, series, spans, cells)
            children = [row[0] for row in rows]
            self._own.execute(
                f"UPDATE blocks SET parent = ? WHERE id IN {placeholders(len(children))}",
                (parent, *children),
            )
            level += 1

    def _add_block(
        self, level: int, series: int, spans: list[tuple[int | None, int | None]], cells: Cells
    ) -> int:
        ends = [end for span in spans for end in span]
        cursor = self._own.execute(
            "INSERT INTO blocks VALUES (NULL,?,?,NULL,?,?,?,?,?,?)", (level, series, *ends)
        )
        block = int(cursor.lastrowid or 0)
        for projection, projected in self._projections(cells):
            body = encode([(*place, tally) for place, tally in projected.items()])
            row = (block, projection, len(projected), body)
            self._own.execute("INSERT INTO cells VALUES (?,?,?,?)", row)
        return block

    def _projections(self, cells: Cells) -> Iterator[tuple[str, Cells]]:
        """Yield the cells as they are, by the group keys with few values, each alone, and by none."""
        yield ALL, cells
        values: dict[str, set[str]] = {}
        for key_id, _, _ in cells:
            for name, value in self._key(key_id).group.items():
                values.setdefault(name, set()).add(value)
        few = sorted(name for name, found in values.items() if len(found) <= VALUES_MAX)
        smallest = cells
        if few:
            common = self._project(cells, frozenset(few))
            yield _name(few), common
            for name in few if 1 < len(few) <= KEYS_ALONE_MAX else ():
                smallest = self._project(common, frozenset({name}))
                yield _name([name]), smallest
        yield _name([]), self._project(smallest, frozenset())

    def _project(self, cells: Cells, names: frozenset[str]) -> Cells:
        """Add up the cells of orders that differ only in other group keys than these."""
        ids: dict[int, int] = {}
        projected: Cells = {}
        for (key_id, ord_status, is_filled), tally in cells.items():
            if key_id not in ids:
                key = self._key(key_id)
                group = {name: value for name, value in key.group.items() if name in names}
                ids[key_id] = self._key_id(msgspec.structs.replace(key, group=group))
            merge(projected.setdefault((ids[key_id], ord_status, is_filled), empty()), tally)
        return projected

    def _cells(self, block: int, names: frozenset[str]) -> list[tuple[int, str, bool, Tally]]:
        """Return the fewest cells of a block that tell these group keys apart."""
        sql = "SELECT projection FROM cells WHERE block = ? ORDER BY size"
        for (projection,) in self._own.execute(sql, (block,)).fetchall():
            if projection == ALL or names <= set(decode_name(projection)):
                return self._cells_as(block, projection)
        return []

    def _cells_as(self, block: int, projection: str) -> list[tuple[int, str, bool, Tally]]:
        sql = "SELECT body FROM cells WHERE block = ? AND projection = ?"
        ((body,),) = self._own.execute(sql, (block, projection)).fetchall()
        return decode_cells(body)

    def _dissolve(self, block: int) -> None:
        """Take a block apart, and those that it is a part of; its samples wait for another."""
        rows = self._own.execute(
            "SELECT series, parent FROM blocks WHERE id = ?", (block,)
        ).fetchall()
        for series, parent in rows:
            self._own.execute("UPDATE samples SET block = ? WHERE block = ?", (series, block))
            self._own.execute("UPDATE blocks SET parent = NULL WHERE parent = ?", (block,))
            self._own.execute("DELETE FROM blocks WHERE id = ?", (block,))
            self._own.execute("DELETE FROM cells WHERE block = ?", (block,))
            if parent is not None:
                self._dissolve(parent)

    # --- answering

    def _want(self, question: Question) -> None:
        """Note which keys are meant, where orders are told apart by them."""
        self._own.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (id INTEGER PRIMARY KEY)")
        self._own.execute("DELETE FROM wanted")
        if question.has_terms:
            keys = self._own.execute("SELECT id, key FROM keys")
            meant = [(key_id,) for key_id, text in keys if question.means(decode_key(text))]
            self._own.executemany("INSERT INTO wanted VALUES (?)", meant)

    @staticmethod
    def _chosen(question: Question) -> str:
        """Return where to look for single samples: by their keys, or by time."""
        if question.has_terms:
            return "wanted w CROSS JOIN samples s INDEXED BY samples_key ON s.key = w.id"
        return f"samples s INDEXED BY samples_{question.window.by}"

    def _count(self, question: Question) -> int:
        """Count the orders that are meant, no further than it matters."""
        where, params = _conditions(question)
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {self._chosen(question)} WHERE {where} LIMIT ?)"
        ((number,),) = self._own.execute(sql, [*params, EXACT_ORDERS_MAX + 1]).fetchall()
        return int(number)

    def _walk(self, window: Window) -> Iterator[tuple[int, bool]]:
        """Yield the largest blocks inside a window, and the smallest ones across its edges."""
        columns = f"id, level, {window.by}_from, {window.by}_to"
        waiting = self._own.execute(f"SELECT {columns} FROM blocks WHERE parent IS NULL").fetchall()
        while waiting:
            block, level, from_ns, to_ns = waiting.pop()
            if from_ns is None or _is_outside(window, from_ns, to_ns):
                continue
            if _is_inside(window, from_ns, to_ns) or not level:
                yield block, _is_inside(window, from_ns, to_ns)
            else:
                sql = f"SELECT {columns} FROM blocks WHERE parent = ?"
                waiting += self._own.execute(sql, (block,)).fetchall()

    def _take(self, table: Table, question: Question, source: str, where: str) -> None:
        """Add single samples to a table."""
        also, params = _conditions(question)
        sql = f"SELECT s.key, s.created, s.closed, s.body FROM {source} WHERE {where} AND {also}"
        if question.has_terms and "wanted" not in source:
            sql += " AND s.key IN wanted"
        for key, created_ns, closed_ns, body in self._own.execute(sql, params):
            found = Sample(self._key(key), *decode_body(body))
            if closed_ns is None:
                found.values.append(unfilled_for(created_ns, question.now_ns))
            table.count(found)

    def _merge(self, table: Table, question: Question, block: int) -> None:
        """Add a whole block to a table."""
        for key_id, ord_status, is_filled, tally in self._cells(block, question.group_keys):
            key = self._key(key_id)
            if question.means(key) and question.means_final(
                OrdStatus(ord_status), is_filled=is_filled
            ):
                table.merge(key, tally)


def _name(names: Sequence[str]) -> str:
    return encode(names).decode()


@contextmanager
def open_store(path: Path, history: Path) -> Generator[Store]:
    """Open the survey of a read model; one that is missing, damaged or of another is made anew."""
    with closing(sqlite3.connect(address(history, "ro"), uri=True, isolation_level=None)) as source:
        ((journal_id, applied_seq),) = source.execute("SELECT journal_id, applied_seq FROM meta")
        if not _is_usable(path, journal_id, applied_seq):
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        with closing(sqlite3.connect(path, isolation_level=None)) as own:
            for pragma in PRAGMAS:
                own.execute(f"PRAGMA {pragma}")
            if not own.execute("SELECT 1 FROM sqlite_master").fetchall():
                own.executescript(f"BEGIN IMMEDIATE;{SCHEMA}COMMIT")
                own.execute("INSERT INTO meta VALUES (?, ?, 0)", (SHAPE, journal_id))
            yield Store(own, source)


def _is_usable(path: Path, journal_id: str, applied_seq: int) -> bool:
    try:
        with closing(sqlite3.connect(address(path, "ro"), uri=True)) as own:
            ((shape, followed_id, seq),) = own.execute("SELECT * FROM meta").fetchall()
    except (sqlite3.Error, ValueError):
        return False
    return bool((shape, followed_id) == (SHAPE, journal_id) and seq <= applied_seq)


def _conditions(question: Question) -> tuple[str, list[Any]]:
    """Return what a sample `s` must fulfil, terms left out."""
    window, params = question.window, list[Any]()
    texts = [f"s.{window.by} IS NOT NULL"]
    for text, bound in ((">=", window.since_ns), ("<", window.until_ns)):
        if bound is not None:
            texts.append(f"s.{window.by} {text} ?")
            params.append(bound)
    for column in ("status", "ord_status"):
        wanted = getattr(question, column)
        if wanted:
            texts.append(f"s.{column} IN {placeholders(len(wanted))}")
            params += [each.value for each in wanted]
    return " AND ".join(texts), params


def _is_inside(window: Window, from_ns: int, to_ns: int) -> bool:
    return (window.since_ns is None or window.since_ns <= from_ns) and (
        window.until_ns is None or to_ns < window.until_ns
    )


def _is_outside(window: Window, from_ns: int, to_ns: int) -> bool:
    return (window.since_ns is not None and to_ns < window.since_ns) or (
        window.until_ns is not None and from_ns >= window.until_ns
    )


def _span(times_ns: Sequence[int | None]) -> tuple[int | None, int | None]:
    """Return the first and last of some times, some of which may never have come."""
    known = [at_ns for at_ns in times_ns if at_ns is not None]
    return (min(known), max(known)) if known else (None, None)


def _next_due_ns(filled_at_ns: int, now_ns: int) -> int | None:
    """Return when the next marks of an order's last fill are in; None when all are."""
    ends_ns = (filled_at_ns + each.after_ns + each.grace_ns + LATE_NS for each in HORIZONS)
    return next((end_ns for end_ns in ends_ns if end_ns >= now_ns), None)
