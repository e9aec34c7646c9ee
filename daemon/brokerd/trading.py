"""
The trader's commands: submit, cancel, replace, resolve.

A command becomes a message to the engine, and its answer is the order as it then is; the rules live
elsewhere. What only asks is in `enquiries`.
"""

import asyncio

import msgspec

from brokerd import results
from brokerd.commands import unknown_order
from brokerd.engine import Engine
from brokerd.errors import (
    BrokerdError,
    Busy,
    DuplicateClOrdId,
    InvalidParams,
    NotCancelable,
    UnknownOrder,
)
from brokerd.executor import Clock
from brokerd.filters import matches
from brokerd.ids import EXTERNAL, PREFIX, Ids, is_reserved
from brokerd.links import Links
from brokerd.messages import Barrier, Cancel, Replace, Resolve, Submit
from brokerd.orders import Order
from brokerd.params import (
    OrderParams,
    ReplaceParams,
    ResolveParams,
    SubmitParams,
    TimedParams,
    order_filter,
    read_cl_ord_id,
    read_replace,
    read_terms,
    read_window,
)
from brokerd.peer import Peer, check_owner
from brokerd.resolving import not_in_doubt
from brokerd.rpc import Call, read_params
from brokerd.terms import check_instrument
from brokerd.views import ShownOrder, show_order

CANCELS_AT_ONCE = 200
BUSY_WAIT_S = 0.01
"""How long a cancel of many waits for room in the engine's inbox, each time."""


