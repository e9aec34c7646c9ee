"""
Blocks: the tallies of orders of which nothing more can come, and of blocks of such orders.

Rule 1: a block of level 0 has BLOCK_ORDERS samples, by number; FANOUT blocks of a level make one of
        the next. Orders that lived long have a series of their own, lest they stretch the others'.
Rule 2: a block keeps the cells of all its dimensions, unless there are too many, and of the shapes
        that are asked for: what it does not keep is made of what it or its children do.
Rule 3: where a block lacks a dimension that has few values, no order of it had one.
"""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec

from brokerd.journal.sqlite import placeholders
from brokerd.params import Window
from brokerd.stats.sample import Sample
from brokerd.stats.tally import OWN_KEYS, Tally, coarsely, count, empty
from brokerd.survey import schema
from brokerd.survey.cells import (
    Cells,
    Dims,
    added,
    decode_cells,
    encode_cells,
    name_of,
    named,
    place_of,
    project,
)
from brokerd.survey.keys import Keys

LIVE, WAITING, WAITING_LONG = 0, 1, 2
"""Where a sample is that is in no block: it may change, or waits for a block of its series."""

OWN_DIMS: Dims = (*OWN_KEYS, "is_filled", "ord_status")

CELLS_MAX = 4_096
"""A block with more cells of all dimensions than this keeps only those of shapes."""

KEYS_ALONE_MAX = 4
"""Of how many group keys, each alone, cells are kept before anybody asks."""

SHAPES_MAX = 24
"""Of how many shapes that were asked for last, cells are kept."""

ASKED_AGAIN_NS = 3_600_000_000_000
"""How often it is noted that a shape is still asked for."""

WORTH_KEEPING = 4
"""Cells are kept if there are so many times fewer than of those they were made of."""

Body = tuple[list[int], list[tuple[str, int]], list[str], dict[str, int]]
encode_body = msgspec.json.Encoder().encode
decode_body = msgspec.json.Decoder(Body).decode
decode_members = msgspec.json.Decoder(list[int]).decode


_Span = tuple[int | None, int | None]
_ENDS = ((2, 3), (4, 5), (6, 7), (8, 9))


class Blocks:
    """The blocks of a survey. What they keep is written by whoever holds a transaction."""

    def __init__(self, own: sqlite3.Connection, keys: Keys) -> None:
        self._own = own
        self._keys = keys
        rows = own.execute("SELECT dims, asked FROM shapes").fetchall()
        self._asked = {named(name): asked_ns for name, asked_ns in rows}

    # --- made and taken apart

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
        self._keep_all(block, dims, cells)
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
        whole = self._whole(children, dims)
        if whole is not None:
            self._keep_all(block, dims, whole)
            return
        for shape in self._shapes(dims):
            self._keep(block, shape, self._made_of(numbers, shape))

    def _whole(self, children: list[tuple[Any, ...]], dims: Dims) -> Cells | None:
        """Return the cells of blocks by all dimensions, None if they are too many to be kept."""
        parts = [(row[0], named(row[1])) for row in children]
        sizes = [self._stored(block).get(each, CELLS_MAX + 1) for block, each in parts]
        if max(sizes) > CELLS_MAX:
            return None
        cells = added(
            chain.from_iterable(
                project(self._load(block, each), each, dims).items() for block, each in parts
            )
        )
        return cells if len(cells) <= CELLS_MAX else None

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
            self._own.execute("DELETE FROM cells WHERE block = ?", (block,))
            if parent is not None:
                self._dissolve(parent)

    # --- shapes and cells

    def want(self, dims: Dims, now_ns: int) -> Dims:
        """Note that cells of a shape are asked for, and return it without what no order has."""
        known = {*OWN_DIMS, *self._keys.few}
        shape = tuple(dim for dim in dims if dim in known)
        if now_ns - self._asked.get(shape, 0) >= ASKED_AGAIN_NS:
            self._asked[shape] = now_ns
            self._own.execute(
                "INSERT OR REPLACE INTO shapes VALUES (?, ?)", (name_of(shape), now_ns)
            )
            for oldest in sorted(self._asked, key=self._asked.__getitem__)[:-SHAPES_MAX]:
                del self._asked[oldest]
                self._own.execute("DELETE FROM shapes WHERE dims = ?", (name_of(oldest),))
                self._own.execute("DELETE FROM cells WHERE dims = ?", (name_of(oldest),))
        return shape

    def cells(self, block: int, dims: Dims) -> Cells:
        """Return the cells of a block by some dimensions; keep them for the next question."""
        ((name,),) = self._own.execute("SELECT dims FROM blocks WHERE id = ?", (block,)).fetchall()
        has = named(name)
        onto = tuple(dim for dim in dims if dim in has)
        return project(self._cells(block, onto), onto, dims)

    def _cells(self, block: int, dims: Dims) -> Cells:
        stored = self._stored(block)
        if dims in stored:
            return self._load(block, dims)
        larger = [(size, each) for each, size in stored.items() if set(dims) <= set(each)]
        if not larger:
            children = self._own.execute("SELECT id FROM blocks WHERE parent = ?", (block,))
            cells = self._made_of([child for (child,) in children.fetchall()], dims)
            self._keep(block, dims, cells)
            return cells
        size, smallest = min(larger)
        cells = project(self._load(block, smallest), smallest, dims)
        if len(cells) * WORTH_KEEPING <= size:
            self._keep(block, dims, cells)
        return cells

    def _made_of(self, children: Sequence[int], dims: Dims) -> Cells:
        return added(chain.from_iterable(self.cells(child, dims).items() for child in children))

    def _stored(self, block: int) -> dict[Dims, int]:
        rows = self._own.execute("SELECT dims, size FROM cells WHERE block = ?", (block,))
        return {named(name): size for name, size in rows.fetchall()}

    def _load(self, block: int, dims: Dims) -> Cells:
        sql = "SELECT body FROM cells WHERE block = ? AND dims = ?"
        return decode_cells(self._own.execute(sql, (block, name_of(dims))).fetchone()[0])

    def _shapes(self, dims: Dims) -> list[Dims]:
        """Return the shapes that a block with such dimensions keeps, the largest first."""
        group = [dim for dim in dims if dim not in OWN_DIMS][:KEYS_ALONE_MAX]
        wanted = {(), tuple(sorted(OWN_KEYS)), *((dim,) for dim in group)}
        wanted |= {tuple(dim for dim in shape if dim in dims) for shape in self._asked}
        return sorted(wanted - {dims}, key=lambda shape: (-len(shape), shape))

    def _keep_all(self, block: int, dims: Dims, cells: Cells) -> None:
        """Keep a block's cells as they are, and of each shape."""
        self._keep(block, dims, cells)
        made = {dims: cells}
        for shape in self._shapes(dims):
            larger = [(len(each), by) for by, each in made.items() if set(shape) <= set(by)]
            _, smallest = min(larger)
            made[shape] = project(made[smallest], smallest, shape)
            self._keep(block, shape, made[shape])

    def _keep(self, block: int, dims: Dims, cells: Cells) -> None:
        row = (block, name_of(dims), len(cells), encode_cells(cells))
        self._own.execute("INSERT OR REPLACE INTO cells VALUES (?,?,?,?)", row)

    # --- found

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
