"""
An executor, and the wire between it and the venue: the only way from the daemon to the world.

One request is one call and at most one send: what is repeated on the wire is the network's doing.
A run of the daemon that is over reaches nothing any more.
"""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

from tests.simulation.faults import Faults
from tests.simulation.loop import Time
from tests.simulation.oracle import Oracle
from tests.simulation.story import Story
from tests.simulation.venue import Venue
from tests.simulation.venue_log import AnyRequest, Wire, true_ns

from brokerd.errors import BrokerdError, OutcomeUnknown, VenueUnavailable
from brokerd.executor import (
    Balance,
    CancelOrder,
    Clock,
    InDoubt,
    NotSent,
    OrderRef,
    OrderView,
    Outcome,
    PlaceOrder,
    ReplaceOrder,
    Report,
    Snapshot,
    Standing,
)
from brokerd.terms import Instrument, Quote

TRIP_S = (0.001, 0.03)
DELAY_S = (0.5, 1.5, 5.0, 20.0)
"""How long a message may be held up; the longest are beyond every window."""

ROUNDING_S = 0.001
LAST_MOMENT_S = 0.0005
WRITTEN_DOWN_S = 2.5
"""After so long a pause is on record, however slow the disk."""

REQUEST_TIMEOUT_S = 1.0
GAP_NOTICED_S = (0.0, 2.0)
QUEUE_MAX = 1000

KIND = {PlaceOrder: "new", CancelOrder: "cancel", ReplaceOrder: "replace"}


class Network:
    """What lies between all runs of the daemon and one venue."""

    def __init__(
        self,
        time: Time,
        rng: random.Random,
        faults: Callable[[], Faults],
        story: Story,
        venue: Venue,
    ) -> None:
        self.venue = venue
        self.time = time
        self.rng = rng
        self.story = story
        self.stream: asyncio.Queue[Report | None] | None = None
        self.banned_until_s = 0.0
        self.told_of_ban_s: float | None = None
        self.is_ban_on_record = False
        self.jammed_until_s = 0.0
        self.gap_noticed_s = 0.0
        self._faults = faults
        self._last_frame_s = 0.0
        venue.on_report = self._frame

    @property
    def faults(self) -> Faults:
        """The faults of this moment."""
        return self._faults()

    def hits(self, chance: float) -> bool:
        """Say whether a fault of this chance happens now."""
        return chance > 0 and self.rng.random() < chance

    def trip_s(self) -> float:
        """Draw how long a message takes."""
        if self.hits(self.faults.delay):
            return self.rng.choice(DELAY_S) * self.rng.random()
        return self.rng.uniform(*TRIP_S)

    def send(
        self, what: str, about: str, deliver: Callable[[], None], last_s: float = math.inf
    ) -> None:
        """Carry a message to the venue: perhaps never, late, or twice; it is taken until `last_s`."""
        if self.hits(self.faults.lose_request):
            self.story.tell(self.time.now_s, "wire", "loses: {}", what, about=about)
            return
        arrives_s = [self.time.now_s + self.trip_s()]
        last_moment_s = max(last_s - LAST_MOMENT_S, self.time.now_s)
        if last_s < math.inf and self.hits(self.faults.last_moment):
            self.story.tell(self.time.now_s, "wire", "holds up: {}", what, about=about)
            arrives_s = [last_moment_s]
            if self.hits(self.faults.jam):
                # No new request gets out meanwhile; questions have a road of their own.
                self.jammed_until_s = last_s
        if self.hits(self.faults.repeat_request) and self._bears_repeats(what):
            self.story.tell(self.time.now_s, "wire", "repeats: {}", what, about=about)
            # One that is refused for its age would answer for the other, which was taken.
            arrives_s += [self.time.now_s + self.trip_s()]
            arrives_s = [min(each, last_moment_s) for each in arrives_s]
        for each in arrives_s:
            self.time.at(each, deliver)

    def reply(self, about: str, what: str, give: Callable[[], None]) -> None:
        """Carry an answer back: perhaps never, or late."""
        if self.hits(self.faults.lose_reply):
            self.story.tell(self.time.now_s, "wire", "loses the answer: {}", what, about=about)
        else:
            self.time.after(self.trip_s(), give)

    def break_stream(self) -> None:
        """End the stream: what is told from now on is lost until it is subscribed again."""
        stream, self.stream = self.stream, None
        if stream is not None:
            self.story.tell(self.time.now_s, "wire", "breaks the stream of {}", self.venue.name)
            self.gap_noticed_s = self.time.now_s + self.rng.uniform(*GAP_NOTICED_S)
            self.time.at(self.gap_noticed_s, _put, stream, None)

    def ban(self, until_s: float) -> None:
        """Let the venue ask to be left alone; the next request is told so."""
        self.banned_until_s, self.told_of_ban_s, self.is_ban_on_record = until_s, None, False

    def run_ends(self) -> None:
        """Cut a run of the daemon off. What it was told in time of a ban is on record."""
        self.stream = self.venue.subscribed_s = self.venue.looked_s = None
        if self.told_of_ban_s is not None:
            self.is_ban_on_record |= self.told_of_ban_s + WRITTEN_DOWN_S < self.time.now_s
            self.told_of_ban_s = None

    def _bears_repeats(self, what: str) -> bool:
        """
        Whether a wire that repeats is ours to mend.

        It is not where a venue takes a repeat for a new order, nor where a replace is done by the one
        copy and refused to the other, for the order that it named has left.
        """
        promised = self.venue.capabilities
        bears = {
            "new": promised.repeat_id in {"returns_original", "refused_forever"},
            "replace": promised.amend != "cancel_replace",
        }
        return bears.get(what, True)

    def _frame(self, report: Report) -> None:
        """Carry one report over the stream: lost without a sign, twice, or out of order."""
        stream, faults = self.stream, self.faults
        about = report.venue_cl_ord_id or ""
        if stream is None or self.hits(faults.lose_frame):
            self.story.tell(
                self.time.now_s, "wire", "drops frame {}", report.exec_type, about=about
            )
            return
        arrives_s = max(self.time.now_s + self.trip_s(), self._last_frame_s)
        if self.hits(faults.reorder_frame):
            arrives_s = self.time.now_s + self.rng.choice((0.1, 0.5, 3.0)) * self.rng.random()
        else:
            self._last_frame_s = arrives_s
        self.time.at(arrives_s, _put, stream, report)
        if self.hits(faults.repeat_frame):
            self.time.at(arrives_s + self.rng.random(), _put, stream, report)
        if self.hits(faults.break_stream):
            self.break_stream()


