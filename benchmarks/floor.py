"""
The floor: a Unix socket server that appends each line to SQLite and says it back once it is durable.

It has what no durable broker can do without (a socket, a thread hop, a commit) in the daemon's own
loop, library and pragmas, and nothing else: no JSON, no rules, no hash. Whatever waits goes to
disk in one statement, as in the daemon. Run as `python -m benchmarks.floor SOCKET DATABASE`.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import cast

import aiosqlite
import uvloop

from brokerd.journal.sqlite import connection, multi_row
from brokerd.journal.store import PRAGMAS
from brokerd.systemd import ready

ROWS_MAX = 1_000


class Writer:
    """What waits to be written, each line with the connection it came from."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db
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
                sql = multi_row("INSERT INTO lines (line)", "(?)", len(batch))
                await self._db.execute_fetchall(sql, [line for _, line in batch])
                for transport, line in batch:
                    transport.write(line + b"\n")


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


async def serve(socket: Path, database: Path) -> None:
    async with connection(database, "rwc", PRAGMAS) as db, asyncio.TaskGroup() as group:
        await db.execute_fetchall("CREATE TABLE lines (id INTEGER PRIMARY KEY, line BLOB NOT NULL)")
        writer = Writer(db)
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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
