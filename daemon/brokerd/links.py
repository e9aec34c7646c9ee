"""All executors at work, by name: whose turn an action is, and what a run before this one left open."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping

import structlog

from brokerd.blotter import Change
from brokerd.doubt import PROVED_ABSENT
from brokerd.engine import Engine
from brokerd.errors import InvalidParams
from brokerd.events import OrderDone, OrderReplaced, OrderTraded, Road
from brokerd.executor import InDoubt
from brokerd.link import Link
from brokerd.messages import Answered, Ask, Freeze, Send
from brokerd.orders import Order
from brokerd.words import suggest

log = structlog.get_logger(__name__)

_MAY_BE_MISSED = (OrderTraded, OrderReplaced, OrderDone)


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
            if order is None or not isinstance(event, _MAY_BE_MISSED):
                continue
            if isinstance(event, OrderDone) and event.reason in PROVED_ABSENT:
                continue
            link = self._links.get(order.terms.executor)
            if event.road in {Road.POLL, Road.QUERY} and link is not None:
                link.in_sync.found()

    def act(self, action: Send | Ask | Freeze) -> None:
        """Pass an action on to the executor its order belongs to."""
        if isinstance(action, Freeze):
            self._links[action.executor].condition.freeze(action.reason)
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
            link.questions.ask(action.order)


def _unknown_executor(what: str, name: str | None, known: Iterable[str]) -> InvalidParams:
    hint = suggest(name, known)
    return InvalidParams(what, reason="unknown_executor", field="executor", hint=hint)


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
            link.questions.wait_anew(each, final_at_ns)
        if request is not None and not request.in_doubt:
            doubts.append(
                Answered(cl_ord_id, request.kind, request.attempt, _UNANSWERED, at_ns, final_at_ns)
            )
    await asyncio.gather(*(engine.settle(each) for each in doubts))


_UNANSWERED = InDoubt(evidence="the daemon restarted before an answer came")
