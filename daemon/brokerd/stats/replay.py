"""
Samples from the journal itself: the same fold as everywhere, with nothing kept in between.

In memory as large as the journal's orders: for checking other roads, and for small journals.
"""

from collections import defaultdict
from collections.abc import Iterable

from brokerd.blotter import Blotter
from brokerd.events import DaemonStarted, Entry, OrderTraded, QuoteSampled
from brokerd.stats.marks import Mids, is_two_sided
from brokerd.stats.sample import Sample, fill_of, is_measured, mid, sample


def samples(rows: Iterable[tuple[int, Entry]], now_ns: int) -> list[Sample]:
    """Return a sample of every order of ours in journal rows (seq, entry), read from row 1."""
    blotter = Blotter()
    fills: defaultdict[str, list[OrderTraded]] = defaultdict(list)
    seen: defaultdict[tuple[str, str], Mids] = defaultdict(lambda: Mids([], []))
    runs: list[int] = []
    for seq, entry in rows:
        event = entry.event
        blotter.fold(seq, event)
        if isinstance(event, OrderTraded):
            fills[event.cl_ord_id].append(event)
        elif isinstance(event, QuoteSampled) and is_two_sided(event.quote):
            mids = seen[event.executor, event.symbol]
            mids.at_ns.append(event.at_ns)
            mids.mids.append(mid(event.quote))
        elif isinstance(event, DaemonStarted):
            runs.append(event.at_ns)
    runs.sort()
    return [
        sample(
            order,
            [
                fill_of(each, seen[order.terms.executor, order.terms.symbol])
                for each in fills[order.cl_ord_id]
            ],
            now_ns,
            runs,
        )
        for order in blotter
        if is_measured(order)
    ]
