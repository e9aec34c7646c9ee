"""
Histories of any length: orders that lived and died as orders do, written by the daemon's own code.

Each order is one of four lives, told in events that follow from each other: filled in two parts,
canceled by its bot, dropped unfilled, refused. They belong to 10,000 groups, and have the quotes
that statistics need. A history is kept for the next run, under a name that changes with the shape
of what is on disk.
"""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from shutil import rmtree

from benchmarks.report import say
from brokerd.blotter import Blotter, Stage
from brokerd.clock import SystemClock
from brokerd.events import (
    CancelRequested,
    DaemonStarted,
    Event,
    OrderAcknowledged,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderRejected,
    OrderSubmitted,
    OrderTraded,
    QuoteSampled,
    Road,
)
from brokerd.history.model import open_history
from brokerd.history.schema import SHAPE
from brokerd.journal.schema import SCHEMA_VERSION
from brokerd.journal.store import open_journal
from brokerd.supervisor import history_path
from brokerd.terms import OrdType, Quote, Side, Terms, TimeInForce

BATCH = 900
"""Entries in one commit: whole orders up to the journal's own bound."""

FLUSH_EVERY = 20_000
ORDER_EVERY_NS = 2_000_000_000
MS_NS = 1_000_000
MARK = "made"
GROUPS = 10_000
LIFE = 2
"""Raised when lives change: a history of other lives is made anew."""


def home(directory: Path, orders: int) -> Path:
    """Return where a history of that many orders lies."""
    return directory / f"history-{orders}-{SCHEMA_VERSION}.{LIFE}-{SHAPE[:8]}"


def is_made(path: Path, count: int) -> bool:
    """Say whether the history was made to its end, with that many open orders."""
    mark = path / MARK
    return mark.is_file() and int(mark.read_text()) == count


def mark_made(path: Path, count: int) -> None:
    (path / MARK).write_text(str(count))


def count_open(path: Path) -> int:
    """Return how many of its orders are open."""
    return int((path / MARK).read_text())


def make(path: Path, orders: int) -> None:
    """
    Write a journal with that many orders, all of them done, and its read model.

    One of another shape, or half made, is removed: a million orders take gigabytes.
    """
    for old in path.parent.glob(f"history-{orders}-*"):
        rmtree(old)
    asyncio.run(_make(path / "journal.db", orders))


async def _make(path: Path, orders: int) -> None:
    clock = SystemClock()
    began_ns = clock.now_ns() - orders * ORDER_EVERY_NS
    async with (
        open_journal(path, clock) as journal,
        open_history(history_path(path), journal) as history,
    ):
        started = DaemonStarted(at_ns=began_ns, version="bench", epoch="bench")
        stage = Stage(Blotter(), journal.last_seq + 1)
        stage.record(started)
        for number in range(orders):
            for event in life(number, began_ns + number * ORDER_EVERY_NS):
                stage.record(event)
            if len(stage.changes) < BATCH and number + 1 < orders:
                continue
            await journal.append(stage.changes[0].seq, [change.entry for change in stage.changes])
            for change in stage.changes:
                history.note(change.seq, change.entry, change.order)
            if history.backlog >= FLUSH_EVERY:
                await history.flush()
                say(f"(c) {number + 1:,} of {orders:,} orders")
            stage = Stage(Blotter(), journal.last_seq + 1)


def life(number: int, at_ns: int) -> Iterator[Event]:
    """Yield all events of one order: of ten, five fill, three are canceled, one expires, one is refused."""
    cl_ord_id, venue_order_id = f"past-{number}", f"v{number}"
    fate = number * 7 % 10
    px = Decimal(40_000 + number * 31 % 1_000)
    symbol, pair = ("BTCUSDT", "ETHUSDT")[number % 2], number % GROUPS
    yield OrderSubmitted(
        at_ns=at_ns,
        cl_ord_id=cl_ord_id,
        road=Road.BOT,
        venue_cl_ord_id=f"bench{number:x}",
        terms=Terms(
            executor="paper",
            symbol=symbol,
            side=(Side.BUY, Side.SELL)[number % 3 % 2],
            ord_type=OrdType.LIMIT,
            qty=Decimal("0.02"),
            px=px,
            time_in_force=TimeInForce.IOC if fate == 8 else TimeInForce.GTC,
            group={"pair": f"p{pair}", "strategy": f"s{pair % 20}", "user": f"u{pair % 7}"},
            decision_px=px - number % 5,
        ),
        arrival=Quote(px - 1, px + 1, at_ns),
        quote_asset="USDT",
        is_paper=True,
    )
    at_ns += 5 * MS_NS
    if fate == 9:
        yield OrderRejected(
            at_ns=at_ns, cl_ord_id=cl_ord_id, road=Road.REPLY, reason="insufficient_balance"
        )
        return
    yield OrderAcknowledged(
        at_ns=at_ns,
        cl_ord_id=cl_ord_id,
        road=Road.REPLY,
        venue_order_id=venue_order_id,
        sent_at_ns=at_ns - 4 * MS_NS,
        sent_quote=Quote(px - 1, px + 1 + number % 3, at_ns - 4 * MS_NS),
    )
    at_ns += (200 + number * 37 % 300) * MS_NS
    quote = Quote(px - 2, px + number % 7, at_ns)
    yield from _end(cl_ord_id, fate, px, quote)
    if fate < 5:
        at_ns += 1_050 * MS_NS
        yield QuoteSampled(at_ns=at_ns, executor="paper", symbol=symbol, quote=quote)


def _end(cl_ord_id: str, fate: int, px: Decimal, quote: Quote) -> Iterator[OrderEvent]:
    at_ns = quote.at_ns
    if fate < 5:
        for part in (1, 2):
            yield OrderTraded(
                at_ns=at_ns + part * MS_NS,
                cl_ord_id=cl_ord_id,
                road=Road.STREAM,
                exec_id=f"{cl_ord_id}-{part}",
                last_qty=Decimal("0.01"),
                last_px=px,
                fee=Decimal("0.4"),
                fee_asset="USDT",
                liquidity="maker",
            )
    elif fate < 8:
        yield CancelRequested(at_ns=at_ns, cl_ord_id=cl_ord_id, road=Road.BOT)
        at_ns += 5 * MS_NS
        yield OrderCanceled(at_ns=at_ns, cl_ord_id=cl_ord_id, road=Road.REPLY, quote=quote)
    else:
        yield OrderExpired(
            at_ns=at_ns, cl_ord_id=cl_ord_id, road=Road.STREAM, reason="ioc", quote=quote
        )
