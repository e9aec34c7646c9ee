"""What a venue's log holds: the orders that came to be, and the requests that left for it."""

from decimal import Decimal

from msgspec import Struct

from brokerd.executor import CancelOrder, Execution, OrderView, PlaceOrder, ReplaceOrder
from brokerd.states import OrdStatus
from brokerd.terms import Terms

FINAL = frozenset({OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.REJECTED})
BY_US = "canceled by us"
LEFT = "left for another"
"""What a view of an order says that was canceled, and whose replacement is not there yet."""

WEB, STRANGER = "web-", "bkd-"
"""How the client ids of orders begin that nobody here has sent: by hand, or by another brokerd."""

WALL_OFFSET_S = 1_760_000_000.0
"""The true time of day when virtual time is 0."""


AnyRequest = PlaceOrder | CancelOrder | ReplaceOrder


def true_ns(time_s: float) -> int:
    """Return the true time of day, in ns, at a virtual time."""
    return int(WALL_OFFSET_S) * 1_000_000_000 + int(time_s * 1e9)


def ours_of(request: AnyRequest) -> str:
    """Return our id of the order that a request is about."""
    if isinstance(request, PlaceOrder):
        return request.venue_cl_ord_id
    return request.ref.venue_cl_ord_id


class VenueOrder:
    """An order that came to be. `views` is its history, for queries that lag."""

    def __init__(self, number: int, ours: str, venue_order_id: str, terms: Terms) -> None:
        self.number = number
        self.ours = ours
        self.ids = [venue_order_id]
        self.terms = terms
        self.qty = terms.qty
        self.px = terms.px
        self.status = OrdStatus.NEW
        self.executions: list[Execution] = []
        self.replaced_nos: set[int] = set()
        self.covered_nos: set[int] = set()
        self.all_terms = [(terms.qty, terms.px)]
        self.reason = ""
        self.views: list[tuple[float, OrderView]] = []
        self.is_forgotten = False
        self.has_left = False
        self.is_others = False
        self.works_on = 0

    @property
    def cum_qty(self) -> Decimal:
        return sum((each.last_qty for each in self.executions), Decimal(0))

    @property
    def is_open(self) -> bool:
        return self.status not in FINAL and not self.has_left

    @property
    def is_ours_and_open(self) -> bool:
        """Whether it counts in the limits of an executor."""
        return self.is_open and not (self.is_others or self.is_forgotten)

    @property
    def is_others_and_open(self) -> bool:
        """Whether it is there to be seen, and not ours."""
        return self.is_open and self.is_others and not self.is_forgotten

    def view(self) -> OrderView:
        return OrderView(
            venue_cl_ord_id=self.ours,
            venue_order_id=self.ids[-1],
            symbol=self.terms.symbol,
            side=self.terms.side,
            ord_type=self.terms.ord_type,
            ord_status=OrdStatus.CANCELED if self.has_left else self.status,
            qty=self.qty,
            px=self.px,
            cum_qty=self.cum_qty,
            executions=tuple(self.executions),
            reason=LEFT if self.has_left else self.reason,
            is_pending=self.works_on > 0 and self.is_open,
        )

    def seen_at(self, time_s: float) -> OrderView | None:
        """Return the order as it was then, None from before it was there."""
        seen = None
        for since_s, view in self.views:
            if since_s > time_s:
                break
            seen = view
        return seen


class Wire(Struct, frozen=True):
    """One request that left for the venue, whether or not it came there."""

    kind: str
    ours: str
    signed_s: float
