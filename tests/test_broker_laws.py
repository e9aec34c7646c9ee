"""
Laws of `decide` over everything that venues, bots and retries may say, in any order.

The venue here is not even consistent: it may fill what it rejected and find what it had not found.
Whatever it says, doubt ends with evidence, executions count once, and nothing is sent twice.
"""

from collections import defaultdict
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.laws import examples
from tests.scripted import D, E, K, S, execution, report, reported, submit, view

from brokerd.blotter import Blotter, Change, Stage
from brokerd.broker import decide
from brokerd.events import (
    CancelRequested,
    OrderReplaced,
    OrderSubmitted,
    OrderTraded,
    ReplaceRequested,
    RequestKind,
    RequestResolved,
    RequestRetried,
    Resolution,
    Road,
    decode_entry,
    encode_entry,
)
from brokerd.executor import Accepted, InDoubt, NotSent, OrderView, Outcome, Refused, Report
from brokerd.limits import exposure_of
from brokerd.messages import (
    Answered,
    Cancel,
    Message,
    Replace,
    Reported,
    Resolve,
    RetryDue,
    Send,
    Viewed,
)
from brokerd.orders import Order
from brokerd.states import FINAL

IDS = ("x", "y")
ABSENCE_NS = 5
FAR_NS = 10**6
ABSENT = {"not_found_at_venue", "forgotten_by_venue"}

ids = st.sampled_from(IDS)
lots = st.integers(1, 12).map(D)
fills = st.integers(1, 6).map(lambda n: execution(f"e{n}", n))
"""An execution's id tells its quantity: a repeat is the same execution."""


@st.composite
def reports(draw: st.DrawFn, cl_ord_id: str) -> Report:
    exec_type = draw(
        st.sampled_from([E.NEW, E.TRADE, E.TRADE, E.REPLACED, E.CANCELED, E.EXPIRED, E.REJECTED])
    )
    return report(
        exec_type,
        cl_ord_id,
        venue_cl_ord_id=draw(st.sampled_from([f"v-{cl_ord_id}", None])),
        venue_order_id=draw(st.sampled_from([f"1-{cl_ord_id}", f"2-{cl_ord_id}", None])),
        execution=draw(fills) if exec_type is E.TRADE else None,
        qty=draw(lots) if exec_type is E.REPLACED else None,
        replace_no=draw(st.none() | st.integers(1, 3)),
        cum_qty=draw(st.none() | lots),
    )


@st.composite
def views(draw: st.DrawFn, cl_ord_id: str) -> OrderView:
    return view(
        draw(st.sampled_from([S.NEW, S.NEW, S.PARTIALLY_FILLED, *sorted(FINAL)])),
        cl_ord_id,
        qty=draw(lots),
        executions=tuple(draw(st.lists(fills, max_size=3))),
    )


@st.composite
def outcomes(draw: st.DrawFn, cl_ord_id: str) -> Outcome:
    return draw(
        st.one_of(
            st.builds(
                Accepted,
                reports=st.lists(reports(cl_ord_id), max_size=2).map(tuple),
                sent_at_ns=st.none() | st.just(1),
            ),
            st.builds(Refused, reason=st.just("no"), is_about_order=st.booleans()),
            st.builds(NotSent, reason=st.just("dns")),
            st.just(InDoubt(evidence="lost")),
        )
    )


