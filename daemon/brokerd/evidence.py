"""
What venues say: outcomes of our requests, reports on any road, answers to questions.

Evidence is merged, not believed in order: it may be late, repeated or crossed. An execution counts
once, a last word stands, and whatever contradicts what the venue said before goes on record as
disputed and changes nothing.
"""

from brokerd.blotter import Stage
from brokerd.commands import request_cancel
from brokerd.events import (
    FillsMissed,
    OrderAcknowledged,
    OrderCanceled,
    OrderDone,
    OrderExpired,
    OrderNotFound,
    OrderRejected,
    OrderReplaced,
    OrderTraded,
    ReportDisputed,
    RequestDoubted,
    RequestKind,
    RequestRefused,
    RequestRetried,
    Road,
)
from brokerd.executor import Accepted, Execution, InDoubt, NotSent, OrderView, Refused, Report
from brokerd.messages import (
    NOTHING,
    Action,
    Answered,
    Ask,
    Decision,
    Reported,
    RetryDue,
    Send,
    Stranger,
    Viewed,
)
from brokerd.money import ZERO
from brokerd.orders import FINAL, TRANSITIONS, ExecType, Order, OrdStatus, Request, is_legal

CANCEL_ATTEMPTS_MAX = 5
"""How often a cancel that had no effect is sent before the bot is told so."""


def reported(stage: Stage, message: Reported) -> Decision:
    """Merge one report into the order it names."""
    report = message.report
    order = stage.find(message.executor, report.venue_cl_ord_id, report.venue_order_id)
    if order is None:
        return Decision((Stranger(message),))
    _merge(stage, order, message)
    return Decision(_next_steps(stage, order.cl_ord_id, message.at_ns))


def answered(stage: Stage, message: Answered) -> Decision:
    """Take in what became of a request of ours."""
    order = stage.get(message.cl_ord_id)
    if order is None:
        return Decision((Stranger(message),))
    is_awaited = (
        order.request is not None
        and order.request.kind is message.request
        and order.request.attempt == message.attempt
    )
    match message.outcome:
        case Accepted() as accepted:
            for report in accepted.reports:
                _merge(stage, order, _from_reply(order, report, accepted, message.at_ns))
            silent = stage.get(order.cl_ord_id)
            if not accepted.reports and silent is not None and silent.request is not None:
                # The reply told nothing of the order, and the stream may drop what it tells.
                return Decision((Ask(silent),))
        case InDoubt(evidence=evidence) if is_awaited:
            _doubt(stage, message, evidence, message.final_at_ns)
        case Refused() as refused if is_awaited:
            return _refused(stage, message, refused)
        case NotSent() as not_sent if is_awaited:
            gave_up = Refused(reason="venue_unavailable", evidence=not_sent.evidence)
            return _refused(stage, message, gave_up)
        case Refused() as refused if message.request is RequestKind.NEW:
            # The venue's reply denies an order that its own reports have shown.
            _dispute(
                stage,
                order,
                message.at_ns,
                road=Road.REPLY,
                exec_type=ExecType.REJECTED,
                evidence=refused.evidence,
            )
        case _:
            # The stream was quicker than the reply, and what it said stands.
            return NOTHING
    return Decision(_next_steps(stage, order.cl_ord_id, message.at_ns))


def retry_due(stage: Stage, message: RetryDue) -> Decision:
    """Send again what certainly did not happen, unless nobody wants it any more."""
    order = stage.get(message.cl_ord_id)
    request = order.request if order else None
    if order is None or request is None or request.attempt != message.attempt - 1:
        return NOTHING
    if request.kind is not message.request or request.in_doubt:
        return NOTHING
    if request.kind is RequestKind.REPLACE and order.cancel_wanted:
        _end_request(stage, order, message.at_ns, Road.DAEMON, "canceled_instead")
        return Decision(_next_steps(stage, order.cl_ord_id, message.at_ns))
    if request.kind is RequestKind.NEW and order.cancel_wanted:
        stage.record(
            OrderCanceled(
                at_ns=message.at_ns,
                cl_ord_id=order.cl_ord_id,
                reason="canceled_before_sent",
                evidence=message.evidence,
            )
        )
        return NOTHING
    return Decision((Send(_retry(stage, order, message.at_ns, message.evidence)),))


