"""
One executor with everything that works for it, under one roof.

Their lifetimes nest in `Link.run`; one that is down never stops another.
"""

import asyncio
from decimal import Decimal

from msgspec.structs import replace

from brokerd.bounds import check_market_notional, check_reach, is_bounded
from brokerd.condition import Condition
from brokerd.config.load import DaemonConfig
from brokerd.dispatch import Dispatch
from brokerd.engine import Engine
from brokerd.errors import Busy, Halted, InvalidOrder, Starting, VenueUnavailable
from brokerd.executor import Clock, Executor, LinkState, Standing
from brokerd.insync import InSync
from brokerd.listener import Listener
from brokerd.messages import Resolve
from brokerd.orders import Order
from brokerd.others import Others
from brokerd.pauses import Pauses
from brokerd.poller import Poller
from brokerd.questions import TROUBLE, Questions
from brokerd.secrets import redact_text
from brokerd.stats.marks import is_fresh
from brokerd.terms import Instrument, OrdType, Terms, check_instrument
from brokerd.words import suggest

BACKLOG_MAX = 20_000
"""Requests that may wait for one executor before new orders for it are refused."""


class Link:
    """
    One executor at work. `adapter` is the name of its code, for people; what is at its venue was
    looked at until `known_until_ns`.
    """

    def __init__(
        self,
        adapter: str,
        executor: Executor,
        engine: Engine,
        clock: Clock,
        config: DaemonConfig,
        *,
        known_until_ns: int = 0,
    ) -> None:
        deadline_s = config.request_deadline_s
        self.adapter = adapter
        self.executor = executor
        self.condition = Condition(executor.name, engine, clock)
        self.pauses = Pauses(executor, engine, clock)
        self.in_sync = InSync()
        self.others = Others(executor.name, engine, clock, self.condition.freeze)
        self.dispatch = Dispatch(
            executor,
            engine,
            clock,
            deadline_s=deadline_s,
            retry_window_s=config.retry_window_s,
        )
        self.questions = Questions(
            executor,
            engine,
            clock,
            in_sync=self.in_sync,
            pauses=self.pauses,
            deadline_s=deadline_s,
        )
        self.poller = Poller(
            executor,
            engine,
            clock,
            questions=self.questions,
            others=self.others,
            pauses=self.pauses,
            deadline_s=deadline_s,
            floor_s=config.poll_floor_s,
            since_ns=known_until_ns,
        )
        self.listener = Listener(
            executor,
            engine,
            clock,
            poller=self.poller,
            condition=self.condition,
            in_sync=self.in_sync,
            others=self.others,
            pauses=self.pauses,
        )

    @property
    def name(self) -> str:
        """The executor's configured name."""
        return self.executor.name

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """What the venue does not promise, a sentence each."""
        return (*self.executor.capabilities.weaknesses, *self.standing.weaknesses)

    @property
    def standing(self) -> Standing:
        """How things stand with the venue; nothing but that, where the executor fails to say it."""
        try:
            standing = self.executor.standing()
        except VenueUnavailable as error:
            return Standing(weaknesses=(f"how things stand is not known: {error}",))
        return replace(standing, pause_reason=redact_text(standing.pause_reason))

    @property
    def symbols(self) -> list[str]:
        """The symbols it takes; none where the executor fails to say it."""
        try:
            return sorted(self.executor.instruments())
        except VenueUnavailable:
            return []

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.dispatch.run(), name=f"{self.name}-dispatch")
            group.create_task(self.poller.run(), name=f"{self.name}-poller")
            group.create_task(self.questions.run(), name=f"{self.name}-questions")
            group.create_task(self.condition.record_freezes(), name=f"{self.name}-freezes")
            group.create_task(self.pauses.record(), name=f"{self.name}-pauses")
            listener = self.listener.run()
            listening = group.create_task(listener, name=f"{self.name}-listener")
            # A group passes over a child that was cancelled, and an executor's own tasks can
            # cancel this one: a link without a listener must not look alive.
            await asyncio.wait((listening,))
            raise RuntimeError(f"the listener of {self.name} ended")

    async def thaw(self, by: str, reason: str) -> None:
        """
        Take new orders again, if a look at everything finds no cause to stay frozen.

        Raises NotFrozen, Halted if there still is a cause, or one of NO_ANSWER if the venue gives
        no picture, or wants to be left alone.
        """
        await self.condition.thaw(self.poller.sync_now, by, reason)

    def check(self, terms: Terms, at_ns: int) -> Instrument:
        """
        Refuse an order that this executor cannot take, before anything is written; return its rules.

        Raises Halted, Starting, VenueUnavailable, Busy or InvalidOrder.
        """
        self._check_state()
        promised = self.executor.capabilities
        if terms.ord_type not in promised.ord_types:
            raise _unsupported("ord_type", terms.ord_type, sorted(promised.ord_types))
        if terms.time_in_force not in promised.times_in_force:
            raise _unsupported(
                "time_in_force", terms.time_in_force, sorted(promised.times_in_force)
            )
        if terms.post_only and not promised.post_only:
            raise InvalidOrder(
                f"{self.name} has no post_only orders",
                reason="post_only_not_supported",
                field="post_only",
                hint="leave it out, and the order may take",
            )
        instrument = self.instrument(terms.symbol)
        check_instrument(instrument, terms.qty, terms.px, terms.stop_px)
        self.check_market(instrument, terms, terms.qty, terms.px, at_ns)
        return instrument

    def check_amends(self) -> None:
        """Raise InvalidOrder if the venue changes no order."""
        if self.executor.capabilities.amend == "none":
            raise InvalidOrder(
                f"{self.name} replaces no orders",
                reason="replace_not_supported",
                hint="cancel it, and submit another when it is canceled",
            )

    def check_market(
        self, instrument: Instrument, terms: Terms, qty: Decimal, px: Decimal | None, at_ns: int
    ) -> None:
        """Raise InvalidOrder for what a fresh quote shows to be far from what the venue takes."""
        if not is_bounded(instrument):
            return
        quote = self.executor.quote(terms.symbol)
        if quote is None or not is_fresh(quote, at_ns):
            return
        if px is not None:
            check_reach(instrument, terms.side, px, quote)
        elif terms.ord_type is OrdType.MARKET:
            check_market_notional(instrument, qty, quote)

    def instrument(self, symbol: str) -> Instrument:
        """Return a symbol's rules; raise InvalidOrder with the nearest known symbol, or VenueUnavailable."""
        instruments = self.executor.instruments()
        if symbol not in instruments:
            raise InvalidOrder(
                f"{self.name} has no symbol {symbol}",
                reason="unknown_symbol",
                field="symbol",
                hint=suggest(symbol, instruments),
            )
        return instruments[symbol]

    async def answers_about(self, order: Order) -> bool:
        """Ask the venue about an order, take in its answer, and say whether there was one."""
        try:
            await self.questions.check(order)
        except TROUBLE:
            return False
        return True

    def with_promises(self, message: Resolve) -> Resolve:
        """Return a person's word with what the venue promises of the request it is about."""
        return replace(
            message,
            shows_closed=self.executor.capabilities.query_closed,
            under_way_ns=self.executor.capabilities.shown_after_ns,
            waits_anew=self.questions.waits_anew(message.cl_ord_id),
        )

    def check_frozen(self) -> None:
        """Raise Halted if the executor takes nothing that adds risk until somebody has looked."""
        if self.condition.is_frozen:
            raise Halted(
                f"executor {self.name} is frozen: {self.condition.reason}",
                hint=f"look at the account, then brokerctl thaw {self.name}; cancels still work",
                executor=self.name,
            )

    def _check_state(self) -> None:
        state, reason = self.condition.state, self.condition.reason
        self.check_frozen()
        if state is LinkState.STARTING:
            raise Starting(f"executor {self.name} is starting", hint="try again in a moment")
        if state is LinkState.DOWN:
            raise VenueUnavailable(
                f"executor {self.name} is {state}{': ' if reason else ''}{reason}",
                hint="nothing was sent; submit again when executor.list shows it up",
                executor=self.name,
            )
        if self.dispatch.backlog >= BACKLOG_MAX:
            raise Busy(f"{self.dispatch.backlog} requests wait for executor {self.name}")


def _unsupported(field: str, value: str, supported: list[str]) -> InvalidOrder:
    return InvalidOrder(
        f"the executor has no {field} {value}",
        reason=f"{field}_not_supported",
        field=field,
        hint=f"it has {', '.join(supported)}",
    )
