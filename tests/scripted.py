"""A venue in the test's hand: messages and views made by name, an executor that follows a script."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from tests.journal_rows import both

from brokerd.blotter import Blotter, Change, Stage
from brokerd.broker import decide
from brokerd.clock import SystemClock
from brokerd.config.load import DaemonConfig
from brokerd.engine import Engine
from brokerd.errors import VenueUnavailable
from brokerd.events import RequestKind, Road, encode_entry, event_name
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
    ReplaceOrder,
    Report,
    Snapshot,
    Standing,
)
from brokerd.feed import Feed
from brokerd.journal.store import SqliteJournal
from brokerd.link import Link
from brokerd.messages import (
    Action,
    Answered,
    Cancel,
    Decision,
    Message,
    Replace,
    Reported,
    RetryDue,
    Submit,
    Viewed,
)
from brokerd.orders import Order
from brokerd.states import ExecType, OrdStatus
from brokerd.storage import History, Journal
from brokerd.terms import Instrument, OrdType, Quote, Side, Terms

D = Decimal
E, S, K = ExecType, OrdStatus, RequestKind
CLOCK = SystemClock()

LIMIT = Terms("sim", "BTCUSDT", Side.BUY, OrdType.LIMIT, D(10), D(100))


def promises(**changes: Any) -> Capabilities:
    """A venue that promises much: doubts about a new order end 1 s after its signing."""
    much = Capabilities(
        repeat_id="refused_forever",
        validity_window_s=1.0,
        processing_bound_s=0.0,
        query_lag_s=0.0,
        query_closed=True,
        amend="in_place",
    )
    return replace(much, **changes)


def submit(cl_ord_id: str = "x", at_ns: int = 1, **terms: Any) -> Submit:
    return Submit(cl_ord_id, f"v-{cl_ord_id}", replace(LIMIT, **terms), None, at_ns)


def answered(
    outcome: Outcome,
    *,
    at_ns: int,
    request: RequestKind = K.NEW,
    attempt: int = 1,
    final_at_ns: int | None = None,
) -> Answered:
    return Answered("x", request, attempt, outcome, at_ns, final_at_ns)


def report(exec_type: ExecType, cl_ord_id: str = "x", **members: Any) -> Report:
    ids = {"venue_cl_ord_id": f"v-{cl_ord_id}", "venue_order_id": f"1-{cl_ord_id}"}
    return Report(exec_type=exec_type, symbol="BTCUSDT", **(ids | members))


def execution(exec_id: str, qty: Decimal | int = 1, px: Decimal | int = 100) -> Execution:
    return Execution(exec_id=exec_id, last_qty=D(qty), last_px=D(px), fee=D("0.1"), fee_asset="BNB")


def traded(exec_id: str, qty: Decimal | int = 1, cl_ord_id: str = "x", **members: Any) -> Report:
    return report(E.TRADE, cl_ord_id, execution=execution(exec_id, qty), **members)


def reported(told: Report, *, at_ns: int, road: Road = Road.STREAM) -> Reported:
    return Reported("sim", told, road, at_ns)


def view(ord_status: OrdStatus = S.NEW, cl_ord_id: str = "x", **members: Any) -> OrderView:
    shown = {
        "venue_cl_ord_id": f"v-{cl_ord_id}",
        "venue_order_id": f"1-{cl_ord_id}",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "qty": D(10),
        "px": D(100),
        "cum_qty": sum((e.last_qty for e in members.get("executions", ())), D(0)),
    }
    return OrderView(ord_status=ord_status, **(shown | members))


def viewed(
    shown: OrderView | None,
    *,
    asked_at_ns: int,
    at_ns: int | None = None,
    absence_after_ns: int | None = 10,
    cl_ord_id: str = "x",
) -> Viewed:
    at_ns = asked_at_ns if at_ns is None else at_ns
    return Viewed(cl_ord_id, shown, Road.QUERY, asked_at_ns, at_ns, absence_after_ns)


class Play:
    """
    A playbook: tell it messages one by one and look at what each came to.

    Every step is folded a second time, from the first row on, and must end in the same orders.
    """

    def __init__(self) -> None:
        self.blotter = Blotter()
        self.changes: list[Change] = []
        self.news: list[Change] = []
        self.decision = Decision()

    def tell(self, message: Message) -> list[str]:
        """Decide and fold; return the names of the events, each action as its class in capitals."""
        stage = Stage(self.blotter, len(self.changes) + 1)
        self.decision = decide(stage, message)
        self.blotter.absorb(stage)
        self.news = stage.changes
        self.changes += stage.changes
        replayed = Blotter()
        for change in self.changes:
            replayed.fold(change.seq, change.entry.event)
        assert list(replayed) == list(self.blotter)
        return [*self.events, *(type(action).__name__.upper() for action in self.decision.actions)]

    @property
    def events(self) -> list[str]:
        return [event_name(change.entry.event) for change in self.news]

    @property
    def order(self) -> Order:
        order = self.blotter.get("x")
        assert order is not None
        return order

    def sent(self) -> Order:
        """The order as the last decision sends it."""
        (order,) = [a.order for a in self.decision.actions if type(a).__name__ == "Send"]
        return order

    # What a playbook begins with, each returning the play itself.

    def submitted(self, at_ns: int = 1, **terms: Any) -> "Play":
        self.tell(submit(at_ns=at_ns, **terms))
        return self

    def acknowledged(self, at_ns: int = 2) -> "Play":
        self.submitted().tell(reported(report(E.NEW), at_ns=at_ns))
        return self

    def cancel(self, at_ns: int) -> list[str]:
        return self.tell(Cancel("x", at_ns))

    def replace(self, at_ns: int, qty: int | None = None, px: int | None = None) -> list[str]:
        return self.tell(Replace("x", _number(qty), _number(px), at_ns))

    def retry(self, at_ns: int, attempt: int = 2, request: RequestKind = K.NEW) -> list[str]:
        return self.tell(RetryDue("x", request, attempt, "refused connection", at_ns))


def _number(value: int | None) -> Decimal | None:
    return None if value is None else D(value)


Script = Outcome | BaseException | Callable[[], Outcome] | asyncio.Event | None
"""What a call comes to; it is accepted once an event is set, and None is a call that never returns."""


class ScriptedExecutor:
    """
    Answers each call with the next line of its script, or else accepts without a word.

    `calls` is what was asked, in order; `told` feeds the stream, where an exception breaks it.
    """

    def __init__(self, **capabilities: Any) -> None:
        self.name = "sim"
        self.capabilities = promises(**capabilities)
        self.stands = Standing()
        self.resumed: list[tuple[int, str]] = []
        self.calls: list[PlaceOrder | CancelOrder | ReplaceOrder] = []
        self.script: defaultdict[str, deque[Script]] = defaultdict(deque)
        self.views: deque[OrderView | BaseException | None] = deque()
        self.snapshots: deque[Snapshot | BaseException] = deque()
        self.connects: deque[BaseException | None] = deque()
        self.told: asyncio.Queue[Report | BaseException] = asyncio.Queue()
        self.asked: list[OrderRef] = []
        self.since: list[int] = []
        self.connected = 0
        self.streams = 0
        self.closed = 0
        self.at_close: BaseException | None = None
        self.at_stream_close: BaseException | None = None
        self.under_way = 0
        self.under_way_most = 0

    def standing(self) -> Standing:
        return self.stands

    def resume(self, paused_until_ns: int, reason: str) -> None:
        self.resumed.append((paused_until_ns, reason))

    async def connect(self) -> None:
        self.connected += 1
        if self.connects:
            _raise_if_told(self.connects.popleft())

    async def aclose(self) -> None:
        self.closed += 1
        _raise_if_told(self.at_close)

    def instruments(self) -> Mapping[str, Instrument]:
        return {
            "BTCUSDT": Instrument("BTCUSDT", "BTC", "USDT", tick=D("0.01"), lot=D("0.001")),
            "ETHUSDT": Instrument("ETHUSDT", "ETH", "USDT"),
        }

    def quote(self, symbol: str) -> Quote | None:
        return Quote(D(99), D(101), 1)

    async def place(self, request: PlaceOrder) -> Outcome:
        return await self._next("place", request)

    async def cancel(self, request: CancelOrder) -> Outcome:
        return await self._next("cancel", request)

    async def replace(self, request: ReplaceOrder) -> Outcome:
        return await self._next("replace", request)

    async def query(self, ref: OrderRef) -> OrderView | None:
        self.asked.append(ref)
        shown = self.views.popleft() if self.views else VenueUnavailable("no answer left")
        if isinstance(shown, BaseException):
            raise shown
        return shown

    async def snapshot(self, since_ns: int) -> Snapshot:
        self.since.append(since_ns)
        shown = self.snapshots.popleft() if self.snapshots else self.empty()
        if isinstance(shown, BaseException):
            raise shown
        return shown

    async def balances(self) -> tuple[Balance, ...]:
        return ()

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[AsyncIterator[Report], None]:
        self.streams += 1
        try:
            yield self._reports()
        finally:
            _raise_if_told(self.at_stream_close)

    @staticmethod
    def empty() -> Snapshot:
        return Snapshot(began_ns=CLOCK.now_ns(), since_ns=0, orders=(), executions=())

    async def _reports(self) -> AsyncIterator[Report]:
        while True:
            told = await self.told.get()
            if isinstance(told, StopAsyncIteration):
                return
            if isinstance(told, BaseException):
                raise told
            yield told

    async def _next(self, what: str, request: PlaceOrder | CancelOrder | ReplaceOrder) -> Outcome:
        self.calls.append(request)
        self.under_way += 1
        self.under_way_most = max(self.under_way, self.under_way_most)
        try:
            line = self.script[what].popleft() if self.script[what] else Accepted()
            if line is None:
                await asyncio.Event().wait()
            if isinstance(line, asyncio.Event):
                await line.wait()
                return Accepted()
            if isinstance(line, BaseException):
                raise line
            return line() if callable(line) else line  # type: ignore[return-value]
        finally:
            self.under_way -= 1


def _raise_if_told(error: BaseException | None) -> None:
    if error is not None:
        raise error


class Held:
    """A journal whose appends wait for the test's leave, so that "not yet durable" can be looked at."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.leave = asyncio.Event()
        self.leave.set()
        self.full = False
        self.appends: list[int] = []
        self.failure: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    @property
    def accepts_orders(self) -> bool:
        return not self.full

    async def append(self, first_seq: int, entries: Any) -> Any:
        self.appends.append(len(entries))
        await self.leave.wait()
        if self.failure is not None:
            raise self.failure
        return await self._journal.append(first_seq, entries)


