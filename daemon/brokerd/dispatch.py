"""
Does at one executor what the rules decided, and tells the engine what became of it.

Requests run side by side in a fixed number of lanes, cancels in lanes of their own. Each call has a deadline, and
whatever is not a clear answer comes back as doubt.
"""

import asyncio
from contextlib import suppress

from brokerd.engine import Engine
from brokerd.errors import BrokerdError, VenueUnavailable
from brokerd.events import RequestKind
from brokerd.executor import (
    Accepted,
    CancelOrder,
    Clock,
    Executor,
    InDoubt,
    NotSent,
    OrderRef,
    Outcome,
    PlaceOrder,
    ReplaceOrder,
)
from brokerd.guard import guarded, heed_cancellation
from brokerd.messages import Answered, RetryDue
from brokerd.orders import Order, Request
from brokerd.retries import delay_s

LANES = 64
CANCEL_LANES = 16
"""Lanes of their own for cancels: when a venue hangs, they are what matters most."""

UNSENT = "no lane was free to send it"


def order_ref(order: Order) -> OrderRef:
    """Return how to name an order to its venue; one of other origin by the venue's id alone."""
    return OrderRef(
        symbol=order.terms.symbol,
        venue_cl_ord_id="" if order.is_external else order.venue_cl_ord_id,
        venue_order_id=order.venue_order_id,
        replace_no=order.replace_no if order.replacing else None,
    )


