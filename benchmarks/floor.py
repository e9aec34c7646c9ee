"""
The floors: what no durable broker can do without, in the daemon's own loop, library and pragmas.

A Unix socket server that appends each line to SQLite and says it back once it is durable: a
socket, a thread hop, a commit, and nothing else: no JSON, no rules, no hash. Whatever waits goes
to disk in one statement, as in the daemon. Run as `python -m benchmarks.floor SOCKET DATABASE`.

With `--journal` it keeps what the daemon promises of its records and does nothing else: the line
is read, goes into the daemon's journal as it is before it is answered, and with the next batch the
venue's acknowledgement that would follow. No rules, no memory, no venue, no log.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Protocol, cast

import aiosqlite
import msgspec
import uvloop
from msgspec import Struct

from brokerd.clock import SystemClock
from brokerd.events import Entry, OrderAcknowledged, OrderSubmitted
from brokerd.journal.sqlite import connection, multi_row
from brokerd.journal.store import PRAGMAS, SqliteJournal, open_journal
from brokerd.systemd import ready
from brokerd.terms import OrdType, Side, Terms, TimeInForce

ROWS_MAX = 1_000


class Store(Protocol):
    """Where lines go."""

    async def keep(self, lines: list[bytes]) -> list[bytes]:
        """Make lines durable in one commit; return the answer to each."""
        ...


class Lines:
    """A table of lines."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def keep(self, lines: list[bytes]) -> list[bytes]:
        """Say each line back."""
        sql = multi_row("INSERT INTO lines (line)", "(?)", len(lines))
        await self._db.execute_fetchall(sql, lines)
        return lines


class Records:
    """The daemon's journal with two rows for an order: as submitted, and as acknowledged later."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._later: list[Entry] = []

    async def keep(self, lines: list[bytes]) -> list[bytes]:
        """Answer each submit."""
        calls = [SUBMIT(line) for line in lines]
        at_ns = time.time_ns()
        entries = [*self._later, *(Entry(_submitted(call.params, at_ns)) for call in calls)]
        await self._journal.append(self._journal.last_seq + 1, entries)
        self._later = [Entry(_acknowledged(call.params, at_ns)) for call in calls]
        return [ANSWER({"jsonrpc": "2.0", "id": call.id, "result": call.params}) for call in calls]


class Params(Struct):
    """What a line of the benchmark says of its order."""

    cl_ord_id: str
    symbol: str
    side: Side
    ord_type: OrdType
    qty: Decimal
    px: Decimal
    time_in_force: TimeInForce
    wait: str


class Submit(Struct):
    """A line of the benchmark."""

    id: int
    params: Params


SUBMIT = msgspec.json.Decoder(Submit).decode
ANSWER = msgspec.json.Encoder(decimal_format="string").encode


def _submitted(params: Params, at_ns: int) -> OrderSubmitted:
    return OrderSubmitted(
        at_ns=at_ns,
        cl_ord_id=params.cl_ord_id,
        venue_cl_ord_id=params.cl_ord_id,
        terms=Terms("paper", params.symbol, params.side, params.ord_type, params.qty, params.px),
    )


def _acknowledged(params: Params, at_ns: int) -> OrderAcknowledged:
    return OrderAcknowledged(at_ns=at_ns, cl_ord_id=params.cl_ord_id, venue_order_id="1")


class Writer:
    """What waits to be written, each line with the connection it came from."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []
        self._wake = asyncio.Event()

    def put(self, transport: asyncio.Transport, line: bytes) -> None:
        self._waiting.append((transport, line))
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:ROWS_MAX], self._waiting[ROWS_MAX:]
                answers = await self._store.keep([line for _, line in batch])
                for (transport, _), answer in zip(batch, answers, strict=True):
                    transport.write(answer + b"\n")


class Echo(asyncio.Protocol):
    """One connection: bytes to lines."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._writer.put(self._transport, line)


@asynccontextmanager
async def _lines(database: Path) -> AsyncGenerator[Store]:
    async with connection(database, "rwc", PRAGMAS) as db:
        await db.execute_fetchall("CREATE TABLE lines (id INTEGER PRIMARY KEY, line BLOB NOT NULL)")
        yield Lines(db)


@asynccontextmanager
async def _records(database: Path) -> AsyncGenerator[Store]:
    async with open_journal(database, SystemClock()) as journal:
        yield Records(journal)


async def serve(socket: Path, database: Path, *, has_journal: bool) -> None:
    opened = _records(database) if has_journal else _lines(database)
    async with opened as store, asyncio.TaskGroup() as group:
        writer = Writer(store)
        loop = asyncio.get_running_loop()
        listener = await loop.create_unix_server(lambda: Echo(writer), str(socket))
        stopped = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        writing = group.create_task(writer.run(), name="writer")
        ready()
        await stopped.wait()
        listener.close()
        writing.cancel()


if __name__ == "__main__":
    *_, socket_path, database_path = sys.argv
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            serve(Path(socket_path), Path(database_path), has_journal="--journal" in sys.argv)
        )
