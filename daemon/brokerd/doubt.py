"""
How doubt ends: what a venue's complete answer about one order proves.

Rule 1: a view is read as the reports that would have led to it (`_as_reports`).
Rule 2: what it shows ends the doubts that it is evidence for (`_settle_request`).
Rule 3: "no such order" is evidence only when the request can no longer arrive and the order could
        have been seen (`absence_counts_from_ns`), and it takes two such answers (`_absent`).
Rule 4: no time that passes ends a doubt.

docs/guarantees.md, Doubt, has them in words, in the order in which they stand here.
"""

from functools import reduce

from msgspec.structs import replace

from brokerd.blotter import Stage
from brokerd.events import (
    OrderDone,
    OrderExpired,
    OrderNotFound,
    OrderRejected,
    RequestKind,
    RequestRefused,
    RequestRetried,
    Road,
)
from brokerd.executor import Execution, OrderView, Report
from brokerd.merge import dispute, dispute_overfill, merge, next_steps
from brokerd.messages import (
    Action,
    Decision,
    Reported,
    RetryDue,
    Send,
    Stranger,
    Viewed,
)
from brokerd.money import ZERO, add
from brokerd.orders import Order, Request
from brokerd.states import FINAL, LAST_WORDS, ExecType, OrdStatus

NOT_FOUND, FORGOTTEN = "not_found_at_venue", "forgotten_by_venue"
PROVED_ABSENT = frozenset({NOT_FOUND, FORGOTTEN})
"""The reasons of an order that ended because its venue has none such."""

CANCEL_ATTEMPTS_MAX = 5
"""How often a cancel that had no effect is sent before the bot is told so."""


def viewed(stage: Stage, message: Viewed) -> Decision:
    """Take in the venue's complete answer about one order."""
    order = stage.get(message.cl_ord_id)
    if order is None:
        return Decision((Stranger(message),))
    resent: tuple[Action, ...] = ()
    if message.view is None:
        _absent(stage, by_this_run(order, message.waits_anew), message)
    else:
        resent = _shown(stage, order, message, message.view)
    return Decision((*resent, *next_steps(stage, order.cl_ord_id, message.at_ns)))


def _shown(stage: Stage, order: Order, message: Viewed, view: OrderView) -> tuple[Action, ...]:
    """Merge a view, tell what in it cannot be, and end the doubts that it is evidence for."""
    is_current = message.asked_at_ns > order.heard_at_ns
    has_terms = is_current or _shows_replace(order, message, view)
    replace_no = _replace_over(order, message, view)
    for report in _as_reports(order, view, has_terms=has_terms, replace_no=replace_no):
        executor = order.terms.executor
        told = Reported(executor, report, message.road, message.at_ns, quote=message.quote)
        merge(stage, order, told)
    latest = stage.get(order.cl_ord_id) or order
    if is_current:
        _dispute(stage, latest, message, view)
    return _settle_requests(stage, by_this_run(latest, message.waits_anew), message, view)


def _dispute(stage: Stage, order: Order, message: Viewed, view: OrderView) -> None:
    """Say what in a view contradicts what was heard before the question left."""
    if order.has_unseen_terms and (view.ord_status in FINAL or view.cum_qty > view.qty):
        dispute_overfill(stage, order, message)
    if order.is_final and view.ord_status not in FINAL:
        evidence = f"the venue shows it {view.ord_status}"
        dispute(stage, order, message, ExecType.NEW, evidence)
    executed = reduce(add, (each.last_qty for each in view.executions), ZERO)
    if message.road is Road.QUERY and executed == view.cum_qty != order.cum_qty:
        # A trade was taken back or changed, or told under two names: what was counted stands.
        evidence = (
            f"the venue shows {view.cum_qty:f} filled, and told executions of {order.cum_qty:f}"
        )
        dispute(stage, order, message, ExecType.TRADE, evidence)


def send_again(stage: Stage, order: Order, at_ns: int, evidence: str) -> Order:
    """Put on record that the order's request is sent once more, and why it may be."""
    assert order.request is not None  # noqa: S101 - callers have looked
    return stage.record_order(
        RequestRetried(
            at_ns=at_ns,
            cl_ord_id=order.cl_ord_id,
            evidence=evidence,
            request=order.request.kind,
            attempt=order.request.attempt + 1,
        )
    )