def _put(stream: asyncio.Queue[Report | None], report: Report | None) -> None:
    if not stream.full():
        stream.put_nowait(report)


class SimulatedExecutor:
    """
    `brokerd.executor.Executor` of one run. The oracle sees every request before it leaves.

    `is_over` is whether the run that this executor belongs to has ended.
    """

    def __init__(
        self,
        network: Network,
        clock: Clock,
        oracle: Oracle,
        is_over: Callable[[], bool],
    ) -> None:
        self.name = network.venue.name
        self.capabilities = network.venue.capabilities
        self._network = network
        self._clock = clock
        self._oracle = oracle
        self._is_over = is_over
        self._is_connected = False
        self._paused_until_ns = 0

    def standing(self) -> Standing:
        is_paused = self._paused_until_ns > self._clock.now_ns()
        return Standing(
            clock_offset_s=0.0,
            clock_error_s=self.capabilities.clock_error_s,
            paused_until_ns=self._paused_until_ns if is_paused else None,
            pause_reason="banned" if is_paused else "",
        )

    def resume(self, paused_until_ns: int, reason: str) -> None:
        self._paused_until_ns = paused_until_ns

    async def connect(self) -> None:
        await self._answer(self.name, "connect", lambda: True)
        self._is_connected = True

    async def aclose(self) -> None:
        """Nothing is held."""

    def instruments(self) -> Mapping[str, Instrument]:
        if not self._is_connected:
            return {}
        return {"BTCUSDT": Instrument("BTCUSDT", "BTC", "USDT", tick=Decimal(1), lot=Decimal(1))}

    def quote(self, symbol: str) -> Quote | None:
        return None

    async def place(self, request: PlaceOrder) -> Outcome:
        return await self._request(request, request.venue_cl_ord_id)

    async def cancel(self, request: CancelOrder) -> Outcome:
        return await self._request(request, request.ref.venue_cl_ord_id)

    async def replace(self, request: ReplaceOrder) -> Outcome:
        return await self._request(request, request.ref.venue_cl_ord_id)

    async def query(self, ref: OrderRef) -> OrderView | None:
        ours = ref.venue_cl_ord_id
        self._oracle.questions[ours or str(ref.venue_order_id)] += 1
        view = await self._answer(
            ours, "query", lambda: self._network.venue.query(ours, ref.venue_order_id)
        )
        shown = "no such order" if view is None else f"{view.ord_status} {view.cum_qty}/{view.qty}"
        self._network.story.tell(
            self._network.time.now_s, self.name, "was asked and says: {}", shown, about=ours
        )
        return view

    async def snapshot(self, since_ns: int) -> Snapshot:
        began_ns = self._clock.now_ns() - int(self.capabilities.query_lag_s * 1e9)
        # An adapter knows how far its clock is from the venue's: it has measured that.
        ahead_ns, venue, time = self._ahead_ns(), self._network.venue, self._network.time
        looked_s, shown = await self._answer(
            "",
            "snapshot",
            lambda: (time.now_s, venue.snapshot(began_ns, since_ns, since_ns - ahead_ns)),
        )
        venue.looked_s = max(looked_s, venue.looked_s or 0.0)
        return shown

    async def balances(self) -> tuple[Balance, ...]:
        return ()

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[AsyncIterator[Report]]:
        network = self._network
        await self._answer(self.name, "subscribe", network.venue.subscribe)
        told: asyncio.Queue[Report | None] = asyncio.Queue(QUEUE_MAX)
        network.stream, network.venue.subscribed_s = told, network.time.now_s
        try:
            yield self._frames(told)
        finally:
            if network.stream is told and not self._is_over():
                network.stream = None

    async def _frames(self, told: asyncio.Queue[Report | None]) -> AsyncIterator[Report]:
        while (report := await told.get()) is not None:
            yield report

    async def _request(self, request: AnyRequest, ours: str) -> Outcome:
        """Send one request that changes something, and wait for what becomes of it."""
        network, kind = self._network, KIND[type(request)]
        faults, venue = network.faults, network.venue
        if self._is_over():
            raise asyncio.CancelledError
        if (pause_s := self._pause_s()) > 0:
            return NotSent(reason="banned", evidence="banned", retry_after_s=pause_s)
        is_jammed = network.time.now_s < network.jammed_until_s
        is_refused = venue.is_away and network.rng.random() < 0.7
        if is_jammed or is_refused or network.hits(faults.refuse_connection):
            network.story.tell(
                network.time.now_s, "wire", "no connection for: {}", kind, about=ours
            )
            return NotSent(reason="connection_refused", evidence="connection refused")
        await asyncio.sleep(0)
        signed_s, signed_at_ns = network.time.now_s, self._clock.now_ns()
        error_s = self.capabilities.clock_error_s
        stamped_s = signed_s + network.rng.choice((-1.0, 0.0, 1.0)) * error_s
        self._oracle.on_wire(kind, request)
        venue.wires.append(Wire(kind, ours, signed_s))
        network.story.tell(network.time.now_s, "daemon", "sends: {}", kind, about=ours)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def give(outcome: Outcome) -> None:
            if not answer.done() and not self._is_over():
                network.story.tell(
                    network.time.now_s, "daemon", "is answered: {}", outcome, about=ours
                )
                answer.set_result(outcome)

        def reply(outcome: Outcome) -> None:
            network.reply(ours, kind, lambda: give(outcome))

        window_s = self.capabilities.validity_window_s
        last_s = math.inf if window_s is None else stamped_s + window_s
        network.send(kind, ours, lambda: venue.receive(request, stamped_s, reply), last_s)
        if network.hits(faults.reset):
            doubt = InDoubt(evidence="connection reset", signed_at_ns=signed_at_ns)
            network.time.after(network.rng.uniform(*TRIP_S), give, doubt)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await answer
        except TimeoutError:
            return InDoubt(evidence="no answer in time", signed_at_ns=signed_at_ns)

    def _pause_s(self) -> float:
        """Return how long the venue wants to be left alone; 0 if it does not, or nobody knows yet."""
        network = self._network
        left_s = (self._paused_until_ns - self._clock.now_ns()) / 1e9
        if left_s <= 0 and network.time.now_s + ROUNDING_S < network.banned_until_s:
            self._oracle.on_ban(
                self.name, network.banned_until_s, is_on_record=network.is_ban_on_record
            )
            left_s = network.banned_until_s - network.time.now_s
            self._paused_until_ns = self._clock.now_ns() + int(left_s * 1e9)
            network.told_of_ban_s = network.time.now_s
            network.story.tell(network.time.now_s, self.name, "bans us for {:.1f} s", left_s)
        return max(left_s, 0.0)

    def _ahead_ns(self) -> int:
        """Return how far this run's clock is ahead of the true time."""
        return self._clock.now_ns() - true_ns(self._network.time.now_s)

    async def _answer(self, about: str, what: str, ask: Callable[[], Any]) -> Any:
        """Put a question that changes nothing."""
        network = self._network
        if self._is_over():
            raise asyncio.CancelledError
        if (pause_s := self._pause_s()) > 0:
            raise VenueUnavailable("banned", retry_after_s=pause_s)
        if network.hits(network.faults.refuse_connection):
            raise VenueUnavailable("connection refused")
        if network.hits(network.faults.garble):
            raise OutcomeUnknown("the answer cannot be read")
        answer: asyncio.Future[Callable[[], Any]] = asyncio.get_running_loop().create_future()

        def give(told: Callable[[], Any]) -> None:
            if not answer.done() and not self._is_over():
                answer.set_result(told)

        def arrive() -> None:
            if not network.venue.is_down:
                told = _outcome_of(ask)
                network.reply(about, what, lambda: give(told))

        network.send(what, about, arrive)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                told = await answer
        except TimeoutError:
            raise VenueUnavailable(f"{what}: no answer in time") from None
        return told()


def _outcome_of(ask: Callable[[], Any]) -> Callable[[], Any]:
    """Ask now; return what gives the answer, or raises what it was refused with."""
    try:
        found = ask()
    except BrokerdError as error:
        return partial(_refuse, error)
    return lambda: found


def _refuse(error: BrokerdError) -> None:
    raise error
