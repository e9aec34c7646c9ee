"""
The methods of the socket: one table of who answers what; `contract` has the shapes.

A method reads its params, asks the engine or history, and shows the result; rules live elsewhere.
The broad `except` around a call, and around the events that follow it, is here: whatever was not
foreseen is a bug, told to the bot without its insides and to the log with them.
"""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import msgspec
import structlog
from msgspec import Raw

from brokerd import __version__, results
from brokerd.contract import METHODS
from brokerd.discover import openrpc
from brokerd.engine import Engine, Result
from brokerd.enquiries import Enquiries
from brokerd.errors import BrokerdError, InternalError, InvalidParams, MethodNotFound
from brokerd.feed import Feed
from brokerd.history.model import SqliteHistory
from brokerd.links import Links
from brokerd.orders import Order
from brokerd.overview import show_link
from brokerd.params import NoParams, SubscribeParams, ThawParams
from brokerd.peer import Peer, check_owner
from brokerd.rpc import NULL, Call, answer, encode, failure, notification, read_params
from brokerd.statistician import Statistician
from brokerd.subscriptions import Subscription, read_filter
from brokerd.trading import Trading
from brokerd.views import show_order
from brokerd.words import suggest

SUBSCRIPTIONS_MAX = 8

log = structlog.get_logger(__name__)


class Methods:
    """All methods over one engine. `answer` is what the server calls for every call."""

    def __init__(
        self,
        trading: Trading,
        enquiries: Enquiries,
        statistician: Statistician,
        *,
        engine: Engine,
        history: SqliteHistory,
        feed: Feed,
        links: Links,
        describe: Callable[[], results.DaemonInfo],
        stop: Callable[[], None],
    ) -> None:
        self._trading = trading
        self._engine = engine
        self._history = history
        self._feed = feed
        self._links = links
        self._describe = describe
        self._stop = stop
        self._handlers: dict[str, Callable[[Peer, Any], Awaitable[Any]]] = {
            "order.submit": trading.submit,
            "order.cancel": trading.cancel,
            "order.cancel_all": trading.cancel_all,
            "order.replace": trading.replace,
            "order.resolve": trading.resolve,
            "order.get": enquiries.get,
            "order.check": enquiries.check,
            "order.list": enquiries.list_orders,
            "order.explain": enquiries.explain,
            "fill.list": enquiries.list_fills,
            "stats.get": statistician.get,
            "events.subscribe": self.subscribe,
            "events.unsubscribe": self.unsubscribe,
            "executor.list": self.list_executors,
            "executor.thaw": self.thaw,
            "daemon.info": self.info,
            "daemon.ping": self.ping,
            "daemon.stop": self.stop,
            "rpc.discover": self.discover,
        }
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

        def reply(result: Result) -> Callable[[], None]:
            if not isinstance(result, Order):
                return slowly
            try:
                shown = answer(call.id, show_order(result)) if call.id is not None else None
            except Exception:
                # It is done: starting over could do it twice. The engine, who calls, goes on.
                log.exception("method_failed", method=call.method)
                shown = failure(call.id, _a_bug()) if call.id is not None else None
            return partial(done, shown)

        try:
            message = self._trading.plain(call)
        except Exception:  # noqa: BLE001 - see above
            return False
        if message is not None:
            self._engine.post(message, reply)
        return message is not None

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

    async def subscribe(self, peer: Peer, params: SubscribeParams) -> results.Subscribed:
        """Start sending events to this connection."""
        if params.executor is not None and params.executor not in self._links.by_name:
            # Silence would look like an answer.
            self._links.check_known(params.executor, await self._history.executors())
        blotter = self._engine.blotter
        subscription = Subscription(self._feed, blotter, self._history, read_filter(params))
        async with peer.turn() if params.looks_back else nullcontext():
            await subscription.begin(params)
        if len(peer.subscriptions) >= SUBSCRIPTIONS_MAX:
            raise InvalidParams(
                f"this connection has {SUBSCRIPTIONS_MAX} subscriptions",
                reason="too_many_subscriptions",
                hint="unsubscribe, or open another connection",
            )
        self._subscriptions += 1
        name = f"subscription-{self._subscriptions}"
        begin = results.Subscribed(subscription.seq)
        peer.subscriptions[name] = peer.spawn(partial(self._run, subscription, peer, name), name)
        return begin

    async def unsubscribe(self, peer: Peer, _params: NoParams) -> results.Unsubscribed:
        """Stop sending events to this connection."""
        ended = len(peer.subscriptions)
        for task in peer.subscriptions.values():
            task.cancel()
        peer.subscriptions.clear()
        return results.Unsubscribed(ended)

    async def list_executors(self, _peer: Peer, _params: NoParams) -> results.Executors:
        """Show every executor."""
        return results.Executors([show_link(link, self._engine) for link in self._links])

    async def thaw(self, peer: Peer, params: ThawParams) -> results.Thawed:
        """Let a frozen executor take new orders again, if nothing is found against it."""
        check_owner(peer, "thaw an executor")
        link = self._links.choose(params.executor)
        await link.thaw(f"uid {peer.uid}", params.reason)
        return results.Thawed(params.executor, link.condition.state)

    async def info(self, _peer: Peer, _params: NoParams) -> results.DaemonInfo:
        """Show the daemon."""
        return self._describe()

    async def ping(self, _peer: Peer, _params: NoParams) -> results.Pong:
        """Answer at once."""
        return results.Pong(pong=True, version=__version__)

    async def stop(self, peer: Peer, _params: NoParams) -> results.Stopping:
        """Stop the daemon in order; for its own user and root."""
        check_owner(peer, "stop the daemon")
        self._stop()
        return results.Stopping(stopping=True)

    async def discover(self, peer: Peer, _params: NoParams) -> Raw:
        """Describe all methods. The document is made once: that takes as long as many submits."""
        async with peer.turn():
            if self._document is None:
                self._document = Raw(encode(openrpc()))
            return self._document

    async def _run(self, subscription: Subscription, peer: Peer, name: str) -> None:
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
            peer.subscriptions.pop(name, None)


def _a_bug() -> InternalError:
    return InternalError("a bug: the daemon's log has the traceback")
