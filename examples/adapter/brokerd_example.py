"""
A template: one adapter, small and whole, for a venue with REST and no streams.

It speaks to Binance's REST dialect, so that it can be tried against `brokerd-venue`; the adapter
that comes with brokerd does much more. Copy it, and change it from the top down: what is promised,
what each answer proves, how things are read, what is sent. The conformance suite holds it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from brokerd.config.load import Config
from brokerd.errors import BrokerdError, OutcomeUnknown
from brokerd.events import RequestKind
from brokerd.executor import (
    Accepted,
    Balance,
    CancelOrder,
    Capabilities,
    Clock,
    Execution,
    Executor,
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
from brokerd.money import ZERO, digits, parse_decimal
from brokerd.outcomes import NoAnswer, OutcomeTable, Row, Verdict
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import Instrument, OrdType, Quote, Side, Terms, TimeInForce
from brokerd_adapters.kit import (
    Budget,
    ClockOffset,
    Credential,
    Http,
    Priority,
    Unanswered,
    Unsent,
    Watch,
    Window,
    check_address,
    load_credential,
    make_signer,
    outcome_of,
    shared_budget,
)

RECV_WINDOW_MS = 5_000
WEIGHT = "weight_1m"

# 1. What the venue promises. Whatever its documents do not say is not promised: doubt is resolved
#    by these and by nothing else.

CAPABILITIES = Capabilities(
    repeat_id="refused_while_open",
    validity_window_s=RECV_WINDOW_MS / 1_000,
    processing_bound_s=10.0,
    query_lag_s=5.0,
    clock_error_s=0.5,
    query_closed=True,
    amend="none",
    ord_types=frozenset({OrdType.LIMIT, OrdType.MARKET}),
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK}),
    exec_id_scope="symbol",
    executions_back_s=86_400.0,
)

# 2. What each answer proves, with the page that says so. What is not in the table is in doubt.

OUTCOMES = OutcomeTable(
    [
        Row(
            verdict=Verdict.IN_DOUBT,
            reason="server_error",
            source="rest-api.md, HTTP return codes: 5xx is not a failure",
            status=range(500, 600),
        ),
        Row(
            verdict=Verdict.NOT_SENT,
            reason="rate_limited",
            source="rest-api.md, LIMITS",
            status=429,
        ),
        Row(
            verdict=Verdict.NOT_SENT,
            reason="clock_off",
            source="errors.md, -1021",
            code="-1021",
        ),
        Row(
            verdict=Verdict.ABOUT_ORDER,
            reason="duplicate_client_id",
            source="errors.md, -2010",
            on=RequestKind.NEW,
            code="-2010",
            message="duplicate",
        ),
        Row(
            verdict=Verdict.ABOUT_ORDER,
            reason="order_not_open",
            source="errors.md, -2011: unknown, filled and canceled alike",
            on=RequestKind.CANCEL,
            code="-2011",
        ),
        Row(
            verdict=Verdict.REFUSED,
            reason="venue_refused",
            source="errors.md, 10xx, 11xx and 20xx with status 400",
            status=400,
            code=("-1013", "-1100", "-1102", "-1111", "-1121", "-2010"),
        ),
    ]
)

# 3. How things are read. Numbers are text on the wire and Decimals here; ids that the venue counts
#    for each symbol get the symbol in front.

STATUSES = {
    "NEW": OrdStatus.NEW,
    "PARTIALLY_FILLED": OrdStatus.PARTIALLY_FILLED,
    "FILLED": OrdStatus.FILLED,
    "CANCELED": OrdStatus.CANCELED,
    "REJECTED": OrdStatus.REJECTED,
    "EXPIRED": OrdStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrdStatus.EXPIRED,
}


def read_order(told: Mapping[str, Any], executions: tuple[Execution, ...] = ()) -> OrderView:
    """Read an order as GET /api/v3/order tells it; raises KeyError or ValueError."""
    ord_type = OrdType.MARKET if told["type"] == "MARKET" else OrdType.LIMIT
    return OrderView(
        venue_cl_ord_id=told["clientOrderId"],
        venue_order_id=f"{told['symbol']}:{told['orderId']}",
        symbol=told["symbol"],
        side=Side(told["side"].lower()),
        ord_type=ord_type,
        ord_status=STATUSES[told["status"]],
        qty=parse_decimal(told["origQty"]),
        px=parse_decimal(told["price"]) if ord_type is OrdType.LIMIT else None,
        cum_qty=parse_decimal(told["executedQty"]),
        executions=executions,
        venue_at_ns=told["updateTime"] * 1_000_000,
    )


def read_trade(told: Mapping[str, Any]) -> Report:
    """Read a fill as GET /api/v3/myTrades tells it."""
    return Report(
        exec_type=ExecType.TRADE,
        symbol=told["symbol"],
        venue_order_id=f"{told['symbol']}:{told['orderId']}",
        execution=Execution(
            exec_id=f"{told['symbol']}:{told['id']}",
            last_qty=parse_decimal(told["qty"]),
            last_px=parse_decimal(told["price"]),
            fee=parse_decimal(told["commission"]),
            fee_asset=told["commissionAsset"],
            liquidity="maker" if told["isMaker"] else "taker",
            venue_at_ns=told["time"] * 1_000_000,
        ),
        venue_at_ns=told["time"] * 1_000_000,
    )


def read_instrument(told: Mapping[str, Any]) -> Instrument:
    """Read a symbol of GET /api/v3/exchangeInfo."""
    filters = {each["filterType"]: each for each in told["filters"]}

    def rule(kind: str, key: str) -> Decimal:
        return parse_decimal(filters.get(kind, {}).get(key, "0"))

    return Instrument(
        told["symbol"],
        told["baseAsset"],
        told["quoteAsset"],
        tick=rule("PRICE_FILTER", "tickSize"),
        lot=rule("LOT_SIZE", "stepSize"),
        qty_min=rule("LOT_SIZE", "minQty"),
        qty_max=rule("LOT_SIZE", "maxQty"),
        notional_min=rule("NOTIONAL", "minNotional"),
    )


def order_params(request: PlaceOrder) -> dict[str, str]:
    """Write an order as POST /api/v3/order takes it."""
    terms = request.terms
    params = {
        "symbol": terms.symbol,
        "side": terms.side.upper(),
        "type": terms.ord_type.upper(),
        "quantity": digits(terms.qty),
        "newClientOrderId": request.venue_cl_ord_id,
    }
    if terms.px is not None:
        params["price"] = digits(terms.px)
        params["timeInForce"] = terms.time_in_force.upper()
    if terms.post_only:
        del params["timeInForce"]
        params["type"] = "LIMIT_MAKER"
    return params


# 4. The executor.


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of [executors.NAME]."""

    credential: Annotated[str, Meta(min_length=1, description="the credential file")]
    rest_url: Annotated[str, Meta(min_length=1, description="where the venue is")]
    symbols: Annotated[tuple[str, ...], Meta(min_length=1, description="what is traded")]
    poll_s: Annotated[float, Meta(ge=0.05, le=60, description="how often it is asked")] = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError for an address where the key would go in the clear."""
        check_address("rest_url", self.rest_url)


class Said(OutcomeUnknown):
    """The venue answered a question with an error: that is no answer."""

    def __init__(self, status: int, told: Mapping[str, Any]) -> None:
        self.venue_code, self.told = str(told.get("code", "")), str(told.get("msg", ""))
        self.status = status
        super().__init__(f"status {status}, code {self.venue_code}: {self.told}")


class ExampleExecutor:
    """An executor: see `brokerd.executor.Executor` for what each method promises."""

    def __init__(
        self, name: str, settings: Settings, credential: Credential, *, clock: Clock
    ) -> None:
        self.name = name
        self.capabilities = CAPABILITIES
        self._settings = settings
        self._clock = clock
        self._signer = make_signer(credential, settings.credential)
        self._http = Http(
            settings.rest_url,
            headers={"X-MBX-APIKEY": credential.api_key.reveal()},
            blank=credential.blank,
        )
        self._offset = ClockOffset(clock, error_s_max=CAPABILITIES.clock_error_s)
        self._budget: Budget = shared_budget(settings.rest_url, clock)
        self._instruments: dict[str, Instrument] = {}
        self._quotes: dict[str, Quote] = {}
        self._watch = Watch(self, settings.poll_s)
        self._stack = AsyncExitStack()
        self._quoting: asyncio.Task[None] | None = None

    def standing(self) -> Standing:
        """Return how things stand, without waiting."""
        pause = self._budget.paused({"weight": 1})
        return Standing(
            clock_offset_s=self._offset.offset_s,
            clock_error_s=self._offset.error_s,
            budget_left=self._budget.left,
            paused_until_ns=pause.until_ns if pause else None,
            pause_reason=pause.reason if pause else "",
            weaknesses=("there is no stream: fills are seen when they are asked for",),
        )

    def resume(self, paused_until_ns: int, reason: str) -> None:
        """Keep a pause that an earlier run was told of."""
        self._budget.pause_until(paused_until_ns, reason)

    async def connect(self) -> None:
        """Open the connection pool once; learn the rules, the clock and the quotes each time."""
        if self._quoting is None:
            await self._stack.enter_async_context(self._http)
        limit = Window(name=WEIGHT, counts="weight", limit=6_000, interval_ns=60 * 10**9)
        self._budget.configure([limit])
        await self._offset.measure(self._time_ns)
        info = await self._ask("/api/v3/exchangeInfo", weight=20)
        read = {each["symbol"]: read_instrument(each) for each in info["symbols"]}
        self._instruments = {each: read[each] for each in self._settings.symbols}
        await self._quote()
        if self._quoting is None:
            tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
            self._quoting = tasks.create_task(self._keep_quoting(), name=f"{self.name}-quotes")

    async def aclose(self) -> None:
        """Let go of everything, in the task that connected."""
        if self._quoting is not None:
            self._quoting.cancel()
        await self._stack.aclose()

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of every symbol, empty until connected."""
        return self._instruments

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest best bid and ask."""
        return self._quotes.get(symbol)

    async def place(self, request: PlaceOrder) -> Outcome:
        """Send a new order, if the venue can do what it asks for."""
        reason = self._unfit(request.terms)
        if reason:
            return Refused(reason=reason, evidence="not sent")
        params = order_params(request)
        return await self._command(RequestKind.NEW, "POST", params, request.venue_cl_ord_id)

    async def cancel(self, request: CancelOrder) -> Outcome:
        """Ask for a cancel; the order keeps its client id, which the cancel's would replace."""
        ref = request.ref
        params = {
            "symbol": ref.symbol,
            "origClientOrderId": ref.venue_cl_ord_id,
            "newClientOrderId": ref.venue_cl_ord_id,
        }
        return await self._command(RequestKind.CANCEL, "DELETE", params, ref.venue_cl_ord_id)

    async def replace(self, request: ReplaceOrder) -> Outcome:  # noqa: ARG002 - none is taken
        """Refuse: CAPABILITIES.amend is "none"."""
        return Refused(reason="replace_not_supported", evidence="not sent")

    async def query(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order with all its executions."""
        return await self.order(ref)

    async def order(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order; "no such order" is the one error that is an answer."""
        params = {"symbol": ref.symbol, "origClientOrderId": ref.venue_cl_ord_id}
        try:
            told = await self._ask("/api/v3/order", params, weight=4)
        except Said as error:
            if error.venue_code == "-2013":
                return None
            raise
        trades: list[Mapping[str, Any]] = []
        if parse_decimal(told["executedQty"]):
            by_order = {"symbol": ref.symbol, "orderId": str(told["orderId"])}
            trades = await self._ask("/api/v3/myTrades", by_order, weight=5)
        executions = (read_trade(each).execution for each in trades)
        return read_order(told, tuple(each for each in executions if each is not None))

    async def open_orders(self) -> tuple[OrderView, ...]:
        """Ask for all open orders."""
        told: list[Mapping[str, Any]] = []
        for symbol in self._settings.symbols:
            told += await self._ask("/api/v3/openOrders", {"symbol": symbol}, weight=6)
        return tuple(read_order(each) for each in told)

    async def snapshot(self, since_ns: int) -> Snapshot:
        """Ask for all open orders, and all executions since a time; one day at most."""
        began_ns = self._clock.now_ns()
        orders = await self.open_orders()
        told: list[Mapping[str, Any]] = []
        start_ms = max(since_ns, began_ns - 86_400 * 10**9) // 1_000_000
        for symbol in self._settings.symbols:
            # A real adapter asks page by page: this venue gives 1,000 at most.
            params = {"symbol": symbol, "startTime": str(start_ms), "limit": "1000"}
            told += await self._ask("/api/v3/myTrades", params, weight=20)
        executions = tuple(read_trade(each) for each in told)
        return Snapshot(began_ns=began_ns, since_ns=since_ns, orders=orders, executions=executions)

    async def balances(self) -> tuple[Balance, ...]:
        """Ask for the account's balances."""
        told = await self._ask("/api/v3/account", {}, weight=20)
        return tuple(
            Balance(each["asset"], parse_decimal(each["free"]), parse_decimal(each["locked"]))
            for each in told["balances"]
        )

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[AsyncIterator[Report], None]:
        """Give what changes, round by round; it ends with the first question without an answer."""
        yield self._watch.reports()

    async def _command(
        self, kind: RequestKind, method: str, params: dict[str, str], venue_cl_ord_id: str
    ) -> Outcome:
        """Send one command; the table says what came of it."""
        priority = Priority.CANCEL if kind is RequestKind.CANCEL else Priority.ORDER
        signed_at_ns = self._clock.now_ns()
        try:
            async with self._budget.spend({"weight": 1}, priority):
                signed_at_ns = self._clock.now_ns()
                answer = await self._http.request(
                    method, "/api/v3/order", query=self._signed(params)
                )
            told = _decoded(answer.body)
        except (Unsent, Unanswered) as error:
            return outcome_of(error, kind, OUTCOMES, signed_at_ns=signed_at_ns)
        finally:
            self._watch.look()
        if str(told.get("code", "")) == "-1021":
            self._offset.forget()
        if answer.status != 200:
            return OUTCOMES.outcome(
                kind,
                status=answer.status,
                code=str(told.get("code", "")),
                message=str(told.get("msg", "")),
                signed_at_ns=signed_at_ns,
                retry_after_s=self._pause(answer.status, answer.headers.get("Retry-After")),
            )
        named = Report(
            exec_type=ExecType.CANCELED if kind is RequestKind.CANCEL else ExecType.NEW,
            symbol=told["symbol"],
            venue_cl_ord_id=venue_cl_ord_id,
            venue_order_id=f"{told['symbol']}:{told['orderId']}",
        )
        if kind is RequestKind.NEW:
            self._watch.expect(
                OrderRef(
                    symbol=named.symbol,
                    venue_cl_ord_id=venue_cl_ord_id,
                    venue_order_id=named.venue_order_id,
                )
            )
        return Accepted(reports=(named,), sent_at_ns=signed_at_ns)

    async def _ask(self, path: str, params: Mapping[str, str] | None = None, *, weight: int) -> Any:
        """Put a question, signed if it has params; raises unless the answer is one."""
        async with self._budget.spend({"weight": weight}, Priority.QUESTION) as charge:
            query = "" if params is None else self._signed(params)
            answer = await self._http.request("GET", path, query=query)
            used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "")
            if used.isdigit():
                self._budget.observe(WEIGHT, int(used), charge)
        told = _decoded(answer.body)
        if answer.status != 200:
            self._pause(answer.status, answer.headers.get("Retry-After"))
            raise Said(answer.status, told)
        return told

    def _signed(self, params: Mapping[str, str]) -> str:
        """Sign with the venue's own time; raises Unsent while that is not known well enough."""
        timestamp = self._offset.venue_ns() // 1_000_000
        query = urlencode({**params, "recvWindow": RECV_WINDOW_MS, "timestamp": timestamp})
        return f"{query}&{urlencode({'signature': self._signer.sign(query.encode())})}"

    def _pause(self, status: int, retry_after: str | None) -> float | None:
        """Obey a Retry-After, for everybody who shares the budget; return it in seconds."""
        if status not in {418, 429}:
            return None
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else 60.0
        self._budget.pause(seconds, f"status {status}")
        return seconds

    def _unfit(self, terms: Terms) -> str:
        if terms.symbol not in self._instruments:
            return "unknown_symbol"
        if terms.ord_type not in CAPABILITIES.ord_types:
            return "ord_type_not_supported"
        if terms.time_in_force not in CAPABILITIES.times_in_force:
            return "time_in_force_not_supported"
        return ""

    async def _time_ns(self) -> int:
        told = await self._ask("/api/v3/time", weight=1)
        return int(told["serverTime"]) * 1_000_000

    async def _quote(self) -> None:
        told = await self._ask("/api/v3/ticker/bookTicker", weight=4)
        at_ns = self._clock.now_ns()
        for each in told:
            bid_px, ask_px = parse_decimal(each["bidPrice"]), parse_decimal(each["askPrice"])
            if each["symbol"] in self._instruments and bid_px > ZERO and ask_px > ZERO:
                self._quotes[each["symbol"]] = Quote(bid_px, ask_px, at_ns)

    async def _keep_quoting(self) -> None:
        """Keep quotes and the clock fresh; what fails is tried again."""
        while True:
            await asyncio.sleep(self._settings.poll_s)
            try:
                async with guarded(self.name, None):
                    await self._quote()
                    if self._offset.is_worn:
                        await self._offset.measure(self._time_ns)
            except BrokerdError:
                continue


def _decoded(body: bytes) -> Any:
    """Read JSON; what is none is a garbled reply."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise Unanswered(NoAnswer.GARBLED, f"{len(body)} bytes that are no JSON") from None


# 5. What the entry point names.


def build(name: str, config: Config, clock: Clock) -> Executor:
    """Make an executor; raises ConfigError with all that is wrong."""
    settings = config.settings(name, Settings)
    credential = load_credential(settings.credential, config, Credential)
    return ExampleExecutor(name, settings, credential, clock=clock)
