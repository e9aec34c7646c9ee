"""Which orders are meant: the filters that methods share, on orders in memory. Pure."""

from msgspec import Struct

from brokerd.orders import Order
from brokerd.states import COARSE, OrdStatus, Status
from brokerd.terms import Side, Terms


class OrderFilter(Struct, frozen=True, kw_only=True):
    """All members that are set must match; an empty one lets everything through."""

    status: frozenset[Status] = frozenset()
    ord_status: frozenset[OrdStatus] = frozenset()
    executor: str | None = None
    symbol: str | None = None
    side: Side | None = None
    group: dict[str, str] = {}


def matches(wanted: OrderFilter, order: Order) -> bool:
    """Whether an order is meant, by what it is now."""
    if wanted.status and order.status not in wanted.status:
        return False
    if wanted.ord_status and order.shown_status not in wanted.ord_status:
        return False
    return matches_terms(wanted, order.terms)


def matches_terms(wanted: OrderFilter, terms: Terms) -> bool:
    """Whether an order with these terms is meant; statuses are not looked at."""
    return (
        wanted.executor in {None, terms.executor}
        and wanted.symbol in {None, terms.symbol}
        and wanted.side in {None, terms.side}
        and all(terms.group.get(key) == value for key, value in wanted.group.items())
    )


def matches_status(wanted: OrderFilter, ord_status: str) -> bool:
    """Whether an order that stands so is meant; one with a request pending counts as OPEN."""
    shown = OrdStatus(ord_status)
    if wanted.ord_status and shown not in wanted.ord_status:
        return False
    return not wanted.status or COARSE.get(shown, Status.OPEN) in wanted.status