def _shows_replace(order: Order, message: Viewed, view: OrderView) -> bool:
    """Whether a view shows the terms of the replace under way, so that it was done, whatever came since."""
    request = order.replacing
    if request is None:
        return False
    was_asked_later = message.asked_at_ns > request.asked_at_ns
    return was_asked_later and view.qty == request.qty and view.px in {None, request.px}


def _replace_over(order: Order, message: Viewed, view: OrderView) -> int | None:
    """Return the number of the replace under way if it can no longer arrive: terms tell its outcome."""
    request = by_this_run(order, message.waits_anew).replacing
    if request is None or message.asked_at_ns <= request.asked_at_ns:
        return None
    is_over = request.final_at_ns is not None and message.asked_at_ns >= request.final_at_ns
    return order.replace_no if is_over or view.ord_status in FINAL else None


def _as_reports(
    order: Order, view: OrderView, *, has_terms: bool, replace_no: int | None
) -> list[Report]:
    """
    Read a view as the reports that would have led to it.

    Executions and last words hold however old the view is, and so do the quantity and price that
    a last word goes with. Those of an open order may have been replaced since: they count only if
    nothing was heard after the question left, or they are the ones we asked for (`has_terms`).
    """

    def report(exec_type: ExecType, execution: Execution | None = None) -> Report:
        return Report(
            exec_type=exec_type,
            symbol=view.symbol,
            venue_cl_ord_id=view.venue_cl_ord_id,
            venue_order_id=view.venue_order_id,
            execution=execution,
            qty=view.qty,
            px=view.px,
            cum_qty=view.cum_qty if execution is None else None,
            reason=view.reason,
            venue_at_ns=view.venue_at_ns,
        )

    reports = [report(ExecType.TRADE, execution) for execution in view.executions]
    if view.ord_status is not OrdStatus.REJECTED:
        reports.append(report(ExecType.NEW))
    has_other_terms = view.qty != order.qty or (view.px is not None and view.px != order.px)
    if (has_terms or view.ord_status in FINAL) and has_other_terms:
        reports.append(replace(report(ExecType.REPLACED), replace_no=replace_no))
    if view.ord_status in LAST_WORDS:
        reports.append(report(LAST_WORDS[view.ord_status]))
    return reports


def _settle_requests(
    stage: Stage, order: Order, message: Viewed, view: OrderView
) -> tuple[Action, ...]:
    """End the doubt about what was asked, each as far as this view of its order is evidence."""
    actions: tuple[Action, ...] = ()
    for request in reversed(order.requests):
        if message.asked_at_ns > request.asked_at_ns:
            actions += _settle_request(stage, order, request, message, view)
    return actions


def _settle_request(
    stage: Stage, order: Order, request: Request, message: Viewed, view: OrderView
) -> tuple[Action, ...]:
    if view.ord_status in FINAL:
        return end_request(stage, request, message, "too_late")
    if not request.in_doubt:
        return ()
    is_over = request.final_at_ns is not None and message.asked_at_ns >= request.final_at_ns
    if request.kind is RequestKind.CANCEL and not view.is_pending:
        return _settle_cancel(stage, order, request, message, is_over=is_over)
    if request.kind is RequestKind.REPLACE and (view.replace_refused or is_over):
        reason = "refused_by_venue" if view.replace_refused else "not_executed"
        return end_request(stage, request, message, reason)
    return ()


def _settle_cancel(
    stage: Stage, order: Order, request: Request, message: Viewed, *, is_over: bool
) -> tuple[Action, ...]:
    """Send a doubted cancel again while its order is open; end it when that has been enough."""
    # A cancel names one order and can be repeated: at worst the second finds nothing to do.
    may_repeat = is_over or request.final_at_ns is None or not request.is_taken
    if request.attempt < CANCEL_ATTEMPTS_MAX and may_repeat:
        return (Send(send_again(stage, order, message.at_ns, "the venue shows the order open")),)
    # A venue without promises would leave the bot without a cancel for ever.
    if is_over or request.final_at_ns is None:
        return end_request(stage, request, message, "no_effect")
    return ()


