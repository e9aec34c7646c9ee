"""
The edge to ccxt: the one file that calls it.

ccxt would send with a session of its own, which sends cancels again when a reply is lost and follows
redirects, and wait in a queue of its own while our deadline runs out. So it gets our session and our
throttle, and what it raises becomes Unsent, Unanswered or Spoken.
"""

import asyncio
import importlib
import importlib.util
import inspect
import logging
import math
import re
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from decimal import Decimal, localcontext
from typing import Any, cast

import aiohttp

from brokerd.errors import ConfigError, OutcomeUnknown
from brokerd.executor import Clock
from brokerd.outcomes import NoAnswer
from brokerd.secrets import REDACTED
from brokerd.times import NS_PER_S
from brokerd.words import suggest
from brokerd_adapters.ccxt.config import CcxtConfig, CcxtCredential, sends_again
from brokerd_adapters.ccxt.outcomes import NOT_EXECUTED, REFUSALS
from brokerd_adapters.ccxt.promises import Exchange
from brokerd_adapters.ccxt.words import UNREADABLE, part
from brokerd_adapters.kit.budget import Budget, shared_budget
from brokerd_adapters.kit.faults import Unanswered, Unsent
from brokerd_adapters.kit.http import DEADLINE_S, never_redirected, sent_once, whole
from brokerd_adapters.kit.limits import Pause, Priority, Window

WINDOW_S = 10
PAUSE_S = 10.0
"""How long to be silent after "too many requests" without a Retry-After."""

_STATUS_TOO_MANY = {418, 429}
_QUERY = re.compile(r"\?\S*")
_KNOWN = {*REFUSALS, *NOT_EXECUTED}


class Spoken(OutcomeUnknown):
    """The exchange said something, and ccxt raised `kind` for it: what it proves is in the table."""

    def __init__(self, kind: str, message: str, call: "Call | None" = None) -> None:
        super().__init__(f"{kind}: {message}", reason="venue_said")
        self.kind = kind
        self.message = message
        self.status = call.status if call else None
        self.sent_at_ns = call.sent_at_ns if call else None
        self.retry_after_s = call.retry_after_s if call else None


class Call:
    """One call into ccxt: who goes first, and what has become of it on the wire."""

    def __init__(self, priority: Priority, turns: AsyncExitStack) -> None:
        self.priority = priority
        self.turns = turns
        self.on_wire = False
        self.status: int | None = None
        self.sent_at_ns: int | None = None
        self.retry_after_s: float | None = None


_CALL: ContextVar[Call | None] = ContextVar("ccxt_call", default=None)


