"""
What must be true, at every step and at the end.

The oracle reads two records that the daemon does not make: the venue's own log, and the rows on the
disk, decoded from their bytes and folded a second time. It never asks the daemon.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from tests.simulation.claims import FILLS, Claims
from tests.simulation.disk import Disk
from tests.simulation.ending import unsettled
from tests.simulation.loop import Time
from tests.simulation.story import Story
from tests.simulation.venue import Venue
from tests.simulation.venue_log import STRANGER, WEB, AnyRequest, ours_of

from brokerd.blotter import Blotter, Change
from brokerd.events import (
    AnyEvent,
    CancelRequested,
    DaemonStarted,
    ExecutorChanged,
    OrderAdopted,
    OrderEvent,
    OrderReplaced,
    OrderSubmitted,
    OrderTraded,
    ReplaceRequested,
    RequestRefused,
    RequestRetried,
    event_name,
)
from brokerd.executor import CancelOrder, LinkState, PlaceOrder, ReplaceOrder
from brokerd.journal.fold import Fold
from brokerd.limits import Limits
from brokerd.orders import Order
from brokerd.storage import Row
from brokerd.views import ShownOrder, show_order

ASKED_WITHIN_S = 10.0
"""How soon a venue is asked about an order that it does not know, however many wait before it."""

FROZEN_WITHIN_S = 3.0
"""How soon an executor that is frozen takes no new order: what the disk is at work on passes."""


class Violation(BaseException):
    """
    A promise is broken: which, by which order (its id at the venue), and how.

    No error of a program: nothing that is under test may catch it.
    """

    def __init__(self, invariant: str, ours: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant
        self.ours = ours
        self.what = what


class Oracle:
    """Watches one seed. Every method raises Violation when a promise is broken."""

    def __init__(
        self,
        venues: Mapping[str, Venue],
        limits: Mapping[str, Limits],
        story: Story,
        time: Time,
        on_violation: Callable[[Violation], None],
    ) -> None:
        self.venues = venues
        self.disk: Disk
        self._time = time
        self._on_violation = on_violation
        self.acknowledged: dict[str, int] = {}
        self.questions: Counter[str] = Counter()
        self._story = story
        self._runs = 0
        self._banned_until_s: defaultdict[str, float] = defaultdict(float)
        self._frozen_s: dict[str, float] = {}
        self._sent: Counter[tuple[str, str]] = Counter()
        self._claims = Claims(venues, limits, self._sent, self.violated)
        self._forget_rows()

    def _forget_rows(self) -> None:
        self.fold = Fold()
        self._started_at_ns = self._newest_ns = 0
        self._after: list[Order | None] = []
        self._asked: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._counted: dict[str, str] = {}
        self._ours: dict[str, str] = {}

    # Rows.

    def on_rows(self, rows: Iterable[Row]) -> None:
        """Fold rows as they are written, and hold what they claim against the venue's log."""
        for row in rows:
            event = row.entry.event
            self._check_run(event)
            before = (
                self.fold.orders.get(event.cl_ord_id) if isinstance(event, OrderEvent) else None
            )
            order = self._take(row)
            if order is None:
                continue
            assert isinstance(event, OrderEvent)
            if row.entry.after != order.after():
                self._fail(
                    "replay equals memory", order, "the row's `after` is not what it folds to"
                )
            self._check_row(event, before, order, row.seq)

    def on_crash(self, lost: int) -> None:
        """Forget the rows that a crash has lost, and see that nobody was promised them."""
        if lost:
            self._forget_rows()
            for row in self.disk.rows:
                self._take(row)
        for cl_ord_id, seq in self.acknowledged.items():
            if seq > len(self.disk.rows):
                self.violated("acknowledged means durable", cl_ord_id, "the crash lost its row")

    def _take(self, row: Row) -> Order | None:
        order = self.fold.step(row)
        self._after.append(order)
        event = row.entry.event
        self._newest_ns = event.at_ns
        if isinstance(event, DaemonStarted):
            self._started_at_ns = event.at_ns
        if order is not None:
            self._note(event, order)
        return order

    def _note(self, event: AnyEvent, order: Order) -> None:
        """Keep what a row says was asked of the venue, and what is counted."""
        ours = order.venue_cl_ord_id
        match event:
            case OrderAdopted():
                self._check_other(order)
            case OrderSubmitted():
                if self._ours.setdefault(ours, order.cl_ord_id) != order.cl_ord_id:
                    self._fail("never twice", order, f"the id {ours} was used before")
                self._asked[ours, "new"].append(order.seq)
            case CancelRequested() if not event.queued:
                self._asked[ours, "cancel"].append(order.seq)
            case ReplaceRequested():
                self._asked[ours, "replace"].append(order.seq)
            case RequestRetried():
                self._asked[ours, event.request.value].append(order.seq)
            case OrderTraded():
                if event.exec_id in self._counted:
                    self._fail("each execution once", order, f"{event.exec_id} is counted twice")
                self._counted[event.exec_id] = order.cl_ord_id
            case _:
                pass

    def _check_other(self, order: Order) -> None:
        if not order.venue_cl_ord_id.startswith(WEB):
            self._fail("others are told apart", order, "an order of ours was taken for another's")

    def _check_run(self, event: AnyEvent) -> None:
        """See that runs go on from one another, and links from what happened before them."""
        match event:
            case DaemonStarted():
                self._runs += 1
                self._frozen_s = {}
                if event.at_ns < self._newest_ns:
                    self.violated("time goes on", "", "a run begins before the last one ended")
            case ExecutorChanged(executor=name, state=LinkState.FROZEN):
                self._frozen_s[name] = self._time.now_s
            case ExecutorChanged(executor=name, state=LinkState.UP):
                venue = self.venues[name]
                subscribed_s, looked_s = venue.subscribed_s, venue.looked_s
                if subscribed_s is None or looked_s is None or looked_s < subscribed_s:
                    self.violated(FILLS, "", f"{name} is up, and not seen since it is listened to")
            case _:
                pass

    def _check_row(self, event: OrderEvent, before: Order | None, order: Order, seq: int) -> None:
        self._story.tell(
            self._time.now_s, "journal", "{}: {} {}, now {} {}/{}{}", seq, event_name(event),
            getattr(event, "reason", "") or event.road, order.ord_status, order.cum_qty, order.qty,
            " in doubt" if order.in_doubt else "", about=order.venue_cl_ord_id,
        )  # fmt: skip
        reopens = before is not None and before.is_final and not order.is_final
        if reopens and not isinstance(event, OrderReplaced):
            self._fail("terminal stays terminal", order, f"{before.ord_status} was left")
        if isinstance(event, OrderSubmitted) and not order.is_external:
            frozen_s = self._frozen_s.get(order.terms.executor, math.inf)
            if frozen_s + FROZEN_WITHIN_S < self._time.now_s:
                self._fail("strangers are noticed", order, "a frozen executor takes it")
        if isinstance(event, RequestRefused) and event.reason == "unknown_order":
            asked = self.questions[_asked_as(order)]
            self._time.after(ASKED_WITHIN_S, self._check_asked, order, asked, self._runs)
        self._claims.check(event, order)

    def _check_asked(self, before: Order, asked: int, run: int) -> None:
        """See that an order that its venue does not know was asked about, or heard of, since then."""
        order = self.fold.orders[before.cl_ord_id]
        was_banned = self._banned_until_s[order.terms.executor] > self._time.now_s - ASKED_WITHIN_S
        was_heard = order.seq > before.seq or self.questions[_asked_as(order)] > asked
        if run == self._runs and not (was_banned or was_heard or order.is_settled):
            self._fail("doubt ends with evidence", order, "it is unknown, and nobody asks")

    # The wire and the venue.

    def on_wire(self, kind: str, request: AnyRequest) -> None:
        """See that what is about to leave is on the disk, safe, and has not left before."""
        ours = ours_of(request)
        self._sent[ours, kind] += 1
        durable = sum(seq <= self.disk.synced for seq in self._asked[ours, kind])
        if self._sent[ours, kind] > durable:
            what = f"{kind} leaves {self._sent[ours, kind]} times, and is on record {durable} times"
            invariant = "journal before send" if not durable else "never twice"
            self.violated(invariant, ours, what)
        if kind == "new" and self._sent[ours, kind] > 1:
            self.violated("never twice", ours, "a new order left twice")
        if ours not in self._ours:
            self.violated("others are never touched", ours, f"{kind} leaves for it")
        order = self.fold.orders[self._ours[ours]]
        self._check_request(request, order)

    def on_ban(self, name: str, until_s: float, *, is_on_record: bool) -> None:
        """See that a ban is not found out a second time, by the run after the one that knew it."""
        self._banned_until_s[name] = until_s
        if is_on_record:
            self.violated("a ban survives a restart", "", f"{name} was asked in spite of its ban")

    def _check_request(self, request: AnyRequest, order: Order) -> None:
        match request:
            case PlaceOrder():
                is_so = request.terms == order.terms
            case ReplaceOrder():
                is_so = request.replace_no <= order.replace_no
            case CancelOrder():
                is_so = True
        if not is_so:
            self._fail("journal before send", order, "what leaves is not what is on record")

    # The daemon.

    def on_commit(self, changes: Iterable[Change], blotter: Blotter) -> None:
        """See that memory is what the rows fold to."""
        latest: dict[str, Order] = {}
        for change in changes:
            if change.seq > self.disk.synced:
                self.violated("acknowledged means durable", "", f"row {change.seq} is not synced")
            if change.order != self._after[change.seq - 1]:
                self.violated("replay equals memory", "", f"row {change.seq} folds otherwise")
            if change.order is not None:
                latest[change.order.cl_ord_id] = change.order
        for cl_ord_id, order in latest.items():
            if blotter.get(cl_ord_id) != order:
                self._fail("replay equals memory", order, "memory is not what the rows fold to")

    def on_start(self, blotter: Blotter) -> None:
        """See that a new run remembers what the disk knows, no less and no other."""
        for order in self.fold.orders.values():
            held = blotter.get(order.cl_ord_id)
            if held != order and not (held is None and order.is_settled):
                self._fail("replay equals memory", order, "the new run remembers it otherwise")
            request = held.request if held is not None else None
            is_old = request is not None and request.asked_at_ns < self._started_at_ns
            if request is not None and is_old and not request.in_doubt:
                self._fail("doubt ends with evidence", order, "a restart ended a doubt")

    def on_answer(self, shown: ShownOrder) -> None:
        """See that what a bot was told is safe on the disk, and is what the rows say."""
        cl_ord_id, seq = shown.cl_ord_id, shown.seq
        if seq > self.disk.synced:
            self.violated("acknowledged means durable", cl_ord_id, f"row {seq} is not synced")
        order = self._after[seq - 1]
        if order is None or show_order(order) != shown:
            self.violated("replay equals memory", cl_ord_id, f"a bot was told otherwise than {seq}")
        self.acknowledged[cl_ord_id] = max(seq, self.acknowledged.get(cl_ord_id, 0))

    # The end.

    def at_end(self, lasted_s: float, runs: int, poll_floor_s: float) -> None:
        """See that everything has settled, as far as the venues' promises allow."""
        for cl_ord_id in self.acknowledged:
            if cl_ord_id not in self.fold.orders:
                self.violated("acknowledged means durable", cl_ord_id, "it is gone")
        for order in self.fold.orders.values():
            self._check_end(order)
            self._check_questions(order, 12 * runs + lasted_s / 10 + lasted_s / poll_floor_s)
        for name, venue in self.venues.items():
            for ours, orders in venue.orders.items():
                is_strange = ours.startswith(STRANGER) and orders[-1].is_others_and_open
                if is_strange and name not in self._frozen_s:
                    self.violated("strangers are noticed", ours, f"{name} is not frozen")
                if ours not in self._ours and not all(each.is_others for each in orders):
                    self.violated("journal before send", ours, "an order nobody has on record")
                self._claims.check_refused_replaces(orders)

    def has_settled(self) -> bool:
        """Whether every order is as it should be long after everything has healed."""
        return not any(self._wrong_at_end(each) for each in self.fold.orders.values())

    def _check_end(self, order: Order) -> None:
        wrong = self._wrong_at_end(order)
        if wrong is not None:
            self._fail(wrong[0], order, wrong[1])

    def _wrong_at_end(self, order: Order) -> tuple[str, str] | None:
        """Return the promise that is broken, and how; None if all is well."""
        venue = self.venues[order.terms.executor]
        known = venue.orders_of(order.venue_cl_ord_id)
        is_told = venue.capabilities.query_closed or not order.is_external
        if any(each.is_forgotten for each in known) or not is_told:
            return None
        counted = {each for each, name in self._counted.items() if name == order.cl_ord_id}
        real = {e.exec_id for each in known for e in each.executions}
        if counted != real:
            return FILLS, f"missing {sorted(real - counted)}, invented {sorted(counted - real)}"
        wrong = unsettled(order, known, venue.capabilities)
        return None if wrong is None else ("everything settles", wrong)

    def _check_questions(self, order: Order, explained: float) -> None:
        """Hold the questions that an order cost to what time, runs and its own events explain."""
        rows = sum(each is not None and each.cl_ord_id == order.cl_ord_id for each in self._after)
        most, asked = explained + 4 * rows, self.questions[_asked_as(order)]
        if asked > most:
            self._fail("no busy loop", order, f"{asked} questions, {most:.0f} are explained")

    def violated(self, invariant: str, ours: str, what: str) -> NoReturn:
        """Say that a promise is broken, and raise that."""
        violation = Violation(invariant, ours, what)
        self._on_violation(violation)
        raise violation

    def _fail(self, invariant: str, order: Order, what: str) -> NoReturn:
        self.violated(invariant, order.venue_cl_ord_id, f"{order.cl_ord_id}: {what}")


def _asked_as(order: Order) -> str | None:
    """Return what questions about an order name it by."""
    return order.venue_order_id if order.is_external else order.venue_cl_ord_id
