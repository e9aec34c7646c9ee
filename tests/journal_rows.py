"""Orders and their journal entries, made by the real rules, for the journal's and history's tests."""

from collections.abc import Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from brokerd.clock import SystemClock
from brokerd.events import (
    DaemonStarted,
    Entry,
    Event,
    OrderAcknowledged,
    OrderCanceled,
    OrderEvent,
    OrderRejected,
    OrderSubmitted,
    OrderTraded,
)
from brokerd.fold import apply, submitted
from brokerd.history.model import SqliteHistory, open_history
from brokerd.journal.store import SqliteJournal, open_journal
from brokerd.orders import Order
from brokerd.terms import OrdType, Quote, Side, Terms

SMALL = {"reserve_bytes": 65_536, "reserve_free_bytes": 1_048_576}
T0_NS = 1_760_000_000_000_000_000


class Story:
    """Writes down what happens to orders, as the engine would."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.noted: list[tuple[int, Entry, Order | None]] = []

    def tell(self, event: Event) -> None:
        seq = len(self.noted) + 1
        order = None
        if isinstance(event, OrderSubmitted):
            order = submitted(event, seq)
        elif isinstance(event, OrderEvent):
            order = apply(self.orders[event.cl_ord_id], event, seq)
        if order is not None:
            self.orders[order.cl_ord_id] = order
        self.noted.append((seq, Entry(event, order.after() if order else None), order))

    @property
    def entries(self) -> list[Entry]:
        return [entry for _, entry, _ in self.noted]


def submit(no: int, at_ns: int | None = None, **terms: object) -> OrderSubmitted:
    """An order for 2 at 100 on the paper executor, unless told otherwise."""
    at_ns = T0_NS + no if at_ns is None else at_ns
    told = {
        "executor": "paper",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "qty": Decimal(2),
        "px": Decimal(100),
        **terms,
    }
    return OrderSubmitted(
        at_ns=at_ns,
        cl_ord_id=f"bot-{no}",
        venue_cl_ord_id=f"e-{no}",
        terms=Terms(**told),  # type: ignore[arg-type]
        arrival=Quote(Decimal("99.9"), Decimal("100.1"), at_ns),
    )


def acknowledged(no: int, at_ns: int = T0_NS) -> OrderAcknowledged:
    return OrderAcknowledged(at_ns=at_ns, cl_ord_id=f"bot-{no}", venue_order_id=f"v{no}")


def traded(no: int, exec_id: str, qty: int = 1, at_ns: int = T0_NS) -> OrderTraded:
    return OrderTraded(
        at_ns=at_ns,
        cl_ord_id=f"bot-{no}",
        exec_id=exec_id,
        last_qty=Decimal(qty),
        last_px=Decimal(100),
        fee=Decimal("0.1"),
        fee_asset="USDT",
    )


def canceled(no: int, at_ns: int = T0_NS) -> OrderCanceled:
    return OrderCanceled(at_ns=at_ns, cl_ord_id=f"bot-{no}")


def rejected(no: int, at_ns: int = T0_NS) -> OrderRejected:
    return OrderRejected(at_ns=at_ns, cl_ord_id=f"bot-{no}", reason="insufficient balance")


def a_day() -> Story:
    """Four orders: filled, canceled with a late fill, rejected, and one still open."""
    story = Story()
    story.tell(DaemonStarted(at_ns=T0_NS, version="0.1.0", epoch="abc"))
    for no in (1, 2, 3, 4):
        story.tell(submit(no, group={"user": "alice" if no % 2 else "bob"}))
    for event in (
        acknowledged(1),
        traded(1, "x1"),
        rejected(3),
        acknowledged(2),
        canceled(2),
        traded(1, "x2"),
        acknowledged(4),
        traded(2, "x3"),
    ):
        story.tell(event)
    return story


async def write(journal: SqliteJournal, story: Story, batch: int = 5) -> None:
    entries = story.entries
    for at in range(0, len(entries), batch):
        await journal.append(at + 1, entries[at : at + batch])


@asynccontextmanager
async def opened(path: Path) -> Iterator[SqliteJournal]:
    async with open_journal(path, SystemClock(), **SMALL) as journal:
        yield journal


@asynccontextmanager
async def both(directory: Path) -> Iterator[tuple[SqliteJournal, SqliteHistory]]:
    async with (
        opened(directory / "journal.db") as journal,
        open_history(directory / "journal-history.db", journal) as history,
    ):
        yield journal, history
