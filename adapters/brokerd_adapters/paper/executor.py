"""
PaperExecutor: the paper venue as an executor, inside the daemon.

The venue lives as long as this object, across reconnects; with a state directory it also outlives
the daemon, through its log (see `log` for what a power cut may take). `connect` starts two tasks,
one to play the market and one to let orders expire; they end in `aclose`. A command is
carried out, logged and published without a single wait, unless latency or faults ask for one.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from brokerd.errors import BrokerdError, OutcomeUnknown, VenueUnavailable
from brokerd.events import RequestKind
from brokerd.executor import (
    Accepted,
    Balance,
    CancelOrder,
    Capabilities,
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
from brokerd.guard import guarded
from brokerd.outcomes import NoAnswer
from brokerd.terms import Instrument, Quote
from brokerd_adapters.background import Background
from brokerd_adapters.paper.config import PaperConfig, open_market
from brokerd_adapters.paper.host import VenueHost
from brokerd_adapters.paper.markets import Market
from brokerd_adapters.paper.matching import Answer, PaperVenue
from brokerd_adapters.paper.misbehaviour import Fault, Faults, Misbehaviour
from brokerd_adapters.paper.outcomes import OUTCOMES

if TYPE_CHECKING:
    from brokerd_adapters.paper.live import LiveMarket

_VALIDITY_WINDOW_S = 1.0
_FIRST_QUOTE_S = 10.0
_EXPIRY_CHECK_S = 0.5
_VIEWS_A_TURN = 500

_R = TypeVar("_R", PlaceOrder, CancelOrder, ReplaceOrder)


class PaperExecutor:
    """
    One paper account. `state_dir` of None keeps nothing beyond the process.

    Relative paths of recordings start at `base_dir`. Numbers for orders and executions start at
    the microseconds since 1970, so that a venue whose log was lost never gives one twice.
    """

    def __init__(
        self,
        name: str,
        config: PaperConfig,
        *,
        clock: Clock,
        state_dir: Path | None,
        base_dir: Path,
    ) -> None:
        self.name = name
        self.capabilities = Capabilities(
            repeat_id="refused_forever",
            validity_window_s=_VALIDITY_WINDOW_S,
            processing_bound_s=config.hold_up_max_s,
            query_lag_s=0.0,
            query_closed=True,
            amend="in_place",
            is_paper=True,
        )
        self._config = config
        self._clock = clock
        self._base_dir = base_dir
        log_path = state_dir / f"paper-{name}.log" if state_dir else None
        self._host = VenueHost(config, log_path)
        self._latency_s = config.latency_ms / 1_000
        self._stack = AsyncExitStack()
        self._background = Background(name)
        self._quoted: asyncio.Future[None] | None = None
        self._live: LiveMarket | None = None
        self._standing = Standing(clock_offset_s=0.0, clock_error_s=0.0)

    def standing(self) -> Standing:
        """Return the pause an earlier run was told of; this venue lives by our own clock."""
        return self._standing

    def resume(self, paused_until_ns: int, reason: str) -> None:
        """Note the pause, for the polls to keep. The paper venue itself never bans anybody."""
        self._standing = replace(
            self._standing, paused_until_ns=paused_until_ns, pause_reason=reason
        )

    async def connect(self) -> None:
        """
        Bring the venue back from its log if need be, and wait for a first quote of every symbol.

        Raises ConfigError for a log or a recording that cannot be read, and VenueUnavailable.
        """
        market = await self._open_market()
        if self._host.venue is None:
            await asyncio.to_thread(self._host.revive, market.instruments, self._clock.now_ns())
        if not self._background.is_open:
            await self._stack.enter_async_context(self._background)
            self._background.start(self._let_expire, "expiry")
        if self._quoted is None:
            self._quoted = asyncio.get_running_loop().create_future()
            self._background.start(partial(self._play, market, self._quoted), "market")
        try:
            async with asyncio.timeout(_FIRST_QUOTE_S):
                await asyncio.shield(self._quoted)
        except TimeoutError:
            raise VenueUnavailable("the market shows no quote yet", reason="no_quote") from None

    async def aclose(self) -> None:
        """Stop the market, end the stream, close the log."""
        try:
            await self._stack.aclose()
        finally:
            self._host.close()

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of every symbol, empty until connected."""
        venue = self._host.venue
        return venue.instruments if venue else {}

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest best bid and ask; while the market is out of sight there is none."""
        venue = self._host.venue
        is_in_sight = self._quoted is not None and self._quoted.done()
        return venue.quote(symbol) if venue and is_in_sight else None

    async def place(self, request: PlaceOrder) -> Outcome:
        """Place a new order."""
        return await self._command(PaperVenue.place, request, request.venue_cl_ord_id)

    async def cancel(self, request: CancelOrder) -> Outcome:
        """Cancel an order."""
        return await self._command(PaperVenue.cancel, request, request.ref.venue_cl_ord_id)

    async def replace(self, request: ReplaceOrder) -> Outcome:
        """Replace an order in place; it keeps its ids."""
        return await self._command(PaperVenue.replace, request, request.ref.venue_cl_ord_id)

    async def query(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order with all its executions."""
        return (await self._asked()).order(ref)

    async def snapshot(self, since_ns: int) -> Snapshot:
        """Ask for all open orders, and all executions since a time; lets others run in between."""
        venue = await self._asked()
        began_ns = self._clock.now_ns()
        orders: list[OrderView] = []
        for view in venue.open_orders():
            orders.append(view)
            if len(orders) % _VIEWS_A_TURN == 0:
                await asyncio.sleep(0)
        return Snapshot(
            began_ns=began_ns,
            since_ns=since_ns,
            orders=tuple(orders),
            executions=venue.executions_since(since_ns),
        )

    async def balances(self) -> tuple[Balance, ...]:
        """Ask for the account's balances."""
        return (await self._asked()).balances()

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[AsyncIterator[Report], None]:
        """Subscribe to the venue's reports; opening another stream cuts the one before."""
        subscription = self._host.subscribe()
        try:
            yield subscription
        finally:
            subscription.cut("it was closed")

    def misbehave(self, faults: Faults | None) -> None:
        """Let this plan of faults rule from here on; None ends all misbehaviour."""
        self._host.misbehaviour = Misbehaviour(faults) if faults else None

    async def _command(
        self, carry_out: Callable[[PaperVenue, _R, int], Answer], request: _R, venue_cl_ord_id: str
    ) -> Outcome:
        """Send one command: through the latency, and through what may befall it on its way."""
        sent_at_ns = self._clock.now_ns()
        misbehaviour = self._host.misbehaviour
        fault = misbehaviour.next_fault() if misbehaviour else Fault.NONE
        operation = _OPERATIONS[type(request)]
        if fault is Fault.UNAVAILABLE:
            return OUTCOMES.outcome(operation, fault=NoAnswer.CONNECT, message=f"fault: {fault}")
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        venue = self._host.venue
        if venue is None:
            why = "the paper venue is not connected"
            return OUTCOMES.outcome(operation, fault=NoAnswer.CONNECT, message=why)
        if fault is Fault.LOSE_REQUEST:
            return _doubt(operation, sent_at_ns)
        if fault is Fault.FORGET:
            venue.forget()
        answer = carry_out(venue, request, self._clock.now_ns())
        written = self._host.commit(() if isinstance(answer, Refused) else answer)
        if fault is Fault.LATE and misbehaviour:
            await asyncio.sleep(misbehaviour.faults.delay_s)
        if fault is Fault.LOSE_REPLY or not written:
            return _doubt(operation, sent_at_ns)
        return _outcome(operation, answer, venue_cl_ord_id, sent_at_ns)

    async def _asked(self) -> PaperVenue:
        """Return the venue, brought to the present, for a question that will be answered."""
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        misbehaviour = self._host.misbehaviour
        if misbehaviour and misbehaviour.loses_answer():
            raise OutcomeUnknown("the paper venue's answer was lost", reason="answer_lost")
        self._host.on_time(self._clock.now_ns())
        return self._host.require()

    async def _open_market(self) -> Market:
        """Return the market; a live one is asked for its rules again, over one connection."""
        if self._config.market != "live":
            return open_market(self._config, self._base_dir)
        if self._live is None:
            from brokerd_adapters.paper.live import LiveMarket  # noqa: PLC0415 - it loads aiohttp

            live = LiveMarket(self.name, self._config, self._clock)
            self._live = await self._stack.enter_async_context(live)
        await self._live.load()
        return self._live

    async def _play(self, market: Market, quoted: asyncio.Future[None]) -> None:
        """Feed the market to the venue. A recording that breaks off breaks the link."""
        unquoted = set(market.instruments)
        try:
            async with guarded(self.name, None), aclosing(market.ticks()) as ticks:
                async for tick in ticks:
                    self._host.on_tick(tick, self._clock.now_ns())
                    unquoted.discard(tick.symbol)
                    if not unquoted and not quoted.done():
                        quoted.set_result(None)
        except BrokerdError as error:
            # The next connect starts a new market, or says again what is wrong with this one.
            self._quoted = None
            self._host.cut(str(error))
            if not quoted.done():
                quoted.set_exception(error)
                # Marked as seen: a connect that was given up no longer asks.
                quoted.exception()

    async def _let_expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRY_CHECK_S)
            try:
                async with guarded(self.name, None):
                    self._host.on_time(self._clock.now_ns())
            except BrokerdError as error:
                self._host.cut(str(error))


_OPERATIONS: dict[type[PlaceOrder | CancelOrder | ReplaceOrder], RequestKind] = {
    PlaceOrder: RequestKind.NEW,
    CancelOrder: RequestKind.CANCEL,
    ReplaceOrder: RequestKind.REPLACE,
}


def _doubt(operation: RequestKind, sent_at_ns: int) -> Outcome:
    return OUTCOMES.outcome(operation, fault=NoAnswer.LOST, signed_at_ns=sent_at_ns)


def _outcome(
    operation: RequestKind, answer: Answer, venue_cl_ord_id: str, sent_at_ns: int
) -> Outcome:
    """Say the venue's answer in the port's words; of the reports only those of the order itself."""
    if isinstance(answer, Refused):
        judged = OUTCOMES.outcome(operation, code=answer.code, message=answer.reason)
        # The table tells what it proves, the venue why, in a sentence.
        return replace(judged, reason=answer.reason) if isinstance(judged, Refused) else judged
    own = tuple(report for report in answer if report.venue_cl_ord_id == venue_cl_ord_id)
    return Accepted(reports=own, sent_at_ns=sent_at_ns)
