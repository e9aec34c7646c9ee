"""
One order of ours is a chain of orders at Alpaca: every replace makes a new one with a new id.

Rule 1: the chain is in the client ids (`kit.links`), so that any link of ours names its order and
        its replace. A link that somebody else made in place of ours is known by what it replaces.
Rule 2: a link's quantity and fills are its own. The order's are the sums: filled on every link,
        plus what the last one still has to fill.
Rule 3: what is known of a link only grows; the later word of two is kept.

Source: docs.alpaca.markets "Replace Order by ID"; that a replacing order counts its fills from 0
is told in alpacahq/Alpaca-API issue 165.
"""

from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from brokerd.money import ZERO, add
from brokerd_adapters.alpaca.wire import OrderBody, time_ns
from brokerd_adapters.kit.links import link

LINKS_MAX = 50_000
"""Links remembered; older ones are asked for again if they are needed."""

CHAIN_MAX = 1_000
"""
Links one order may have: no replace adds more, and questions about a longer one are given up.

After a restart each link is asked for once, 150 a minute (`Priority.QUESTION`).
"""

REPLACED = "replaced"
REJECTED = "rejected"
PENDING_CANCEL = "pending_cancel"
PENDING_REPLACE = "pending_replace"
NOT_YET = frozenset({"accepted", "pending_new", "accepted_for_bidding", "pending_review", "held"})
"""What a replacing order is before it has taken the old one's place."""


class Chain(Struct, frozen=True):
    """
    The links of one order, oldest first, and which of them holds its terms.

    `head` is the last link that took its place; `pending` says that a further one may yet, or that
    a cancel is on its way; `refused` that the last one was turned down.
    """

    links: tuple[OrderBody, ...]
    head: OrderBody
    is_pending: bool
    is_refused: bool

    @property
    def root(self) -> str:
        """The client id that the order was placed under."""
        return link(self.links[0].client_order_id).root

    @property
    def filled(self) -> Decimal:
        """What all links filled together."""
        return _sum(self.links)

    @property
    def qty(self) -> Decimal | None:
        """The order's total quantity, filled part included; None for an order by amount."""
        earlier = self.links[: self.links.index(self.head)]
        return None if self.head.qty is None else add(_sum(earlier), self.head.qty)


def chain(links: Sequence[OrderBody]) -> Chain:
    """Tell from the links, oldest first, how the order stands."""
    head, is_pending, is_refused = links[0], False, False
    for each in links[1:]:
        if head.status != REPLACED and each.status == REJECTED:
            is_refused = True
        elif head.status != REPLACED and each.status in NOT_YET:
            is_pending = True
        else:
            head, is_pending, is_refused = each, False, False
    is_pending = is_pending or head.status in {PENDING_CANCEL, PENDING_REPLACE}
    return Chain(tuple(links), head, is_pending, is_refused)


class Chains:
    """
    The links seen of late, by id: names for what Alpaca tells by order id alone.

    It is a memory of the venue's words, not a state of ours: what is missing is asked for again.
    """

    def __init__(self, links_max: int = LINKS_MAX) -> None:
        self._links: OrderedDict[str, OrderBody] = OrderedDict()
        self._links_max = links_max

    def see(self, body: OrderBody) -> None:
        """Take in what the venue says of a link, unless it said more before."""
        known = self._links.pop(body.id, None)
        self._links[body.id] = body if known is None or _is_later(body, known) else known
        if len(self._links) > self._links_max:
            self._links.popitem(last=False)

    def get(self, order_id: str) -> OrderBody | None:
        """Return what was last said of a link."""
        return self._links.get(order_id)

    def latest(self, order_id: str) -> str:
        """Return the id of the link that holds an order now, as far as is known."""
        for _ in range(len(self._links)):
            known = self._links.get(order_id)
            if known is None or known.status != REPLACED or known.replaced_by is None:
                break
            order_id = known.replaced_by
        return order_id

    def root(self, body: OrderBody) -> str:
        """Return the client id of a link's order: that of the earliest link that is known."""
        return link([body, *self._before(body)][-1].client_order_id).root

    def filled_before(self, body: OrderBody) -> Decimal | None:
        """Return what the links before this one filled; None if one of them is not known."""
        earlier = self._before(body)
        return _sum(earlier) if [body, *earlier][-1].replaces is None else None

    def _before(self, body: OrderBody) -> list[OrderBody]:
        """Return the links before this one that are known without a gap, latest first."""
        earlier: list[OrderBody] = []
        while body.replaces is not None and len(earlier) < CHAIN_MAX:
            before = self._links.get(body.replaces)
            if before is None:
                break
            earlier.append(before)
            body = before
        return earlier


def _is_later(body: OrderBody, known: OrderBody) -> bool:
    """Whether a word about a link is not older than another."""
    if body.filled != known.filled:
        return body.filled > known.filled
    return (time_ns(body.updated_at) or 0) >= (time_ns(known.updated_at) or 0)


def _sum(links: Sequence[OrderBody]) -> Decimal:
    total = ZERO
    for each in links:
        total = add(total, each.filled)
    return total
