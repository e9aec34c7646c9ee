"""
A bad network between a daemon and its venue: a TCP proxy that cuts, delays, swallows and repeats.

It runs in a thread of its own, knows no protocol but the first words of an HTTP request, and is
healed by `heal`. Faults come by chance, seeded; `struck` counts them.
"""

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import Future
from typing import Self

from msgspec import Struct

CHUNK_BYTES = 1 << 16


class Network(Struct, frozen=True, kw_only=True):
    """
    How bad it is: what befalls a chunk of bytes, each with a chance from 0 to 1.

    `refuse` befalls a new connection; `cut_before`, `cut_inside`, `cut_after`, `hole` and `repeat` a
    request; `cut_reply` an answer; `delay` either. After a `hole` nothing more comes through, and
    nobody is told. `repeat` sends an HTTP request of `repeatable` methods a second time.
    """

    refuse: float = 0.0
    cut_before: float = 0.0
    cut_inside: float = 0.0
    cut_after: float = 0.0
    cut_reply: float = 0.0
    delay: float = 0.0
    delay_s_max: float = 0.2
    hole: float = 0.0
    repeat: float = 0.0
    repeatable: tuple[bytes, ...] = (b"GET ",)


HEALTHY = Network()


class FaultProxy:
    """One door to the venue at `upstream_port`; `port` is where the daemon knocks."""

    def __init__(self, upstream_port: int, network: Network, seed: int) -> None:
        self.network = network
        self.port = 0
        self.struck: Counter[str] = Counter()
        self._upstream_port = upstream_port
        self._chance = random.Random(seed)
        self._open: set[asyncio.StreamWriter] = set()
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._ready.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(30)

    def heal(self) -> None:
        """Let everything through from now on; what hangs in a hole is cut."""
        self.network = HEALTHY
        self.cut()

    def cut(self) -> None:
        """Cut every connection there is."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._ready.set_result(server.sockets[0].getsockname()[1])
        await self._ended.wait()
        server.close()
        self._cut()

    def _strikes(self, fault: str) -> bool:
        strikes = self._chance.random() < getattr(self.network, fault)
        self.struck[fault] += strikes
        return strikes

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._strikes("refuse"):
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, up_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, up_writer, is_request=True))
                group.create_task(self._carry(up_reader, writer, is_request=False))
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for each in (writer, up_writer):
                self._open.discard(each)
                each.transport.abort()

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_request: bool
    ) -> None:
        while data := await source.read(CHUNK_BYTES):
            if self._strikes("delay"):
                await asyncio.sleep(self._chance.uniform(0, self.network.delay_s_max))
            await (self._request(data, sink) if is_request else self._reply(data, sink))
        raise ConnectionError("one end hung up")

    async def _request(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        if self._strikes("cut_before"):
            raise ConnectionError("cut before")
        if self._strikes("hole"):
            await asyncio.Event().wait()
        if self._strikes("cut_inside"):
            data = data[: len(data) // 2]
            sink.write(data)
            await sink.drain()
            raise ConnectionError("cut inside")
        if data.startswith(self.network.repeatable) and self._strikes("repeat"):
            await self._say_again(data)
        sink.write(data)
        await sink.drain()
        if self._strikes("cut_after"):
            raise ConnectionError("cut after")

    async def _reply(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        if self._strikes("cut_reply"):
            sink.write(data[: len(data) // 2])
            await sink.drain()
            raise ConnectionError("cut inside the reply")
        sink.write(data)
        await sink.drain()

    async def _say_again(self, data: bytes) -> None:
        """Carry a request out on a connection of its own, whose answer nobody hears."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        try:
            writer.write(data)
            await reader.read(CHUNK_BYTES)
        finally:
            writer.transport.abort()
