"""
A bot's subscription to events: a position in the journal and a filter, nothing more.

Rule 1: no gap and no repeat: the next event is always the one after the position, read from
        memory or from the journal, so that a bot may resume at any `after_seq` it has seen.
Rule 2: a bot that falls behind is told so once, and catches up from disk at its own pace.
"""

import asyncio
from collections import OrderedDict

from msgspec import Struct

from brokerd.blotter import Blotter
from brokerd.errors import InvalidParams
from brokerd.events import (
    EVENT_NAMES,
    Entry,
    ExecutorEvent,
    OrderEvent,
    OrderSubmitted,
    event_name,
)
from brokerd.feed import CHANGES_KEPT, Feed
from brokerd.filters import OrderFilter, matches_status, matches_terms
from brokerd.history.model import SqliteHistory
from brokerd.lookback import first_position
from brokerd.params import SubscribeParams, order_filter
from brokerd.peer import Peer
from brokerd.rpc import notification
from brokerd.terms import Terms
from brokerd.views import show_entry
from brokerd.words import suggest

EVENTS_PER_READ = 500
EVENTS_PER_TURN = 50
"""Events looked at before other bots get a turn."""
LAG_MAX = CHANGES_KEPT // 2
TERMS_CACHED = 1000


class EventFilter(Struct, frozen=True, kw_only=True):
    """Which events: of one order, of the orders a filter means, of some names; unset lets all by."""

    cl_ord_id: str | None = None
    orders: OrderFilter = OrderFilter()
    events: frozenset[str] = frozenset()

    @property
    def needs_terms(self) -> bool:
        """Whether an event's order must be looked up to decide."""
        wanted = self.orders
        return bool(wanted.symbol or wanted.side or wanted.group or wanted.executor)

    @property
    def needs_order(self) -> bool:
        """Whether only events of orders can be meant."""
        wanted = self.orders
        is_about_one = wanted.symbol or wanted.side or wanted.group or self.cl_ord_id
        return bool(is_about_one or wanted.status or wanted.ord_status)


def read_filter(params: SubscribeParams) -> EventFilter:
    """Return the filter that a bot asks for; raise InvalidParams for an event that does not exist."""
    for name in params.events or ():
        if name not in EVENT_NAMES:
            raise InvalidParams(
                f"no event is named {name}",
                reason="unknown_event",
                field="events",
                hint=suggest(name, EVENT_NAMES),
            )
    orders = order_filter(params)
    return EventFilter(
        cl_ord_id=params.cl_ord_id, orders=orders, events=frozenset(params.events or ())
    )


class Subscription:
    """One subscription; `run` sends until it is cancelled. `seq` is the last event it is done with."""

    def __init__(
        self,
        feed: Feed,
        blotter: Blotter,
        history: SqliteHistory,
        wanted: EventFilter,
    ) -> None:
        self._feed = feed
        self._blotter = blotter
        self._history = history
        self._wanted = wanted
        self.seq = feed.last_seq
        self._terms: OrderedDict[str, Terms] = OrderedDict()
        self._is_lagging = False

    async def begin(self, params: SubscribeParams) -> None:
        """Go to the place in the past where the bot wants to begin."""
        self.seq = await first_position(self._feed, params, self._is_wanted)

    async def run(self, peer: Peer) -> None:
        """Send every event that is wanted, in order, as fast as the bot reads."""
        while True:
            await self._feed.wait(self.seq)
            await self._tell_lag(peer)
            for seq, entry in await self._feed.read(self.seq, EVENTS_PER_READ):
                if await self._is_wanted(entry):
                    await peer.send(notification("event", show_entry(seq, entry)))
                self.seq = seq
                if seq % EVENTS_PER_TURN == 0:
                    await asyncio.sleep(0)

    async def _tell_lag(self, peer: Peer) -> None:
        """Tell a bot that it falls behind, and when it has caught up it may be told again."""
        behind = self._feed.last_seq - self.seq
        if behind > LAG_MAX and not self._is_lagging:
            self._is_lagging = True
            told = {"seq": self.seq, "behind": behind}
            await peer.send(notification("events.lagging", told))
        elif behind <= EVENTS_PER_READ:
            self._is_lagging = False

    async def _is_wanted(self, entry: Entry) -> bool:
        event, wanted = entry.event, self._wanted
        if wanted.events and event_name(event) not in wanted.events:
            return False
        if not isinstance(event, OrderEvent):
            executor = event.executor if isinstance(event, ExecutorEvent) else None
            return not wanted.needs_order and wanted.orders.executor in {None, executor}
        if wanted.cl_ord_id not in {None, event.cl_ord_id}:
            return False
        if entry.after is not None and not matches_status(wanted.orders, entry.after.ord_status):
            return False
        if not wanted.needs_terms:
            return True
        terms = event.terms if isinstance(event, OrderSubmitted) else None
        terms = terms or await self._terms_of(event.cl_ord_id)
        return terms is not None and matches_terms(wanted.orders, terms)

    async def _terms_of(self, cl_ord_id: str) -> Terms | None:
        terms = self._terms.get(cl_ord_id)
        if terms is None:
            order = self._blotter.get(cl_ord_id) or await self._history.find(cl_ord_id=cl_ord_id)
            if order is None:
                return None
            terms = self._terms[cl_ord_id] = order.terms
            if len(self._terms) > TERMS_CACHED:
                self._terms.popitem(last=False)
        return terms
