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
from brokerd.ids import Ids, order_id
from brokerd.messages import Answered, Freeze, Message, Reported, Stranger, Viewed
from brokerd.recall import Recall

BUSY_PAUSE_S = 0.2

log = structlog.get_logger(__name__)


class Strangers:
    """
    The strangers of one engine.

    `tell` hands evidence back to be decided about; `freeze` stops an executor. Neither may wait.
    `unknown` counts what nobody knew.
    """

    def __init__(
        self, recall: Recall, tell: Callable[[Message], None], freeze: Callable[[Freeze], None]
    ) -> None:
        self.unknown = 0
        self._recall = recall
        self._tell = tell
        self._freeze = freeze
        self._waiting: deque[Stranger] = deque()

    def __bool__(self) -> bool:
        """Whether there are any to identify."""
        return bool(self._waiting)

    def add(self, strangers: Iterable[Stranger]) -> None:
        """Take in what a batch left undecided."""
        self._waiting.extend(strangers)

    async def identify_all(self) -> None:
        """
        Look for the orders that evidence is about, while no commit is under way.

        History waits until it has all that is durable, and a batch is noted only after its commit:
        to ask in between would be to wait for ourselves.
        """
        while self._waiting:
            await self._identify(self._waiting.popleft())

    async def _identify(self, stranger: Stranger) -> None:
        """Look in history for the order that evidence is about; if it is there, merge it after all."""
        message = stranger.message
        names = _names(message)
        try:
            order = await self._recall.known(**names)
        except Busy:
            # Evidence is never dropped: it comes back until history has caught up.
            asyncio.get_running_loop().call_later(BUSY_PAUSE_S, self._tell, message)
            return
        if order is None:
            self._of_nobody(message, names)
            return
        if isinstance(message, Reported):
            # Under our own id it is found, also if the venue has since given the order another.
            report = replace(message.report, venue_cl_ord_id=order.venue_cl_ord_id)
            message = replace(message, report=report)
        self._tell(message)

    def _of_nobody(
        self, message: Reported | Answered | Viewed, names: dict[str, str | None]
    ) -> None:
        self.unknown += 1
        log.warning("evidence_of_unknown_order", **names)
        venue_cl_ord_id = names.get("venue_cl_ord_id")
        if isinstance(message, Reported) and Ids.are_like(venue_cl_ord_id or ""):
            self._freeze(Freeze(message.executor, not_in_the_journal(venue_cl_ord_id)))


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