def viewed(stage: Stage, message: Viewed) -> Decision:
    """Take in the venue's complete answer about one order."""
    order = stage.get(message.cl_ord_id)
    if order is None:
        return Decision((Stranger(message),))
    if message.view is None:
        _absent(stage, order, message)
        return Decision(_next_steps(stage, order.cl_ord_id, message.at_ns))
    for report in _as_reports(
        order, message.view, is_current=message.asked_at_ns > order.updated_at_ns
    ):
        latest = stage.get(order.cl_ord_id) or order
        _merge(stage, latest, Reported(order.terms.executor, report, message.road, message.at_ns))
    resent = _settle_request(stage, stage.get(order.cl_ord_id) or order, message, message.view)
    return Decision((*resent, *_next_steps(stage, order.cl_ord_id, message.at_ns)))


def _from_reply(order: Order, report: Report, accepted: Accepted, at_ns: int) -> Reported:
    return Reported(
        order.terms.executor, report, Road.REPLY, at_ns, accepted.sent_at_ns, accepted.evidence
    )


def _merge(stage: Stage, order: Order, message: Reported) -> None:
    """Record what is new in a report; what is known already changes nothing."""
    order = stage.get(order.cl_ord_id) or order
    match message.report.exec_type:
        case ExecType.NEW:
            _merge_acknowledgement(stage, order, message)
        case ExecType.TRADE | ExecType.PARTIAL_FILL | ExecType.FILL:
            _merge_execution(stage, order, message)
        case ExecType.REPLACED:
            _merge_replaced(stage, order, message)
        case _:
            _merge_last_word(stage, order, message)
    _note_missed_fills(stage, order.cl_ord_id, message)


def _merge_acknowledgement(stage: Stage, order: Order, message: Reported) -> None:
    report = message.report
    brings_sent_at = order.sent_at_ns is None and message.sent_at_ns is not None
    is_news = order.acked_at_ns is None or order.not_found_at_ns is not None or brings_sent_at
    if is_news and report.venue_order_id is not None:
        stage.record(
            OrderAcknowledged(
                at_ns=message.at_ns,
                cl_ord_id=order.cl_ord_id,
                road=message.road,
                evidence=message.evidence,
                venue_order_id=report.venue_order_id,
                sent_at_ns=message.sent_at_ns,
                venue_at_ns=report.venue_at_ns,
            )
        )


def _merge_execution(stage: Stage, order: Order, message: Reported) -> None:
    report, execution = message.report, message.report.execution
    if execution is None or stage.has_execution(order.cl_ord_id, execution.exec_id):
        return
    stage.record(
        OrderTraded(
            at_ns=message.at_ns,
            cl_ord_id=order.cl_ord_id,
            road=message.road,
            evidence=message.evidence,
            exec_id=execution.exec_id,
            last_qty=execution.last_qty,
            last_px=execution.last_px,
            venue_order_id=report.venue_order_id,
            fee=execution.fee,
            fee_asset=execution.fee_asset,
            liquidity=execution.liquidity,
            sent_at_ns=message.sent_at_ns,
            venue_at_ns=execution.venue_at_ns,
        )
    )


def _merge_replaced(stage: Stage, order: Order, message: Reported) -> None:
    report = message.report
    if report.qty is None:
        return
    replace_no = report.replace_no
    wanted = order.request if order.request and order.request.kind is RequestKind.REPLACE else None
    if replace_no is None and wanted and _same_terms(wanted, report):
        replace_no = order.replace_no
    is_stale = replace_no is not None and replace_no <= order.replaced_no
    has_same_terms = report.qty == order.qty and report.px in {None, order.px}
    if is_stale or (has_same_terms and wanted is None):
        return
    stage.record(
        OrderReplaced(
            at_ns=message.at_ns,
            cl_ord_id=order.cl_ord_id,
            road=message.road,
            evidence=message.evidence,
            qty=report.qty,
            px=report.px,
            venue_order_id=report.venue_order_id,
            replace_no=replace_no,
            venue_at_ns=report.venue_at_ns,
        )
    )


