"""
CcxtExecutor: one account at one exchange, through ccxt.

It never trusts a stream: what ccxt watches is a reason to ask, and what is told is what the exchange
answered. Facts come over REST, where ccxt reads numbers from their text.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from msgspec.structs import replace

from brokerd.errors import BrokerdError, ConfigError, OutcomeUnknown, VenueUnavailable
from brokerd.events import RequestKind
from brokerd.executor import (
    Accepted,
    Balance,
    CancelOrder,
    Clock,
    InDoubt,
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
from brokerd.money import digits
from brokerd.states import ExecType
from brokerd.terms import Instrument, OrdType, Quote, Side, TimeInForce
from brokerd_adapters.background import Background
from brokerd_adapters.ccxt import promises, words
from brokerd_adapters.ccxt.config import CcxtConfig, CcxtCredential
from brokerd_adapters.ccxt.library import Call, Library, Spoken
from brokerd_adapters.ccxt.outcomes import OUTCOMES
from brokerd_adapters.ccxt.questions import Questions
from brokerd_adapters.kit.clock_offset import ClockOffset
from brokerd_adapters.kit.faults import Unanswered, Unsent, not_asked, outcome_of
from brokerd_adapters.kit.http import DEADLINE_S
from brokerd_adapters.kit.limits import Priority
from brokerd_adapters.kit.watch import Watch

CLOCK_ERROR_S_MAX = 1.0
HINT_S_MIN = 0.02

log = structlog.get_logger(__name__)


class CcxtExecutor:
    """
    Raises ConfigError when made, for an exchange that is not there or cannot be used. `deadline_s`
    is how long one call into ccxt may take, below the daemon's own deadline.
    """

    def __init__(
        self,
        name: str,
        config: CcxtConfig,
        credential: CcxtCredential,
        *,
        clock: Clock,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.name = name
        self._config = config
        self._clock = clock
        self._library = Library(config, credential, clock, deadline_s=deadline_s)
        about = self._library.about
        lacking = promises.lacks(about)
        if lacking is not None:
            raise ConfigError(f"executors.{name}: {config.exchange} cannot be used: {lacking}")
        self.capabilities = promises.promises(about, is_sandbox=config.sandbox)
        self._questions = Questions(self._library, config.symbols, clock)
        self._offset = ClockOffset(clock, error_s_max=CLOCK_ERROR_S_MAX)
        self._instruments: dict[str, Instrument] = {}
        self._quotes: dict[str, Quote] = {}
        self._watch = Watch(self._questions, config.poll_s)
        self._stack = AsyncExitStack()
        self._background = Background(name)
        self._quoting: asyncio.Task[None] | None = None

    def standing(self) -> Standing:
        """Return how things stand, without waiting."""
        budget = self._library.budget
        pause = self._library.paused
        return Standing(
            clock_offset_s=self._offset.offset_s,
            clock_error_s=self._offset.error_s,
            budget_left=budget.left,
            paused_until_ns=pause.until_ns if pause else None,
            pause_reason=pause.reason if pause else "",
            weaknesses=promises.weaknesses(self._library.about),
        )

    def resume(self, paused_until_ns: int, reason: str) -> None:
        """Keep a pause that an earlier run was told of."""
        self._library.budget.pause_until(paused_until_ns, reason)

    async def connect(self) -> None:
        """Load the markets, measure the clock, see a first quote; raises VenueUnavailable."""
        await self._library.open()
        try:
            await self._load()
            await self._measure()
            await self._questions.quotes(self._quotes)
        except OutcomeUnknown as error:
            raise VenueUnavailable(str(error), reason=error.reason) from None
        if not self._background.is_open:
            await self._stack.enter_async_context(self._background)
        if self._quoting is None or self._quoting.done():
            self._quoting = self._background.start(self._quote, "quotes")

    async def aclose(self) -> None:
        """Let go of everything."""
        try:
            await self._stack.aclose()
        finally:
            await self._library.aclose()

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of the configured symbols, empty until connected."""
        return self._instruments

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest best bid and ask."""
        return self._quotes.get(symbol)

    async def place(self, request: PlaceOrder) -> Outcome:
        """Place a new order, under our client id where the exchange takes one."""
        refused = self._unfit(request)
        if refused is not None:
            return refused
        terms = request.terms
        params: dict[str, Any] = {}
        if self._library.about.takes_client_id:
            params["clientOrderId"] = request.venue_cl_ord_id
        if terms.post_only:
            params["postOnly"] = True
        elif terms.time_in_force is not TimeInForce.GTC:
            params["timeInForce"] = terms.time_in_force.upper()
        return await self._command(
            RequestKind.NEW,
            Priority.ORDER,
            request.venue_cl_ord_id,
            "create_order",
            (terms.symbol, terms.ord_type.value, terms.side.value, terms.qty, terms.px, params),
        )

    async def cancel(self, request: CancelOrder) -> Outcome:
        """Ask for a cancel: by the exchange's id if it is known, else by ours."""
        ref = request.ref
        own_id, params = self._questions.naming(ref)
        if own_id is None and not params:
            return await self._cancel_found(ref)
        if self._library.about.exchange_id in promises.RENAMES_CANCELED:
            params = {**params, "newClientOrderId": ref.venue_cl_ord_id}
        return await self._command(
            RequestKind.CANCEL,
            Priority.CANCEL,
            ref.venue_cl_ord_id,
            "cancel_order",
            (own_id, ref.symbol, params),
        )

    async def replace(self, request: ReplaceOrder) -> Outcome:  # noqa: ARG002 - whatever it is
        """Refuse: ccxt does not say whether an edit keeps the order."""
        return Refused(
            reason="replace_not_supported",
            evidence="ccxt does not say what a replace does at this exchange",
        )

    async def query(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order with all its executions."""
        return await self._questions.order(ref)

    async def snapshot(self, since_ns: int) -> Snapshot:
        """Ask for all open orders, and all executions since a time."""
        began_ns = self._clock.now_ns()
        back_ns = int(promises.executions_back_s(self._library.about) * 1e9)
        orders = await self._questions.open_orders()
        executions = await self._questions.executions(max(since_ns, began_ns - back_ns))
        return Snapshot(began_ns=began_ns, since_ns=since_ns, orders=orders, executions=executions)

    async def balances(self) -> tuple[Balance, ...]:
        """Ask for the account's balances."""
        return await self._questions.balances()

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[AsyncIterator[Report], None]:
        """Ask round by round what changed; a question without an answer ends the stream."""
        hinting: asyncio.Task[None] | None = None
        if self._background.is_open and self._library.about.has.get("watchOrders"):
            hinting = self._background.start(self._hint, "hints")
        try:
            yield self._watch.reports()
        finally:
            if hinting is not None:
                hinting.cancel()

    async def _command(
        self,
        kind: RequestKind,
        priority: Priority,
        venue_cl_ord_id: str,
        method: str,
        arguments: tuple[Any, ...],
    ) -> Outcome:
        """Send one command; judge what came of it, and look at the order soon."""
        try:
            self._check_clock()
            answer, call = await self._library.call(method, *arguments, priority=priority)
        except Unsent as error:
            return outcome_of(error, kind, OUTCOMES)
        except Unanswered as error:
            signed_at_ns = error.extra.get("sent_at_ns")
            return outcome_of(error, kind, OUTCOMES, signed_at_ns=signed_at_ns)
        except Spoken as error:
            if error.kind == "InvalidNonce":
                self._offset.forget()
            return OUTCOMES.outcome(
                kind,
                status=error.status,
                code=error.kind,
                message=error.message,
                signed_at_ns=error.sent_at_ns,
                retry_after_s=error.retry_after_s,
            )
        finally:
            self._watch.look()
        return self._accepted(kind, venue_cl_ord_id, answer, call)

    def _accepted(
        self, kind: RequestKind, venue_cl_ord_id: str, answer: Mapping[str, Any], call: Call
    ) -> Outcome:
        """Read a success. A cancel's shows itself when the order is asked about."""
        if kind is RequestKind.CANCEL:
            return Accepted(sent_at_ns=call.sent_at_ns)
        own_id, symbol = answer.get("id"), answer.get("symbol")
        if not own_id or not symbol:
            return InDoubt(evidence="an answer without an order id", signed_at_ns=call.sent_at_ns)
        told = Report(
            exec_type=ExecType.NEW,
            symbol=symbol,
            venue_cl_ord_id=venue_cl_ord_id,
            venue_order_id=words.venue_id(symbol, own_id),
        )
        self._watch.expect(
            OrderRef(
                symbol=symbol,
                venue_cl_ord_id=venue_cl_ord_id,
                venue_order_id=told.venue_order_id,
            )
        )
        return Accepted(reports=(told,), sent_at_ns=call.sent_at_ns)

    async def _cancel_found(self, ref: OrderRef) -> Outcome:
        """Cancel an order that can be named by its exchange's id only, once that is found."""
        try:
            shown = await self._questions.order(ref)
        except (VenueUnavailable, OutcomeUnknown) as error:
            return not_asked(error)
        if shown is None:
            return Refused(reason="order_not_found", is_about_order=True)
        found = replace(ref, venue_order_id=shown.venue_order_id)
        return await self.cancel(CancelOrder(ref=found))

    def _unfit(self, request: PlaceOrder) -> Refused | None:
        """Refuse what the exchange cannot do, or what ccxt would change on the way."""
        terms, promised, about = request.terms, self.capabilities, self._library.about
        why = ""
        if terms.symbol not in self._instruments:
            why = "unknown_symbol"
        elif terms.ord_type not in promised.ord_types:
            why = "ord_type_not_supported"
        elif terms.time_in_force not in promised.times_in_force:
            why = "time_in_force_not_supported"
        elif terms.post_only and not promised.post_only:
            why = "post_only_not_supported"
        elif terms.ord_type is OrdType.MARKET and terms.side is Side.BUY:
            why = "market_buy_takes_cost" if promises.market_takes_cost(about) else ""
        if not why and not self._library.exactly(terms.symbol, terms.qty, terms.px):
            why = "not_on_grid"
        numbers = f"qty {digits(terms.qty)}" + (f" px {digits(terms.px)}" if terms.px else "")
        return Refused(reason=why, evidence=f"not sent: {why} ({numbers})") if why else None

    def _check_clock(self) -> None:
        """Refuse to sign with a clock that is too far off; where none is told there is nothing to check."""
        if self._library.about.has.get("fetchTime"):
            self._offset.venue_ns()

    async def _load(self) -> None:
        await self._library.ask("load_markets", True)  # noqa: FBT003 - ccxt's order
        found = {each: self._library.markets.get(each) for each in self._config.symbols}
        lacking = [
            symbol for symbol, market in found.items() if not (market and market.get("spot"))
        ]
        if lacking:
            raise ConfigError(
                f"{self._config.exchange} has no spot market {', '.join(lacking)}",
                hint='symbols are ccxt\'s: "BTC/USDT"',
            )
        mode = self._library.precision_mode
        self._instruments = {
            symbol: words.instrument(market, mode) for symbol, market in found.items() if market
        }

    async def _measure(self) -> None:
        if self._library.about.has.get("fetchTime"):
            await self._offset.measure(self._time_ns)
            self._library.set_clock(self._offset.offset_s or 0.0)

    async def _time_ns(self) -> int:
        return int(await self._library.ask("fetch_time")) * 1_000_000

    async def _quote(self) -> None:
        """Keep quotes and the clock fresh; what fails is tried again."""
        while True:
            await asyncio.sleep(self._config.quote_s)
            try:
                async with guarded(self.name, None):
                    await self._questions.quotes(self._quotes)
                    if self._offset.is_worn:
                        await self._measure()
            except BrokerdError as error:
                log.debug("quotes_failed", executor=self.name, why=str(error))

    async def _hint(self) -> None:
        """Look at once when ccxt's stream has news; while it has none, the rounds go on alone."""
        while True:
            try:
                async with guarded(self.name, None):
                    await self._library.watch("watch_orders")
            except BrokerdError:
                await asyncio.sleep(self._config.poll_s)
            self._watch.look()
            # What is told without a wait must not keep the loop to itself.
            await asyncio.sleep(HINT_S_MIN)
