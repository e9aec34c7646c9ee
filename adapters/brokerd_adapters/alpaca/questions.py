"""
The questions: one order with all its links and fills, everything open, the account.

Each answer is complete or raises. What only names a link (its client id, what it replaces) is kept
in `Chains`; a link that is over is not asked for again, its fills are.
"""

from collections.abc import Iterable

import structlog

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.executor import Balance, Clock, OrderRef, OrderView, Report, Snapshot
from brokerd.ids import Ids
from brokerd.money import ZERO, subtract
from brokerd.terms import Instrument
from brokerd_adapters.alpaca import requests
from brokerd_adapters.alpaca.chains import (
    CHAIN_MAX,
    REJECTED,
    REPLACED,
    Chain,
    Chains,
    chain,
)
from brokerd_adapters.alpaca.reports import activity_report, viewed
from brokerd_adapters.alpaca.rest import Rest
from brokerd_adapters.alpaca.wire import (
    Account,
    Activity,
    OrderBody,
    Position,
    Unreadable,
    decode_rows,
    time_ns,
)
from brokerd_adapters.kit.links import link, link_id

PAGES_MAX = 200
"""Pages of one list; more than that is no answer."""

LINKS_ASKED_ALONE = 20
"""Filled links of one order that are asked for one by one: a budget has room for 150 questions."""

STRANGERS_MAX = 20
"""Orders of unknown fills that one snapshot asks for."""

_OVER = frozenset({REPLACED, REJECTED})

log = structlog.get_logger(__name__)


