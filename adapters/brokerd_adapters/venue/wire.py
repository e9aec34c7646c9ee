"""
How answers leave: an HTTP response, or a frame on a WebSocket; whole, torn, or not at all.

A connection's frames wait in one bounded queue for one writer, so answers and events keep the order
in which they came to be. A reader too slow to keep it from filling is cut off, as venues do.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress

from aiohttp import WSMsgType, web

from brokerd_adapters.venue.faults import Step
from brokerd_adapters.venue.gate import Gate, Lost, Reply
from brokerd_adapters.venue.wirelog import Call

FRAMES_MAX = 10_000
"""Frames that may wait for a slow reader."""

SILENCE_MAX_S = 300.0
"""How long a request that is never answered is kept waiting."""

PING_S = 20.0
FRAME_BYTES_MAX = 1 << 20


class Switchboard:
    """All open WebSocket connections, and the tasks that outlive them."""

    def __init__(self, gate: Gate, tasks: asyncio.TaskGroup) -> None:
        self.gate = gate
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run something that must not end with its connection."""
        task = self._tasks.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def serve(
        self,
        request: web.Request,
        greet: Callable[["Connection"], Callable[[bytes], None]],
        *,
        opcode: WSMsgType = WSMsgType.TEXT,
    ) -> web.WebSocketResponse:
        """Take a connection; `greet` returns what hears its frames. Returns when it is over."""
        ws = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=FRAME_BYTES_MAX, compress=False)
        await ws.prepare(request)
        connection = Connection(self, request, ws, opcode)
        self._connections.add(connection)
        try:
            await connection.run(greet(connection))
        finally:
            self._connections.discard(connection)
            for farewell in connection.farewells:
                farewell()
        return ws

    def cut_all(self) -> None:
        """Break every connection."""
        for connection in tuple(self._connections):
            connection.cut()

    def stop(self) -> None:
        """Break every connection and end what still runs."""
        self.cut_all()
        for task in tuple(self._running):
            task.cancel()


class Connection:
    """One WebSocket connection. `farewells` are called when it is over."""

    def __init__(
        self, board: Switchboard, request: web.Request, ws: web.WebSocketResponse, opcode: WSMsgType
    ) -> None:
        self.farewells: list[Callable[[], None]] = []
        self._board = board
        self._request = request
        self._ws = ws
        self._opcode = opcode
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(FRAMES_MAX)

    def send(self, frame: bytes) -> None:
        """Send one frame after all that were sent before."""
        if self._outgoing.full():
            self.cut()
        else:
            self._outgoing.put_nowait(frame)

    def stream(self, frames: list[bytes]) -> None:
        """Send frames of an account stream, as faults let them through."""
        carried = self._board.gate.streamed(self, frames)
        for frame in carried.items:
            self.send(frame)
        if carried.breaks:
            self.cut()

    def answer(
        self, call: Call, carry_out: Callable[[], Reply], excuse: Callable[[Step], Reply]
    ) -> None:
        """Carry a request out and answer it; at once on a good day."""
        step = self._board.gate.admit(call)
        if step is None:
            self.send(carry_out().body)
        else:
            self._board.spawn(self._suffer(step, carry_out, excuse), "befallen-frame")

    def cut(self) -> None:
        """Break the connection, without a goodbye."""
        _abort(self._request)

    async def run(self, on_frame: Callable[[bytes], None]) -> None:
        """Read and write until the connection is over."""
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(), name="frames-out")
            # A ping may come from who is gone by the time it is answered.
            with suppress(ConnectionError):
                async for message in self._ws:
                    if message.type is WSMsgType.TEXT:
                        on_frame(message.data.encode())
                    elif message.type is WSMsgType.BINARY:
                        on_frame(message.data)
            writer.cancel()

    async def _suffer(
        self, step: Step, carry_out: Callable[[], Reply], excuse: Callable[[Step], Reply]
    ) -> None:
        fate = await self._board.gate.suffer(step, carry_out, excuse)
        if fate is Lost.BREAK:
            self.cut()
        elif isinstance(fate, Reply):
            self.send(fate.body[: len(fate.body) // 2] if fate.is_torn else fate.body)

    async def _write(self) -> None:
        while True:
            frame = await self._outgoing.get()
            try:
                await self._ws.send_frame(frame, self._opcode)
            except ConnectionError:
                return


async def answer(
    gate: Gate,
    request: web.Request,
    call: Call,
    carry_out: Callable[[], Reply],
    excuse: Callable[[Step], Reply],
) -> web.StreamResponse:
    """Carry an HTTP request out and answer it."""
    step = gate.admit(call)
    fate = carry_out() if step is None else await gate.suffer(step, carry_out, excuse)
    if isinstance(fate, Reply):
        return await _torn(request, fate) if fate.is_torn else _response(fate)
    if fate is Lost.SILENCE:
        await asyncio.sleep(SILENCE_MAX_S)
    _abort(request)
    return web.Response()


def _response(reply: Reply) -> web.Response:
    return web.Response(
        status=reply.status,
        body=reply.body,
        headers=reply.headers,
        content_type=reply.content_type,
    )


async def _torn(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Promise the whole body, send half of it, and hang up."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_type = reply.content_type
    response.content_length = len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