def end_request(
    stage: Stage, request: Request, message: Viewed | RetryDue, reason: str
) -> tuple[Action, ...]:
    """Put on record that the order's request came to nothing; there is nothing left to do."""
    stage.record(
        RequestRefused(
            at_ns=message.at_ns,
            cl_ord_id=message.cl_ord_id,
            road=message.road,
            request=request.kind,
            reason=reason,
        )
    )
    return ()


def _absent(stage: Stage, order: Order, message: Viewed) -> None:
    """
    Weigh a complete "no such order".

    What is filled, and may not be raised, is over whether it is found or not: only a cancel of it
    ends. Of all others it takes two answers that count.
    """
    if order.is_final and not order.may_be_raised:
        if order.doubted is not None:
            end_request(stage, order.doubted, message, "too_late")
    elif _is_told_no_more(order, message):
        dispute_overfill(stage, order, message)
    elif _is_evidence(order, message):
        if order.not_found_at_ns is None:
            at_ns, road = message.at_ns, message.road
            stage.record(OrderNotFound(at_ns=at_ns, cl_ord_id=order.cl_ord_id, road=road))
        else:
            _end_absent(stage, order, message)


def _is_told_no_more(order: Order, message: Viewed) -> bool:
    """
    Whether an order has ended by its venue's last word, with terms that nobody will ever tell.

    Without a last word it may be open with more, which a venue that forgets closed orders cannot deny.
    """
    has_ended = order.stopped_by is not None and order.has_unseen_terms
    return has_ended and message.forgets_closed and message.asked_at_ns > order.heard_at_ns


def _is_evidence(order: Order, message: Viewed) -> bool:
    """Whether this "no such order" is one of the two that it takes."""
    counts_from_ns = absence_counts_from_ns(order, message.absence_after_ns, message.at_ns)
    return counts_from_ns is not None and message.asked_at_ns >= counts_from_ns


def _end_absent(stage: Stage, order: Order, message: Viewed) -> None:
    """End what was not found twice: it never arrived, or there is nothing of it any more."""
    if order.is_final and order.replacing is None:
        dispute_overfill(stage, order, message)
        return
    is_unheard = order.acked_at_ns is None
    kind: type[OrderDone] = OrderRejected if is_unheard else OrderExpired
    stage.record(
        kind(
            at_ns=message.at_ns,
            cl_ord_id=order.cl_ord_id,
            road=message.road,
            reason=NOT_FOUND if is_unheard else FORGOTTEN,
            quote=message.quote,
        )
    )


def by_this_run(order: Order, waits_anew: tuple[Request, ...]) -> Order:
    """
    Return an order with its doubts' ends as this run's clock tells them.

    An earlier run's clock may have been set since: what was waited for by it is waited for anew.
    """
    for anew in waits_anew:
        for name in ("request", "overtaken"):
            doubted: Request | None = getattr(order, name)
            if doubted and doubted == replace(anew, final_at_ns=doubted.final_at_ns):
                order = replace(order, **{name: anew})
    return order


def absence_counts_from_ns(order: Order, absence_after_ns: int | None, now_ns: int) -> int | None:
    """Return the earliest time of asking at which "no such order" is evidence; None: never."""
    if absence_after_ns is None or (order.is_final and not order.may_be_raised):
        return None
    first_ns = order.not_found_at_ns
    if first_ns is not None:
        # One that is yet to come was stamped by an earlier run's clock, and this run has waited too.
        is_to_come = first_ns > now_ns + absence_after_ns
        return 0 if is_to_come else first_ns + absence_after_ns
    if order.acked_at_ns is None:
        return order.request.final_at_ns if order.request and order.request.in_doubt else None
    if order.is_final and order.replacing is not None:
        # What is filled is not over for as long as the replace may arrive and raise it.
        final_at_ns = order.replacing.final_at_ns
        return final_at_ns and max(final_at_ns, order.heard_at_ns + absence_after_ns)
    return order.heard_at_ns + absence_after_ns


def answer_counts_from_ns(
    order: Order, absence_after_ns: int | None, now_ns: int, *, asked_at_ns: int
) -> int | None:
    """Return the first time of asking, later than the last, from which an answer proves more."""
    marks_ns = (
        absence_counts_from_ns(order, absence_after_ns, now_ns),
        *(each.final_at_ns for each in order.requests if each.in_doubt),
    )
    later_ns = (at_ns for at_ns in marks_ns if at_ns is not None and at_ns > asked_at_ns)
    return min(later_ns, default=None)
