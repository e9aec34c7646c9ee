"""
The reading side of the read model: what bots list.

A question waits first until everything that was durable when it was asked has been applied. A page
is read by one statement, from one state; the latest of each group by several, so that an order
that changes meanwhile is told as it is by then.
"""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

import asyncio
import math
import sqlite3
from collections.abc import Sequence
from typing import Any

import aiosqlite
from msgspec import Struct

from brokerd.errors import Busy
from brokerd.events import OrderTraded
from brokerd.history.latest import Latest
from brokerd.history.lookup import HistoryLookup
from brokerd.history.query import (
    Driver,
    FillQuery,
    Key,
    OrderQuery,
    Page,
    check_limit,
    decode_cursor,
    encode_cursor,
    fill_page,
    group_driver,
    order_page,
    statuses,
    tags,
)
from brokerd.history.schema import decode_fill, decode_order
from brokerd.journal.sqlite import INTERRUPTED, code, limited, placeholders
from brokerd.orders import Order
from brokerd.states import OrdStatus
from brokerd.storage import READ_MAX, Journal, Row
from brokerd.terms import Side

LIST_S_MAX = 10.0
"""How long one statement of a list may take: others wait for it, and so does the file's log."""

TURN_S_MAX = 15.0
"""How long one may wait for others: who waits for a single one comes to its turn."""

SORT_MAX = 5_000
"""Orders that are quicker sorted than looked for along an index of times."""


class Fill(Struct, frozen=True, kw_only=True):
    """One execution, with what its order says of where and what; `seq` is its journal row."""

    seq: int
    executor: str
    symbol: str
    side: Side
    event: OrderTraded


