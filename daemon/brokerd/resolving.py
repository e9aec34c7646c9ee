"""
What a person knows: a word about a request in doubt that its venue will not tell of.

The last resort. A person is believed only where nothing else can be had: the venue was asked and
did not tell, or cannot be asked, and the request can no longer arrive. A fill that comes after all
is counted, whatever was said.
"""

from brokerd.blotter import Stage
from brokerd.commands import unknown_order
from brokerd.doubt import by_this_run
from brokerd.errors import NotResolvable
from brokerd.events import RequestResolved, Resolution
from brokerd.merge import dispute_overfill, next_steps
from brokerd.messages import Ask, Decision, Resolve
from brokerd.orders import Order, Request
from brokerd.times import rfc3339


def resolve(stage: Stage, message: Resolve) -> Decision:
    """End a doubt by a person's word; an order that is at the venue is asked about from then on."""
    order = stage.get(message.cl_ord_id)
    if order is None:
        return Decision(reply=unknown_order(message.cl_ord_id))
    timed = by_this_run(order, message.waits_anew)
    request = timed.doubted
    if request is None:
        return _resolve_unseen(stage, order, message)
    refusal = _why_not(timed, request, message)
    if refusal is not None:
        return Decision(reply=refusal)
    order = stage.record_order(
        RequestResolved(
            at_ns=message.at_ns,
            cl_ord_id=order.cl_ord_id,
            road=message.road,
            request=request.kind,
            outcome=message.outcome,
            by=message.by,
            reason=message.reason,
            venue_order_id=message.venue_order_id,
        )
    )
    steps = next_steps(stage, order.cl_ord_id, message.at_ns)
    return Decision(steps if order.is_settled else (*steps, Ask(order)), order.cl_ord_id)


def _resolve_unseen(stage: Stage, order: Order, message: Resolve) -> Decision:
    """Take a person's word that an order is over which a replace, as its fills say, has raised."""
    if not order.has_unseen_terms or message.outcome is not Resolution.DONE:
        return Decision(reply=not_in_doubt(order))
    if message.is_answered and message.shows_closed:
        return Decision(reply=_venue_can_tell("with which terms the order was filled"))
    said = f": {message.by} says that it is over, {message.reason}"
    dispute_overfill(stage, order, message, said)
    return Decision(next_steps(stage, order.cl_ord_id, message.at_ns), order.cl_ord_id)


def _venue_can_tell(what: str) -> NotResolvable:
    return NotResolvable(
        f"the venue answers and will tell {what}",
        reason="venue_can_tell",
        hint="wait for it: brokerctl explain shows what is asked and answered",
    )


def not_in_doubt(order: Order) -> NotResolvable:
    """Build the error for an order that nobody need say anything about."""
    return NotResolvable(
        f"order {order.cl_ord_id} is {order.ord_status} and not in doubt",
        reason="not_in_doubt",
        hint="nothing was changed: brokerctl explain tells how it came to be so",
    )


def _why_not(order: Order, request: Request, message: Resolve) -> NotResolvable | None:
    # Of two, the replace may be the one that has no end: until that is over the other is not.
    has_end = all(each.final_at_ns is not None for each in order.requests if each.in_doubt)
    if message.is_answered and message.shows_closed and has_end:
        return _venue_can_tell(f"what became of the {request.kind} request")
    arrives_until_ns = request.final_at_ns
    if arrives_until_ns is None:
        arrives_until_ns = request.asked_at_ns + message.under_way_ns
    if message.outcome is Resolution.NOT_EXECUTED and message.at_ns < arrives_until_ns:
        until = rfc3339(arrives_until_ns)
        return NotResolvable(
            f"the {request.kind} request of order {order.cl_ord_id} may still arrive",
            reason="may_still_arrive",
            hint=f"look at the account again after {until}",
            until=until,
        )
    return None
