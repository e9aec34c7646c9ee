"""Executions as account activities: one list, oldest first, read in pages either way."""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from brokerd.executor import Execution
from brokerd.money import digits, subtract
from brokerd.times import parse_rfc3339, rfc3339
from brokerd_adapters.venue.alpaca.entities import Entity

PAGE_MAX = 100


class Fills:
    """Every fill of the account, as far as the venue remembers it."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, dict[str, Any]]] = []

    def add(self, entity: Entity, execution: Execution, now_ns: int) -> None:
        """Note a fill; the entity has counted it."""
        order = entity.order
        is_filled = entity.filled_qty >= entity.qty
        told = rfc3339(now_ns)
        # The same instant reads the same in the id, to the millisecond, in digits alone.
        stamp = "".join(each for each in told[:23] if each.isdigit())
        row = {
            "activity_type": "FILL",
            "id": f"{stamp}::{uuid5(NAMESPACE_OID, f'activity/{execution.exec_id}')}",
            "cum_qty": digits(entity.filled_qty),
            "leaves_qty": digits(subtract(entity.qty, entity.filled_qty)),
            "price": digits(execution.last_px),
            "qty": digits(execution.last_qty),
            "side": order.terms.side,
            "symbol": order.terms.symbol,
            "transaction_time": told,
            "order_id": entity.id,
            "type": "fill" if is_filled else "partial_fill",
            "order_status": entity.status,
        }
        self._rows.append((now_ns, row))

    def forget(self) -> None:
        """Lose them all."""
        self._rows.clear()

    def page(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """
        Return one page; raises ValueError for a parameter that cannot be read.

        `page_token` is the id of the last row of the page before.
        """
        after = parse_rfc3339(query["after"]) if "after" in query else None
        until = parse_rfc3339(query["until"]) if "until" in query else None
        order_id, date = query.get("order_id"), query.get("date")
        size = int(query.get("page_size", PAGE_MAX))
        if not 0 < size <= PAGE_MAX:
            raise ValueError(f"page_size is 1 to {PAGE_MAX}")
        rows = [
            row
            for at_ns, row in self._rows
            if (after is None or at_ns > after)
            and (until is None or at_ns < until)
            and (order_id is None or row["order_id"] == order_id)
            and (date is None or row["transaction_time"].startswith(date))
        ]
        if query.get("direction", "desc") != "asc":
            rows.reverse()
        return _from(rows, query.get("page_token"))[:size]


def _from(rows: list[dict[str, Any]], token: str | None) -> list[dict[str, Any]]:
    if token is None:
        return rows
    for at, row in enumerate(rows):
        if row["id"] == token:
            return rows[at + 1 :]
    raise ValueError("page_token is not known")
