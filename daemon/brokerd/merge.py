"""
What a report adds to its order: evidence is merged, not believed in order.

It may be late, repeated or crossed. An execution counts once, a last word stands, and whatever
contradicts what the venue said before goes on record as disputed and changes nothing.
"""

from brokerd.blotter import Stage
from brokerd.commands import request_cancel
from brokerd.events import (
    FillsMissed,
    OrderAcknowledged,
    OrderReplaced,
    OrderTraded,
    ReportDisputed,
    RequestKind,
    Road,
)
from brokerd.executor import Report
from brokerd.fold import is_legal
from brokerd.messages import Action, Answered, Ask, Reported, Resolve, Viewed
from brokerd.money import ZERO
from brokerd.orders import Order, Request
from brokerd.states import RECORDED_AS, TRANSITIONS, ExecType, OrdStatus


def merge(stage: Stage, order: Order, message: Reported) -> None:
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
    brings_id = order.venue_order_id is None and report.venue_order_id is not None
    is_sign = order.acked_at_ns is None or order.not_found_at_ns is not None
    if is_sign or brings_sent_at or brings_id:
        stage.record(
            OrderAcknowledged(
                at_ns=message.at_ns,
                cl_ord_id=order.cl_ord_id,
                road=message.road,
                evidence=message.evidence,
                venue_order_id=report.venue_order_id or "",
                sent_at_ns=message.sent_at_ns,
                sent_quote=message.sent_quote,
                venue_at_ns=report.venue_at_ns,
            )
        )


def _merge_execution(stage: Stage, order: Order, message: Reported) -> None:
    report, execution = message.report, message.report.execution
    if execution is None or stage.has_execution(order.cl_ord_id, execution.exec_id):
        return
    if execution.last_qty <= ZERO:
        evidence = f"execution {execution.exec_id} of {execution.last_qty:f}"
        dispute(stage, order, message, ExecType.TRADE, evidence)
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
            sent_quote=message.sent_quote,
            quote=message.quote,
        )
    )


def _merge_replaced(stage: Stage, order: Order, message: Reported) -> None:
    report = message.report
    if report.qty is None:
        return
    replace_no = report.replace_no
    wanted = order.replacing
    if replace_no is None and wanted and _same_terms(wanted, report):
        replace_no = order.replace_no
    is_answer = replace_no is not None and replace_no == order.replace_no
    is_stale = replace_no is not None and replace_no <= order.replaced_no
    has_same_terms = report.qty == order.qty and report.px in {None, order.px}
    # Without its number, one that tells the terms in force is an older one told late.
    if is_stale or (has_same_terms and (wanted is None or replace_no is None)):
        return
    stage.record(
        OrderReplaced(
            at_ns=message.at_ns,
            cl_ord_id=order.cl_ord_id,
            road=message.road,
            evidence=message.evidence,
            qty=report.qty,
            px=wanted.px if report.px is None and wanted and is_answer else report.px,
            venue_order_id=report.venue_order_id,
            replace_no=replace_no,
            venue_at_ns=report.venue_at_ns,
        )
    )


def _same_terms(wanted: Request, report: Report) -> bool:
    return wanted.qty == report.qty and report.px in {None, wanted.px}


def _merge_last_word(stage: Stage, order: Order, message: Reported) -> None:
    report = message.report
    exec_type = report.exec_type
    if order.stopped_by is TRANSITIONS[OrdStatus.NEW][exec_type]:
        return
    if order.stopped_by is not None or not is_legal(order, exec_type):
        dispute(stage, order, message, exec_type, message.evidence)
        return
    stage.record(
        RECORDED_AS[exec_type](
            at_ns=message.at_ns,
            cl_ord_id=order.cl_ord_id,
            road=message.road,
            evidence=message.evidence,
            reason=report.reason,
            code=report.code,
            venue_order_id=report.venue_order_id,
            cum_qty=report.cum_qty,
            venue_at_ns=report.venue_at_ns,
            quote=message.quote,
        )
    )


def _note_missed_fills(stage: Stage, cl_ord_id: str, message: Reported) -> None:
    """
    Put on record that the venue claims more fills than we have: they will be asked for.

    Who claims fills of an order has it, whether it said so before or not.
    """
    order, claimed = stage.get(cl_ord_id), message.report.cum_qty
    if order is None or claimed is None:
        return
    if claimed > order.cum_qty and claimed > order.venue_cum_qty:
        _merge_acknowledgement(stage, order, message)
        stage.record(
            FillsMissed(
                at_ns=message.at_ns, cl_ord_id=cl_ord_id, road=message.road, cum_qty=claimed
            )
        )


def dispute(
    stage: Stage,
    order: Order,
    message: Reported | Viewed | Answered | Resolve,
    exec_type: ExecType,
    evidence: str,
) -> None:
    """Record the first contradiction, and that more was filled than was asked for: polls repeat them."""
    order = stage.get(order.cl_ord_id) or order
    if not order.disputed or (exec_type is ExecType.FILL and not order.is_overfilled):
        stage.record(
            ReportDisputed(
                at_ns=message.at_ns,
                cl_ord_id=order.cl_ord_id,
                road=message.road,
                evidence=evidence,
                exec_type=exec_type,
            )
        )


def dispute_overfill(stage: Stage, order: Order, message: Viewed | Resolve, why: str = "") -> None:
    """Record that the venue filled more than the order asked for, and no replace is known of."""
    evidence = f"{order.cum_qty:f} of {order.qty:f} filled, and no replace explains it{why}"
    dispute(stage, order, message, ExecType.FILL, evidence)


def next_steps(stage: Stage, cl_ord_id: str, at_ns: int) -> tuple[Action, ...]:
    """Return what the order's new state calls for: the cancel that waited, or a question."""
    order = stage.get(cl_ord_id)
    assert order is not None  # noqa: S101 - callers have found it
    steps: tuple[Action, ...] = ()
    request = order.request
    is_free = request is None or (request.kind is RequestKind.REPLACE and request.in_doubt)
    if order.cancel_wanted and is_free:
        steps = request_cancel(stage, order, at_ns, road=Road.DAEMON, queued=False).actions
    if order.must_be_asked:
        return (*steps, Ask(order))
    return steps
