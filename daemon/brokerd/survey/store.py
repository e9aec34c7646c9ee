"""
The survey: a sample of every order, and tallies of them in blocks, as far as the read model goes.

Rule 1: it is what the read model's orders add up to, up to `followed_seq`, and holds nothing else.
        It may be thrown away at any time: `open_store` makes it anew.
Rule 2: a sample goes into a block when nothing more can come of its order: it is settled, and its
        fills' marks are in. If something comes after all, its block is taken apart again.
"""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

import sqlite3
from collections import Counter
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from brokerd.journal.sqlite import address, placeholders
from brokerd.orders import Order
from brokerd.stats.marks import HORIZONS
from brokerd.stats.sample import Sample, is_measured, sample
from brokerd.stats.tally import Table
from brokerd.survey.answers import Answers
from brokerd.survey.blocks import LIVE, WAITING, WAITING_LONG, Blocks, encode_body
from brokerd.survey.keys import Keys
from brokerd.survey.question import Question
from brokerd.survey.schema import opened
from brokerd.survey.shelf import NotYet
from brokerd.survey.source import Source

ROWS_PER_STEP = 2_000

LONG_NS = 3_600_000_000_000
"""Orders that lived longer go into blocks of their own."""

LATE_NS = 2_000_000_000
"""How far the read model may trail behind the clock that says what is due."""


class Store:
    """The survey over one read model. Made by `open_store`; blocking, for a process of its own."""

    def __init__(self, own: sqlite3.Connection, history: sqlite3.Connection) -> None:
        self._own = own
        self._source = Source(history)
        self._keys = Keys(own)
        self._blocks = Blocks(own, self._keys)
        self._answers = Answers(own, self._keys, self._blocks)
        ((self.followed_seq,),) = own.execute("SELECT followed_seq FROM meta").fetchall()

    def step(self, now_ns: int) -> bool:
        """Take in the next changed orders and whatever is due by now; False if there was nothing."""
        orders, seq = self._source.changed(self.followed_seq, ROWS_PER_STEP)
        due = self._own.execute(
            "SELECT no FROM singles WHERE due <= ? LIMIT ?", (now_ns, ROWS_PER_STEP)
        ).fetchall()
        if not orders and not due:
            return False
        orders |= self._source.orders([no for (no,) in due if no not in orders])
        orders = {no: order for no, order in orders.items() if is_measured(order)}
        with self._own:
            self._own.execute("BEGIN IMMEDIATE")
            self._put(orders, now_ns)
            self._blocks.build()
            self._own.execute("UPDATE meta SET followed_seq = ?", (seq,))
        self.followed_seq = seq
        return True

    def ask(self, question: Question) -> Table | None:
        """
        Add up the orders that are meant; raise TooMuch if that would take too long.

        None: some of it was made up and is kept, ask again for the rest.
        """
        with self._own:
            self._own.execute("BEGIN IMMEDIATE")
            try:
                return self._answers.ask(question)
            except NotYet:
                return None

    def _put(self, orders: dict[int, Order], now_ns: int) -> None:
        known = self._known(list(orders))
        self._release(list(orders))
        fills = self._source.fills(orders)
        began_ns = (order.created_at_ns for order in orders.values())
        runs = self._source.runs(min(began_ns, default=now_ns))
        samples, singles = list[tuple[Any, ...]](), list[tuple[int, int, int | None]]()
        new = Counter[int]()
        for no, order in orders.items():
            measured = sample(order, fills.get(no, []), None, runs)
            key_id = self._keys.id_of(measured.key)
            if no not in known:
                new[key_id] += 1
            samples.append(_row(no, key_id, order, measured))
            singles.append((no, *_place(order, now_ns)))
        self._keys.count(new)
        self._own.executemany("INSERT OR REPLACE INTO samples VALUES (?,?,?,?,?,?,?,?)", samples)
        self._own.executemany("INSERT OR REPLACE INTO singles VALUES (?,?,?)", singles)

    def _known(self, numbers: list[int]) -> set[int]:
        """Return which of these orders have a sample: by the same key, for terms never change."""
        sql = f"SELECT no FROM samples WHERE no IN {placeholders(len(numbers))}"
        return {no for (no,) in self._own.execute(sql, numbers)}

    def _release(self, numbers: list[int]) -> None:
        """Take apart the blocks that hold any of these orders' samples."""
        meant = placeholders(len(numbers))
        settled = self._own.execute(
            f"SELECT no FROM samples s WHERE no IN {meant}"
            " AND NOT EXISTS (SELECT 1 FROM singles w WHERE w.no = s.no)",
            numbers,
        ).fetchall()
        if settled:
            self._blocks.release([no for (no,) in settled])


@contextmanager
def open_store(path: Path, history: Path) -> Generator[Store]:
    """Open the survey of a read model; one that is missing, damaged or of another is made anew."""
    with closing(sqlite3.connect(address(history, "ro"), uri=True, isolation_level=None)) as source:
        ((journal_id, applied_seq),) = source.execute("SELECT journal_id, applied_seq FROM meta")
        with opened(path, journal_id, applied_seq) as own:
            yield Store(own, source)


def _row(no: int, key_id: int, order: Order, measured: Sample) -> tuple[Any, ...]:
    return (
        no,
        key_id,
        order.created_at_ns,
        order.closed_at_ns,
        order.last_fill_at_ns,
        order.status.value,
        order.shown_status.value,
        encode_body((measured.sums, measured.values, measured.words, measured.fees)),
    )


def _place(order: Order, now_ns: int) -> tuple[int, int | None]:
    """Return where a sample waits, and when the next marks of its order are in."""
    last_ns = order.last_fill_at_ns
    due_ns = _next_due_ns(last_ns, now_ns) if last_ns is not None else None
    if not order.is_settled or due_ns is not None:
        return LIVE, due_ns
    ended_ns = max(order.closed_at_ns or 0, last_ns or 0)
    return WAITING_LONG if ended_ns - order.created_at_ns > LONG_NS else WAITING, None


def _next_due_ns(filled_at_ns: int, now_ns: int) -> int | None:
    """Return when the next marks of an order's last fill are in; None when all are."""
    ends_ns = (filled_at_ns + each.after_ns + each.grace_ns + LATE_NS for each in HORIZONS)
    return next((end_ns for end_ns in ends_ns if end_ns >= now_ns), None)
