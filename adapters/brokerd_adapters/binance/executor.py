"""
BinanceExecutor: one Binance Spot account behind the executor port.

It holds no order state. What it remembers for convenience may be lost: which symbols are in use, and
which number a replaced order has now, for who still names it by the one before.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import structlog
from msgspec.structs import replace

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.events import RequestKind
from brokerd.executor import (
    Accepted,
    Balance,
    CancelOrder,
    Clock,
    OrderRef,
    OrderView,
    Outcome,
    PlaceOrder,
    Refused,
    ReplaceOrder,
    Report,
    Snapshot,
    Standing,
)
from brokerd.retries import delay_s
from brokerd.states import ExecType
from brokerd.terms import Instrument, Quote
from brokerd_adapters.binance import names, replies, requests
from brokerd_adapters.binance.config import BinanceConfig
from brokerd_adapters.binance.key import Key
from brokerd_adapters.binance.limits import CONNECT_COST, Meters
from brokerd_adapters.binance.promises import CLOCK_ERROR_S, WEAKNESSES, promises
from brokerd_adapters.binance.questions import Questions
from brokerd_adapters.binance.quotes import Quotes
from brokerd_adapters.binance.rest import RestRoad
from brokerd_adapters.binance.roads import Roads
from brokerd_adapters.binance.session import Session, decode, reply_to
from brokerd_adapters.binance.shapes import Envelope
from brokerd_adapters.binance.symbols import Symbol, symbols
from brokerd_adapters.kit import (
    DEADLINE_S,
    Background,
    ClockOffset,
    Credential,
    Deadlines,
    Http,
    JsonSocket,
    Priority,
    key_mark,
    make_signer,
    shared_budget,
)

MEASURE_S = 60.0
RULES_S = 3_600.0
FIRST_QUOTE_S = 2.0
NUMBERS_MAX = 10_000

log = structlog.get_logger(__name__)


class BinanceExecutor:
    """
    One account. `deadline_s` is how long an order may wait for its reply, below the daemon's own
    deadline, so that what is known of a fault is not lost to it.
    """

    def __init__(
        self,
        name: str,
        config: BinanceConfig,
        credential: Credential,
        *,
        clock: Clock,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.name = name
        self.capabilities = promises(config)
        self._config = config
        self._clock = clock
        self._deadline_s = deadline_s
        self._offset = ClockOffset(clock, error_s_max=CLOCK_ERROR_S)
        self._budget = shared_budget(config.rest_url, clock)
        self._meters = Meters(key_mark(credential.api_key))
        signer = make_signer(credential, config.credential)
        self._key = Key(
            credential.api_key, signer, self._offset, recv_window_ms=config.recv_window_ms
        )
        self._blank = credential.blank
        self._http = Http(
            config.rest_url, deadlines=Deadlines(total_s=deadline_s), blank=self._blank
        )
        rest = RestRoad(self._http, self._key, self._meters)
        self._roads = Roads(rest, self._budget, self._meters, self._offset, clock)
        self._questions = Questions(
            self._roads,
            self._offset,
            clock,
            settle_s=config.processing_bound_s + config.query_lag_s,
        )
        self._quotes = Quotes(name, config.stream_url, self._questions.book_tickers, clock)
        self._symbols: dict[str, Symbol] = {}
        self._instruments: dict[str, Instrument] = {}
        self._rules_at_s: float | None = None
        self._used: set[str] = set(config.symbols)
        self._numbers: dict[str, str] = {}
        self._stack = AsyncExitStack()
        self._background = Background(name)

    def standing(self) -> Standing:
        """Return how things stand with the venue."""
        # Too many orders is no such pause: cancels and questions go on.
        pause = self._budget.paused(CONNECT_COST)
        return Standing(
            clock_offset_s=self._offset.offset_s,
            clock_error_s=self._offset.error_s,
            budget_left=self._meters.shown(self._budget.left),
            paused_until_ns=pause.until_ns if pause else None,
            pause_reason=pause.reason if pause else "",
            weaknesses=WEAKNESSES,
        )

    def resume(self, paused_until_ns: int, reason: str) -> None:
        """Keep a pause that an earlier run was told of."""
        self._budget.pause_until(paused_until_ns, reason)

    async def connect(self) -> None:
        """Measure the venue's clock, read its rules, start the quotes; raises VenueUnavailable."""
        if not self._background.is_open:
            await self._stack.enter_async_context(self._http)
            await self._stack.enter_async_context(self._background)
            self._background.start(self._quotes.run, "quotes")
            self._background.start(self._keep_current, "clock-and-rules")
        await self._measure()
        await self._read_rules()
        await self._quotes.first(self._config.symbols, FIRST_QUOTE_S)

    async def aclose(self) -> None:
        """Stop the quotes and let go of every connection."""
        await self._stack.aclose()

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of every symbol, empty until connected."""
        return self._instruments

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest best bid and ask; the first question about a symbol subscribes to it."""
        return self._quotes.get(symbol) if symbol in self._symbols else None

    async def place(self, request: PlaceOrder) -> Outcome:
        """Send a new order."""
        fault = requests.why_not(request.terms)
        if fault is not None:
            return Refused(reason="not_supported", evidence=f"not sent: {fault}")
        self._used.add(request.terms.symbol)
        call = requests.place(request, self._config.self_trade_prevention)
        return await self._roads.command(RequestKind.NEW, call, partial(replies.placed, request))

    async def cancel(self, request: CancelOrder) -> Outcome:
        """Ask for a cancel."""
        named = replace(request, ref=self._latest(request.ref))
        return await self._roads.command(
            RequestKind.CANCEL,
            requests.cancel(named),
            partial(replies.canceled, named),
        )

    async def replace(self, request: ReplaceOrder) -> Outcome:
        """
        Amend an order whose quantity only shrinks; else put another in its place, if it has no fills.

        See `requests.cancel_replace` for why only then.
        """
        named = replace(request, ref=self._latest(request.ref))
        symbol = self._symbols.get(request.ref.symbol)
        if symbol is not None and symbol.can_amend and request.only_shrinks:
            return await self._roads.command(
                RequestKind.REPLACE,
                requests.amend(named),
                partial(replies.amended, named),
            )
        if symbol is not None and not symbol.can_cancel_replace:
            told = f"not sent: {request.ref.symbol} has no cancelReplace"
            return Refused(reason="not_supported", evidence=told)
        outcome = await self._roads.command(
            RequestKind.REPLACE,
            requests.cancel_replace(named, self._config.self_trade_prevention),
            partial(replies.replaced, named),
        )
        for report in outcome.reports if isinstance(outcome, Accepted) else ():
            self._note(report)
        return outcome

    async def query(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order with all its executions."""
        return await self._questions.order(self._latest(ref))

    async def snapshot(self, since_ns: int) -> Snapshot:
        """Ask for all open orders, and the executions of all symbols that were in use."""
        return await self._questions.snapshot(since_ns, self._used)

    async def balances(self) -> tuple[Balance, ...]:
        """Ask for the account's balances."""
        return await self._questions.balances()

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[AsyncIterator[Report], None]:
        """Open the WebSocket connection: while it lasts, it carries orders and events."""
        socket: JsonSocket[Envelope] = JsonSocket(
            self.name,
            self._config.ws_api_url,
            decode=decode,
            reply_to=reply_to,
            blank=self._blank,
        )
        async with AsyncExitStack() as stack:
            async with self._budget.spend(CONNECT_COST, Priority.QUESTION):
                await stack.enter_async_context(socket)
            session = Session(
                self.name,
                socket,
                self._key,
                self._meters,
                note=self._note,
                deadline_s=self._deadline_s,
            )
            await session.begin()
            self._roads.session = session
            try:
                yield session
            finally:
                self._roads.session = None
                session.close()

    def _latest(self, ref: OrderRef) -> OrderRef:
        """Name an order by the number it has now, as far as we have heard: numbers only grow."""
        self._used.add(ref.symbol)
        known = self._numbers.get(ref.venue_cl_ord_id)
        if (names.venue_number(known) or 0) > (names.venue_number(ref.venue_order_id) or 0):
            return replace(ref, venue_order_id=known)
        return ref

    def _note(self, report: Report) -> None:
        """Remember the number of a replaced order; the oldest are forgotten first."""
        cl_ord_id, number = report.venue_cl_ord_id, report.venue_order_id
        if report.exec_type is not ExecType.REPLACED or cl_ord_id is None or number is None:
            return
        self._numbers.pop(cl_ord_id, None)
        self._numbers[cl_ord_id] = number
        if len(self._numbers) > NUMBERS_MAX:
            del self._numbers[next(iter(self._numbers))]

    async def _measure(self) -> None:
        self._roads.clock_is_off.clear()
        await self._offset.measure(self._questions.venue_ns)
        self._budget.align(self._offset.venue_ns())

    async def _keep_current(self) -> None:
        """Measure the venue's clock and read its rules again now and then, the clock soon if it is off."""
        attempt = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(MEASURE_S if self._offset.offset_s is not None else 0):
                    await self._roads.clock_is_off.wait()
            try:
                await self._measure()
                await self._read_rules()
                attempt = 0
            except (VenueUnavailable, OutcomeUnknown) as error:
                log.warning("venue_not_asked", executor=self.name, why=str(error))
                attempt += 1
                wait_s = delay_s(attempt, error.extra.get("retry_after_s"))
                await asyncio.sleep(min(wait_s, MEASURE_S))

    async def _read_rules(self) -> None:
        """Read the rules of the symbols and the limits of requests, unless that was just done."""
        now_s = asyncio.get_running_loop().time()
        if self._rules_at_s is not None and now_s - self._rules_at_s < RULES_S:
            return
        info = await self._questions.rules(self._config.symbols)
        known, unreadable = await asyncio.to_thread(symbols, info)
        for symbol in unreadable:
            log.warning("symbol_unreadable", executor=self.name, symbol=symbol)
        self._budget.configure(self._meters.windows(info.rate_limits))
        self._symbols = known
        self._instruments = {name: symbol.instrument for name, symbol in known.items()}
        self._rules_at_s = now_s
