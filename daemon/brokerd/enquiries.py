"""
The trader's questions: orders and fills, as they are and how they came to be.

A question changes nothing but what it brings to light: `check` asks the venue, and a difference
goes on record like any other report.
"""

from brokerd import results
from brokerd.commands import unknown_order
from brokerd.engine import Engine
from brokerd.errors import InvalidParams
from brokerd.executor import Clock
from brokerd.history.model import SqliteHistory
from brokerd.history.query import FillQuery, OrderQuery
from brokerd.links import Links
from brokerd.orders import Order
from brokerd.params import (
    AnyIdParams,
    FillParams,
    ListParams,
    read_group_by,
    read_window,
    several,
)
from brokerd.peer import Peer
from brokerd.views import ShownOrder, show_entry, show_fill, show_order


class Enquiries:
    """The methods `order.get`, `order.check`, `order.list`, `order.explain` and `fill.list`."""

    def __init__(
        self, *, engine: Engine, history: SqliteHistory, links: Links, clock: Clock
    ) -> None:
        self._engine = engine
        self._history = history
        self._links = links
        self._clock = clock

    async def get(self, _peer: Peer, params: AnyIdParams) -> ShownOrder:
        """Show one order."""
        return show_order(await self._find_any(params))

    async def check(self, _peer: Peer, params: AnyIdParams) -> ShownOrder:
        """Ask the venue about one order; a difference goes on record like any other report."""
        order = await self._find_any(params)
        link = self._links.choose(order.terms.executor)
        await self._engine.recall.order(order.cl_ord_id)
        checked = await link.questions.check(order)
        return show_order(checked or order)

    async def list_orders(self, peer: Peer, params: ListParams) -> results.Orders:
        """List orders, newest first."""
        window = read_window(params.time, self._clock.now_ns())
        query = OrderQuery(
            status=several(params.status),
            ord_status=several(params.ord_status),
            executor=params.executor,
            symbol=params.symbol,
            side=params.side,
            group=params.group,
            group_by=read_group_by(params),
            latest_group=params.latest_group,
            by=window.by,
            since_ns=window.since_ns,
            until_ns=window.until_ns,
            limit=params.limit,
            cursor=params.cursor,
        )
        async with peer.turn():
            await self._check_executor(params.executor)
            page = await self._history.list_orders(query)
        return results.Orders([show_order(order) for order in page.items], page.next_cursor)

    async def explain(self, peer: Peer, params: AnyIdParams) -> results.Explanation:
        """Show how an order came to be what it is."""
        order = await self._find_any(params)
        async with peer.turn():
            rows = await self._history.order_entries(order.cl_ord_id)
        latest = self._engine.blotter.get(order.cl_ord_id) or order
        transitions = [show_entry(row.seq, row.entry) for row in rows]
        link = self._links.by_name.get(order.terms.executor)
        weaknesses = list(link.weaknesses) if link is not None else []
        return results.Explanation(show_order(latest), transitions, weaknesses)

    async def list_fills(self, peer: Peer, params: FillParams) -> results.Fills:
        """List executions, newest first."""
        window = read_window(params.time, self._clock.now_ns())
        query = FillQuery(
            cl_ord_id=params.cl_ord_id,
            status=several(params.status),
            ord_status=several(params.ord_status),
            executor=params.executor,
            symbol=params.symbol,
            side=params.side,
            group=params.group,
            since_ns=window.since_ns,
            until_ns=window.until_ns,
            limit=params.limit,
            cursor=params.cursor,
        )
        async with peer.turn():
            await self._check_executor(params.executor)
            page = await self._history.list_fills(query)
        return results.Fills([show_fill(fill) for fill in page.items], page.next_cursor)

    async def _check_executor(self, name: str | None) -> None:
        """Raise InvalidParams for an executor that never was: an empty list would look like an answer."""
        if name is not None:
            self._links.check_known(name, await self._history.executors())

    async def _find_any(self, params: AnyIdParams) -> Order:
        if (params.cl_ord_id is None) == (params.executor_id is None):
            raise InvalidParams(
                "name the order by cl_ord_id or by executor_id", reason="one_id_needed"
            )
        if params.cl_ord_id is not None:
            return await self._engine.recall.find(params.cl_ord_id)
        executor_id = params.executor_id or ""
        executor, _, venue_order_id = executor_id.partition(":")
        order = self._engine.blotter.find(executor, None, venue_order_id)
        if order is None:
            order = await self._history.find(executor=executor, venue_order_id=venue_order_id)
        if order is None:
            raise unknown_order(executor_id, "executor_id")
        return order
