"""
What the engine asks of the read model: single orders by their ids, and what a start goes on from.

It has a connection of its own. What bots list may take its time, and statements of one connection
wait for each other: a venue's word about an order that left memory must not wait for a list.
"""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import aiosqlite

from brokerd.events import ExecutorPaused, ExecutorSynced
from brokerd.history.schema import decode_mark, decode_order
from brokerd.journal.sqlite import is_damage
from brokerd.orders import Order
from brokerd.storage import Journal, Named

COUNTED_AT_ONCE = 300

_COUNTED_BY_OURS = (
    "WITH asked (id, exec_id) AS (VALUES %s) SELECT f.exec_id FROM asked a"
    " CROSS JOIN orders o ON o.venue_cl_ord_id = a.id AND o.executor = ?"
    " CROSS JOIN fills f ON f.order_no = o.no AND f.exec_id = a.exec_id"
)
_COUNTED_BY_VENUES = (
    "WITH asked (id, exec_id) AS (VALUES %s) SELECT f.exec_id FROM asked a"
    " CROSS JOIN venue_ids v ON v.venue_order_id = a.id AND v.executor = ?"
    " CROSS JOIN fills f ON f.order_no = v.no AND f.exec_id = a.exec_id"
)


class HistoryLookup(ABC):
    """The engine's questions. `synced` is given by the side that writes the read model."""

    def __init__(self, journal: Journal, lookups: aiosqlite.Connection) -> None:
        self.is_damaged = False
        self._journal = journal
        self._lookups = lookups

    @abstractmethod
    async def synced(self, seq: int) -> None:
        """Wait until journal row `seq` has been applied."""

    async def unsettled(self) -> list[Order]:
        """Return the orders that are not settled, in order of submit: what a start needs."""
        await self._synced_now()
        rows = await self._looked_up("SELECT body FROM orders WHERE live = 1 ORDER BY no")
        return [decode_order(body) for (body,) in rows]

    async def unsettled_exec_ids(self) -> dict[str, set[str]]:
        """Return the exec_ids of the unsettled orders' fills by cl_ord_id, in one question."""
        await self._synced_now()
        sql = (
            "SELECT o.cl_ord_id, f.exec_id FROM orders o INDEXED BY orders_live"
            " CROSS JOIN fills f ON f.order_no = o.no WHERE o.live = 1"
        )
        found: dict[str, set[str]] = {}
        for cl_ord_id, exec_id in await self._looked_up(sql):
            found.setdefault(cl_ord_id, set()).add(exec_id)
        return found

    async def marks(self) -> list[ExecutorSynced | ExecutorPaused]:
        """Return the last of these events of each executor."""
        await self._synced_now()
        return [decode_mark(body) for (body,) in await self._looked_up("SELECT body FROM marks")]

    async def find(
        self,
        *,
        cl_ord_id: str | None = None,
        executor: str | None = None,
        venue_order_id: str | None = None,
        venue_cl_ord_id: str | None = None,
    ) -> Order | None:
        """
        Return an order by its cl_ord_id, or by an executor and either id its venue knows it by.

        Of two ids ours counts first, as in memory; it will do without an executor, too.

        Where a venue gave one id twice, the newer order; None if there never was one.
        """
        params: tuple[str | None, ...]
        if cl_ord_id is not None:
            where, params = "cl_ord_id = ?", (cl_ord_id,)
        elif venue_cl_ord_id is not None:
            where = "venue_cl_ord_id = ? AND executor = coalesce(?, executor)"
            params = (venue_cl_ord_id, executor)
            if venue_order_id is not None:
                # A venue may have rewritten our id (a cancel does, at some); its own still holds.
                ours = await self.find(executor=executor, venue_cl_ord_id=venue_cl_ord_id)
                return ours or await self.find(executor=executor, venue_order_id=venue_order_id)
        else:
            where = "no = (SELECT max(no) FROM venue_ids WHERE executor = ? AND venue_order_id = ?)"
            params = (executor, venue_order_id)
        await self._synced_now()
        sql = f"SELECT body FROM orders WHERE {where} ORDER BY no DESC LIMIT 1"
        rows = await self._looked_up(sql, params)
        return decode_order(rows[0][0]) if rows else None

    async def counted(self, executor: str, named: Sequence[Named]) -> set[str]:
        """Return the exec_ids, of those named, whose executions are counted: many in one question."""
        await self._synced_now()
        found: set[str] = set()
        for at, sql in ((0, _COUNTED_BY_OURS), (1, _COUNTED_BY_VENUES)):
            asked = [(each[at], each[2]) for each in named if each[at] is not None]
            for start in range(0, len(asked), COUNTED_AT_ONCE):
                chunk = asked[start : start + COUNTED_AT_ONCE]
                rows = await self._looked_up(
                    sql % ",".join(["(?,?)"] * len(chunk)),
                    [*(value for pair in chunk for value in pair), executor],
                )
                found.update(exec_id for (exec_id,) in rows)
        return found

    async def exec_ids(self, cl_ord_id: str) -> set[str]:
        """Return the exec_ids of one order's fills."""
        await self._synced_now()
        sql = (
            "SELECT exec_id FROM fills WHERE order_no = (SELECT no FROM orders WHERE cl_ord_id = ?)"
        )
        return {exec_id for (exec_id,) in await self._looked_up(sql, (cl_ord_id,))}

    async def _synced_now(self) -> None:
        await self.synced(self._journal.last_seq)

    async def _looked_up(self, sql: str, params: Sequence[Any] = ()) -> list[Any]:
        return await self._fetched(self._lookups, sql, params)

    async def _fetched(
        self, db: aiosqlite.Connection, sql: str, params: Sequence[Any]
    ) -> list[Any]:
        try:
            return list(await db.execute_fetchall(sql, params))
        except sqlite3.DatabaseError as error:
            self.is_damaged = self.is_damaged or is_damage(error)
            raise