class House:
    """An engine on a real journal and history; what it does outside is kept in `actions`."""

    def __init__(self, journal: SqliteJournal, history: History, **limits: int) -> None:
        self.journal = Held(journal)
        self.history = history
        self.actions: list[Action] = []
        self.changes: list[Change] = []
        self.act: Callable[[Action], None] = self.actions.append
        self.engine = Engine(
            journal=self.journal,  # type: ignore[arg-type]
            history=history,
            blotter=Blotter(),
            feed=Feed(journal),
            clock=CLOCK,
            act=self._act,
            on_changes=self._on_changes,
            **({"inbox_max": 100, "orders_in_memory_max": 1000} | limits),
        )

    def _on_changes(self, changes: list[Change], bodies: list[bytes]) -> None:
        assert bodies == [encode_entry(change.entry) for change in changes]
        self.changes += changes

    def _act(self, action: Action) -> None:
        self.act(action)

    @property
    def events(self) -> list[str]:
        return [event_name(change.entry.event) for change in self.changes]

    def link(self, executor: Executor, clock: Clock = CLOCK, **config: float) -> Link:
        """Make an executor's link, as the desk does."""
        quick = {"request_deadline_s": 5.0, "retry_window_s": 5.0, "poll_floor_s": 600.0}
        settings = DaemonConfig(**quick | config)  # type: ignore[arg-type]
        return Link("scripted", executor, self.engine, clock, settings)

    def order(self, cl_ord_id: str = "x") -> Order:
        order = self.engine.blotter.get(cl_ord_id)
        assert order is not None
        return order


@asynccontextmanager
async def house(directory: Path, **limits: int) -> AsyncGenerator[House, None]:
    """Run an engine until the block ends."""
    async with both(directory) as (journal, history):
        built = House(journal, history, **limits)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(built.engine.run()), group.create_task(history.run())]
            yield built
            for task in tasks:
                task.cancel()


async def until(is_so: Callable[[], bool], what: str = "", timeout_s: float = 30.0) -> None:
    """Wait for something to become so; fail, saying what, when it does not."""
    try:
        async with asyncio.timeout(timeout_s):
            while not is_so():  # noqa: ASYNC110 - the condition is the test's own
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(f"never so: {what or is_so}") from None