class Trading:
    """The methods of `order.*` that change something, over one engine."""

    def __init__(self, *, engine: Engine, links: Links, clock: Clock, ids: Ids) -> None:
        self._engine = engine
        self._links = links
        self._clock = clock
        self._ids = ids
        self._decode_submit = msgspec.json.Decoder(SubmitParams)
        self._decode_cancel = msgspec.json.Decoder(OrderParams)

    def plain(self, call: Call) -> Submit | Cancel | None:
        """Return the message of a command that nothing must be waited for; None for other calls."""
        if call.method == "order.cancel":
            wanted = read_params(self._decode_cancel, call)
            self._see_executor(self._engine.blotter.get(wanted.cl_ord_id))
            return Cancel(wanted.cl_ord_id, self._clock.now_ns())
        if call.method == "order.submit":
            params = read_params(self._decode_submit, call)
            return self._submit(params) if params.wait == "journal" else None
        return None

    async def submit(self, _peer: Peer, params: SubmitParams) -> ShownOrder:
        """Take a new order; answer when it is durable, or at the venue's first word."""
        try:
            order = await self._engine.do(self._submit(params))
        except (DuplicateClOrdId, Busy):
            raise
        except BrokerdError:
            # "Nothing happened" would be wrong of an order that was taken before.
            if params.cl_ord_id is None or not await self._is_taken(params.cl_ord_id):
                raise
            order = await self._engine.do(self._submit(params))
        cl_ord_id = params.cl_ord_id or _there(order, "").cl_ord_id
        if params.wait == "venue":
            await self._engine.heard(cl_ord_id, params.timeout_s)
            order = self._engine.blotter.get(cl_ord_id) or order
        return show_order(_there(order, cl_ord_id))

    async def cancel(self, _peer: Peer, params: OrderParams) -> ShownOrder:
        """Ask for a cancel."""
        return show_order(await self._cancel(params.cl_ord_id))

    async def replace(self, _peer: Peer, params: ReplaceParams) -> ShownOrder:
        """Ask for another quantity or price."""
        qty, px = read_replace(params)
        order = await self._engine.recall.find(params.cl_ord_id)
        if not order.is_final:
            link = self._links.choose(order.terms.executor)
            link.check_frozen()
            link.check_amends()
            instrument = link.instrument(order.terms.symbol)
            new_px = order.px if px is None else px
            check_instrument(instrument, qty or order.qty, new_px, order.terms.stop_px)
            if px is not None:
                now_ns = self._clock.now_ns()
                link.check_market(instrument, order.terms, qty or order.qty, px, now_ns)
        message = Replace(order.cl_ord_id, qty, px, self._clock.now_ns())
        try:
            return show_order(_there(await self._engine.do(message), order.cl_ord_id))
        except UnknownOrder:
            raise self._done_long_ago(order) from None

    async def resolve(self, peer: Peer, params: ResolveParams) -> ShownOrder:
        """Take a person's word for what became of a request in doubt, if the venue will not tell."""
        check_owner(peer, "resolve a doubt")
        order = await self._engine.recall.find(params.cl_ord_id)
        if not order.in_doubt and not order.has_unseen_terms:
            raise not_in_doubt(order)
        link = self._links.by_name.get(order.terms.executor)
        is_answered = link is not None and await link.answers_about(order)
        message = Resolve(
            cl_ord_id=order.cl_ord_id,
            outcome=params.outcome,
            by=f"uid {peer.uid}",
            reason=params.reason,
            at_ns=self._clock.now_ns(),
            venue_order_id=params.venue_order_id,
            is_answered=is_answered,
        )
        if link is not None:
            message = link.with_promises(message)
        return show_order(_there(await self._engine.do(message), order.cl_ord_id))

    async def cancel_all(self, _peer: Peer, params: TimedParams) -> results.CancelAll:
        """Ask for a cancel of every working order that matches."""
        if params.executor is not None:
            # "Nothing to cancel" would be a wrong comfort after a slip of the pen.
            self._links.choose(params.executor)
        wanted = order_filter(params)
        window = read_window(params.time, self._clock.now_ns())
        # Orders that were taken before this call count, also those on their way to the disk.
        await self._engine.settle(Barrier())
        blotter, ours = self._engine.blotter, self._links.by_name
        meant, out_of_reach = list[str](), list[str]()
        for executor in blotter.executors():
            (meant if executor in ours else out_of_reach).extend(
                order.cl_ord_id
                for order in blotter.unsettled(executor)
                if not order.is_over
                and not order.is_external
                and matches(wanted, order)
                and window.holds(order)
            )
        requested: list[str] = []
        for start in range(0, len(meant), CANCELS_AT_ONCE):
            chunk = meant[start : start + CANCELS_AT_ONCE]
            done = await asyncio.gather(*(self._cancel_if_open(each) for each in chunk))
            requested.extend(
                cl_ord_id for cl_ord_id, was_open in zip(chunk, done, strict=True) if was_open
            )
        return results.CancelAll(
            requested=len(requested), cl_ord_ids=requested, out_of_reach=out_of_reach
        )

    def _submit(self, params: SubmitParams) -> Submit:
        """Make the message of a submit, checked as far as nothing must be waited for."""
        at_ns = self._clock.now_ns()
        venue_cl_ord_id = self._ids.next()
        cl_ord_id = (
            venue_cl_ord_id if params.cl_ord_id is None else read_cl_ord_id(params.cl_ord_id)
        )
        link = self._links.choose(params.executor)
        terms = read_terms(params, link.name)
        base_asset = quote_asset = ""
        if self._engine.blotter.get(cl_ord_id) is None:
            if params.cl_ord_id is not None and is_reserved(cl_ord_id):
                raise InvalidParams(
                    f"{PREFIX}-... and {EXTERNAL}-... are the daemon's own ids",
                    reason="reserved_cl_ord_id",
                    field="cl_ord_id",
                    hint="choose another beginning",
                )
            instrument = link.check(terms, at_ns)
            base_asset, quote_asset = instrument.base, instrument.quote
        executor = link.executor
        return Submit(
            cl_ord_id,
            venue_cl_ord_id,
            terms,
            executor.quote(terms.symbol),
            at_ns,
            quote_asset,
            executor.capabilities.is_paper,
            base_asset,
        )

    def _see_executor(self, order: Order | None) -> None:
        """Refuse what nobody could carry out: the order's executor is not configured any more."""
        if order is not None and not order.is_over:
            self._links.choose(order.terms.executor)

    async def _cancel(self, cl_ord_id: str) -> Order:
        self._see_executor(self._engine.blotter.get(cl_ord_id))
        message = Cancel(cl_ord_id, self._clock.now_ns())
        try:
            return _there(await self._engine.do(message), cl_ord_id)
        except UnknownOrder:
            raise self._done_long_ago(await self._engine.recall.find(cl_ord_id)) from None

    async def _cancel_if_open(self, cl_ord_id: str) -> bool:
        """Ask for a cancel, however busy it is: half of "all" is no answer."""
        while True:
            try:
                await self._cancel(cl_ord_id)
            except Busy:
                await asyncio.sleep(BUSY_WAIT_S)
            except (NotCancelable, UnknownOrder):
                return False
            else:
                return True

    async def _is_taken(self, cl_ord_id: str) -> bool:
        """Say whether an order has that id, and see that it is in memory if so."""
        return await self._engine.recall.known(cl_ord_id=cl_ord_id) is not None

    @staticmethod
    def _done_long_ago(order: Order) -> NotCancelable:
        """Build the error for an order that is settled and has left the engine's memory."""
        return NotCancelable(
            f"order {order.cl_ord_id} is {order.ord_status}", reason=f"already_{order.ord_status}"
        )


def _there(order: Order | None, cl_ord_id: str) -> Order:
    if order is None:
        raise unknown_order(cl_ord_id)
    return order
