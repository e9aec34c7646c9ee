"""
Every order in memory, found by any of its ids, and the fold that puts events into it.

Rule 1: events change it by one fold, live and in replay; beside that, settled orders come back by
        `remember` and leave by `forget`. Only the engine calls any of these, and its `recall`.
Rule 2: a `Stage` holds what a batch will have changed, so that nothing is seen by anyone before
        it is durable; it is absorbed after the commit or thrown away.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import cast

from msgspec import Struct

from brokerd.errors import JournalError
from brokerd.events import (
    AnyEvent,
    Entry,
    Event,
    OrderEvent,
    OrderSubmitted,
    OrderTraded,
    without_secrets,
)
from brokerd.fold import apply, submitted
from brokerd.limits import NOTHING, Exposure, exposure_of
from brokerd.orders import Order
from brokerd.states import Status

NO_EXECUTIONS: frozenset[str] = frozenset()


class Change(Struct, gc=False, frozen=True):
    """One journalled event with the order it left behind, if it was about one."""

    seq: int
    entry: Entry
    order: Order | None


class Blotter:
    """
    All unsettled orders, and the recently settled ones until they are dropped by `forget`.

    A settled order that was dropped is not unknown: the engine fetches it from history and hands
    it to `remember` before anything is decided about it. `by_status` counts those in memory, which
    are all that are open or pending.
    """

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._by_venue_cl_ord_id: dict[str, str] = {}
        self._by_venue_order_id: dict[tuple[str, str], str] = {}
        self._exec_ids: dict[str, set[str]] = {}
        self._former_ids: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        self._settled: dict[str, None] = {}
        self._unsettled: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._asking: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.exposures: dict[str, Exposure] = {}
        self.by_status: Counter[Status] = Counter()

    def weigh(self, executor: str) -> None:
        """Keep count of what is open at an executor. Called before it has orders."""
        self.exposures[executor] = NOTHING

    def __len__(self) -> int:
        return len(self._orders)

    def get(self, cl_ord_id: str) -> Order | None:
        """Return the order with that id, None if it is not in memory."""
        return self._orders.get(cl_ord_id)

    def find(
        self, executor: str, venue_cl_ord_id: str | None, venue_order_id: str | None
    ) -> Order | None:
        """Return the order a venue means, by our id first: the venue's may come late."""
        cl_ord_id = self._by_venue_cl_ord_id.get(venue_cl_ord_id or "")
        if cl_ord_id is None and venue_order_id is not None:
            cl_ord_id = self._by_venue_order_id.get((executor, venue_order_id))
        return self._orders.get(cl_ord_id) if cl_ord_id is not None else None

    def exec_ids(self, cl_ord_id: str) -> Iterable[str]:
        """Return the ids of the executions counted for an order."""
        return self._exec_ids.get(cl_ord_id, NO_EXECUTIONS)

    def has_execution(self, cl_ord_id: str, exec_id: str) -> bool:
        """Whether that execution is already counted."""
        return exec_id in self._exec_ids.get(cl_ord_id, NO_EXECUTIONS)

    def unsettled(self, executor: str) -> list[Order]:
        """Return the executor's orders that the venue may still say something about."""
        return [self._orders[cl_ord_id] for cl_ord_id in self._unsettled[executor]]

    def unsettled_ids(self, executor: str) -> list[str]:
        """Return their cl_ord_ids, which is cheap also for many."""
        return list(self._unsettled[executor])

    def unsettled_count(self, executor: str) -> int:
        """Count them without building a list."""
        return len(self._unsettled[executor])

    def asking(self, executor: str) -> list[Order]:
        """Return the orders the venue must be asked about: in doubt, or with fills missing."""
        return [self._orders[cl_ord_id] for cl_ord_id in self._asking[executor]]

    def executors(self) -> list[str]:
        """Name every executor that has unsettled orders."""
        return [name for name, orders in self._unsettled.items() if orders]

    def __iter__(self) -> Iterator[Order]:
        return iter(list(self._orders.values()))

    def fold(self, seq: int, event: AnyEvent) -> Order | None:
        """Put one event of the journal into memory; return the order it was about."""
        stage = Stage(self, seq)
        order = stage.record(event)
        self.absorb(stage)
        return order

    def remember(self, order: Order, exec_ids: Iterable[str]) -> None:
        """Take in an order from a snapshot or from history, with the executions it has counted."""
        self._put(order)
        if order.cum_qty:
            self._exec_ids.setdefault(order.cl_ord_id, set()).update(exec_ids)

    def absorb(self, stage: "Stage") -> None:
        """Make a stage's changes real: called once its events are durable."""
        for order in stage.orders.values():
            self._put(order)
        for cl_ord_id, exec_ids in stage.exec_ids.items():
            self._exec_ids.setdefault(cl_ord_id, set()).update(exec_ids)

    def forget(self, keep: int, durable_seq: int) -> int:
        """
        Drop the longest settled orders beyond `keep`, as far as history has them.

        Returns how many were dropped. `durable_seq` is the last journal row history has taken in.
        """
        surplus = len(self._settled) - keep
        dropped = 0
        for cl_ord_id in list(islice(self._settled, max(surplus, 0))):
            order = self._orders[cl_ord_id]
            if order.seq > durable_seq:
                break
            self._drop(order)
            dropped += 1
        return dropped

    def _put(self, order: Order) -> None:
        cl_ord_id, executor = order.cl_ord_id, order.terms.executor
        before = self._orders.get(cl_ord_id)
        self._orders[cl_ord_id] = order
        self._count(before, order)
        if executor in self.exposures:
            self.exposures[executor] = _weighed(self.exposures[executor], before, order)
        if before is None and not order.is_external:
            # Whoever made an external order may give its client id to another.
            self._by_venue_cl_ord_id[order.venue_cl_ord_id] = cl_ord_id
        if order.venue_order_id is not None:
            self._by_venue_order_id[executor, order.venue_order_id] = cl_ord_id
        if before is not None and before.venue_order_id not in {None, order.venue_order_id}:
            # A replace may give the order another id at the venue; the old one keeps pointing here.
            self._former_ids[cl_ord_id].append((executor, str(before.venue_order_id)))
        if order.is_settled:
            self._unsettled[executor].pop(cl_ord_id, None)
            self._settled[cl_ord_id] = None
        else:
            self._unsettled[executor][cl_ord_id] = None
            self._settled.pop(cl_ord_id, None)
        if order.must_be_asked:
            self._asking[executor][cl_ord_id] = None
        else:
            self._asking[executor].pop(cl_ord_id, None)

    def _count(self, before: Order | None, after: Order) -> None:
        if before is not None:
            self.by_status[before.status] -= 1
        self.by_status[after.status] += 1

    def _drop(self, order: Order) -> None:
        del self._orders[order.cl_ord_id], self._settled[order.cl_ord_id]
        self.by_status[order.status] -= 1
        if self._by_venue_cl_ord_id.get(order.venue_cl_ord_id) == order.cl_ord_id:
            del self._by_venue_cl_ord_id[order.venue_cl_ord_id]
        self._exec_ids.pop(order.cl_ord_id, None)
        former = self._former_ids.pop(order.cl_ord_id, [])
        for key in [*former, (order.terms.executor, order.venue_order_id or "")]:
            # A venue may have given the id to a newer order, which keeps it.
            if self._by_venue_order_id.get(key) == order.cl_ord_id:
                del self._by_venue_order_id[key]


