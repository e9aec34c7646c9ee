"""What the survey reads of the read model: the orders that changed, and their fills with marks."""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from brokerd.history.schema import decode_fill, decode_order
from brokerd.journal.sqlite import placeholders
from brokerd.money import parse_decimal
from brokerd.orders import Order
from brokerd.stats.marks import Mids, is_two_sided, spans
from brokerd.stats.sample import Fill, fill_of, mid
from brokerd.terms import Quote


class Source:
    """A read model, to be read only."""

    def __init__(self, history: sqlite3.Connection) -> None:
        self._history = history

    def changed(self, after_seq: int, limit: int) -> tuple[dict[int, Order], int]:
        """Return the next orders by number that changed after a journal row, and up to which row."""
        rows = self._history.execute(
            "SELECT no, seq, body FROM orders WHERE seq > ? ORDER BY seq LIMIT ?",
            (after_seq, limit),
        ).fetchall()
        return {no: decode_order(body) for no, _, body in rows}, rows[-1][1] if rows else after_seq

    def orders(self, numbers: Sequence[int]) -> dict[int, Order]:
        """Return orders by number."""
        sql = f"SELECT no, body FROM orders WHERE no IN {placeholders(len(numbers))}"
        return {no: decode_order(body) for no, body in self._history.execute(sql, numbers)}

    def fills(self, orders: dict[int, Order]) -> dict[int, list[Fill]]:
        """Return the orders' fills with what marks are on record by now."""
        filled = [no for no, order in orders.items() if order.fill_count]
        sql = (
            "SELECT order_no, at_ns, body FROM fills"
            f" WHERE order_no IN {placeholders(len(filled))} ORDER BY seq"
        )
        rows = self._history.execute(sql, filled).fetchall()
        filled_at_ns: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for no, at_ns, _ in rows:
            terms = orders[no].terms
            filled_at_ns[terms.executor, terms.symbol].append(at_ns)
        seen = {where: self._mids(*where, spans(times)) for where, times in filled_at_ns.items()}
        found: dict[int, list[Fill]] = {}
        for no, _, body in rows:
            terms = orders[no].terms
            mids = seen[terms.executor, terms.symbol]
            found.setdefault(no, []).append(fill_of(decode_fill(body), mids))
        return found

    def runs(self, from_ns: int) -> list[int]:
        """Return when runs of the daemon began, from a moment on, the earliest first."""
        sql = "SELECT at_ns FROM runs WHERE at_ns >= ? ORDER BY at_ns"
        return [at_ns for (at_ns,) in self._history.execute(sql, (from_ns,))]

    def _mids(self, executor: str, symbol: str, within: Sequence[tuple[int, int]]) -> Mids:
        """Return the quotes on record in these times alone: between two fills there may be a year."""
        sql = (
            "SELECT at_ns, bid_px, ask_px FROM quotes WHERE executor = ? AND symbol = ?"
            " AND at_ns BETWEEN ? AND ? ORDER BY at_ns"
        )
        seen = Mids([], [])
        for span in within:
            for at_ns, bid, ask in self._history.execute(sql, (executor, symbol, *span)):
                quote = Quote(parse_decimal(bid), parse_decimal(ask), at_ns)
                if is_two_sided(quote):  # older journals have others on record
                    seen.at_ns.append(at_ns)
                    seen.mids.append(mid(quote))
        return seen