class Questions:
    """What is asked of one account. `chains` sees every order that comes by."""

    def __init__(self, name: str, rest: Rest, chains: Chains, clock: Clock) -> None:
        self._name = name
        self._rest = rest
        self._chains = chains
        self._clock = clock

    async def order(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order with every execution of all its links; None if there is none such."""
        stands = await self.chain(ref)
        if stands is None:
            return None
        fills = await self._fills_of([each for each in stands.links if each.filled])
        try:
            return viewed(stands, fills)
        except Unreadable as error:
            raise OutcomeUnknown(f"order {stands.head.id}: {error}") from None

    async def chain(self, ref: OrderRef) -> Chain | None:
        """Ask for an order's links; None if there is none such."""
        start = await self._start(ref)
        if start is None:
            return None
        links = await self._before(start)
        if links is None:
            raise OutcomeUnknown(f"order {start.id}: what it replaced is not told")
        links += await self._after(start, ref)
        return chain(links)

    async def snapshot(self, since_ns: int) -> Snapshot:
        """Ask for everything open, and every execution since a time."""
        began_ns = self._clock.now_ns()
        views = await self._open_orders()
        executions = await self._executions(since_ns)
        return Snapshot(
            began_ns=began_ns, since_ns=since_ns, orders=tuple(views), executions=executions
        )

    async def balances(self, instruments: Iterable[Instrument]) -> tuple[Balance, ...]:
        """Ask for cash and positions. Cash is locked as far as open orders tie up buying power."""
        account = await self._rest.get(requests.ACCOUNT, Account)
        positions = await self._rest.get(requests.POSITIONS, list[Position])
        bases = {each.symbol.replace("/", ""): each.base for each in instruments}
        free = account.cash
        if account.non_marginable_buying_power is not None:
            free = min(free, account.non_marginable_buying_power)
        held = [Balance(account.currency, free, max(subtract(account.cash, free), ZERO))]
        for each in positions:
            available = each.qty if each.qty_available is None else each.qty_available
            base = bases.get(each.symbol.replace("/", ""), each.symbol)
            held.append(Balance(base, available, max(subtract(each.qty, available), ZERO)))
        return tuple(held)

    async def link(self, order_id: str) -> OrderBody | None:
        """Ask for one link by its id."""
        return self._seen(await self._rest.find(requests.order_path(order_id), OrderBody))

    async def _named(self, client_order_id: str) -> OrderBody | None:
        asked = requests.by_client_id(client_order_id)
        return self._seen(await self._rest.find(requests.ORDER_BY_CLIENT_ID, OrderBody, asked))

    def _seen(self, body: OrderBody | None) -> OrderBody | None:
        if body is not None:
            self._chains.see(body)
        return body

    async def _start(self, ref: OrderRef) -> OrderBody | None:
        if ref.venue_order_id is None:
            return await self._named(ref.venue_cl_ord_id)
        return await self.link(ref.venue_order_id)

    async def _before(self, start: OrderBody) -> list[OrderBody] | None:
        """Return the links up to one, that one included, oldest first; None if one is not told."""
        links = [start]
        while (before_id := links[0].replaces) is not None:
            before = self._over(before_id) or await self.link(before_id)
            if before is None or len(links) > CHAIN_MAX:
                return None
            links.insert(0, before)
        return links

    async def _after(self, start: OrderBody, ref: OrderRef) -> list[OrderBody]:
        """Return the links after one: those that took its place, and one that is still to."""
        links: list[OrderBody] = []
        last = start
        while last.replaced_by is not None:
            after = self._over(last.replaced_by) or await self.link(last.replaced_by)
            if after is None or len(links) > CHAIN_MAX:
                raise OutcomeUnknown(f"order {last.id}: what replaced it is not told")
            links.append(after)
            last = after
        if ref.replace_no is not None:
            wanted = link_id(ref.venue_cl_ord_id, ref.replace_no)
            if wanted not in {each.client_order_id for each in (start, *links)}:
                asked_for = await self._named(wanted)
                links += [] if asked_for is None else [asked_for]
        return links

    def _over(self, order_id: str) -> OrderBody | None:
        """Return a link that is over and tells what took its place, if it was seen so."""
        body = self._chains.get(order_id)
        if body is None or body.status not in _OVER:
            return None
        return body if body.status == REJECTED or body.replaced_by is not None else None

    async def _open_orders(self) -> list[OrderView]:
        views: list[OrderView] = []
        for links in _by_root(await self._open_links()):
            earlier = await self._before(links[0])
            if earlier is None:
                self._left_out(links[0], "what it replaced is not told")
                continue
            try:
                views.append(viewed(chain([*earlier[:-1], *links])))
            except Unreadable as error:
                self._left_out(links[0], str(error))
        return views

    async def _open_links(self) -> list[OrderBody]:
        """Ask for every open link, page by page; `after` is exclusive, so pages overlap by a ns."""
        found: dict[str, OrderBody] = {}
        after_ns: int | None = None
        for _ in range(PAGES_MAX):
            answer = await self._rest.ask(requests.ORDERS, requests.open_orders(after_ns))
            try:
                rows, unread = decode_rows(answer.body, OrderBody)
            except Unreadable as error:
                raise OutcomeUnknown(f"open orders: {error}", reason="garbled") from None
            if unread:
                log.warning("orders_unreadable", executor=self._name, orders=unread)
            new = [each for each in rows if each.id not in found]
            for each in new:
                self._chains.see(each)
                found[each.id] = each
            if len(rows) + unread < requests.ORDERS_MAX:
                return list(found.values())
            last_ns = time_ns(rows[-1].submitted_at) if new else None
            if last_ns is None:
                break
            after_ns = last_ns - 1
        raise OutcomeUnknown("open orders: the list has no end", reason="incomplete")

    async def _executions(self, since_ns: int) -> tuple[Report, ...]:
        fills = await self._fills(order_id=None, after_ns=max(since_ns - 1, 0))
        unknown = {each.order_id: None for each in fills if not self._chains.get(each.order_id)}
        for order_id in list(unknown)[:STRANGERS_MAX]:
            await self.link(order_id)
        try:
            return tuple(activity_report(each, self._chains) for each in fills)
        except Unreadable as error:
            raise OutcomeUnknown(f"fills: {error}", reason="garbled") from None

    async def _fills_of(self, links: list[OrderBody]) -> list[Activity]:
        """Ask for the fills of these links: of each by itself, or of many in one list."""
        if len(links) <= LINKS_ASKED_ALONE:
            return [
                fill
                for each in links
                for fill in await self._fills(order_id=each.id, after_ns=None)
            ]
        began_ns = min(time_ns(each.submitted_at) or 0 for each in links)
        fills = await self._fills(order_id=None, after_ns=max(began_ns - 1, 0))
        ids = {each.id for each in links}
        return [each for each in fills if each.order_id in ids]

    async def _fills(self, *, order_id: str | None, after_ns: int | None) -> list[Activity]:
        """Ask for fills, page by page: all of them, or it raises."""
        found: dict[str, Activity] = {}
        token: str | None = None
        for _ in range(PAGES_MAX):
            asked = requests.fills(after_ns=after_ns, order_id=order_id, page_token=token)
            rows = await self._rest.get(requests.FILLS, list[Activity], asked)
            new = [each for each in rows if each.id not in found]
            found |= {each.id: each for each in new}
            if len(rows) < requests.FILLS_MAX:
                # A venue that does not know `order_id` yet gives those of all orders.
                return [each for each in found.values() if order_id in {None, each.order_id}]
            if not new:
                break
            token = rows[-1].id
        raise VenueUnavailable("fills: the list has no end", reason="incomplete")

    def _left_out(self, body: OrderBody, why: str) -> None:
        """Note an order that cannot be shown: of other origin, or a fault worth a look."""
        is_ours = Ids.are_like(link(body.client_order_id).root)
        told = log.error if is_ours else log.info
        told("order_left_out", executor=self._name, venue_order_id=body.id, why=why)


def _by_root(links: Iterable[OrderBody]) -> list[list[OrderBody]]:
    """Group links by their order, oldest first within each."""
    orders: dict[str, list[OrderBody]] = {}
    for each in links:
        orders.setdefault(link(each.client_order_id).root, []).append(each)
    for order in orders.values():
        order.sort(key=lambda each: link(each.client_order_id).replace_no)
    return list(orders.values())
