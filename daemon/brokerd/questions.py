"""
The questions to one executor's venue about single orders: which is due when, and what it proves.

An order is asked about until nothing is in doubt or missing any more, at intervals that double up
to ASK_INTERVAL_S_MAX, so that the rate of requests an order costs is bounded; a question comes
sooner where an answer begins to count before the interval has passed.
"""

import asyncio
import heapq
import math

import structlog
from msgspec import Struct
from msgspec.structs import replace

from brokerd.dispatch import order_ref
from brokerd.doubt import answer_counts_from_ns, by_this_run
from brokerd.engine import Engine
from brokerd.errors import NO_ANSWER, ConfigError
from brokerd.events import Road
from brokerd.executor import Clock, Executor
from brokerd.guard import guarded
from brokerd.insync import InSync
from brokerd.messages import Viewed
from brokerd.orders import Order, Request
from brokerd.pauses import Pauses

FIRST_ASK_S = 0.05
ASK_INTERVAL_S_MAX = 30.0
AT_ONCE = 8
PER_S = 20.0
"""How many questions go out in a second at most, whoever asks them."""

TROUBLE = (*NO_ANSWER, ConfigError)
"""What ends one question and no more: also a key that was good when the link came up."""

log = structlog.get_logger(__name__)


class _Matter(Struct):
    """
    What is to be asked about one order, until it is settled.

    It `is_doubted` if that is why it is asked about; `is_overtaken`: it came up again while a
    question was out. `waits_anew` are the requests that an earlier run left in doubt.
    """

    interval_s: float
    due_s: float = math.inf
    asked: int = 0
    asked_at_ns: int = 0
    answered_seq: int | None = None
    is_doubted: bool = False
    is_out: bool = False
    is_overtaken: bool = False
    waits_anew: tuple[Request, ...] = ()


