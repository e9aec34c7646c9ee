"""
What venues say of their own accord: reports on any road, and the outcomes of our requests.

`merge` adds what is new in them to the order; `doubt` weighs the answers to questions.
"""

from msgspec.structs import replace

from brokerd.blotter import Stage
from brokerd.doubt import end_request, send_again, viewed
from brokerd.events import (
    OrderAdopted,
    OrderCanceled,
    OrderRejected,
    RequestDoubted,
    RequestKind,
    RequestRefused,
)
from brokerd.executor import Accepted, InDoubt, NotSent, OrderView, Refused, Report
from brokerd.ids import external_id
from brokerd.merge import dispute, merge, next_steps
from brokerd.messages import (
    NOTHING,
    Answered,
    Ask,
    Decision,
    Reported,
    RetryDue,
    Seen,
    Send,
    Stranger,
    Viewed,
)
from brokerd.money import ZERO
from brokerd.orders import Order, Request
from brokerd.states import ExecType
from brokerd.terms import GROUP_TEXT_MAX, Terms


def reported(stage: Stage, message: Reported) -> Decision:
    """Merge one report into the order it names."""
    report = message.report
    order = stage.find(message.executor, report.venue_cl_ord_id, report.venue_order_id)
    if order is None:
        return Decision((Stranger(message),))
    merge(stage, order, message)
    return Decision(next_steps(stage, order.cl_ord_id, message.at_ns))


def seen(stage: Stage, message: Seen) -> Decision:
    """Take up an order of other origin, to be followed and never touched."""
    executor, view = message.executor, message.view
    order = stage.find(executor, None, view.venue_order_id)
    if order is None:
        order = stage.record_order(
            OrderAdopted(
                at_ns=message.at_ns,
                cl_ord_id=external_id(executor, view.venue_order_id),
                road=message.road,
                venue_cl_ord_id=view.venue_cl_ord_id or "",
                venue_order_id=view.venue_order_id,
                terms=_terms_of(executor, view),
            )
        )
    told = Viewed(order.cl_ord_id, view, message.road, message.asked_at_ns, message.at_ns, None)
    return viewed(stage, told)


def _terms_of(executor: str, view: OrderView) -> Terms:
    """Return what can be told of an order's terms by looking at it."""
    group = {"origin": "external"}
    if view.venue_ord_type:
        group["venue_ord_type"] = view.venue_ord_type[:GROUP_TEXT_MAX]
    return Terms(
        executor=executor,
        symbol=view.symbol,
        side=view.side,
        ord_type=view.ord_type,
        qty=view.qty,
        px=view.px,
        group=group,
    )


def answered(stage: Stage, message: Answered) -> Decision:
    """Take in what became of a request of ours."""
    order = stage.get(message.cl_ord_id)
    if order is None:
        return Decision((Stranger(message),))
    request = _awaited(order, message)
    is_awaited, was_doubted = request is not None, request is not None and request.was_doubted
    match message.outcome:
        case Accepted() as accepted:
            for report in accepted.reports:
                merge(stage, order, _from_reply(order, report, accepted, message))
            if not accepted.reports and is_awaited:
                # Taken, and nothing told of it: the stream may drop what it tells.
                _doubt(stage, message, accepted.evidence, is_taken=True)
        case InDoubt(evidence=evidence) if is_awaited:
            _doubt(stage, message, evidence, is_taken=request is not None and request.is_taken)
        case Refused(evidence=evidence) | NotSent(evidence=evidence) if was_doubted:
            # This send came to nothing; the one before it may still arrive.
            _doubt(stage, message, evidence)
        case Refused() as refused if is_awaited:
            return _refused(stage, message, refused)
        case NotSent() as not_sent if is_awaited:
            gave_up = Refused(reason="venue_unavailable", evidence=not_sent.evidence)
            return _refused(stage, message, gave_up)
        case Refused() as refused if message.request is RequestKind.NEW:
            # The venue's reply denies an order that its own reports have shown.
            dispute(stage, order, message, ExecType.REJECTED, refused.evidence)
        case _:
            # The stream was quicker than the reply, and what it said stands.
            return NOTHING
    return Decision(next_steps(stage, order.cl_ord_id, message.at_ns))


def retry_due(stage: Stage, message: RetryDue) -> Decision:
    """Send again what certainly did not happen, unless nobody wants it any more."""
    order = stage.get(message.cl_ord_id)
    request = order.request if order else None
    if order is None or request is None or request.attempt != message.attempt - 1:
        return NOTHING
    if request.kind is not message.request or request.in_doubt:
        return NOTHING
    if request.kind is RequestKind.REPLACE and order.cancel_wanted:
        end_request(stage, request, message, "canceled_instead")
        return Decision(next_steps(stage, order.cl_ord_id, message.at_ns))
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
    return Decision((Send(send_again(stage, order, message.at_ns, message.evidence)),))


def _awaited(order: Order, message: Answered) -> Request | None:
    """Return the request that this is the outcome of, None if that is over already."""
    request = order.request
    if request and (request.kind, request.attempt) == (message.request, message.attempt):
        return request
    return None


def _from_reply(order: Order, report: Report, accepted: Accepted, message: Answered) -> Reported:
    return Reported(
        order.terms.executor,
        report,
        message.road,
        message.at_ns,
        accepted.sent_at_ns,
        accepted.evidence,
        message.sent_quote,
        message.quote,
    )


def _doubt(stage: Stage, message: Answered, evidence: str, *, is_taken: bool = False) -> None:
    stage.record(
        RequestDoubted(
            at_ns=message.at_ns,
            cl_ord_id=message.cl_ord_id,
            road=message.road,
            evidence=evidence,
            request=message.request,
            final_at_ns=message.final_at_ns,
            is_taken=is_taken,
        )
    )


def _refused(stage: Stage, message: Answered, refused: Refused) -> Decision:
    """Record a refusal. What the venue says about the order itself is asked, never assumed."""
    if message.request is not RequestKind.NEW:
        order = stage.record_order(
            RequestRefused(
                at_ns=message.at_ns,
                cl_ord_id=message.cl_ord_id,
                road=message.road,
                evidence=refused.evidence,
                request=message.request,
                reason=refused.reason,
                code=refused.code,
            )
        )
        steps = next_steps(stage, message.cl_ord_id, message.at_ns)
        return Decision((*steps, Ask(order)) if refused.is_about_order else steps)
    if refused.is_about_order:
        # "Duplicate": the venue has this order already, so the request did happen once.
        certain = replace(message, final_at_ns=None)
        _doubt(stage, certain, refused.evidence, is_taken=True)
        return Decision(next_steps(stage, message.cl_ord_id, message.at_ns))
    stage.record(
        OrderRejected(
            at_ns=message.at_ns,
            cl_ord_id=message.cl_ord_id,
            road=message.road,
            evidence=refused.evidence,
            reason=refused.reason,
            code=refused.code,
            cum_qty=ZERO,
            quote=message.quote,
        )
    )
    return NOTHING