def _same_terms(wanted: Request, report: Report) -> bool:
    return wanted.qty == report.qty and report.px in {None, wanted.px}


_LAST_WORDS: dict[ExecType, type[OrderDone]] = {
    ExecType.CANCELED: OrderCanceled,
    ExecType.EXPIRED: OrderExpired,
    ExecType.REJECTED: OrderRejected,
}


def _merge_last_word(stage: Stage, order: Order, message: Reported) -> None:
    report = message.report
    exec_type = report.exec_type
    if order.stopped_by is TRANSITIONS[OrdStatus.NEW][exec_type]:
        return
    if order.stopped_by is not None or not is_legal(order, exec_type):
        _dispute(
            stage,
            order,
            message.at_ns,
            road=message.road,
            exec_type=exec_type,
            evidence=message.evidence,
        )
        return
    stage.record(
        _LAST_WORDS[exec_type](
            at_ns=message.at_ns,
            cl_ord_id=order.cl_ord_id,
            road=message.road,
            evidence=message.evidence,
            reason=report.reason,
            code=report.code,
            venue_order_id=report.venue_order_id,
            cum_qty=report.cum_qty,
            venue_at_ns=report.venue_at_ns,
        )
    )


def _note_missed_fills(stage: Stage, cl_ord_id: str, message: Reported) -> None:
    """Put on record that the venue claims more fills than we have: they will be asked for."""
    order, claimed = stage.get(cl_ord_id), message.report.cum_qty
    if order is None or claimed is None:
        return
    if claimed > order.cum_qty and claimed > order.venue_cum_qty:
        stage.record(
            FillsMissed(
                at_ns=message.at_ns, cl_ord_id=cl_ord_id, road=message.road, cum_qty=claimed
            )
        )


def _next_steps(stage: Stage, cl_ord_id: str, at_ns: int) -> tuple[Action, ...]:
    """Return what the order's new state calls for: the cancel that waited, or a question."""
    order = stage.get(cl_ord_id)
    assert order is not None  # noqa: S101 - callers have found it
    steps: tuple[Action, ...] = ()
    request = order.request
    is_free = request is None or (request.kind is RequestKind.REPLACE and request.in_doubt)
    if order.cancel_wanted and is_free and not order.is_final:
        steps = request_cancel(stage, order, at_ns, road=Road.DAEMON, queued=False).actions
    if order.must_be_asked:
        return (*steps, Ask(order))
    return steps


def _doubt(stage: Stage, message: Answered, evidence: str, final_at_ns: int | None) -> None:
    stage.record(
        RequestDoubted(
            at_ns=message.at_ns,
            cl_ord_id=message.cl_ord_id,
            road=Road.REPLY,
            evidence=evidence,
            request=message.request,
            final_at_ns=final_at_ns,
        )
    )


def _refused(stage: Stage, message: Answered, refused: Refused) -> Decision:
    """Record a refusal. What the venue says about the order itself is asked, never assumed."""
    if message.request is not RequestKind.NEW:
        order = stage.record_order(
            RequestRefused(
                at_ns=message.at_ns,
                cl_ord_id=message.cl_ord_id,
                road=Road.REPLY,
                evidence=refused.evidence,
                request=message.request,
                reason=refused.reason,
                code=refused.code,
            )
        )
        steps = _next_steps(stage, message.cl_ord_id, message.at_ns)
        return Decision((*steps, Ask(order)) if refused.is_about_order else steps)
    if refused.is_about_order:
        # "Duplicate": the venue has this order already, so the request did happen once.
        _doubt(stage, message, refused.evidence, None)
        return Decision(_next_steps(stage, message.cl_ord_id, message.at_ns))
    stage.record(
        OrderRejected(
            at_ns=message.at_ns,
            cl_ord_id=message.cl_ord_id,
            road=Road.REPLY,
            evidence=refused.evidence,
            reason=refused.reason,
            code=refused.code,
            cum_qty=ZERO,
        )
    )
    return NOTHING


def _dispute(
    stage: Stage, order: Order, at_ns: int, *, road: Road, exec_type: ExecType, evidence: str
) -> None:
    """Record a contradiction once; polls would repeat it for ever."""
    if not order.disputed:
        stage.record(
            ReportDisputed(
                at_ns=at_ns,
                cl_ord_id=order.cl_ord_id,
                road=road,
                evidence=evidence,
                exec_type=exec_type,
            )
        )


