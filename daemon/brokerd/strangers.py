"""
Strangers: evidence about orders that are not in memory, and whose orders they are.

One that history knows is merged after all. One that nobody knows is counted; if it bears an id of
our kind, two daemons trade on one account or the journal has lost rows, and its executor freezes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import structlog
from msgspec.structs import replace

from brokerd.errors import Busy
from brokerd.executor import Report
from brokerd.ids import Ids, order_id
from brokerd.messages import Answered, Freeze, Message, Reported, Stranger, Viewed
from brokerd.orders import Order
from brokerd.recall import Recall

BUSY_PAUSE_S = 0.2

log = structlog.get_logger(__name__)


class Strangers:
    """
    The strangers of one engine.

    `tell` hands evidence back to be decided about, or None for what is nobody's; `freeze` stops an
    executor. Neither may wait. `unknown` counts what nobody knew.
    """

    def __init__(
        self,
        recall: Recall,
        tell: Callable[[Message | None], None],
        freeze: Callable[[Freeze], None],
    ) -> None:
        self.unknown = 0
        self._recall = recall
        self._tell = tell
        self._freeze = freeze
        self._waiting: deque[Stranger] = deque()
        self._put_off = 0
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        """How many are to be identified."""
        return len(self._waiting) + self._put_off

    def add(self, strangers: Iterable[Stranger]) -> None:
        """Take in what a batch left undecided."""
        self._waiting.extend(strangers)
        if self._waiting:
            self._arrived.set()

    async def run(self) -> None:
        """
        Look for the orders that evidence is about, one after the other, until cancelled.

        History may take its time: the engine, who decides for everybody, does not wait with us.
        """
        while True:
            while self._waiting:
                await self._identify(self._waiting[0])
                self._waiting.popleft()
            self._arrived.clear()
            await self._arrived.wait()

    async def _identify(self, stranger: Stranger) -> None:
        """Look in history for the order that evidence is about; if it is there, merge it after all."""
        message = stranger.message
        names = _names(message)
        try:
            order = await self._recall.known(**names)
        except Busy:
            # Evidence is never dropped: it comes back until history has caught up.
            self._put_off += 1
            asyncio.get_running_loop().call_later(BUSY_PAUSE_S, self._try_again, stranger)
            return
        if order is None:
            self._of_nobody(message, names)
            return
        if isinstance(message, Reported):
            message = replace(message, report=_under_its_name(message.report, order))
        self._tell(message)

    def _try_again(self, stranger: Stranger) -> None:
        self._put_off -= 1
        self.add((stranger,))

    def _of_nobody(
        self, message: Reported | Answered | Viewed, names: dict[str, str | None]
    ) -> None:
        self.unknown += 1
        self._tell(None)
        log.warning("evidence_of_unknown_order", **names)
        venue_cl_ord_id = names.get("venue_cl_ord_id")
        if isinstance(message, Reported) and Ids.are_like(venue_cl_ord_id or ""):
            self._freeze(Freeze(message.executor, not_in_the_journal(venue_cl_ord_id)))


def _under_its_name(report: Report, order: Order) -> Report:
    """Name the order as memory does, also if the venue has since given it another id."""
    if order.is_external:
        return replace(report, venue_order_id=order.venue_order_id)
    return replace(report, venue_cl_ord_id=order.venue_cl_ord_id)


def not_in_the_journal(venue_cl_ord_id: str | None) -> str:
    """Say why an executor is frozen whose venue has an order of our kind that we do not know."""
    return (
        f"the venue has order {venue_cl_ord_id}, which is not in this journal: another brokerd uses"
        " the account, or the journal was restored from a backup"
    )


def _names(message: Reported | Answered | Viewed) -> dict[str, str | None]:
    """Return how evidence names its order: by the bot's id, or by an executor and its venue's ids."""
    if not isinstance(message, Reported):
        return {"cl_ord_id": message.cl_ord_id}
    return {
        "executor": message.executor,
        "venue_cl_ord_id": order_id(message.report.venue_cl_ord_id),
        "venue_order_id": message.report.venue_order_id,
    }
