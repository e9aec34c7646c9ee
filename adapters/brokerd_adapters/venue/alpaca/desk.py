"""
The desk: order entities, by every id, and what becomes of them.

Cancels and replaces are taken first and done later, in the next turn of the loop: a 204 is no
cancel, a 200 to a PATCH no replace. What comes in between wins: a fill, or another request.
`hold` keeps them on their way until `work`, for tests of that time between.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from brokerd.executor import Execution, Refused
from brokerd.money import add, is_multiple
from brokerd.states import OrdStatus
from brokerd.terms import Instrument
from brokerd_adapters.paper.records import Ended, Placed, Record, Replaced, Traded
from brokerd_adapters.venue.alpaca.answers import (
    FORBIDDEN,
    NOT_UNIQUE,
    bad_input,
    broken_rule,
    no_content,
    not_found,
    refusal,
    reply,
)
from brokerd_adapters.venue.alpaca.entities import (
    NOT_REPLACEABLE,
    Entity,
    entity_id,
    execution_id,
)
from brokerd_adapters.venue.alpaca.entry import Change, Refusal, check_px
from brokerd_adapters.venue.alpaca.fills import Fills
from brokerd_adapters.venue.alpaca.holdings import STOCK, asset_class, asset_id
from brokerd_adapters.venue.exchange import Exchange
from brokerd_adapters.venue.gate import Reply
from brokerd_adapters.venue.orders import NewOrder, Order

Tell = Callable[[str, Entity, dict[str, Any]], None]


class Desk:
    """
    One account's orders. `tell` is called with each event, its entity, and what else it says.

    `soon` runs a piece of work in the next turn of the loop.
    """

    def __init__(
        self, exchange: Exchange, tell: Tell, soon: Callable[[Callable[[], None]], None]
    ) -> None:
        self.fills = Fills()
        self.is_held = False
        self._exchange = exchange
        self._tell = tell
        self._soon = soon
        self._entities: dict[str, Entity] = {}
        self._by_client: dict[str, Entity] = {}
        self._chains: dict[str, list[Entity]] = {}
        self._jobs: deque[Callable[[], None]] = deque()
        self._entering: tuple[str, bool] | None = None

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The rules of every symbol."""
        return self._exchange.instruments

    def entity(self, order_id: str) -> Entity | None:
        """Return the entity of that id."""
        return self._entities.get(order_id)

    def named(self, client_order_id: str) -> Entity | None:
        """Return the entity a client gave that id."""
        return self._by_client.get(client_order_id)

    def entities(self) -> Iterator[Entity]:
        """Yield every entity, oldest first."""
        yield from self._entities.values()

    def forget(self) -> None:
        """Lose all of it."""
        for memory in (self._entities, self._by_client, self._chains):
            memory.clear()
        self._jobs.clear()
        self.fills.forget()

    def hold(self) -> None:
        """Keep cancels and replaces on their way."""
        self.is_held = True

    def work(self) -> None:
        """Do what is on its way, oldest first."""
        self.is_held = False
        self._work()

    def place(self, new: NewOrder, *, extended_hours: bool) -> Reply:
        """Take a new order: answered as it came, before it trades."""
        if new.client_order_id in self._by_client:
            return NOT_UNIQUE
        self._entering = (new.client_order_id, extended_hours)
        order = self._exchange.place(new)
        self._entering = None
        if isinstance(order, Refused):
            return _refused(order, new)
        entity = self._chains[order.order_id][0]
        unfilled: dict[str, Any] = {"filled_qty": "0", "filled_avg_price": None, "filled_at": None}
        now = {"status": "pending_new", "canceled_at": None, "expired_at": None}
        return reply(entity.shown(**unfilled, **now))

    def cancel(self, order_id: str) -> Reply:
        """Take a cancel."""
        entity = self.entity(order_id)
        if entity is None:
            return not_found(f"order not found for {order_id}")
        if not entity.is_open or entity.status in {"pending_cancel", "pending_replace"}:
            return broken_rule(f'order is already in "{entity.status}" state')
        self._pend(entity, "pending_cancel")
        self._later(lambda: self._cancel(entity))
        return no_content()

    def cancel_all(self) -> Reply:
        """Take a cancel of every open order; each has an answer of its own."""
        answers = [
            {"id": entity.id, "status": 200 if self.cancel(entity.id).status == 204 else 500}
            for entity in list(self.entities())
            if entity.is_open
        ]
        return reply(answers, 207)

    def replace(self, order_id: str, asked: Change) -> Reply:
        """Take a replace: a new entity, which takes the place of the old one or is turned down."""
        entity = self.entity(order_id)
        if entity is None:
            return not_found(f"order not found for {order_id}")
        qty = entity.qty if asked.qty is None else asked.qty
        refused = self._replace_refused(entity, asked)
        if refused is not None:
            return refused
        successor = self._succeed(entity, asked, qty)
        self._pend(entity, "pending_replace")
        self._later(lambda: self._replace(entity, successor))
        return reply(successor.shown())

    def on_record(self, order: Order, record: Record) -> None:
        """Hear of one thing that happened at the exchange."""
        if isinstance(record, Placed):
            self._placed(order)
        elif isinstance(record, Traded):
            self._traded(self._working(order), record.execution, record.at_ns)
        elif isinstance(record, Ended):
            self._ended(self._working(order), record)
        elif isinstance(record, Replaced):
            self._took_place(order, record.at_ns)

    def _placed(self, order: Order) -> None:
        if self._entering is None:
            raise RuntimeError("the exchange took an order that nobody placed")
        client_order_id, extended_hours = self._entering
        self._chains[order.order_id] = []
        entity = self._made(order, client_order_id, order.qty, order.px, "pending_new")
        entity.extended_hours = extended_hours
        self._tell("pending_new", entity, {})
        entity.move("new", entity.created_at_ns)
        self._tell("new", entity, {})

    def _traded(self, entity: Entity, execution: Execution, now_ns: int) -> None:
        before = entity.status
        entity.fill(execution, now_ns)
        self.fills.add(entity, execution, now_ns)
        if entity.is_open and before in {"pending_cancel", "pending_replace"}:
            entity.move(before, now_ns)
        event = "fill" if entity.filled_qty >= entity.qty else "partial_fill"
        said: dict[str, Any] = {
            "execution_id": execution_id(execution),
            "price": execution.last_px,
            "qty": execution.last_qty,
        }
        self._tell(event, entity, said)

    def _ended(self, entity: Entity, record: Ended) -> None:
        is_canceled = record.ord_status is OrdStatus.CANCELED
        word = "canceled" if is_canceled else entity.ending(record.reason)
        entity.move(word, record.at_ns, f"{word}_at")
        self._tell(word, entity, {})

    def _took_place(self, order: Order, now_ns: int) -> None:
        """Let the newest entity of a chain take the place of the one before it."""
        old, successor = self._chains[order.order_id][-2:]
        old.move("replaced", now_ns, "replaced_at")
        self._tell("replaced", old, {})
        successor.move("new", now_ns)
        self._tell("new", successor, {})

    def _cancel(self, entity: Entity) -> None:
        if entity.status == "pending_cancel":
            self._exchange.cancel(entity.order)
        else:
            self._tell("order_cancel_rejected", entity, {})

    def _replace(self, entity: Entity, successor: Entity) -> None:
        """Do a replace: what the old entity filled meanwhile stays beside what the new one asks."""
        answer: Order | Refused | None = None
        if entity.status == "pending_replace":
            total = add(entity.order.cum_qty, successor.qty)
            name = successor.client_order_id
            answer = self._exchange.replace(entity.order, total, successor.px, name)
        if not isinstance(answer, Order):
            self._turned_down(entity, successor)

    def _turned_down(self, entity: Entity, successor: Entity) -> None:
        now_ns = self._exchange.clock.now_ns()
        self._chains[entity.order.order_id].remove(successor)
        entity.replaced_by = None
        if entity.is_open:
            entity.move("partially_filled" if entity.filled_qty else "new", now_ns)
        successor.move("rejected", now_ns, "failed_at")
        self._tell("order_replace_rejected", entity, {})
        self._tell("rejected", successor, {})

    def _replace_refused(self, entity: Entity, asked: Change) -> Reply | None:
        if asked.client_order_id in self._by_client:
            return NOT_UNIQUE
        if not entity.is_open or entity.status in NOT_REPLACEABLE:
            return broken_rule(f"cannot replace order in {entity.status} status")
        if asked.stop_px not in {None, entity.order.terms.stop_px}:
            return broken_rule("this venue does not change a stop_price")
        is_stock = entity.asset_class == STOCK
        if asked.qty is not None and is_stock and not is_multiple(asked.qty, _SHARE):
            return bad_input("qty must be a whole number")
        try:
            check_px(self.instruments[entity.order.terms.symbol], asked.px)
        except Refusal as refused:
            return refused.reply
        return None

    def _working(self, order: Order) -> Entity:
        """Return the entity that trades: the last one that took its place."""
        chain = self._chains[order.order_id]
        return next(each for each in reversed(chain) if each.status != "accepted")

    def _succeed(self, entity: Entity, asked: Change, qty: Decimal) -> Entity:
        px = entity.px if asked.px is None else asked.px
        successor = self._made(entity.order, asked.client_order_id, qty, px, "accepted")
        successor.replaces, entity.replaced_by = entity.id, successor.id
        successor.extended_hours = entity.extended_hours
        return successor

    def _made(
        self, order: Order, client_order_id: str, qty: Decimal, px: Decimal | None, status: str
    ) -> Entity:
        now_ns = self._exchange.clock.now_ns()
        chain = self._chains[order.order_id]
        entity = Entity(
            id=entity_id(order, len(self._entities)),
            client_order_id=client_order_id,
            order=order,
            asset_class=asset_class(self.instruments[order.terms.symbol]),
            asset_id=asset_id(order.terms.symbol),
            qty=qty,
            px=px,
            status=status,
            created_at_ns=now_ns,
            updated_at_ns=now_ns,
        )
        chain.append(entity)
        self._entities[entity.id] = self._by_client[client_order_id] = entity
        return entity

    def _pend(self, entity: Entity, status: str) -> None:
        entity.move(status, self._exchange.clock.now_ns())
        self._tell(status, entity, {})

    def _later(self, job: Callable[[], None]) -> None:
        self._jobs.append(job)
        self._soon(lambda: None if self.is_held else self._work())

    def _work(self) -> None:
        while self._jobs:
            self._jobs.popleft()()


_SHARE = Decimal(1)


def _refused(refused: Refused, new: NewOrder) -> Reply:
    """Say a refusal of the matching in Alpaca's words."""
    if refused.code == "insufficient_balance":
        what = (
            "buying power" if new.terms.side == "buy" else f"qty available for {new.terms.symbol}"
        )
        return refusal(403, FORBIDDEN, f"insufficient {what}", symbol=new.terms.symbol)
    return broken_rule(refused.reason)