class HistoryReader(HistoryLookup):
    """Every question to a read model: the engine's, and what bots list."""

    def __init__(
        self, journal: Journal, lookups: aiosqlite.Connection, lists: aiosqlite.Connection
    ) -> None:
        super().__init__(journal, lookups)
        self._lists = lists
        self._turn = asyncio.Lock()

    async def order_entries(self, cl_ord_id: str) -> list[Row]:
        """Return all journal rows of one order, oldest first; empty if it is unknown."""
        await self._synced_now()
        rows = await self._fetch("SELECT seqs FROM orders WHERE cl_ord_id = ?", (cl_ord_id,))
        seqs = [int(seq) for (told,) in rows for seq in told[1:].split(",")]
        found: list[Row] = []
        for at in range(0, len(seqs), READ_MAX):
            found += await self._journal.rows(seqs[at : at + READ_MAX])
        return found

    async def executors(self) -> list[str]:
        """Return the names of all executors that ever had an order."""
        await self._synced_now()
        return [name for (name,) in await self._fetch("SELECT DISTINCT executor FROM counts")]

    async def list_orders(self, query: OrderQuery) -> Page[Order]:
        """Return a page of orders, newest first; InvalidParams for a bad limit or cursor."""
        check_limit(query.limit)
        by = "latest" if query.latest_group else query.by
        after = decode_cursor(by, query.cursor)
        await self._synced_now()
        if query.latest_group:
            keys = await Latest(self._fetch, query, after).page(*await self._drivers(query))
            found = await self._bodies(keys)
        else:
            _, drivers = await self._drivers(query)
            found = await self._fetch(*order_page(query, drivers, after)) if drivers else []
        orders = tuple(decode_order(body) for body, _, _ in found[: query.limit])
        more = len(found) > query.limit
        return Page(orders, encode_cursor(by, found[query.limit - 1][1:3]) if more else None)

    async def list_fills(self, query: FillQuery) -> Page[Fill]:
        """Return a page of fills, newest first; InvalidParams for a bad limit or cursor."""
        check_limit(query.limit)
        after = decode_cursor("fill", query.cursor)
        await self._synced_now()
        found = await self._fetch(*fill_page(query, await self._fill_driver(query), after))
        fills = tuple(
            Fill(
                seq=seq, executor=executor, symbol=symbol, side=Side(side), event=decode_fill(body)
            )
            for body, executor, symbol, side, _, seq in found[: query.limit]
        )
        more = len(found) > query.limit
        return Page(fills, encode_cursor("fill", found[query.limit - 1][4:6]) if more else None)

    async def _fetch(self, sql: str, params: Sequence[Any] = ()) -> list[Any]:
        """
        Run one statement for a list; Busy if its turn does not come in time, or its end.

        One at a time, to its end: an interrupt hits whatever statement the connection runs.
        """
        try:
            async with asyncio.timeout(TURN_S_MAX):
                await self._turn.acquire()
        except TimeoutError as error:
            raise _no_turn() from error
        try:
            return await limited(self._lists, self._fetched(self._lists, sql, params), LIST_S_MAX)
        except sqlite3.OperationalError as error:
            if code(error) != INTERRUPTED:
                raise
            raise _too_long() from error
        finally:
            self._turn.release()

    async def _drivers(self, query: OrderQuery) -> tuple[float, list[Driver]]:
        """
        Choose what to walk: the tag or the statuses with the fewest orders, or all by time.

        Returns with it how many orders there are to walk; of all by time, inf. No driver where the
        statuses asked for contradict each other.
        """
        by_time = Driver(f"orders o INDEXED BY orders_{query.by}")
        choices = [(await self._tag_size(*tag), [_tag_driver(*tag)]) for tag in tags(query)]
        choices += [(size, [driver]) for size, driver in await self._group_choices(query)]
        if query.status or query.ord_status:
            wanted = sorted(statuses(query))
            if not wanted:
                return 0, []
            choices.append((await self._status_size(wanted), [_status_driver(s) for s in wanted]))
        if query.by != "created":
            choices = [choice for choice in choices if choice[0] <= SORT_MAX]
        return min(choices, key=lambda choice: choice[0], default=(math.inf, [by_time]))

    async def _fill_driver(self, query: FillQuery) -> Driver:
        by_order = "CROSS JOIN fills f INDEXED BY fills_order ON f.order_no = o.no"
        if query.cl_ord_id is not None:
            return Driver(f"orders o {by_order}", "o.cl_ord_id = ?", (query.cl_ord_id,))
        choices = [(await self._tag_size(*tag), _tag_driver(*tag)) for tag in tags(query)]
        choices += await self._group_choices(query)
        if query.status or query.ord_status:
            wanted = sorted(statuses(query))
            choices.append((await self._status_size(wanted), _status_driver(*wanted)))
        size, driver = min(choices, key=lambda choice: choice[0], default=(SORT_MAX + 1, None))
        if driver is not None and size <= SORT_MAX:
            return Driver(f"{driver.source} {by_order}", driver.where, driver.params, driver.names)
        return Driver("fills f INDEXED BY fills_at CROSS JOIN orders o ON o.no = f.order_no")

    async def _tag_size(self, key: str, value: str) -> int:
        """Count a tag's orders, but no further than it matters."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM order_tags WHERE key = ? AND value = ? LIMIT ?)"
        ((size,),) = await self._fetch(sql, (key, value, SORT_MAX + 1))
        return int(size)

    async def _status_size(self, wanted: Sequence[OrdStatus]) -> int:
        sql = f"SELECT coalesce(sum(orders), 0) FROM counts WHERE ord_status IN {placeholders(len(wanted))}"
        ((size,),) = await self._fetch(sql, wanted)
        return int(size)

    async def _group_choices(self, query: OrderQuery | FillQuery) -> list[tuple[int, Driver]]:
        """Two pairs of a group may be common each and rare together: then go by whole groups."""
        if len(query.group) < 2:
            return []
        driver = group_driver(query)
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {driver.source} WHERE {driver.where} LIMIT ?)"
        ((size,),) = await self._fetch(sql, (*driver.params, SORT_MAX + 1))
        # Its rows are not in order of time: worth it only where few are to be sorted.
        return [(int(size), driver)] if size <= SORT_MAX else []

    async def _bodies(self, keys: list[Key]) -> list[tuple[bytes, int, int]]:
        sql = f"SELECT no, body FROM orders WHERE no IN {placeholders(len(keys))}"
        bodies = dict(await self._fetch(sql, [no for _, no in keys]))
        return [(bodies[no], created_at_ns, no) for created_at_ns, no in keys]


def _no_turn() -> Busy:
    return Busy(
        f"others' lists take so long that the turn of this question did not come in {TURN_S_MAX:g} s",
        reason="lists_busy",
        hint="ask again in a moment",
    )


def _too_long() -> Busy:
    return Busy(
        f"the list takes longer than {LIST_S_MAX:g} s: too many orders would have to be looked at",
        reason="list_too_long",
        hint="ask for a shorter window of time, or with a filter that fewer orders match",
    )


def _tag_driver(key: str, value: str) -> Driver:
    source = "order_tags t CROSS JOIN orders o ON o.no = t.no"
    return Driver(source, "t.key = ? AND t.value = ?", (key, value), "t")


def _status_driver(*wanted: OrdStatus) -> Driver:
    where = f"o.ord_status IN {placeholders(len(wanted))}"
    return Driver("orders o INDEXED BY orders_status", where, wanted)
