"""
How things stand, as bots see it: each executor, what is in doubt there, and how many orders there are.

What is asked here is in memory: it is answered also while the disk is full or a venue is gone.
"""

from collections.abc import Iterable
from heapq import nsmallest

from brokerd.engine import Engine
from brokerd.link import Link
from brokerd.money import digits
from brokerd.results import Doubt, OrderCounts, ShownExecutor
from brokerd.states import Status
from brokerd.times import rfc3339

DOUBTS_SHOWN_MAX = 50


def show_link(link: Link, engine: Engine) -> ShownExecutor:
    """Return an executor as bots see it."""
    name, condition, standing = link.name, link.condition, link.standing
    blotter, paused_until_ns = engine.blotter, standing.paused_until_ns
    exposure = blotter.exposures.get(name)
    return ShownExecutor(
        name=name,
        adapter=link.adapter,
        state=condition.state,
        reason=condition.reason,
        since=rfc3339(condition.since_ns),
        capabilities=link.executor.capabilities,
        symbols=link.symbols,
        orders_unsettled=blotter.unsettled_count(name),
        in_doubt=doubts_of([link], engine),
        in_doubt_count=_count_doubts([link], engine),
        backlog=link.dispatch.backlog,
        retries=link.dispatch.retries,
        questions=link.questions.sent,
        stream_reports=link.listener.reports,
        missed_by_stream=link.in_sync.missed,
        external_reports=link.others.reports,
        external_fills=link.others.fills,
        limits=engine.limits_of(name),
        open_orders=exposure.orders if exposure else None,
        open_notional=digits(exposure.notional) if exposure else None,
        weaknesses=list(link.weaknesses),
        clock_offset_s=standing.clock_offset_s,
        clock_error_s=standing.clock_error_s,
        budget_left=standing.budget_left,
        paused_until=None if paused_until_ns is None else rfc3339(paused_until_ns),
        pause_reason=standing.pause_reason,
    )


def doubts_of(links: Iterable[Link], engine: Engine) -> list[Doubt]:
    """Return the requests in doubt, the longest first, as many as are shown."""
    doubted = [
        (request, order, link)
        for link in links
        for order in engine.blotter.asking(link.name)
        if (request := order.doubted) is not None
    ]
    return [
        Doubt(
            cl_ord_id=order.cl_ord_id,
            executor=link.name,
            request=request.kind,
            since=rfc3339(request.since_ns),
            leaves_qty=digits(order.open_qty_max),
            questions=link.questions.asked_about(order.cl_ord_id),
        )
        for request, order, link in nsmallest(
            DOUBTS_SHOWN_MAX, doubted, key=lambda each: each[0].since_ns
        )
    ]


def count_orders(links: Iterable[Link], engine: Engine, submitted: int) -> OrderCounts:
    """Return how many orders there are of each kind; `submitted` is how many there ever were."""
    blotter = engine.blotter
    return OrderCounts(
        open=blotter.by_status[Status.OPEN],
        pending=blotter.by_status[Status.PENDING],
        in_doubt=_count_doubts(links, engine),
        in_memory=len(blotter),
        submitted=submitted,
    )


def _count_doubts(links: Iterable[Link], engine: Engine) -> int:
    return sum(order.in_doubt for link in links for order in engine.blotter.asking(link.name))
