"""What a venue itself says it did: the oracles that a journal is held against."""

import json
import re
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from brokerd_adapters.paper.log import PaperLog
from brokerd_adapters.paper.records import Kept, Placed, Traded

REPLACED = re.compile(r"[-_]r[0-9]+$")


class Oracle(Protocol):
    """A venue's own record. `is_cheap` says that it may be asked after every death."""

    is_cheap: bool

    def filled(self) -> dict[str, Decimal]:
        """Return what each order has filled, by our id; AssertionError if one was placed twice."""
        ...


class PaperOracle:
    """The log that the paper venue keeps beside the journal."""

    is_cheap = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def filled(self) -> dict[str, Decimal]:
        filled: dict[str, Decimal] = {}
        names: dict[str, str] = {}
        for record in PaperLog(self._path).records():
            if isinstance(record, Kept | Placed):
                order = record.order
                assert order.venue_cl_ord_id not in filled, "an order was placed twice"
                filled[order.venue_cl_ord_id] = order.cum_qty
                names[order.venue_order_id] = order.venue_cl_ord_id
            elif isinstance(record, Traded):
                filled[names[record.venue_order_id]] += record.execution.last_qty
        return filled


class VenueOracle:
    """The control endpoint of brokerd-venue: every order it ever took."""

    is_cheap = False

    def __init__(self, control: str) -> None:
        self._control = control

    def filled(self) -> dict[str, Decimal]:
        filled: dict[str, Decimal] = {}
        seen: set[str] = set()
        for order in self.ask("orders")["orders"]:
            first_id = order["client_order_ids"][0]
            assert first_id not in seen, f"{first_id} was placed twice"
            seen.add(first_id)
            # Where a replaced order is a new one, it carries the first one's name and a number.
            ours = REPLACED.sub("", first_id)
            filled[ours] = filled.get(ours, Decimal(0)) + Decimal(order["cum_qty"])
        return filled

    def ask(self, word: str) -> Any:
        """Ask the control endpoint."""
        with urllib.request.urlopen(f"{self._control}/{word}", timeout=60) as answer:
            return json.loads(answer.read())

    def tell(self, word: str, body: object) -> None:
        """Command the control endpoint."""
        request = urllib.request.Request(
            f"{self._control}/{word}", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
