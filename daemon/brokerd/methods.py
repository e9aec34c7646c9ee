"""
The methods of the socket: one table, each with the shapes it takes and gives.

A method reads its params, asks the engine or history, and shows the result; rules live elsewhere.
The broad `except` around a call, and around the events that follow it, is here: whatever was not
foreseen is a bug, told to the bot without its insides and to the log with them.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from msgspec import Raw

from brokerd import __version__, results
from brokerd.commands import unknown_order
from brokerd.contract import METHODS
from brokerd.discover import openrpc
from brokerd.engine import Engine, Result
from brokerd.errors import (
    BrokerdError,
    Busy,
    DuplicateClOrdId,
    InternalError,
    InvalidParams,
    MethodNotFound,
    NotCancelable,
    NotPermitted,
    UnknownOrder,
)
from brokerd.executor import Clock
from brokerd.feed import Feed
from brokerd.filters import OrderFilter, matches
from brokerd.history.model import History
from brokerd.history.query import FillQuery, OrderQuery
from brokerd.ids import Ids
from brokerd.links import Link, Links
from brokerd.messages import Cancel, Replace, Submit
from brokerd.money import digits
from brokerd.orders import Order, OrdStatus, Status
from brokerd.params import (
    AnyIdParams,
    FillParams,
    FilterParams,
    ListParams,
    NoParams,
    OrderParams,
    ReplaceParams,
    SubmitParams,
    SubscribeParams,
    read_cl_ord_id,
    read_replace,
    read_terms,
    read_window,
)
from brokerd.rpc import NULL, Call, answer, encode, failure, notification, read_params
from brokerd.server import Peer
from brokerd.subscriptions import EventFilter, Subscription
from brokerd.terms import check_instrument
from brokerd.times import rfc3339
from brokerd.views import ShownOrder, show_entry, show_fill, show_order
from brokerd.words import suggest

CANCELS_AT_ONCE = 200
BUSY_WAIT_S = 0.01
"""How long a cancel of many waits for room in the engine's inbox, each time."""

SUBSCRIPTIONS_MAX = 8

log = structlog.get_logger(__name__)


