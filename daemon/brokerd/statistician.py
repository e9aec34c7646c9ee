"""
`stats.get`: which orders are meant, their samples added up, the rows shown.

Formulas live in `stats`, shapes in `scorecard`.
"""

from brokerd.executor import Clock
from brokerd.history.model import SqliteHistory
from brokerd.history.query import LIMIT_MAX, OrderQuery
from brokerd.orders import OrdStatus, Status
from brokerd.params import FilterParams, StatsParams, Window, read_window
from brokerd.scorecard import Statistics, show_statistics
from brokerd.server import Peer
from brokerd.stats.sample import sample
from brokerd.stats.tally import Table


class Statistician:
    """The method `stats.get` over the read model."""

    def __init__(self, history: SqliteHistory, clock: Clock) -> None:
        self._history = history
        self._clock = clock

    async def get(self, peer: Peer, params: StatsParams) -> Statistics:
        """Measure executions, one row a group."""
        now_ns = self._clock.now_ns()
        window = read_window(params.time, now_ns)
        keys = [params.group_by] if isinstance(params.group_by, str) else params.group_by
        table = Table(keys)
        cursor: str | None = None
        async with peer.turn():
            while True:
                page = await self._history.list_orders(_query(params, window, cursor))
                for order in page.items:
                    table.count(sample(order, (), now_ns))
                cursor = page.next_cursor
                if cursor is None:
                    break
        return show_statistics(
            table,
            window=window,
            seq=self._history.applied_seq,
            now_ns=now_ns,
            limit=params.limit,
        )


def _query(params: FilterParams, window: Window, cursor: str | None) -> OrderQuery:
    status, ord_status = params.status, params.ord_status
    return OrderQuery(
        status=status if isinstance(status, Status) or status is None else tuple(status),
        ord_status=ord_status
        if isinstance(ord_status, OrdStatus) or ord_status is None
        else tuple(ord_status),
        executor=params.executor,
        symbol=params.symbol,
        side=params.side,
        group=params.group,
        by=window.by,
        since_ns=window.since_ns,
        until_ns=window.until_ns,
        limit=LIMIT_MAX,
        cursor=cursor,
    )
