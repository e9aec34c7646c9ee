"""
Answers: which samples and cells a question means, added up.

Rule 1: up to EXACT_ORDERS_MAX orders are counted one by one, and their distributions are exact.
Rule 2: of more, whole blocks are added up, and one by one only what is in none, or at the edges of
        the window.
Rule 3: where blocks do not tell the orders apart, for a key has too many values, the rows are
        ranked by how many orders each has, and only those that are shown are counted, one order after the other.
"""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

import sqlite3
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

from brokerd.journal.sqlite import placeholders
from brokerd.params import Window
from brokerd.stats.sample import Key, Sample, unfilled_for
from brokerd.stats.tally import Row, Table, Tally, count_all, largest_first
from brokerd.survey.blocks import Blocks, decode_body
from brokerd.survey.cells import picked
from brokerd.survey.keys import Keys, tagged
from brokerd.survey.question import Question

EXACT_ORDERS_MAX = 10_000
"""Questions about more orders than this have their distributions rounded (`coarsely`)."""

SINGLY_MAX = 200_000
"""Orders that are counted one by one for one answer: some seconds of work."""

TAKEN_AT_ONCE = 100
"""Samples that are counted together: few enough to stay in a processor's cache meanwhile."""

_TAKEN = "SELECT s.key, s.created, s.closed, s.body FROM"
_SINGLES = "singles w CROSS JOIN samples s ON s.no = w.no"
_BY_KEY = "CROSS JOIN samples s INDEXED BY samples_key ON s.key = w.key"
_MEMBERS = "blocks b CROSS JOIN json_each(CAST(b.members AS TEXT)) w CROSS JOIN samples s ON s.no = w.value"


class TooMuch(Exception):
    """An answer that would take too long; says what to do."""


class Answers:
    """Adds up what is asked of one survey."""

    def __init__(self, own: sqlite3.Connection, keys: Keys, blocks: Blocks) -> None:
        self._own = own
        self._keys = keys
        self._blocks = blocks

    def ask(self, question: Question) -> Table:
        """Add up the orders that are meant; raise TooMuch, or NotYet."""
        source = f"samples s INDEXED BY samples_{question.window.by}"
        if self._are_few(question, source):
            table = Table(question.group_by)
            self._take(table, question, source)
            return table
        if self._keys.are_few(question.dims):
            table = self._of_blocks(question)
            if table.orders > EXACT_ORDERS_MAX:
                return table
        return self._of_keys(question)

    def _are_few(self, question: Question, source: str) -> bool:
        """Whether no more orders are in the window, meant or not, than can be counted one by one."""
        where, params = _within(question.window)
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} WHERE {where} LIMIT ?)"
        ((number,),) = self._own.execute(sql, [*params, EXACT_ORDERS_MAX + 1]).fetchall()
        return int(number) <= EXACT_ORDERS_MAX

    def _of_blocks(self, question: Question) -> Table:
        table = Table(question.group_by, is_exact=False)
        self._take(table, question, _SINGLES)
        shape = self._blocks.shelf.want(question.dims, question.now_ns)
        for block, is_inside in self._blocks.walk(question.window):
            if is_inside:
                dims, cells = self._blocks.shelf.cells(block, shape)
                for row, quote_asset, tally in picked(cells, dims, question):
                    table.merge(row, quote_asset, tally)
            else:
                self._take(table, question, _MEMBERS, "b.id = ?", [block])
        return table

    def _of_keys(self, question: Question) -> Table:
        """Count the orders of the largest rows one by one."""
        orders, total = self._counted(question), Counter[Row]()
        is_exact = orders.total() <= EXACT_ORDERS_MAX
        table = Table(question.group_by, is_exact=is_exact)
        rows = {key_id: table.row_of(self._keys.get(key_id)) for key_id in orders}
        for key_id, number in orders.items():
            total[rows[key_id]] += number
        ranked = largest_first(total)
        shown = set(ranked if is_exact else islice(ranked, question.limit))
        chosen = [key_id for key_id, row in rows.items() if row in shown]
        _check(sum(orders[key_id] for key_id in chosen))
        self._own.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (key INTEGER PRIMARY KEY)")
        self._own.execute("DELETE FROM wanted")
        self._own.executemany("INSERT INTO wanted VALUES (?)", [(each,) for each in chosen])
        self._take(table, question, f"wanted w {_BY_KEY}")
        table.rows_left_out = len(total) - len(shown)
        table.orders_left_out = orders.total() - sum(total[row] for row in shown)
        return table

    def _counted(self, question: Question) -> Counter[int]:
        """Return how many orders that are meant have each key: known, or read from one index alone."""
        if question.is_of_any_time:
            return Counter(self._keys.counted(question.terms))
        where, params = _conditions(question)
        source = "samples s INDEXED BY samples_key"
        if question.terms:
            keys, terms = tagged(question.terms)
            source, params = f"({keys}) w {_BY_KEY}", [*terms, *params]
        sql = f"SELECT s.key, count(*) FROM {source} WHERE {where} GROUP BY s.key"
        return Counter(dict(self._own.execute(sql, params).fetchall()))

    def _take(
        self,
        table: Table,
        question: Question,
        source: str,
        where: str = "TRUE",
        params: Iterable[Any] = (),
    ) -> None:
        """Add single samples to a table."""
        also, more = _conditions(question)
        sql = f"{_TAKEN} {source} WHERE {where} AND {also}"
        bins = _Bins(self._keys, table, question)
        taken = self._own.execute(sql, [*params, *more])
        while rows := taken.fetchmany(TAKEN_AT_ONCE):
            for key_id, created_ns, closed_ns, body in rows:
                into = bins.of(key_id)
                if into is None:
                    continue
                key, samples = into
                found = Sample(key, *decode_body(body))
                if closed_ns is None:
                    found.values.append(unfilled_for(created_ns, question.now_ns))
                samples.append(found)
            bins.empty()


