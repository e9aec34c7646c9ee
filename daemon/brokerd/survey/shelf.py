"""
The shelf: which cells blocks keep, so that questions find them ready.

Rule 1: a block keeps the cells of all its dimensions, unless there are too many, and of the shapes
        that are asked for: what it does not keep is made of what it or its children do.
Rule 2: where a block lacks a dimension that has few values, no order of it had one.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from math import inf

from brokerd.stats.tally import OWN_KEYS
from brokerd.survey.cells import (
    Cells,
    Dims,
    added,
    count_places,
    decode_cells,
    encode_cells,
    name_of,
    named,
    project,
)
from brokerd.survey.keys import Keys

OWN_DIMS: Dims = (*OWN_KEYS, "is_filled", "ord_status")

CELLS_MAX = 4_096
"""A block with more cells of all dimensions than this keeps only those of shapes."""

KEYS_ALONE_MAX = 4
"""Of how many group keys, each alone, cells are kept before anybody asks."""

SHAPES_MAX = 24
"""Of how many shapes that were asked for last, cells are kept."""

ASKED_AGAIN_NS = 3_600_000_000_000
"""How often it is noted that a shape is still asked for."""

WORTH_KEEPING = 2
"""Cells are kept if there are so many times fewer than of those they were made of."""

READ_MAX = 100_000
"""Cells that are read to make others for one question: some seconds of work."""


class NotYet(Exception):
    """What is asked for the first time takes longer than one question may. What was made is kept."""


class Shelf:
    """The cells of a survey's blocks, by shape. Whoever calls holds a transaction."""

    def __init__(self, own: sqlite3.Connection, keys: Keys) -> None:
        self._own = own
        self._keys = keys
        rows = own.execute("SELECT dims, asked FROM shapes").fetchall()
        self._asked = {named(name): asked_ns for name, asked_ns in rows}
        self._left: float = READ_MAX

    def want(self, dims: Dims, now_ns: int) -> Dims:
        """Begin a question: note that its shape is asked for, and return what is known of it."""
        self._left = READ_MAX
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
                # What all others are made of stays.
                self._own.execute(
                    "DELETE FROM cells WHERE dims = :dims"
                    " AND block NOT IN (SELECT id FROM blocks WHERE dims = :dims)",
                    {"dims": name_of(oldest)},
                )
        return shape

    def cells(self, block: int, dims: Dims) -> tuple[Dims, Cells]:
        """
        Return the cells of a block by these dimensions that it has, maybe more; and by which.

        Raises NotYet if too many others had to be read for the question that began last.
        """
        ((name,),) = self._own.execute("SELECT dims FROM blocks WHERE id = ?", (block,)).fetchall()
        has = named(name)
        onto = tuple(dim for dim in dims if dim in has)
        stored = self._stored(block)
        if onto in stored:
            return onto, self._load(block, onto)
        larger = [(size, each) for each, size in stored.items() if set(onto) <= set(each)]
        if self._left <= 0:
            raise NotYet
        if not larger:
            children = self._own.execute("SELECT id FROM blocks WHERE parent = ?", (block,))
            cells = self._made_of([child for (child,) in children.fetchall()], onto)
            self._keep(block, onto, cells)
            return onto, cells
        _, smallest = min(larger)
        cells = self._load(block, smallest)
        self._left -= len(cells)
        if not _is_worth(cells, smallest, onto):
            return smallest, cells
        fewer = project(cells, smallest, onto)
        self._keep(block, onto, fewer)
        return onto, fewer

    def join(self, block: int, dims: Dims, children: Sequence[tuple[int, Dims]]) -> None:
        """Keep the cells of a block that is made of others, of which each has its dimensions."""
        whole = self._whole(children, dims)
        if whole is not None:
            self.keep_all(block, dims, whole)
            return
        self._left = inf
        for shape in self._shapes(dims):
            self._keep(block, shape, self._made_of([child for child, _ in children], shape))

    def drop(self, block: int) -> None:
        """Forget the cells of a block."""
        self._own.execute("DELETE FROM cells WHERE block = ?", (block,))

    def keep_all(self, block: int, dims: Dims, cells: Cells) -> None:
        """Keep a block's cells as they are, and of each shape."""
        self._keep(block, dims, cells)
        made = {dims: cells}
        for shape in self._shapes(dims):
            larger = [(len(each), by) for by, each in made.items() if set(shape) <= set(by)]
            _, smallest = min(larger)
            if _is_worth(made[smallest], smallest, shape):
                made[shape] = project(made[smallest], smallest, shape)
                self._keep(block, shape, made[shape])

    def _made_of(self, children: Sequence[int], onto: Dims) -> Cells:
        parts = (self.cells(child, onto) for child in children)
        return added(
            chain.from_iterable(project(cells, dims, onto).items() for dims, cells in parts)
        )

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

    def _keep(self, block: int, dims: Dims, cells: Cells) -> None:
        row = (block, name_of(dims), len(cells), encode_cells(cells))
        self._own.execute("INSERT OR REPLACE INTO cells VALUES (?,?,?,?)", row)

    def _whole(self, parts: Sequence[tuple[int, Dims]], dims: Dims) -> Cells | None:
        """Return the cells of blocks by all dimensions, None if they are too many to be kept."""
        sizes = [self._stored(block).get(each, CELLS_MAX + 1) for block, each in parts]
        if max(sizes) > CELLS_MAX:
            return None
        cells = added(
            chain.from_iterable(
                project(self._load(block, each), each, dims).items() for block, each in parts
            )
        )
        return cells if len(cells) <= CELLS_MAX else None


def _is_worth(cells: Cells, dims: Dims, onto: Dims) -> bool:
    """Whether there are so many fewer cells by `onto` that they are worth making and keeping."""
    return count_places(cells, dims, onto) * WORTH_KEEPING <= len(cells)
