"""
Blocks: the tallies of orders of which nothing more can come, and of blocks of such orders.

A block of level 0 has BLOCK_ORDERS samples, by number; FANOUT blocks of a level make one of the
next. Orders that lived long have a series of their own, lest they stretch the others'. What comes
to a settled order after all takes its block apart again.
"""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from brokerd.journal.sqlite import placeholders
from brokerd.params import Window
from brokerd.stats.sample import Sample
from brokerd.stats.tally import Tally, coarsely, count, empty
from brokerd.survey import schema
from brokerd.survey.cells import Cells, Dims, name_of, named, place_of
from brokerd.survey.keys import Keys
from brokerd.survey.shelf import OWN_DIMS, Shelf

LIVE, WAITING, WAITING_LONG = 0, 1, 2
"""Where a sample is that is in no block: it may change, or waits for a block of its series."""

Body = tuple[list[int], list[tuple[int, int]], list[str], dict[str, int]]
encode_body = msgspec.json.Encoder().encode
decode_body = msgspec.json.Decoder(Body).decode
decode_members = msgspec.json.Decoder(list[int]).decode


_Span = tuple[int | None, int | None]
_ENDS = ((2, 3), (4, 5), (6, 7), (8, 9))


class Blocks:
    """The blocks of a survey. Whoever calls holds a transaction."""

    def __init__(self, own: sqlite3.Connection, keys: Keys) -> None:
        self._own = own
        self._keys = keys
        self.shelf = Shelf(own, keys)

    def build(self) -> None:
        """Make what blocks can be made of samples that wait, and blocks of blocks."""
        for series in (WAITING, WAITING_LONG):
            while self._count_waiting(series) == schema.BLOCK_ORDERS:
                self._gather(series)
                self._compact(series)

    def release(self, numbers: Sequence[int]) -> None:
        """Take apart the blocks that hold any of these samples: they have changed after all."""
        sql = "SELECT id, members FROM blocks WHERE level = 0 AND no_from <= ? AND no_to >= ?"
        changed = set(numbers)
        for block, members in self._own.execute(sql, (max(numbers), min(numbers))).fetchall():
            if not changed.isdisjoint(decode_members(members)):
                self._dissolve(block)

    def _count_waiting(self, series: int) -> int:
        sql = "SELECT count(*) FROM (SELECT 1 FROM singles WHERE series = ? LIMIT ?)"
        return int(self._own.execute(sql, (series, schema.BLOCK_ORDERS)).fetchone()[0])

    def _gather(self, series: int) -> None:
        """Make a block of the samples that have waited longest."""
        rows = self._own.execute(
            "SELECT s.no, s.created, s.closed, s.filled, s.key, s.ord_status, s.body"
            " FROM singles w CROSS JOIN samples s ON s.no = w.no"
            " WHERE w.series = ? ORDER BY w.no LIMIT ?",
            (series, schema.BLOCK_ORDERS),
        ).fetchall()
        dims = tuple(sorted((*OWN_DIMS, *self._keys.few)))
        cells: Cells = {}
        found: dict[tuple[int, str, bool], Tally] = {}
        for _, _, _, filled, key_id, ord_status, body in rows:
            place = key_id, ord_status, filled is not None
            key = self._keys.get(key_id)
            tally = found.get(place)
            if tally is None:
                cell = place_of(key, ord_status, is_filled=filled is not None, dims=dims)
                tally = found[place] = cells.setdefault(cell, empty())
            count(tally, Sample(key, *decode_body(body)), coarsely)
        numbers = [row[0] for row in rows]
        spans = [_span([row[at] for row in rows]) for at in range(4)]
        block = self._add(0, series, dims, spans, encode_body(numbers))
        self.shelf.keep_all(block, dims, cells)
        self._own.execute("DELETE FROM singles WHERE series = ? AND no <= ?", (series, numbers[-1]))

    def _compact(self, series: int) -> None:
        level = 0
        while True:
            children = self._own.execute(
                "SELECT id, dims, no_from, no_to, created_from, created_to, closed_from, closed_to,"
                " filled_from, filled_to FROM blocks WHERE parent IS NULL AND series = ?"
                " AND level = ? ORDER BY id LIMIT ?",
                (series, level, schema.FANOUT),
            ).fetchall()
            if len(children) < schema.FANOUT:
                return
            level += 1
            self._join(level, series, children)

    def _join(self, level: int, series: int, children: list[tuple[Any, ...]]) -> None:
        known = {dim for row in children for dim in named(row[1])}
        dims = tuple(sorted({*OWN_DIMS, *self._keys.few} & known))
        spans = [_span([row[at] for row in children for at in pair]) for pair in _ENDS]
        block = self._add(level, series, dims, spans, None)
        numbers = [row[0] for row in children]
        self._own.execute(
            f"UPDATE blocks SET parent = ? WHERE id IN {placeholders(len(numbers))}",
            (block, *numbers),
        )
        self.shelf.join(block, dims, [(row[0], named(row[1])) for row in children])

    def _add(
        self, level: int, series: int, dims: Dims, spans: list[_Span], members: bytes | None
    ) -> int:
        ends = [end for span in spans for end in span]
        row = (level, series, name_of(dims), *ends, members)
        cursor = self._own.execute(
            f"INSERT INTO blocks VALUES (NULL,?,?,NULL{',?' * (len(row) - 2)})", row
        )
        return cursor.lastrowid or 0

    def _dissolve(self, block: int) -> None:
        """Take a block apart, and those that it is a part of; its samples wait for another."""
        sql = "SELECT series, parent, members FROM blocks WHERE id = ?"
        for series, parent, members in self._own.execute(sql, (block,)).fetchall():
            if members is not None:
                self._own.execute(
                    "INSERT INTO singles SELECT value, ?, NULL FROM json_each(?)",
                    (series, members.decode()),
                )
            self._own.execute("UPDATE blocks SET parent = NULL WHERE parent = ?", (block,))
            self._own.execute("DELETE FROM blocks WHERE id = ?", (block,))
            self.shelf.drop(block)
            if parent is not None:
                self._dissolve(parent)

    def walk(self, window: Window) -> Iterator[tuple[int, bool]]:
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


def _is_inside(window: Window, from_ns: int, to_ns: int) -> bool:
    return (window.since_ns is None or window.since_ns <= from_ns) and (
        window.until_ns is None or to_ns < window.until_ns
    )


def _is_outside(window: Window, from_ns: int, to_ns: int) -> bool:
    return (window.since_ns is not None and to_ns < window.since_ns) or (
        window.until_ns is not None and from_ns >= window.until_ns
    )


def _span(times_ns: Sequence[int | None]) -> _Span:
    """Return the first and last of some times, some of which may never have come."""
    known = [at_ns for at_ns in times_ns if at_ns is not None]
    return (min(known), max(known)) if known else (None, None)