class Questions:
    """
    The questions about the orders of one executor. `ask` never waits; `run` works until cancelled.

    "No such order" is passed on as proof only while the stream is in sync. `sent` counts the
    questions.
    """

    def __init__(
        self,
        executor: Executor,
        engine: Engine,
        clock: Clock,
        *,
        in_sync: InSync,
        pauses: Pauses,
        deadline_s: float,
    ) -> None:
        self._executor = executor
        self._engine = engine
        self._clock = clock
        self._in_sync = in_sync
        self._pauses = pauses
        self._deadline_s = deadline_s
        self._matters: dict[str, _Matter] = {}
        self._due: list[tuple[float, str]] = []
        self._news = asyncio.Event()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._next_turn_s = 0.0
        self._began_ns = clock.now_ns()
        self.sent = 0

    def ask(self, order: Order) -> None:
        """
        See that the order is asked about soon, and again until the matter is settled.

        That the last answer about it told nothing new is no reason to ask any sooner.
        """
        matter = self._matter(order.cl_ord_id)
        if matter.answered_seq == order.seq:
            return
        matter.is_doubted = order.must_be_asked
        # What the venue is about to say may be older than why it is to be asked.
        matter.is_overtaken = matter.is_overtaken or matter.is_out
        if matter.due_s > asyncio.get_running_loop().time() + FIRST_ASK_S:
            self._schedule(order.cl_ord_id, FIRST_ASK_S, matter.interval_s)

    def wait_anew(self, order: Order, final_at_ns: int | None) -> None:
        """
        Ask about an order that an earlier run left in doubt, and wait for its end by this run's clock.

        `final_at_ns` is when, by that, its requests can no longer arrive. Called before `run`.
        """
        self._matter(order.cl_ord_id).waits_anew = tuple(
            replace(each, final_at_ns=final_at_ns)
            for each in order.requests
            if each.final_at_ns is not None
        )
        self.ask(order)

    def waits_anew(self, cl_ord_id: str) -> tuple[Request, ...]:
        """Return the requests that an earlier run left in doubt, with their end by this run's clock."""
        matter = self._matters.get(cl_ord_id)
        return matter.waits_anew if matter else ()

    def asked_about(self, cl_ord_id: str) -> int:
        """Return how often the venue was asked about an order since the matter came up."""
        matter = self._matters.get(cl_ord_id)
        return matter.asked if matter else 0

    async def check(self, order: Order) -> Order | None:
        """
        Ask about an order at the next turn; return it as it is after the venue's answer.

        Raises one of NO_ANSWER if there is none, or if the venue wants to be left alone.
        """
        self._pauses.check()
        async with self._places:
            await self._turn()
            viewed = await self._view(order)
            return await self._engine.settle(viewed)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                cl_ord_id = await self._next_due()
                await self._places.acquire()
                name = f"{self._executor.name}-ask-{cl_ord_id}"
                group.create_task(self._pursue(cl_ord_id), name=name)

    def _matter(self, cl_ord_id: str) -> _Matter:
        return self._matters.setdefault(cl_ord_id, _Matter(FIRST_ASK_S))

    def _schedule(self, cl_ord_id: str, delay_s: float, interval_s: float) -> None:
        matter = self._matters[cl_ord_id]
        matter.due_s = asyncio.get_running_loop().time() + delay_s
        matter.interval_s = interval_s
        heapq.heappush(self._due, (matter.due_s, cl_ord_id))
        self._news.set()

    async def _next_due(self) -> str:
        """Wait until the earliest question is due; return its order."""
        while True:
            self._news.clear()
            if not self._due:
                await self._news.wait()
                continue
            due_s, cl_ord_id = self._due[0]
            matter = self._matters.get(cl_ord_id)
            if matter is None or matter.due_s != due_s:
                # It was brought forward since, and is in the queue a second time.
                heapq.heappop(self._due)
                continue
            wait_s = due_s - asyncio.get_running_loop().time()
            if wait_s <= 0:
                heapq.heappop(self._due)
                return cl_ord_id
            try:
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _pursue(self, cl_ord_id: str) -> None:
        """Ask once; put the order back in the queue if the answer did not settle it, or was overtaken."""
        matter = self._matters[cl_ord_id]
        try:
            is_open = await self._ask_once(cl_ord_id, matter)
        except TROUBLE as error:
            log.warning("question_unanswered", cl_ord_id=cl_ord_id, why=str(error))
            matter.asked_at_ns = self._shown_ns()
            is_open = True
        finally:
            self._places.release()
        if matter.is_overtaken:
            self._schedule(cl_ord_id, FIRST_ASK_S, matter.interval_s)
        elif is_open:
            interval_s = min(matter.interval_s * 2, ASK_INTERVAL_S_MAX)
            self._schedule(cl_ord_id, self._delay_s(cl_ord_id, matter, interval_s), interval_s)
        else:
            del self._matters[cl_ord_id]

    async def _ask_once(self, cl_ord_id: str, matter: _Matter) -> bool:
        """Ask about an order, if that is still to be done; say whether it must be asked about again."""
        if self._still_to_ask(cl_ord_id, matter) is not None:
            await self._turn()
        # Much may have been heard while it waited: a snapshot answers for thousands.
        order = self._still_to_ask(cl_ord_id, matter)
        matter.is_overtaken = False
        if order is None:
            return False
        matter.asked += 1
        matter.is_out = True
        try:
            viewed = await self._view(order)
        finally:
            matter.is_out = False
        matter.asked_at_ns = viewed.asked_at_ns
        order = await self._engine.settle(viewed)
        if order is None:
            return False
        matter.answered_seq = order.seq
        return order.must_be_asked

    def _still_to_ask(self, cl_ord_id: str, matter: _Matter) -> Order | None:
        """Return the order if it is still to be asked about: not if what was in doubt is known by now."""
        order = self._engine.blotter.get(cl_ord_id)
        if order is None or order.is_settled:
            return None
        return None if matter.is_doubted and not order.must_be_asked else order

    def _delay_s(self, cl_ord_id: str, matter: _Matter, interval_s: float) -> float:
        """Return the interval, or less if an answer can prove more before it has passed."""
        order = self._engine.blotter.get(cl_ord_id)
        if order is None:
            return interval_s
        promised = self._executor.capabilities
        shown_ns = self._shown_ns()
        apart_ns = promised.shown_after_ns if promised.query_closed else None
        timed = by_this_run(order, matter.waits_anew)
        asked_at_ns = matter.asked_at_ns
        counts_ns = answer_counts_from_ns(timed, apart_ns, shown_ns, asked_at_ns=asked_at_ns)
        if counts_ns is None:
            return interval_s
        # It may count already: much time can pass while an answer is taken in.
        return min(interval_s, max(counts_ns - shown_ns, 0) / 1e9 + FIRST_ASK_S)

    def _shown_ns(self) -> int:
        """Return from when the venue may show things: a query may lag."""
        return self._clock.now_ns() - int(self._executor.capabilities.query_lag_s * 1e9)

    async def _turn(self) -> None:
        """Wait until the next question may go out: neither too soon after the last, nor in a pause."""
        await self._pauses.wait()
        now_s = asyncio.get_running_loop().time()
        turn_s = max(now_s, self._next_turn_s)
        self._next_turn_s = turn_s + 1 / PER_S
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)

    async def _view(self, order: Order) -> Viewed:
        """Ask about an order, and return the answer with what it proves."""
        self.sent += 1
        mark, asked_at_ns = self._in_sync.mark(), self._shown_ns()
        async with guarded(self._executor.name, self._deadline_s):
            view = await self._executor.query(order_ref(order))
        was_in_sync = self._in_sync.held_since(mark)
        return Viewed(
            cl_ord_id=order.cl_ord_id,
            view=view,
            road=Road.QUERY,
            asked_at_ns=asked_at_ns,
            at_ns=self._clock.now_ns(),
            absence_after_ns=self._absence_after_ns(asked_at_ns) if was_in_sync else None,
            quote=self._executor.quote(order.terms.symbol),
            waits_anew=self.waits_anew(order.cl_ord_id),
            forgets_closed=not self._executor.capabilities.query_closed,
        )

    def _absence_after_ns(self, asked_at_ns: int) -> int | None:
        """
        Return how far apart two answers of "no such order" must lie; None if this one is no proof.

        The first of the two may be an earlier run's: so much of this run must have passed by its
        own clock, which is the only one that was not set in between.
        """
        promised = self._executor.capabilities
        is_old_enough = asked_at_ns >= self._began_ns + promised.shown_after_ns
        return promised.shown_after_ns if promised.query_closed and is_old_enough else None