class Library:
    """One exchange object of ccxt, made at once and connected by `open`."""

    def __init__(
        self,
        config: CcxtConfig,
        credential: CcxtCredential,
        clock: Clock,
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._clock = clock
        self._deadline_s = deadline_s
        self._secrets = [text for text in credential.for_ccxt().values() if text]
        self._exchange = _made(config, credential, deadline_s)
        self._exchange.throttle = self._throttle
        self._session: aiohttp.ClientSession | None = None
        self.about = _about(self._exchange)
        self.budget: Budget = shared_budget(f"ccxt:{config.exchange}:{config.urls}", clock)
        self._window = f"ms_{WINDOW_S}s"
        window = Window(
            name=self._window,
            counts="ms",
            limit=WINDOW_S * 1_000,
            interval_ns=WINDOW_S * NS_PER_S,
            is_rolling=True,
        )
        self.budget.configure([window])

    @property
    def markets(self) -> Mapping[str, Mapping[str, Any]]:
        """Ccxt's markets by unified symbol; empty until they were loaded."""
        return self._exchange.markets or {}

    @property
    def precision_mode(self) -> int:
        """How ccxt writes this exchange's precisions."""
        return int(self._exchange.precisionMode)

    @property
    def paused(self) -> Pause | None:
        """The pause under way, if there is one."""
        return self.budget.paused({"ms": 1})

    def exactly(self, symbol: str, qty: Decimal, px: Decimal | None) -> bool:
        """Say whether ccxt would send these very numbers: it cuts what is too fine."""
        with localcontext():
            sent = [(qty, self._exchange.amount_to_precision(symbol, qty))]
            if px is not None:
                sent.append((px, self._exchange.price_to_precision(symbol, px)))
        return all(Decimal(text) == value for value, text in sent)

    def set_clock(self, offset_s: float) -> None:
        """Let ccxt sign with the exchange's time, where it knows how to."""
        self._exchange.options["timeDifference"] = -round(offset_s * 1_000)

    async def open(self) -> None:
        """Give ccxt a session that sends once; called again it changes nothing."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=32),
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(self._witness, never_redirected, sent_once),
            )
            self._exchange.own_session = False
            self._exchange.session = self._session

    async def aclose(self) -> None:
        """Close ccxt's streams and our session."""
        session, self._session = self._session, None
        try:
            await self._exchange.close()
        finally:
            if session is not None:
                await session.close()

    async def call(self, method: str, *arguments: Any, priority: Priority) -> tuple[Any, Call]:
        """
        Call one of ccxt's unified methods; return its answer and what was seen of the call.

        Raises Unsent, Unanswered or Spoken.
        """
        if self._session is None:
            raise Unsent(f"{method}: not connected")
        async with AsyncExitStack() as turns:
            call = Call(priority, turns)
            token = _CALL.set(call)
            try:
                # ccxt sets how its thread's Decimals round: it gets an arithmetic of its own.
                with localcontext():
                    async with asyncio.timeout(self._deadline_s):
                        return await getattr(self._exchange, method)(*arguments), call
            except Unsent as error:
                if call.on_wire:
                    # One call may be several requests, and this was not the first.
                    raise _sent_at(Unanswered(NoAnswer.LOST, str(error)), call) from None
                raise
            except Unanswered as error:
                raise _sent_at(error, call) from None
            except TimeoutError:
                told = f"{method}: no answer within {self._deadline_s:g} s"
                raise _fault(NoAnswer.TIMEOUT, told, call) from None
            except _base_error() as error:
                raise self._translated(error, method, call) from None
            except UNREADABLE as error:
                if not call.on_wire:
                    raise
                told = f"{method}: ccxt cannot read the reply: {type(error).__name__}"
                raise _fault(NoAnswer.GARBLED, told, call) from None
            finally:
                _CALL.reset(token)

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Put a question; see `call`."""
        answer, _ = await self.call(method, *arguments, priority=Priority.QUESTION)
        return answer

    async def watch(self, method: str, *arguments: Any) -> None:
        """Wait for news on one of ccxt's streams; raises Spoken or Unsent when there are none."""
        try:
            with localcontext():
                await getattr(self._exchange, method)(*arguments)
        except (_base_error(), aiohttp.ClientError, OSError) as error:
            raise Spoken(type(error).__name__, "the stream ended") from None

    async def _throttle(self, cost: float | None = None) -> None:
        """Stand where ccxt waits before it signs and sends: `cost` times its `rateLimit`, in ms."""
        call = _CALL.get()
        if call is None:
            return
        amount = max(math.ceil((cost or 1) * self._exchange.rateLimit), 1)
        await call.turns.enter_async_context(self.budget.spend({"ms": amount}, call.priority))
        call.sent_at_ns = call.sent_at_ns or self._clock.now_ns()

    async def _witness(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """See what goes over the wire (a middleware)."""
        call = _CALL.get()
        try:
            response = await handler(request)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, Unsent):
            raise
        except BaseException:
            if call is not None:
                call.on_wire = True
            raise
        if call is not None:
            call.on_wire, call.status = True, response.status
        if response.status in _STATUS_TOO_MANY:
            self._pause(call, response)
        return response

    def _pause(self, call: Call | None, response: aiohttp.ClientResponse) -> None:
        told = whole(response.headers.get("Retry-After"))
        seconds = PAUSE_S if told is None else float(told)
        self.budget.pause(seconds, f"status {response.status}")
        if call is not None:
            call.retry_after_s = seconds

    def _translated(
        self, error: Exception, method: str, call: Call
    ) -> Unsent | Unanswered | Spoken:
        """Judge by what failed below ccxt, if something did; else by what ccxt calls it."""
        told = f"{method}: {type(error).__name__}"
        match error.__cause__:
            case (
                aiohttp.ClientConnectorError()
                | aiohttp.ConnectionTimeoutError()
                | socket.gaierror()
            ):
                return _fault(NoAnswer.LOST, told, call) if call.on_wire else Unsent(told)
            case TimeoutError():
                return _fault(NoAnswer.TIMEOUT, told, call)
            case aiohttp.ClientError():
                return _fault(NoAnswer.LOST, told, call)
            case _:
                kinds = (kind.__name__ for kind in type(error).__mro__)
                code = next((kind for kind in kinds if kind in _KNOWN), type(error).__name__)
                return Spoken(code, self._clean(str(error)), call)

    def _clean(self, text: str) -> str:
        """Take out of a message what ccxt quotes of the request: its query, and any key."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return _QUERY.sub("", text)


def _fault(fault: NoAnswer, told: str, call: Call) -> Unanswered:
    return _sent_at(Unanswered(fault, told), call)


def _sent_at(error: Unanswered, call: Call) -> Unanswered:
    error.extra["sent_at_ns"] = call.sent_at_ns
    return error


def _base_error() -> type[Exception]:
    """Return what all of ccxt's exceptions derive from."""
    base: type[Exception] = importlib.import_module("ccxt.base.errors").BaseError
    return base


def _made(config: CcxtConfig, credential: CcxtCredential, deadline_s: float) -> Any:
    """Make ccxt's object for the exchange; raises ConfigError."""
    exchange = _kind(config.exchange)(
        {**credential.for_ccxt(), "enableRateLimit": True, "timeout": deadline_s * 1_000}
    )
    exchange.number = Decimal
    exchange.verbose = False
    # At debug level it would write headers with keys in them.
    exchange.logger = logging.getLogger("ccxt.silenced")
    exchange.logger.disabled = True
    if config.sandbox:
        _in_sandbox(exchange)
    exchange.urls = exchange.deep_extend(exchange.urls, config.urls)
    options = {"defaultType": "spot", "warnOnFetchOpenOrdersWithoutSymbol": False}
    exchange.options = exchange.deep_extend(exchange.options, options, _plain(config.options))
    if sends_again(exchange.options):
        raise ConfigError(f"ccxt sends orders of {config.exchange} again by itself")
    _check_key(exchange, config)
    return exchange


def _kind(name: str) -> Any:
    """Return ccxt's class for an exchange, with streams where it has them; raises ConfigError."""
    if importlib.util.find_spec("ccxt") is None:
        raise ConfigError(
            'adapter = "ccxt" needs the ccxt library, which is not installed',
            hint="pip install 'brokerd[ccxt]'",
        )
    library, streaming = (
        importlib.import_module(module) for module in ("ccxt.async_support", "ccxt.pro")
    )
    known = cast("list[str]", library.exchanges)
    if name not in known:
        raise ConfigError(f"ccxt has no exchange {name}; {suggest(name, known)}")
    return getattr(streaming, name, None) or getattr(library, name)


def _check_key(exchange: Any, config: CcxtConfig) -> None:
    lacking = [
        word
        for word, is_needed in exchange.requiredCredentials.items()
        if is_needed and not getattr(exchange, word, None)
    ]
    if lacking:
        raise ConfigError(
            f"{config.exchange} needs {', '.join(lacking)} in the credential {config.credential}"
        )


def _in_sandbox(exchange: Any) -> None:
    if not exchange.urls.get("test"):
        raise ConfigError(f"ccxt knows no sandbox of {exchange.id}", hint="leave sandbox out")
    exchange.set_sandbox_mode(True)


def _plain(value: Any) -> Any:
    """Return settings as ccxt expects them: numbers with a point are no money here."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[str, Any]", value).items()}
    return float(value) if isinstance(value, Decimal) else value


def _about(exchange: Any) -> Exchange:
    features = part({"spot": {}, **(exchange.features or {})}, "spot")
    window_ms = exchange.options.get("recvWindow")
    return Exchange(
        exchange_id=exchange.id,
        has=exchange.has,
        create=part(features, "createOrder"),
        trades=part(features, "fetchMyTrades"),
        open_orders=part(features, "fetchOpenOrders"),
        recv_window_s=None if window_ms is None else float(window_ms) / 1_000,
        takes_client_id=_speaks_of_client_ids(exchange, "create_order", "create_order_request"),
        asks_client_id=bool(exchange.has.get("fetchOrder"))
        and _speaks_of_client_ids(exchange, "fetch_order"),
    )


def _speaks_of_client_ids(exchange: Any, *methods: str) -> bool:
    """Say whether ccxt's code for this exchange handles client ids: the only place that tells."""
    kind = cast("type[object]", type(exchange))
    found = [getattr(kind, name) for name in methods if hasattr(kind, name)]
    return any("clientOrderId" in inspect.getsource(each) for each in found)
