"""
One executor with everything that works for it: dispatch, poller and listener, under one roof.

Their lifetimes nest in `Link.run`; one that is down never stops another.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import structlog
from msgspec.structs import replace

from brokerd.blotter import Change
from brokerd.bounds import check_market_notional, check_reach, is_bounded
from brokerd.dispatch import Dispatch
from brokerd.doubt import PROVED_ABSENT
from brokerd.engine import Engine
from brokerd.errors import Busy, Halted, InvalidOrder, InvalidParams, Starting, VenueUnavailable
from brokerd.events import OrderDone, OrderReplaced, OrderTraded, Road
from brokerd.executor import Executor, InDoubt, LinkState, Standing
from brokerd.listener import Listener
from brokerd.messages import Answered, Ask, Freeze, Resolve, Send
from brokerd.orders import Order
from brokerd.poller import TROUBLE, Poller
from brokerd.secrets import redact_text
from brokerd.stats.marks import is_fresh
from brokerd.terms import Instrument, OrdType, Terms, check_instrument
from brokerd.words import suggest

log = structlog.get_logger(__name__)

BACKLOG_MAX = 20_000
"""Requests that may wait for one executor before new orders for it are refused."""


class Link:
    """One executor at work. `adapter` is the name of its code, for people."""

    def __init__(
        self,
        adapter: str,
        executor: Executor,
        dispatch: Dispatch,
        poller: Poller,
        listener: Listener,
    ) -> None:
        self.adapter = adapter
        self.executor = executor
        self.dispatch = dispatch
        self.poller = poller
        self.listener = listener

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
            group.create_task(self.listener.record_freezes(), name=f"{self.name}-freezes")
            group.create_task(self.listener.record_pauses(), name=f"{self.name}-pauses")
            listener = self.listener.run()
            listening = group.create_task(listener, name=f"{self.name}-listener")
            # A group passes over a child that was cancelled, and an executor's own tasks can
            # cancel this one: a link without a listener must not look alive.
            await asyncio.wait((listening,))
            raise RuntimeError(f"the listener of {self.name} ended")

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
            await self.poller.check(order)
        except TROUBLE:
            return False
        return True

    def with_promises(self, message: Resolve) -> Resolve:
        """Return a person's word with what the venue promises of the request it is about."""
        return replace(
            message,
            shows_closed=self.executor.capabilities.query_closed,
            under_way_ns=self.poller.apart_ns,
            waits_anew=self.poller.waits_anew(message.cl_ord_id),
        )

    def check_frozen(self) -> None:
        """Raise Halted if the executor takes nothing that adds risk until somebody has looked."""
        if self.listener.is_frozen:
            raise Halted(
                f"executor {self.name} is frozen: {self.listener.reason}",
                hint=f"look at the account, then brokerctl thaw {self.name}; cancels still work",
                executor=self.name,
            )

    def _check_state(self) -> None:
        state, reason = self.listener.state, self.listener.reason
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


class Links:
    """All executors, by name."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}

    def add(self, link: Link) -> None:
        """Take in an executor."""
        self._links[link.name] = link

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links.values())

    def check_known(self, name: str | None, before: Iterable[str]) -> None:
        """Raise InvalidParams for an executor that is not there, nor was there `before`."""
        if name is not None and name not in {*self._links, *before}:
            raise _unknown_executor(f"no executor is named {name}", name, self._links)

    @property
    def by_name(self) -> Mapping[str, Link]:
        """The links under their executors' names."""
        return self._links

    def choose(self, name: str | None) -> Link:
        """Return the executor a bot named, or the only one there is."""
        if name is None and len(self._links) == 1:
            return next(iter(self._links.values()))
        if name is None or name not in self._links:
            what = "say which executor" if name is None else f"no executor is named {name}"
            raise _unknown_executor(what, name, self._links)
        return self._links[name]

    def watch(self, changes: Iterable[Change]) -> None:
        """Count what only asking brought to light while the stream seemed well: what it missed."""
        for change in changes:
            event, order = change.entry.event, change.order
            if order is None or not isinstance(event, OrderTraded | OrderReplaced | OrderDone):
                continue
            if isinstance(event, OrderDone) and event.reason in PROVED_ABSENT:
                continue
            link = self._links.get(order.terms.executor)
            if event.road in {Road.POLL, Road.QUERY} and link is not None:
                link.poller.found()

    def act(self, action: Send | Ask | Freeze) -> None:
        """Pass an action on to the executor its order belongs to."""
        if isinstance(action, Freeze):
            self._links[action.executor].listener.freeze(action.reason)
            return
        link = self._links.get(action.order.terms.executor)
        if link is None:
            order = action.order
            log.error(
                "action_without_executor", cl_ord_id=order.cl_ord_id, executor=order.terms.executor
            )
            return
        if isinstance(action, Send):
            link.dispatch.send(action.order)
        else:
            link.poller.ask(action.order)


def _unknown_executor(what: str, name: str | None, known: Iterable[str]) -> InvalidParams:
    hint = suggest(name, known)
    return InvalidParams(what, reason="unknown_executor", field="executor", hint=hint)


def _unsupported(field: str, value: str, supported: list[str]) -> InvalidOrder:
    return InvalidOrder(
        f"the executor has no {field} {value}",
        reason=f"{field}_not_supported",
        field=field,
        hint=f"it has {', '.join(supported)}",
    )


async def doubt_outstanding(engine: Engine, link: Link, orders: list[Order], at_ns: int) -> None:
    """
    Put in doubt every request that a run before this one left without an outcome.

    It may have been sent a moment before the process died: the venue will be asked. What was in
    doubt already is so on record, and is asked about again; it waits anew, for the clock that the
    wait was measured by may have been set since.
    """
    final_at_ns = link.dispatch.final_at_ns(at_ns)
    doubts: list[Answered] = []
    for each in orders:
        request, cl_ord_id = each.request, each.cl_ord_id
        if each.in_doubt:
            link.poller.wait_anew(each, final_at_ns)
        if request is not None and not request.in_doubt:
            doubts.append(
                Answered(cl_ord_id, request.kind, request.attempt, _UNANSWERED, at_ns, final_at_ns)
            )
    await asyncio.gather(*(engine.settle(each) for each in doubts))


_UNANSWERED = InDoubt(evidence="the daemon restarted before an answer came")