class AnyWorld(RuleBasedStateMachine):
    """Bots, venues and retries at random, the rules in between, and a ledger of what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.blotter, self.replayed = Blotter(), Blotter()
        self.changes: list[Change] = []
        self.now_ns = 100
        self.delivered: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
        self.sent: set[tuple[str, RequestKind, int, int]] = set()
        self.doubted_new: set[str] = set()
        self.absent_ns: dict[str, int] = {}

    @initialize(is_raised=st.booleans(), ns=st.none() | st.just(20))
    def begin(self, *, is_raised: bool, ns: int | None) -> None:
        """An order is new; or it is filled, and a replace that may have raised it had no answer."""
        self.tell(submit("x", at_ns=self.now_ns))
        if is_raised:
            self.tell(reported(report(E.NEW), at_ns=self.now_ns))
            self.tell(Replace("x", D(20), None, self.now_ns))
            self.reply_is_lost("x", ns)
            self.venue_fills_the_rest("x")

    @rule(cl_ord_id=ids)
    def bot_submits(self, cl_ord_id: str) -> None:
        self.tell(submit(cl_ord_id, at_ns=self.now_ns))

    @rule(cl_ord_id=ids)
    def bot_cancels(self, cl_ord_id: str) -> None:
        self.tell(Cancel(cl_ord_id, self.now_ns))

    @rule(cl_ord_id=ids, qty=lots)
    def bot_replaces(self, cl_ord_id: str, qty: Decimal) -> None:
        self.tell(Replace(cl_ord_id, qty, None, self.now_ns))

    @rule(data=st.data(), cl_ord_id=ids, kind=st.sampled_from(K), passed=st.integers(0, 1))
    def call_ends(
        self, data: st.DataObject, cl_ord_id: str, kind: RequestKind, passed: int
    ) -> None:
        order = self.blotter.get(cl_ord_id)
        request = order.request if order else None
        kind, attempt = (request.kind, request.attempt - passed) if request else (kind, 1)
        outcome = data.draw(outcomes(cl_ord_id))
        final_at_ns = data.draw(st.none() | st.integers(0, 20).map(lambda n: self.now_ns + n))
        if not isinstance(outcome, InDoubt):
            final_at_ns = None
        elif request and request.in_doubt:
            return  # one call, one answer
        self.tell(Answered(cl_ord_id, kind, attempt, outcome, self.now_ns, final_at_ns))

    @rule(cl_ord_id=ids, ns=st.none() | st.integers(0, 5))
    def reply_is_lost(self, cl_ord_id: str, ns: int | None) -> None:
        order = self.blotter.get(cl_ord_id)
        if order is not None and order.request is not None and not order.request.in_doubt:
            kind, attempt = order.request.kind, order.request.attempt
            final_at_ns = None if ns is None else self.now_ns + ns
            lost = InDoubt(evidence="lost")
            self.tell(Answered(cl_ord_id, kind, attempt, lost, self.now_ns, final_at_ns))

    @rule(cl_ord_id=ids, step=st.integers(1, 2))
    def retry_is_due(self, cl_ord_id: str, step: int) -> None:
        order = self.blotter.get(cl_ord_id)
        if order is not None and order.request is not None:
            attempt = order.request.attempt + step
            self.tell(RetryDue(cl_ord_id, order.request.kind, attempt, "dns", self.now_ns))

    @rule(data=st.data(), cl_ord_id=ids)
    def venue_reports(self, data: st.DataObject, cl_ord_id: str) -> None:
        self.tell(reported(data.draw(reports(cl_ord_id)), at_ns=self.now_ns))

    @rule(cl_ord_id=ids)
    def venue_fills_the_rest(self, cl_ord_id: str) -> None:
        order = self.blotter.get(cl_ord_id)
        if order is not None and order.leaves_qty:
            rest = execution(f"rest-{self.now_ns}", order.leaves_qty)
            told = report(E.TRADE, cl_ord_id, execution=rest)
            self.tell(reported(told, at_ns=self.now_ns))

    @rule(data=st.data(), cl_ord_id=ids, ago=st.integers(0, 30), forgets=st.booleans())
    def venue_is_asked(
        self, data: st.DataObject, cl_ord_id: str, ago: int, *, forgets: bool
    ) -> None:
        shown = data.draw(st.none() | views(cl_ord_id))
        asked_at_ns = self.now_ns - ago
        after_ns = None if forgets else ABSENCE_NS
        self.tell(Viewed(cl_ord_id, shown, Road.QUERY, asked_at_ns, self.now_ns, after_ns))

    @rule(cl_ord_id=ids)
    def venue_knows_nothing(self, cl_ord_id: str) -> None:
        self.tell(Viewed(cl_ord_id, None, Road.QUERY, self.now_ns, self.now_ns, ABSENCE_NS))

    @rule(cl_ord_id=ids, outcome=st.sampled_from(Resolution), tells=st.booleans())
    def a_person_says(self, cl_ord_id: str, outcome: Resolution, *, tells: bool) -> None:
        self.tell(
            Resolve(
                cl_ord_id=cl_ord_id,
                outcome=outcome,
                by="uid 0",
                reason="looked",
                at_ns=self.now_ns,
                is_answered=tells,
                shows_closed=tells,
            )
        )

    @rule(ns=st.integers(1, 20))
    def time_passes(self, ns: int) -> None:
        """By itself it changes nothing: there is no message for it."""
        self.now_ns += ns

    @precondition(lambda self: self.blotter.get("x") is not None)
    @rule(data=st.data())
    def a_batch_is_thrown_away(self, data: st.DataObject) -> None:
        before = self.state()
        stage = Stage(self.blotter, len(self.changes) + 1)
        for _ in range(3):
            decide(stage, reported(data.draw(reports("x")), at_ns=self.now_ns))
            decide(stage, Cancel("x", self.now_ns))
        assert self.state() == before

    def tell(self, message: Message) -> None:
        self.now_ns += 1
        before = {order.cl_ord_id: order for order in self.blotter}
        stage = Stage(self.blotter, len(self.changes) + 1)
        decision = decide(stage, message)
        self.blotter.absorb(stage)
        self.changes += stage.changes
        for change in stage.changes:
            row = encode_entry(change.entry)
            assert self.replayed.fold(change.seq, decode_entry(row).event) == change.order
        self.learn(message, before)
        self.check_sends([a.order for a in decision.actions if isinstance(a, Send)], stage.changes)
        for cl_ord_id, order in before.items():
            after = self.blotter.get(cl_ord_id)
            assert after is not None
            self.check_doubt(order, after, message)
            self.check_replace(order, after, message)
            self.check_last_word(order, after, stage.changes)

    def learn(self, message: Message, before: dict[str, Order]) -> None:
        """Keep the ledger: the executions that were delivered for orders that exist."""
        told: list[tuple[str, Report | OrderView]] = []
        match message:
            case Reported(report=each):
                named = self.blotter.find("sim", each.venue_cl_ord_id, each.venue_order_id)
                told += [(named.cl_ord_id, each)] if named else []
            case Answered(outcome=Accepted(reports=several)):
                told += [(message.cl_ord_id, each) for each in several]
            case Viewed(view=shown) if shown is not None:
                told += [(message.cl_ord_id, shown)]
            case _:
                pass
        for cl_ord_id, what in told:
            if cl_ord_id in before:
                several = what.executions if isinstance(what, OrderView) else (what.execution,)
                self.delivered[cl_ord_id] |= {e.exec_id: e.last_qty for e in several if e}

    def check_sends(self, sends: list[Order], changes: list[Change]) -> None:
        """Each thing sent is on record in this very batch, and nothing is sent a second time."""
        for order in sends:
            request = order.request
            assert request is not None
            causes = [c.entry.event for c in changes if c.order == order]
            asked = {
                RequestKind.NEW: OrderSubmitted,
                RequestKind.CANCEL: CancelRequested,
                RequestKind.REPLACE: ReplaceRequested,
            }[request.kind]
            assert len(causes) == 1
            assert isinstance(causes[0], asked | RequestRetried)
            key = (order.cl_ord_id, request.kind, request.attempt, request.since_ns)
            assert key not in self.sent
            self.sent.add(key)
            if request.kind is RequestKind.NEW:
                assert order.cl_ord_id not in self.doubted_new
                assert not order.fill_count

    def check_doubt(self, before: Order, after: Order, message: Message) -> None:
        """Doubt and "pending" end with evidence about this very order."""
        cl_ord_id = before.cl_ord_id
        if after.in_doubt and after.request and after.request.kind is RequestKind.NEW:
            self.doubted_new.add(cl_ord_id)
        if before.not_found_at_ns is None and after.not_found_at_ns is not None:
            assert isinstance(message, Viewed)
            self.absent_ns[cl_ord_id] = message.asked_at_ns
            if before.acked_at_ns is None:
                assert before.request is not None
                assert before.request.final_at_ns is not None
                assert message.asked_at_ns >= before.request.final_at_ns
        was_doubted = before.in_doubt and not after.in_doubt
        was_pending = before.ord_status is S.PENDING_NEW and after.ord_status is not S.PENDING_NEW
        if was_doubted or was_pending:
            self.check_evidence(before, after, message)

    def check_evidence(self, before: Order, after: Order, message: Message) -> None:
        match message:
            case Viewed(view=None) if before.is_final and before.replacing is None:
                # No more can come of a cancel of what is filled, found or not.
                assert [each.kind for each in before.requests] == [RequestKind.CANCEL]
                assert after.is_final
            case Viewed(view=None):
                assert before.cl_ord_id in self.absent_ns
                assert before.not_found_at_ns is not None
                assert message.asked_at_ns >= before.not_found_at_ns + ABSENCE_NS
            case Answered(outcome=Accepted(reports=told)):
                assert told
            case Resolve(outcome=outcome):
                assert before.in_doubt
                request = before.doubted
                assert request is not None
                ends_ns = request.final_at_ns
                assert ends_ns is None or not message.is_answered
                if outcome is Resolution.NOT_EXECUTED:
                    assert message.at_ns >= (ends_ns or 0)
            case RetryDue():
                assert not before.in_doubt
                assert after.reason == "canceled_before_sent"
            case _:
                is_answer = isinstance(message, Answered) and not isinstance(
                    message.outcome, InDoubt
                )
                assert is_answer or isinstance(message, Reported | Viewed), message

    def check_replace(self, before: Order, after: Order, message: Message) -> None:
        """What became of a cancel is no evidence of the replace in doubt that it was sent over."""
        if before.replacing is None or not before.in_doubt or after.replacing is not None:
            return
        match message:
            case Answered(outcome=Accepted(reports=told)):
                assert told
            case Answered():
                assert message.request is RequestKind.REPLACE
            case _:
                assert isinstance(message, Reported | Viewed | Resolve)

    def check_last_word(self, before: Order, after: Order, changes: list[Change]) -> None:
        """A final status stays, but for the venue's fills and replaces."""
        own = [c.entry.event for c in changes if c.order and c.order.cl_ord_id == before.cl_ord_id]
        if before.is_final and after.ord_status is not before.ord_status:
            assert any(
                isinstance(event, OrderTraded | OrderReplaced | RequestResolved) for event in own
            )
            assert after.ord_status is S.FILLED or before.ord_status is S.FILLED
        assert before.stopped_by in {None, after.stopped_by}
        assert before.cum_qty <= after.cum_qty
        if any(getattr(event, "reason", "") in ABSENT for event in own):
            assert before.not_found_at_ns is not None, "absence takes two answers"

    def state(self) -> tuple[object, ...]:
        blotter = self.blotter
        return (list(blotter), blotter.unsettled("sim"), blotter.asking("sim"), blotter.executors())

    @invariant()
    def replay_equals_live(self) -> None:
        assert list(self.replayed) == list(self.blotter)

    @invariant()
    def what_may_be_open_counts_and_can_be_canceled(self) -> None:
        for order in self.blotter:
            wanted = order.replacing
            assert wanted is None or order.request is wanted or order.request.kind is K.CANCEL
            may_be_filled = order.qty if wanted is None else max(order.qty, wanted.qty)
            may_be_open = order.stopped_by is None and order.cum_qty < may_be_filled
            assert may_be_open == (exposure_of(order).orders == 1)
            stage = Stage(self.blotter, len(self.changes) + 1)
            reply = decide(stage, Cancel(order.cl_ord_id, self.now_ns)).reply
            assert may_be_open == (reply == order.cl_ord_id)

    @invariant()
    def every_doubt_has_an_end(self) -> None:
        """A venue that answers for ever that it knows nothing ends it, or a person is believed."""
        for order in self.blotter:
            stage = Stage(self.blotter, len(self.changes) + 1)
            self.find_nothing(stage, order.cl_ord_id, FAR_NS)
            for _ in order.requests:
                left = stage.get(order.cl_ord_id)
                if left is not None and left.in_doubt:
                    reply = decide(stage, self.done(order.cl_ord_id)).reply
                    assert reply == order.cl_ord_id, reply
            self.find_nothing(stage, order.cl_ord_id, 3 * FAR_NS)
            left = stage.get(order.cl_ord_id)
            assert left is not None
            assert not left.in_doubt
            assert left.request is not None or not left.has_unseen_terms

    @staticmethod
    def find_nothing(stage: Stage, cl_ord_id: str, from_ns: int) -> None:
        for at_ns in range(from_ns, from_ns + 10 * ABSENCE_NS, ABSENCE_NS):
            decide(stage, Viewed(cl_ord_id, None, Road.QUERY, at_ns, at_ns, ABSENCE_NS))

    @staticmethod
    def done(cl_ord_id: str) -> Resolve:
        return Resolve(
            cl_ord_id=cl_ord_id,
            outcome=Resolution.DONE,
            by="uid 0",
            reason="looked",
            at_ns=2 * FAR_NS,
            is_answered=True,
            shows_closed=True,
        )

    @invariant()
    def executions_count_once_and_all_of_them(self) -> None:
        for order in self.blotter:
            delivered = self.delivered[order.cl_ord_id]
            assert order.cum_qty == sum(delivered.values(), D(0))
            assert order.fill_count == len(delivered)
            assert set(self.blotter.exec_ids(order.cl_ord_id)) == set(delivered)

    @invariant()
    def the_indexes_tell_what_the_orders_are(self) -> None:
        orders = list(self.blotter)
        for found, wanted in (
            (self.blotter.unsettled("sim"), [o for o in orders if not o.is_settled]),
            (self.blotter.asking("sim"), [o for o in orders if o.must_be_asked]),
        ):
            assert {o.cl_ord_id: o for o in found} == {o.cl_ord_id: o for o in wanted}
        assert self.blotter.unsettled_count("sim") == len(self.blotter.unsettled("sim"))

    def teardown(self) -> None:
        fresh = Blotter()
        for change in self.changes:
            fresh.fold(change.seq, change.entry.event)
        assert list(fresh) == list(self.blotter)


AnyWorld.TestCase.settings = settings(max_examples=examples(100), stateful_step_count=25)
TestAnyWorld = AnyWorld.TestCase