class Methods:
    """All methods over one engine. `answer` is what the server calls for every call."""

    def __init__(
        self,
        *,
        engine: Engine,
        history: History,
        feed: Feed,
        links: Links,
        clock: Clock,
        ids: Ids,
        describe: Callable[[], Awaitable[results.DaemonInfo]],
        stop: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._history = history
        self._feed = feed
        self._links = links
        self._clock = clock
        self._ids = ids
        self._describe = describe
        self._stop = stop
        self._handlers: dict[str, Callable[[Peer, Any], Awaitable[Any]]] = {
            "order.submit": self.submit,
            "order.cancel": self.cancel,
            "order.cancel_all": self.cancel_all,
            "order.replace": self.replace,
            "order.get": self.get,
            "order.check": self.check,
            "order.list": self.list_orders,
            "order.explain": self.explain,
            "fill.list": self.list_fills,
            "events.subscribe": self.subscribe,
            "events.unsubscribe": self.unsubscribe,
            "executor.list": self.list_executors,
            "daemon.info": self.info,
            "daemon.ping": self.ping,
            "daemon.stop": self.stop,
            "rpc.discover": self.discover,
        }
        self._decode_submit = msgspec.json.Decoder(SubmitParams)
        self._decode_cancel = msgspec.json.Decoder(OrderParams)
        self._decoders = {each.name: msgspec.json.Decoder(each.params) for each in METHODS}
        self._document: Raw | None = None
        self._subscriptions = 0
        self.subscribers = 0

    def express(
        self, call: Call, done: Callable[[bytes | None], None], slowly: Callable[[], None]
    ) -> bool:
        """
        Take a plain submit or cancel straight to the engine: the path that everybody waits on.

        Whatever is not plain about it is left to `answer`, which starts over and says why. Both
        go this way, so that a bot's cancel is decided before the submit that it sent after it.
        """

        def reply(result: Result) -> None:
            if not isinstance(result, Order):
                slowly()
                return
            try:
                shown = answer(call.id, show_order(result)) if call.id is not None else None
            except Exception:  # noqa: BLE001 - see above; the engine, who calls, has no part in it
                slowly()
            else:
                done(shown)

        try:
            message = self._plain(call)
        except Exception:  # noqa: BLE001 - see above
            return False
        if message is not None:
            self._engine.post(message, reply)
        return message is not None

    def _plain(self, call: Call) -> Submit | Cancel | None:
        """Return the message of a command that nothing must be waited for; None for other calls."""
        if call.method == "order.cancel":
            wanted = read_params(self._decode_cancel, call)
            return Cancel(wanted.cl_ord_id, self._clock.now_ns())
        if call.method == "order.submit":
            params = read_params(self._decode_submit, call)
            return self._submit(params) if params.wait == "journal" else None
        return None

    def _submit(self, params: SubmitParams) -> Submit:
        """Make the message of a submit, checked as far as nothing must be waited for."""
        at_ns = self._clock.now_ns()
        venue_cl_ord_id = self._ids.next()
        cl_ord_id = (
            venue_cl_ord_id if params.cl_ord_id is None else read_cl_ord_id(params.cl_ord_id)
        )
        link = self._links.choose(params.executor)
        terms = read_terms(params, link.name)
        if self._engine.blotter.get(cl_ord_id) is None:
            link.check(terms)
        arrival = link.executor.quote(terms.symbol)
        return Submit(cl_ord_id, venue_cl_ord_id, terms, arrival, at_ns)

    async def answer(self, call: Call, peer: Peer) -> bytes | None:
        """Answer one call; None for a notification, whatever came of it."""
        call_id = call.id or NULL
        try:
            reply = answer(call_id, await self._call(call, peer))
        except BrokerdError as error:
            reply = failure(call_id, error)
        except Exception:
            log.exception("method_failed", method=call.method)
            reply = failure(call_id, _a_bug())
        return reply if call.id is not None else None

    async def _call(self, call: Call, peer: Peer) -> Any:
        handler = self._handlers.get(call.method)
        if handler is None:
            hint = suggest(call.method, self._handlers)
            raise MethodNotFound(f"there is no method {call.method[:64]}", hint=hint)
        return await handler(peer, read_params(self._decoders[call.method], call))

    async def submit(self, _peer: Peer, params: SubmitParams) -> ShownOrder:
        """Take a new order; answer when it is durable, or at the venue's first word."""
        try:
            order = await self._engine.do(self._submit(params))
        except DuplicateClOrdId:
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
        order = await self._find(params.cl_ord_id)
        link = self._links.by_name.get(order.terms.executor)
        if link is not None and not order.is_final:
            instrument = link.instrument(order.terms.symbol)
            new_px = order.px if px is None else px
            check_instrument(instrument, qty or order.qty, new_px, None)
        message = Replace(order.cl_ord_id, qty, px, self._clock.now_ns())
        try:
            return show_order(_there(await self._engine.do(message), order.cl_ord_id))
        except UnknownOrder:
            raise self._done_long_ago(order) from None

    async def cancel_all(self, _peer: Peer, params: FilterParams) -> results.CancelAll:
        """Ask for a cancel of every working order that matches."""
        wanted = self._filter(params)
        window = read_window(params.time, self._clock.now_ns())
        meant = [
            order.cl_ord_id
            for link in self._links
            for order in self._engine.blotter.unsettled(link.name)
            if not order.is_final
            and matches(wanted, order)
            and (window.since_ns is None or order.created_at_ns >= window.since_ns)
            and (window.until_ns is None or order.created_at_ns < window.until_ns)
        ]
        requested: list[str] = []
        for start in range(0, len(meant), CANCELS_AT_ONCE):
            chunk = meant[start : start + CANCELS_AT_ONCE]
            done = await asyncio.gather(*(self._cancel_if_open(each) for each in chunk))
            requested.extend(
                cl_ord_id for cl_ord_id, was_open in zip(chunk, done, strict=True) if was_open
            )
        return results.CancelAll(requested=len(requested), cl_ord_ids=requested)

    async def get(self, _peer: Peer, params: AnyIdParams) -> ShownOrder:
        """Show one order."""
        return show_order(await self._find_any(params))

    async def check(self, _peer: Peer, params: AnyIdParams) -> ShownOrder:
        """Ask the venue about one order; a difference goes on record like any other report."""
        order = await self._find_any(params)
        link = self._links.choose(order.terms.executor)
        if self._engine.blotter.get(order.cl_ord_id) is None:
            await self._engine.recall(order.cl_ord_id)
        checked = await link.poller.check(order)
        return show_order(checked or order)

    async def list_orders(self, peer: Peer, params: ListParams) -> results.Orders:
        """List orders, newest first."""
        window = read_window(params.time, self._clock.now_ns())
        group_by = (params.group_by,) if isinstance(params.group_by, str) else params.group_by
        query = OrderQuery(
            status=_several(params.status),
            ord_status=_several(params.ord_status),
            executor=params.executor,
            symbol=params.symbol,
            side=params.side,
            group=params.group,
            group_by=tuple(group_by),
            latest_group=params.latest_group,
            by=window.by,
            since_ns=window.since_ns,
            until_ns=window.until_ns,
            limit=params.limit,
            cursor=params.cursor,
        )
        async with peer.turn():
            page = await self._history.list_orders(query)
        return results.Orders([show_order(order) for order in page.items], page.next_cursor)

    async def explain(self, peer: Peer, params: AnyIdParams) -> results.Explanation:
        """Show how an order came to be what it is."""
        order = await self._find_any(params)
        async with peer.turn():
            rows = await self._history.order_entries(order.cl_ord_id)
        latest = self._engine.blotter.get(order.cl_ord_id) or order
        transitions = [show_entry(row.seq, row.entry) for row in rows]
        return results.Explanation(show_order(latest), transitions)

    async def list_fills(self, peer: Peer, params: FillParams) -> results.Fills:
        """List executions, newest first."""
        window = read_window(params.time, self._clock.now_ns())
        query = FillQuery(
            cl_ord_id=params.cl_ord_id,
            executor=params.executor,
            symbol=params.symbol,
            side=params.side,
            group=params.group,
            since_ns=window.since_ns,
            until_ns=window.until_ns,
            limit=params.limit,
            cursor=params.cursor,
        )
        async with peer.turn():
            page = await self._history.list_fills(query)
        return results.Fills([show_fill(fill) for fill in page.items], page.next_cursor)

    async def subscribe(self, peer: Peer, params: SubscribeParams) -> results.Subscribed:
        """Start sending events to this connection."""
        if len(peer.subscriptions) >= SUBSCRIPTIONS_MAX:
            raise InvalidParams(
                f"this connection has {SUBSCRIPTIONS_MAX} subscriptions",
                reason="too_many_subscriptions",
                hint="unsubscribe, or open another connection",
            )
        last_seq = self._feed.last_seq
        after_seq = last_seq if params.after_seq is None else params.after_seq
        if after_seq > last_seq:
            raise InvalidParams(
                f"after_seq {after_seq} is ahead of the journal, which ends at {last_seq}",
                reason="after_seq_ahead",
                field="after_seq",
                hint="is this the journal that the seq came from?",
            )
        orders = OrderFilter(executor=params.executor, symbol=params.symbol, group=params.group)
        wanted = EventFilter(
            cl_ord_id=params.cl_ord_id, orders=orders, events=frozenset(params.events)
        )
        blotter = self._engine.blotter
        subscription = Subscription(self._feed, blotter, self._history, wanted, after_seq)
        self._subscriptions += 1
        name = f"subscription-{self._subscriptions}"
        peer.subscriptions[name] = peer.spawn(self._run(subscription, peer), name)
        return results.Subscribed(after_seq)

    async def unsubscribe(self, peer: Peer, _params: NoParams) -> results.Unsubscribed:
        """Stop sending events to this connection."""
        ended = len(peer.subscriptions)
        for task in peer.subscriptions.values():
            task.cancel()
        peer.subscriptions.clear()
        return results.Unsubscribed(ended)

    async def list_executors(self, _peer: Peer, _params: NoParams) -> results.Executors:
        """Show every executor."""
        return results.Executors([_show_link(link, self._engine) for link in self._links])

    async def info(self, _peer: Peer, _params: NoParams) -> results.DaemonInfo:
        """Show the daemon."""
        return await self._describe()

    async def ping(self, _peer: Peer, _params: NoParams) -> results.Pong:
        """Answer at once."""
        return results.Pong(pong=True, version=__version__)

    async def stop(self, peer: Peer, _params: NoParams) -> results.Stopping:
        """Stop the daemon in order; for its own user and root."""
        if peer.uid not in {0, os.geteuid()}:
            raise NotPermitted(
                f"uid {peer.uid} may not stop the daemon", hint="ask its owner, or root"
            )
        self._stop()
        return results.Stopping(stopping=True)

    async def discover(self, _peer: Peer, _params: NoParams) -> Raw:
        """Describe all methods. The document is made once: that takes as long as many submits."""
        if self._document is None:
            self._document = Raw(encode(openrpc()))
        return self._document

    async def _run(self, subscription: Subscription, peer: Peer) -> None:
        """Send events for as long as that goes; one bot's trouble is never the daemon's end."""
        self.subscribers += 1
        try:
            await subscription.run(peer)
        except Exception as error:
            # As around a call: what nobody foresaw is a bug, and it is this bot's alone.
            log.exception("subscription_failed", seq=subscription.seq)
            told = error if isinstance(error, BrokerdError) else _a_bug()
            await peer.send(notification("events.ended", {"seq": subscription.seq, **told.data}))
        finally:
            self.subscribers -= 1

    async def _cancel(self, cl_ord_id: str) -> Order:
        message = Cancel(cl_ord_id, self._clock.now_ns())
        try:
            return _there(await self._engine.do(message), cl_ord_id)
        except UnknownOrder:
            raise self._done_long_ago(await self._find(cl_ord_id)) from None

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
        if self._engine.blotter.get(cl_ord_id) is not None:
            return True
        if await self._history.find(cl_ord_id=cl_ord_id) is None:
            return False
        await self._engine.recall(cl_ord_id)
        return True

    async def _find(self, cl_ord_id: str) -> Order:
        order = self._engine.blotter.get(cl_ord_id)
        return order or _there(await self._history.find(cl_ord_id=cl_ord_id), cl_ord_id)

    async def _find_any(self, params: AnyIdParams) -> Order:
        if (params.cl_ord_id is None) == (params.executor_id is None):
            raise InvalidParams(
                "name the order by cl_ord_id or by executor_id", reason="one_id_needed"
            )
        if params.cl_ord_id is not None:
            return await self._find(params.cl_ord_id)
        executor_id = params.executor_id or ""
        executor, _, venue_order_id = executor_id.partition(":")
        order = self._engine.blotter.find(executor, None, venue_order_id)
        if order is None:
            order = await self._history.find(executor=executor, venue_order_id=venue_order_id)
        if order is None:
            raise unknown_order(executor_id, "executor_id")
        return order

    @staticmethod
    def _done_long_ago(order: Order) -> NotCancelable:
        """Build the error for an order that is settled and has left the engine's memory."""
        return NotCancelable(
            f"order {order.cl_ord_id} is {order.ord_status}", reason=f"already_{order.ord_status}"
        )

    @staticmethod
    def _filter(params: FilterParams) -> OrderFilter:
        return OrderFilter(
            status=frozenset(_several(params.status) or ()),
            ord_status=frozenset(_several(params.ord_status) or ()),
            executor=params.executor,
            symbol=params.symbol,
            side=params.side,
            group=params.group,
        )


def _there(order: Order | None, cl_ord_id: str) -> Order:
    if order is None:
        raise unknown_order(cl_ord_id)
    return order


def _a_bug() -> InternalError:
    return InternalError("a bug: the daemon's log has the traceback")


def _several(one_or_more: Any) -> Any:
    """Return a filter's statuses as a tuple; None if it has none."""
    if one_or_more is None:
        return None
    return (one_or_more,) if isinstance(one_or_more, Status | OrdStatus) else tuple(one_or_more)


def _show_link(link: Link, engine: Engine) -> results.ShownExecutor:
    """Return an executor as bots see it."""
    name, listener = link.name, link.listener
    return results.ShownExecutor(
        name=name,
        adapter=link.adapter,
        state=listener.state,
        reason=listener.reason,
        since=rfc3339(listener.since_ns),
        capabilities=link.executor.capabilities,
        symbols=sorted(link.executor.instruments()),
        orders_unsettled=engine.blotter.unsettled_count(name),
        in_doubt=[
            results.Doubt(
                order.cl_ord_id,
                order.request.kind,
                rfc3339(order.request.since_ns),
                digits(order.leaves_qty),
            )
            for order in engine.blotter.asking(name)
            if order.request is not None and order.in_doubt
        ],
        backlog=link.dispatch.backlog,
        retries=link.dispatch.retries,
        questions=link.poller.questions,
        stream_reports=listener.reports,
        missed_by_stream=link.poller.missed_by_stream,
    )