def _weighed(exposure: Exposure, before: Order | None, after: Order) -> Exposure:
    return exposure.minus(exposure_of(before)).plus(exposure_of(after))


class Stage:
    """
    The blotter as it will be once a batch is durable: what `decide` reads and the engine folds into.

    `changes` lists the batch in journal order; `orders` holds the last state of each order in it.
    """

    def __init__(self, blotter: Blotter, first_seq: int) -> None:
        self._blotter = blotter
        self._first_seq = first_seq
        self.changes: list[Change] = []
        self.orders: dict[str, Order] = {}
        self.exec_ids: dict[str, set[str]] = {}
        self._exposures: dict[str, Exposure] = {}
        self._by_venue_cl_ord_id: dict[str, str] = {}
        self._by_venue_order_id: dict[tuple[str, str], str] = {}

    def exposure(self, executor: str) -> Exposure:
        """Return what is open at an executor that is weighed, as this batch leaves it."""
        return self._exposures.get(executor) or self._blotter.exposures[executor]

    def get(self, cl_ord_id: str) -> Order | None:
        """Return the order with that id as this batch leaves it."""
        return self.orders.get(cl_ord_id) or self._blotter.get(cl_ord_id)

    def find(
        self, executor: str, venue_cl_ord_id: str | None, venue_order_id: str | None
    ) -> Order | None:
        """Return the order a venue means, as this batch leaves it, by our id first."""
        cl_ord_id = self._by_venue_cl_ord_id.get(venue_cl_ord_id or "")
        order = self._blotter.find(executor, venue_cl_ord_id, None)
        if cl_ord_id is None and order is None and venue_order_id is not None:
            cl_ord_id = self._by_venue_order_id.get((executor, venue_order_id))
            order = self._blotter.find(executor, None, venue_order_id)
        if cl_ord_id is not None:
            return self.orders[cl_ord_id]
        return self.orders.get(order.cl_ord_id, order) if order is not None else None

    def has_execution(self, cl_ord_id: str, exec_id: str) -> bool:
        """Whether that execution is counted, in this batch or before."""
        return exec_id in self.exec_ids.get(
            cl_ord_id, NO_EXECUTIONS
        ) or self._blotter.has_execution(cl_ord_id, exec_id)

    def record(self, event: Event) -> Order | None:
        """
        Fold one event; return the order it was about. Raises where the journal contradicts itself.

        Whatever goes on record comes by here, so here its texts lose what looks like a secret.
        """
        event = without_secrets(event)
        seq = self._first_seq + len(self.changes)
        order = self._fold(seq, event) if isinstance(event, OrderEvent) else None
        entry = Entry(cast("AnyEvent", event), order.after() if order is not None else None)
        self.changes.append(Change(seq, entry, order))
        return order

    def record_order(self, event: OrderEvent) -> Order:
        """Fold one event about an order; return that order."""
        order = self.record(event)
        assert order is not None  # noqa: S101 - an order event always leaves an order
        return order

    def _fold(self, seq: int, event: OrderEvent) -> Order:
        before = self.get(event.cl_ord_id)
        if isinstance(event, OrderSubmitted):
            if before is not None:
                raise JournalError(f"row {seq} submits {event.cl_ord_id} a second time")
            order = submitted(event, seq)
            if not order.is_external:
                self._by_venue_cl_ord_id[order.venue_cl_ord_id] = order.cl_ord_id
        elif before is None:
            raise JournalError(f"row {seq} is about {event.cl_ord_id}, which was never submitted")
        else:
            order = apply(before, event, seq)
        executor = order.terms.executor
        if executor in self._blotter.exposures:
            self._exposures[executor] = _weighed(self.exposure(executor), before, order)
        if isinstance(event, OrderTraded):
            self.exec_ids.setdefault(order.cl_ord_id, set()).add(event.exec_id)
        if order.venue_order_id is not None:
            key = (order.terms.executor, order.venue_order_id)
            self._by_venue_order_id[key] = order.cl_ord_id
        self.orders[order.cl_ord_id] = order
        return order
