"""The executor under test, the venue in the test's hand, and a desk to trade from."""

import asyncio
import importlib
import itertools
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from tests.scripted import until

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.executor import (
    CancelOrder,
    Executor,
    OrderRef,
    OrderView,
    Outcome,
    PlaceOrder,
    ReplaceOrder,
    Report,
)
from brokerd.money import ceil_to, divide, floor_to, multiply
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import Instrument, OrdType, Quote, Side, Terms, TimeInForce

Befalls = Literal["lose_request", "lose_reply", "unavailable", "fail", "garble", "truncate", "down"]
"""
What befalls the next command, in the words of `brokerd_adapters.venue.WireFault`:
lost on its way there or back; answered with 503 and done nothing, or done all the same; answered
with HTML or half an answer, and done; every connection broken and none taken until `heal`.
"""

FINAL = {OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED}


@dataclass(kw_only=True)
class Subject:
    """
    One executor, not yet connected, and its venue.

    `befall` makes a fault befall the next command. `wire_commands` counts the commands that
    reached the venue and named a client id; without a wire there is nothing to count. `another`
    makes one more executor on the same account. `skew` sets the venue's clock ahead. `secrets` are
    texts that nobody may ever see. `heal` ends an outage.
    """

    executor: Executor
    symbol: str
    befall: Mapping[str, Callable[[], None]]
    wire_commands: Callable[[str], int] | None = None
    cut: Callable[[], None]
    another: Callable[[], Executor] | None = None
    skew: Callable[[float], None] | None = None
    secrets: tuple[str, ...] = ()
    heal: Callable[[], None] = lambda: None


Make = Callable[[Path], AbstractAsyncContextManager[Subject]]


def subjects() -> dict[str, Make]:
    """Return what makes each subject, by its adapter's name."""
    here = Path(__file__).parent
    names = sorted(path.stem for path in here.glob("subject_*.py"))
    return {
        name.removeprefix("subject_"): importlib.import_module(f"{__package__}.{name}").subject
        for name in names
    }


@dataclass
class Desk:
    """A connected executor whose reports are written down as they come."""

    subject: Subject
    executor: Executor
    reports: list[Report] = field(default_factory=list)
    gap: str = ""
    last_quote: Quote | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _prefix: str = field(default_factory=lambda: f"cf{secrets.token_hex(5)}")

    @property
    def instrument(self) -> Instrument:
        return self.executor.instruments()[self.subject.symbol]

    def new_id(self) -> str:
        return f"{self._prefix}n{next(self._numbers)}"

    def px(self, percent: int) -> Decimal:
        """Return a valid price at so many percent of the ask."""
        # While the market is out of sight there is no quote: the last one will do for a price.
        quote = self.executor.quote(self.subject.symbol) or self.last_quote
        assert quote is not None
        self.last_quote = quote
        px = divide(multiply(quote.ask_px, Decimal(percent)), Decimal(100))
        return floor_to(px, self.instrument.tick)

    def qty(self, times: int = 1) -> Decimal:
        """Return a valid quantity: the least that may be worth four times the minimum, and 10."""
        instrument = self.instrument
        worth = max(instrument.notional_min, Decimal(10))
        least = divide(multiply(worth, Decimal(4)), self.px(100))
        return multiply(ceil_to(max(least, instrument.qty_min), instrument.lot), Decimal(times))

    def terms(self, **changes: Any) -> Terms:
        """Return a buy of a valid quantity: a limit order well below the market, unless changed."""
        resting: dict[str, Any] = {
            "executor": self.executor.name,
            "symbol": self.subject.symbol,
            "side": Side.BUY,
            "ord_type": OrdType.LIMIT,
            "qty": self.qty(),
            "time_in_force": TimeInForce.GTC,
        }
        named = {**resting, **changes}
        if named["ord_type"].has_px:
            named.setdefault("px", self.px(80))
        return Terms(**named)

    async def place(self, **changes: Any) -> tuple[OrderRef, Outcome]:
        """Place an order under a new id; return how to name it, and the outcome."""
        venue_cl_ord_id = changes.pop("venue_cl_ord_id", None) or self.new_id()
        terms = self.terms(**changes)
        request = PlaceOrder(venue_cl_ord_id=venue_cl_ord_id, terms=terms)
        ref = OrderRef(symbol=self.subject.symbol, venue_cl_ord_id=venue_cl_ord_id)
        return ref, await self.executor.place(request)

    async def fill(self, side: Side = Side.BUY, times: int = 1) -> tuple[OrderRef, OrderView]:
        """Place a market order, wait until it is filled; return its name and its view."""
        market = TimeInForce.GTC
        if market not in self.executor.capabilities.times_in_force:
            market = TimeInForce.DAY
        ref, _ = await self.place(
            side=side, ord_type=OrdType.MARKET, qty=self.qty(times), time_in_force=market
        )
        return ref, await self.until_view(ref, OrdStatus.FILLED)

    async def cancel(self, ref: OrderRef) -> Outcome:
        return await self.executor.cancel(CancelOrder(ref=ref))

    async def replace(self, ref: OrderRef, terms: Terms, qty: Decimal, px: Decimal) -> Outcome:
        return await self.executor.replace(
            ReplaceOrder(
                ref=ref, terms=terms, qty=qty, px=px, replace_no=1, request_id=self.new_id()
            )
        )

    async def until_view(self, ref: OrderRef, *statuses: OrdStatus) -> OrderView:
        """Ask until the venue shows the order, in one of these statuses if any are named."""
        return await self.until_shown(ref, lambda view: not statuses or view.ord_status in statuses)

    async def until_shown(self, ref: OrderRef, is_so: Callable[[OrderView], bool]) -> OrderView:
        """Ask until the venue shows the order as it should be."""
        view = None
        for _ in range(500):
            view = await self.executor.query(ref)
            if view is not None and is_so(view):
                return view
            await asyncio.sleep(0.02)
        raise AssertionError(f"never shown so: {ref}: {view}")

    async def until_report(self, ref: OrderRef, exec_type: ExecType) -> Report:
        """Wait for a report of the order on the stream."""

        def told() -> list[Report]:
            return [
                each
                for each in self.reports
                if each.exec_type is exec_type and each.venue_cl_ord_id == ref.venue_cl_ord_id
            ]

        await until(lambda: bool(told()), f"{exec_type} of {ref}: {self.reports}")
        return told()[0]


@asynccontextmanager
async def desk(subject: Subject, executor: Executor | None = None) -> AsyncGenerator[Desk]:
    """Connect as the daemon does: connect, subscribe, listen; let go of it all at the end."""
    executor = executor or subject.executor
    trading = Desk(subject, executor)
    try:
        await executor.connect()
        trading.last_quote = executor.quote(subject.symbol)
        async with listening(trading):
            yield trading
    finally:
        await executor.aclose()


@asynccontextmanager
async def listening(trading: Desk) -> AsyncGenerator[None]:
    """Write the stream's reports down while the block runs; `gap` says how the stream ended."""

    async def listen(reports: Any) -> None:
        try:
            async for report in reports:
                trading.reports.append(report)
            trading.gap = "it ended"
        except (VenueUnavailable, OutcomeUnknown) as error:
            trading.gap = str(error)

    trading.gap = ""
    failure: BaseException | None = None
    async with trading.executor.stream() as reports, asyncio.TaskGroup() as group:
        task = group.create_task(listen(reports))
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - it goes on, outside of the group
            failure = error
        task.cancel()
    if failure is not None:
        raise failure
