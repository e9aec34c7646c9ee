"""
One order of ours is a chain of orders at Alpaca: every replace makes a new one with a new id.

Rule 1: the chain is in the client ids. The first link carries the order's own, the n-th replace
        the same with "-r<n>" behind it, so that any link names its order and its replace.
Rule 2: a link's quantity and fills are its own. The order's are the sums: filled on every link,
        plus what the last one still has to fill.
Rule 3: what is known of a link only grows; the later word of two is kept.

Source: docs.alpaca.markets "Replace Order by ID"; that a replacing order counts its fills from 0
is told in alpacahq/Alpaca-API issue 165.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from brokerd.money import ZERO, add
from brokerd_adapters.alpaca.wire import OrderBody, time_ns

LINKS_MAX = 50_000
"""Links remembered; older ones are asked for again if they are needed."""

CHAIN_MAX = 256
"""Links one order may have before its questions are given up as endless."""

_LINK = re.compile(r"(?P<root>.+)-r(?P<number>[1-9][0-9]{0,8})", re.ASCII)

REPLACED = "replaced"
REJECTED = "rejected"
PENDING_CANCEL = "pending_cancel"
PENDING_REPLACE = "pending_replace"
NOT_YET = frozenset({"accepted", "pending_new", "accepted_for_bidding", "pending_review", "held"})
"""What a replacing order is before it has taken the old one's place."""


class Name(NamedTuple):
    """Whose link a client id is: the order's own id, and the replace that made it; 0 is the first."""

    root: str
    replace_no: int


def named(client_order_id: str) -> Name:
    """Read a link's client id."""
    match = _LINK.fullmatch(client_order_id)
    return Name(match["root"], int(match["number"])) if match else Name(client_order_id, 0)


def link_id(root: str, replace_no: int) -> str:
    """Return the client id of the link that a replace makes."""
    return f"{root}-r{replace_no}"


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
    for link in links[1:]:
        if head.status != REPLACED and link.status == REJECTED:
            is_refused = True
        elif head.status != REPLACED and link.status in NOT_YET:
            is_pending = True
        else:
            head, is_pending, is_refused = link, False, False
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

    def filled_before(self, body: OrderBody) -> Decimal | None:
        """Return what the links before this one filled; None if one of them is not known."""
        earlier: list[OrderBody] = []
        link = body
        while link.replaces is not None and len(earlier) < CHAIN_MAX:
            before = self._links.get(link.replaces)
            if before is None:
                return None
            earlier.append(before)
            link = before
        return _sum(earlier)


def _is_later(body: OrderBody, known: OrderBody) -> bool:
    """Whether a word about a link is not older than another."""
    if body.filled != known.filled:
        return body.filled > known.filled
    return (time_ns(body.updated_at) or 0) >= (time_ns(known.updated_at) or 0)


def _sum(links: Sequence[OrderBody]) -> Decimal:
    total = ZERO
    for link in links:
        total = add(total, link.filled)
    return total