class _Bins:
    """Samples on their way to the tallies of a table, those of one tally together."""

    def __init__(self, keys: Keys, table: Table, question: Question) -> None:
        self._keys = keys
        self._table = table
        self._question = question
        self._by_key: dict[int, tuple[Key, list[Sample]] | None] = {}
        self._by_tally: dict[int, tuple[Tally, list[Sample]]] = {}

    def of(self, key_id: int) -> tuple[Key, list[Sample]] | None:
        """Return a key, and where its samples go; None if they are not meant."""
        if key_id not in self._by_key:
            key = self._keys.get(key_id)
            self._by_key[key_id] = (key, self._bin(key)) if self._question.means(key) else None
        return self._by_key[key_id]

    def empty(self) -> None:
        """Count what has come together."""
        for tally, samples in self._by_tally.values():
            if samples:
                count_all(tally, samples, self._table.bucket)
                samples.clear()

    def _bin(self, key: Key) -> list[Sample]:
        tally = self._table.tally_of(key)
        return self._by_tally.setdefault(id(tally), (tally, []))[1]


def _check(orders: int) -> None:
    if orders > SINGLY_MAX:
        raise TooMuch(
            f"{orders} orders would have to be counted one by one, for a group key with many values"
        )


def _conditions(question: Question) -> tuple[str, list[Any]]:
    """Return what a sample `s` must fulfil, terms left out."""
    text, params = _within(question.window)
    for column in ("status", "ord_status"):
        wanted = getattr(question, column)
        if wanted:
            text += f" AND s.{column} IN {placeholders(len(wanted))}"
            params += [each.value for each in wanted]
    return text, params


def _within(window: Window) -> tuple[str, list[Any]]:
    text, params = f"s.{window.by} IS NOT NULL", list[Any]()
    for comparison, bound in ((">=", window.since_ns), ("<", window.until_ns)):
        if bound is not None:
            text += f" AND s.{window.by} {comparison} ?"
            params.append(bound)
    return text, params