def _retry(stage: Stage, order: Order, at_ns: int, evidence: str) -> Order:
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


_VIEWED_LAST_WORD: dict[OrdStatus, ExecType] = {
    OrdStatus.CANCELED: ExecType.CANCELED,
    OrdStatus.EXPIRED: ExecType.EXPIRED,
    OrdStatus.REJECTED: ExecType.REJECTED,
}


def _as_reports(order: Order, view: OrderView, *, is_current: bool) -> list[Report]:
    """
    Read a view as the reports that would have led to it.

    Executions and last words hold however old the view is; quantity and price may have been
    replaced since, so they count only if nothing was heard after the question left (`is_current`).
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
    if is_current and has_other_terms:
        reports.append(report(ExecType.REPLACED))
    if view.ord_status in _VIEWED_LAST_WORD:
        reports.append(report(_VIEWED_LAST_WORD[view.ord_status]))
    return reports


def _settle_request(
    stage: Stage, order: Order, message: Viewed, view: OrderView
) -> tuple[Action, ...]:
    """End the doubt about a request, as far as this view of its order is evidence."""
    request = order.request
    if request is None or message.asked_at_ns <= request.asked_at_ns:
        return ()
    is_over = request.final_at_ns is not None and message.asked_at_ns >= request.final_at_ns
    if view.ord_status in FINAL:
        return _end_request(stage, order, message.at_ns, message.road, "too_late")
    if request.kind is RequestKind.CANCEL and request.in_doubt:
        # A cancel names one order and can be repeated: at worst the second finds nothing to do.
        if request.attempt < CANCEL_ATTEMPTS_MAX:
            return (Send(_retry(stage, order, message.at_ns, "the venue shows the order open")),)
        # A venue without promises would leave the bot without a cancel for ever.
        if is_over or request.final_at_ns is None:
            return _end_request(stage, order, message.at_ns, message.road, "no_effect")
    elif request.kind is RequestKind.REPLACE and request.in_doubt and is_over:
        return _end_request(stage, order, message.at_ns, message.road, "not_executed")
    return ()


def _end_request(
    stage: Stage, order: Order, at_ns: int, road: Road, reason: str
) -> tuple[Action, ...]:
    assert order.request is not None  # noqa: S101 - callers have looked
    stage.record(
        RequestRefused(
            at_ns=at_ns,
            cl_ord_id=order.cl_ord_id,
            road=road,
            request=order.request.kind,
            reason=reason,
        )
    )
    return ()


def _absent(stage: Stage, order: Order, message: Viewed) -> None:
    """
    Weigh a complete "no such order".

    It counts only if the request can no longer arrive and the order could have been seen, and it
    takes two such answers, a processing bound and a query lag apart.
    """
    counts_from_ns = _absence_counts_from_ns(order, message)
    if counts_from_ns is None or message.asked_at_ns < counts_from_ns:
        return
    at_ns, cl_ord_id, road = message.at_ns, order.cl_ord_id, message.road
    if order.not_found_at_ns is None:
        stage.record(OrderNotFound(at_ns=at_ns, cl_ord_id=cl_ord_id, road=road))
    elif order.acked_at_ns is None:
        reason = "not_found_at_venue"
        stage.record(OrderRejected(at_ns=at_ns, cl_ord_id=cl_ord_id, road=road, reason=reason))
    else:
        reason = "forgotten_by_venue"
        stage.record(OrderExpired(at_ns=at_ns, cl_ord_id=cl_ord_id, road=road, reason=reason))


def _absence_counts_from_ns(order: Order, message: Viewed) -> int | None:
    """Return the earliest time of asking at which "no such order" is evidence; None: never."""
    if message.absence_after_ns is None or order.is_final:
        return None
    if order.not_found_at_ns is not None:
        return order.not_found_at_ns + message.absence_after_ns
    if order.acked_at_ns is not None:
        return order.updated_at_ns + message.absence_after_ns
    return order.request.final_at_ns if order.request and order.request.in_doubt else None