class Dispatch:
    """
    The way out to one executor. `send` never waits; `run` does the work until cancelled.

    `backlog` counts what waits for a lane: it is bounded by the executor's unsettled orders, each
    of which has at most one request on its way.
    """

    def __init__(
        self,
        executor: Executor,
        engine: Engine,
        clock: Clock,
        *,
        deadline_s: float,
        retry_window_s: float,
    ) -> None:
        self._executor = executor
        self._engine = engine
        self._clock = clock
        self._deadline_s = deadline_s
        self._retry_window_ns = int(retry_window_s * 1e9)
        self._stale_ns = int(max(retry_window_s, deadline_s) * 1e9)
        self._cancels = asyncio.Queue[Order]()
        self._others = asyncio.Queue[Order]()
        self._group: asyncio.TaskGroup | None = None
        self._under_way = 0
        self._clock_error_s = 0.0
        self.retries = 0

    @property
    def backlog(self) -> int:
        """How many requests wait for a lane."""
        return self._cancels.qsize() + self._others.qsize()

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for a lane or for its answer."""
        return self._under_way > 0 or self.backlog > 0

    def send(self, order: Order) -> None:
        """Queue the order's outstanding request, which is on record by now."""
        is_cancel = order.request is not None and order.request.kind is RequestKind.CANCEL
        (self._cancels if is_cancel else self._others).put_nowait(order)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for queue, lanes in ((self._cancels, CANCEL_LANES), (self._others, LANES)):
                for number in range(lanes):
                    name = f"{self._executor.name}-lane-{number}"
                    group.create_task(self._lane(queue), name=name)

    def final_at_ns(self, signed_at_ns: int) -> int | None:
        """Return when a request signed then can no longer arrive; None if the venue never says."""
        promised = self._executor.capabilities
        if promised.final_after_s is None:
            return None
        # The clock is as uncertain as measured, of late if not now, and never less than declared.
        with suppress(VenueUnavailable):
            self._clock_error_s = self._executor.standing().clock_error_s or 0.0
        surplus_s = max(self._clock_error_s - promised.clock_error_s, 0.0)
        return signed_at_ns + int((promised.final_after_s + surplus_s) * 1e9)

    async def _lane(self, queue: asyncio.Queue[Order]) -> None:
        while True:
            queued = await queue.get()
            if queued.request is not None:
                self._under_way += 1
                try:
                    await self._as_it_is_now(queued, queued.request)
                finally:
                    self._under_way -= 1
                await heed_cancellation()

    async def _as_it_is_now(self, queued: Order, request: Request) -> None:
        """Send a request that has waited for a lane, unless nobody wants it any more."""
        order = self._engine.blotter.get(queued.cl_ord_id)
        now = order.request if order else None
        if order is None or now is None or now.in_doubt:
            return  # it has its outcome already, or is asked about
        if (now.kind, now.attempt) != (request.kind, request.attempt):
            return  # another request has taken its place
        if order.cancel_wanted:
            again = RetryDue(
                order.cl_ord_id, now.kind, now.attempt + 1, UNSENT, self._clock.now_ns()
            )
            await self._engine.tell(again)
        else:
            await self._request(order, now)

    async def _request(self, order: Order, request: Request) -> None:
        began_ns, symbol = self._clock.now_ns(), order.terms.symbol
        is_new = request.kind is RequestKind.NEW
        sent_quote = self._executor.quote(symbol) if is_new else None
        outcome = await self._call(order, request)
        now_ns = self._clock.now_ns()
        final_at_ns = None
        if not isinstance(outcome, Accepted) or not outcome.reports:
            # It may have waited for budget before it was signed: not before the call, nor after it.
            signed_at_ns = outcome.signed_at_ns if isinstance(outcome, InDoubt) else None
            final_at_ns = self.final_at_ns(max(signed_at_ns or now_ns, began_ns))
        if isinstance(outcome, NotSent):
            wait_s = delay_s(request.attempt, outcome.retry_after_s)
            if now_ns + int(wait_s * 1e9) < request.since_ns + self._retry_window_ns:
                self._retry_later(order, request, outcome, wait_s)
                return
        await self._engine.tell(
            Answered(
                order.cl_ord_id,
                request.kind,
                request.attempt,
                outcome,
                now_ns,
                final_at_ns,
                sent_quote,
                self._executor.quote(symbol),
            )
        )

    async def _call(self, order: Order, request: Request) -> Outcome:
        """Make one call with a deadline; an answer that never came is doubt."""
        waited_ns = self._clock.now_ns() - request.asked_at_ns
        if request.kind is not RequestKind.CANCEL and waited_ns > self._stale_ns:
            return NotSent(reason="no_lane", evidence=f"{UNSENT} within {waited_ns / 1e9:.1f} s")
        try:
            async with guarded(self._executor.name, self._deadline_s):
                return await self._answer(order, request)
        except BrokerdError as error:
            return InDoubt(evidence=str(error))

    async def _answer(self, order: Order, request: Request) -> Outcome:
        match request.kind:
            case RequestKind.NEW:
                place = PlaceOrder(venue_cl_ord_id=order.venue_cl_ord_id, terms=order.terms)
                return await self._executor.place(place)
            case RequestKind.CANCEL:
                return await self._executor.cancel(CancelOrder(ref=order_ref(order)))
            case RequestKind.REPLACE:
                return await self._executor.replace(_replace_order(order, request))

    def _retry_later(self, order: Order, request: Request, outcome: NotSent, wait_s: float) -> None:
        if self._group is not None:
            self.retries += 1
            name = f"{self._executor.name}-retry-{order.cl_ord_id}"
            self._group.create_task(self._retry(order, request, outcome, wait_s), name=name)

    async def _retry(self, order: Order, request: Request, outcome: NotSent, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._engine.tell(
            RetryDue(
                order.cl_ord_id,
                request.kind,
                request.attempt + 1,
                f"{outcome.reason}: {outcome.evidence}",
                self._clock.now_ns(),
            )
        )


def _replace_order(order: Order, request: Request) -> ReplaceOrder:
    return ReplaceOrder(
        ref=order_ref(order),
        terms=order.terms,
        qty=request.qty or order.qty,
        px=request.px,
        replace_no=order.replace_no,
        # The dash keeps it apart from every order's id, which ends in digits and letters.
        request_id=f"{order.venue_cl_ord_id}-r{order.replace_no}",
        order_qty=order.qty,
        order_px=order.px,
    )
