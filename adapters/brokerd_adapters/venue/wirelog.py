"""The wire log: every request that reached the venue, by the order it named and its operation."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator

from msgspec import Struct

from brokerd_adapters.venue.faults import WireFault
from brokerd_adapters.venue.orders import Order

REQUESTS_MAX = 10_000
"""The latest requests that are remembered one by one; the counts have no end."""


class Call(Struct, frozen=True, gc=False):
    """
    One request as the venue's door sees it.

    `operation` is one of the dialects' common words: place, test, cancel, cancel_all, replace,
    amend, query, open_orders, orders, fills, account, log_on, subscribe, ... A request that makes
    a new order in place of another names both.
    """

    operation: str
    is_command: bool = False
    client_order_id: str = ""
    order_id: str = ""
    new_client_order_id: str = ""


class Request(Struct, frozen=True, gc=False):
    """One request of late, and what befell it."""

    at_ns: int
    call: Call
    fault: WireFault


class WireLog:
    """Counts, and the latest requests."""

    def __init__(self) -> None:
        self._latest: deque[Request] = deque(maxlen=REQUESTS_MAX)
        self._by_client: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._by_order: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def note(self, call: Call, fault: WireFault, now_ns: int) -> None:
        """Count one request under every name it gives."""
        self._latest.append(Request(now_ns, call, fault))
        for name in {call.client_order_id, call.new_client_order_id}:
            if name:
                self._by_client[name][call.operation] += 1
        if call.order_id:
            self._by_order[call.order_id][call.operation] += 1

    def latest(self) -> Iterator[Request]:
        """Yield the latest requests, oldest first."""
        yield from self._latest

    def by_client(self) -> dict[str, Counter[str]]:
        """Return the counts by client order id, of orders that never came to be, too."""
        return self._by_client

    def naming(self, order: Order) -> Counter[str]:
        """Return how many requests named the order, by operation."""
        counts = Counter(self._by_order.get(order.order_id, {}))
        for name in dict.fromkeys(order.client_order_ids):
            counts.update(self._by_client.get(name, {}))
        return counts
