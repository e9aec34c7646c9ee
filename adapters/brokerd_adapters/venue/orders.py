"""Orders as the wire knows them: what a dialect asks for, and what became of it."""

from decimal import Decimal

from msgspec import Struct

from brokerd.executor import Execution
from brokerd.money import ZERO, add, multiply, plain
from brokerd.states import FINAL, OrdStatus
from brokerd.terms import Terms
from brokerd_adapters.paper.matching import ORDINARY, Special


class NewOrder(Struct, frozen=True, kw_only=True, gc=False):
    """A new order, checked by its dialect as far as the dialect's own rules go."""

    client_order_id: str
    terms: Terms
    special: Special = ORDINARY


class Order(Struct, kw_only=True, gc=False):
    """
    One order of record; only the exchange changes one.

    `client_order_ids` is every name it had, the present one last. `qty` and `px` are those of the
    last replace, `terms` what it was placed with. `reason` is the matching's word for its end.
    """

    order_id: str
    client_order_ids: list[str]
    terms: Terms
    qty: Decimal
    px: Decimal | None
    created_at_ns: int
    updated_at_ns: int
    ord_status: OrdStatus = OrdStatus.NEW
    triggered_at_ns: int | None = None
    cum_qty: Decimal = ZERO
    cum_quote: Decimal = ZERO
    reason: str = ""
    executions: list[Execution] = []

    @classmethod
    def of(cls, new: NewOrder, order_id: str, now_ns: int) -> "Order":
        """Return the order that has just been taken."""
        return cls(
            order_id=order_id,
            client_order_ids=[new.client_order_id],
            terms=new.terms,
            qty=new.terms.qty,
            px=new.terms.px,
            created_at_ns=now_ns,
            updated_at_ns=now_ns,
        )

    @property
    def client_order_id(self) -> str:
        """The name it has now."""
        return self.client_order_ids[-1]

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.ord_status not in FINAL

    @property
    def is_asleep(self) -> bool:
        """Whether it is a stop that waits for its trigger price."""
        return self.terms.stop_px is not None and self.triggered_at_ns is None

    def add_execution(self, execution: Execution) -> None:
        """Count one execution."""
        self.executions.append(execution)
        self.cum_qty = plain(add(self.cum_qty, execution.last_qty))
        notional = multiply(execution.last_qty, execution.last_px)
        self.cum_quote = plain(add(self.cum_quote, notional))
        is_filled = self.cum_qty >= self.qty
        self.ord_status = OrdStatus.FILLED if is_filled else OrdStatus.PARTIALLY_FILLED
