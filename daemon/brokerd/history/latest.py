"""
The latest order of each group, among those that match: which ones, by the shortest of three roads.

1. Few orders match: all of them are looked at.
2. One key with few values is grouped by: each value's newest order is where an index range ends,
   however many groups and orders there are.
3. Else the groups are walked, newest first, until the page is certain.
"""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from brokerd.history.query import (
    NEVER_NS,
    TIME_COLUMNS,
    Driver,
    Key,
    OrderQuery,
    Where,
    add_group,
    add_window,
    group_driver,
    order_conditions,
)
from brokerd.history.schema import group_tag
from brokerd.journal.sqlite import placeholders

FEW_MAX = 2_000
"""Orders that are quicker looked at one by one than found by any other road."""

VALUES_MAX = 200
"""A key with more values than this is no longer one with few."""

LOOK_MAX = 50
"""Newest orders of a value that are looked at one by one for the first that matches."""

WALK_STEP = 1_000
"""Groups looked at by one statement of the walk."""

NEVER: Key = (NEVER_NS, NEVER_NS)

Fetch = Callable[[str, Sequence[Any]], Awaitable[list[Any]]]

Combination = tuple[str | None, ...]
"""The values of the keys that are grouped by."""

Newest = dict[Combination, Key]

decode_keys = msgspec.json.Decoder(dict[str, str]).decode

_VALUES = (
    "WITH RECURSIVE v (value) AS (SELECT min(value) FROM group_tags WHERE key = ?1 UNION ALL"
    " SELECT (SELECT min(value) FROM group_tags WHERE key = ?1 AND value > v.value)"
    " FROM v WHERE v.value IS NOT NULL LIMIT ?2)"
    " SELECT value FROM v WHERE value IS NOT NULL"
)
"""The values of a key, from one to the next: the groups in between are skipped."""

_IS_LACKING = (
    "SELECT (SELECT count(*) FROM groups) > (SELECT count(*) FROM group_tags WHERE key = ?)"
)


class Latest:
    """One question for the newest order of each combination; `page` answers it."""

    def __init__(self, fetch: Fetch, query: OrderQuery, after: Key | None) -> None:
        self._fetch = fetch
        self._query = query
        self._below = after or NEVER

    async def page(self, size: float, drivers: list[Driver]) -> list[Key]:
        """Return a page of keys, one too many. `drivers` walk the `size` orders that may match."""
        if size <= FEW_MAX:
            return self._cut((await self._all(drivers)).values())
        values = await self._values()
        if values is not None:
            return self._cut(await self._of_values(values))
        return await self._walked(self._below, self._query.limit + 1)

    def _cut(self, keys: Iterable[Key]) -> list[Key]:
        below = (key for key in keys if key < self._below)
        return sorted(below, reverse=True)[: self._query.limit + 1]

    async def _all(self, drivers: list[Driver]) -> Newest:
        """Look at every order that matches."""
        found = await self._fetch(*matching(self._query, drivers)) if drivers else []
        ids = list({group_id for group_id, _, _ in found})
        sql = f"SELECT id, keys FROM groups WHERE id IN {placeholders(len(ids))}"
        keys = await self._fetch(sql, ids)
        combinations = {group_id: self._combination(text) for group_id, text in keys}
        newest: Newest = {}
        for group_id, *key in found:
            _keep(newest, combinations[group_id], tuple(key))
        return newest

    async def _values(self) -> list[str] | None:
        """Return the values of the one key that is grouped by; None if they are many, or the keys."""
        if len(self._query.group_by) != 1:
            return None
        (key,) = self._query.group_by
        if key in self._query.group:
            return [self._query.group[key]]
        found = await self._fetch(_VALUES, (key, VALUES_MAX + 2))
        return [value for (value,) in found] if len(found) <= VALUES_MAX else None

    async def _of_values(self, values: list[str]) -> list[Key]:
        """Return the newest order of each value, and of the groups without the key."""
        (name,) = self._query.group_by
        found = await self._fetch(*newest_of(self._query, name, values)) if values else []
        keys: list[Key] = [(at_ns, no) for _, at_ns, no in found]
        if _is_choosy(self._query):
            for value in set(values) - {row[0] for row in found}:
                keys += await self._fetch(*newest_in_groups(self._query, name, value))
        if name not in self._query.group:
            ((is_lacking,),) = await self._fetch(_IS_LACKING, (name,))
            if is_lacking:
                keys += await self._walked(NEVER, 1, lacking=name)
        return keys

    async def _walked(self, below: Key, count: int, lacking: str | None = None) -> list[Key]:
        """
        Walk the groups until so many combinations' latest below a key are certain.

        No group further down holds an order newer than the last one of a step, so that whatever
        is newer than that is its combination's latest.
        """
        newest: Newest = {}
        bound: Key | None = NEVER
        step, page = min(count, WALK_STEP), list[Key]()  # so many may do, and are soon read
        while bound is not None and len(page) < count:
            walked = await self._fetch(*groups_below(self._query, bound, step, lacking))
            await self._take(walked, newest)
            bound = walked[-1][:2] if len(walked) == step else None
            step = WALK_STEP
            certain = (
                key for key in newest.values() if key < below and (bound is None or key >= bound)
            )
            page = sorted(certain, reverse=True)[:count]
        return page

    async def _take(self, walked: list[Any], newest: Newest) -> None:
        """Bring `newest` up to date with the groups of one step."""
        combinations: dict[int, Combination] = {}
        keys: list[tuple[int, int, int]] = []
        for at_ns, no, group_id, text in walked:
            combination = self._combination(text)
            # A group that ends before what its combination has already cannot add to it.
            if (at_ns, no) > newest.get(combination, (-NEVER_NS, 0)):
                combinations[group_id] = combination
                keys.append((group_id, at_ns, no))
        where = latest_conditions(self._query)
        if where.texts and keys:
            keys = await self._fetch(*latest_in(where, list(combinations)))
        for group_id, at_ns, no in keys:
            _keep(newest, combinations[group_id], (at_ns, no))

    def _combination(self, text: str) -> Combination:
        """Return what tells groups apart: the values of the keys asked for, or all keys and values."""
        if not self._query.group_by:
            return (text,)  # in one order of keys for all
        group = decode_keys(text)
        return tuple([group.get(key) for key in self._query.group_by])


def matching(query: OrderQuery, drivers: list[Driver]) -> tuple[str, list[Any]]:
    """Return the SQL of every order that matches: rows (group id, created_at_ns, no)."""
    pieces, params = list[str](), list[Any]()
    for driver in drivers:
        where = latest_conditions(query)
        add_group(where, query, driver.names)
        pieces.append(
            f"SELECT o.group_id, o.created_at_ns, o.no FROM {driver.source}"
            f" WHERE {driver.where} AND {where}"
        )
        params += (*driver.params, *where.params)
    return " UNION ALL ".join(pieces), params


def newest_of(query: OrderQuery, name: str, values: Sequence[str]) -> tuple[str, list[Any]]:
    """Return the SQL for the newest order that matches of each value: (value, created_at_ns, no)."""
    within, where = Where(), order_conditions(query)
    if query.by == "created":
        add_window(within, "t.created_at_ns", query)
    else:
        where = latest_conditions(query)
    add_group(where, query, "n")
    sql = (
        f"WITH v (value) AS (VALUES {','.join(['(?)'] * len(values))}),"
        " found AS MATERIALIZED (SELECT v.value, (SELECT n.no FROM"
        " (SELECT t.created_at_ns, t.no FROM order_tags t"
        f" WHERE t.key = ? AND t.value = v.value AND {within}"
        " ORDER BY t.created_at_ns DESC, t.no DESC LIMIT ?) n"
        f" CROSS JOIN orders o ON o.no = n.no WHERE {where}"
        " ORDER BY n.created_at_ns DESC, n.no DESC LIMIT 1) AS no FROM v)"
        " SELECT f.value, o.created_at_ns, o.no FROM found f CROSS JOIN orders o ON o.no = f.no"
    )
    look = LOOK_MAX if _is_choosy(query) else 1
    return sql, [*values, group_tag(name), *within.params, look, *where.params]


def newest_in_groups(query: OrderQuery, name: str, value: str) -> tuple[str, list[Any]]:
    """Return the SQL for the newest order that matches in all groups of a value: (at_ns, no)."""
    driver = group_driver(replace(query, group=query.group | {name: value}))
    where = latest_conditions(query)
    sql = (
        f"SELECT o.created_at_ns, o.no FROM {driver.source} WHERE {driver.where} AND {where}"
        " ORDER BY o.created_at_ns DESC, o.no DESC LIMIT 1"
    )
    return sql, [*driver.params, *where.params]


def groups_below(
    query: OrderQuery, bound: Key, count: int, lacking: str | None
) -> tuple[str, list[Any]]:
    """
    Return the SQL of one step over the groups, newest first: (at_ns, no, id, keys).

    `lacking` is a key that they do not have.
    """
    where = Where()
    where.add("newest_at_ns <= ? AND (newest_at_ns, newest_no) < (?, ?)", bound[0], *bound)
    if query.by == "created" and query.since_ns is not None:
        where.add("newest_at_ns >= ?", query.since_ns)
    for key, value in query.group.items():
        where.add(
            "EXISTS (SELECT 1 FROM group_tags WHERE key = ? AND value = ? AND group_id = id)",
            key,
            value,
        )
    if lacking is not None:
        # Not by `group_tags`: the first that lacks it is as a rule near, and the rest is not read.
        where.add("NOT EXISTS (SELECT 1 FROM json_each(keys) WHERE key = ?)", lacking)
    sql = (
        f"SELECT newest_at_ns, newest_no, id, keys FROM groups INDEXED BY groups_newest WHERE {where}"
        " ORDER BY newest_at_ns DESC, newest_no DESC LIMIT ?"
    )
    return sql, [*where.params, count]


def latest_conditions(query: OrderQuery) -> Where:
    """Return what an order `o` of a group must fulfil; without any, a group's newest is its latest."""
    where, column = order_conditions(query), f"o.{TIME_COLUMNS[query.by]}"
    if query.by != "created":
        where.add(f"{column} IS NOT NULL")
    add_window(where, column, query)
    return where


def latest_in(where: Where, ids: Sequence[int]) -> tuple[str, list[Any]]:
    """Return the SQL for the newest order that matches in each group: (group id, at_ns, no)."""
    order = f"FROM orders o INDEXED BY orders_group WHERE o.group_id = g.id AND {where}"
    sql = (
        f"WITH g AS MATERIALIZED (SELECT g.id, (SELECT o.created_at_ns {order}"
        " ORDER BY o.created_at_ns DESC LIMIT 1) AS at_ns"
        f" FROM groups g WHERE g.id IN {placeholders(len(ids))})"
        f" SELECT g.id, g.at_ns, (SELECT max(o.no) {order} AND o.created_at_ns = g.at_ns)"
        " FROM g WHERE g.at_ns IS NOT NULL"
    )
    return sql, [*where.params, *ids, *where.params]


def _is_choosy(query: OrderQuery) -> bool:
    """Whether not every order of the window matches, so that a value's newest need not."""
    return bool(order_conditions(query).texts or query.group or query.by != "created")


def _keep(newest: Newest, combination: Combination, key: Key) -> None:
    newest[combination] = max(key, newest.get(combination, key))
