"""
VenueServer: one exchange in one dialect on one socket, from `async with` to its end.

The whole venue lives in one loop and answers within one turn of it. Inside, two tasks run: one
plays the market, one lets orders expire. `going` is done when one of them failed: whoever runs the
venue waits for it.
"""

import asyncio
import socket
from contextlib import AsyncExitStack, suppress
from typing import Self

from aiohttp import web

from brokerd.clock import SystemClock
from brokerd.errors import BrokerdError
from brokerd_adapters.paper.markets import Market, Tick
from brokerd_adapters.venue.clock import SkewedClock
from brokerd_adapters.venue.config import VenueConfig, open_market
from brokerd_adapters.venue.control import Control
from brokerd_adapters.venue.dialect import DialectMaker
from brokerd_adapters.venue.dialects import make_dialect
from brokerd_adapters.venue.exchange import Exchange
from brokerd_adapters.venue.gate import Gate
from brokerd_adapters.venue.wire import Switchboard

_EXPIRY_CHECK_S = 0.5
_BODY_BYTES_MAX = 1 << 20
_SHUTDOWN_S = 0.2


class VenueServer:
    """
    Ready within the block: the port is open, and every symbol has a quote if there is a market.

    Raises ConfigError for a dialect or a recording that is not there.
    """

    switchboard: Switchboard

    def __init__(self, config: VenueConfig, make: DialectMaker = make_dialect) -> None:
        self.config = config
        self.clock = SkewedClock(SystemClock())
        self.dialect = make(config)
        charter = self.dialect.charter
        self._market = open_market(config, charter)
        # A recording has one symbol: what has no market is not listed.
        traded = self._market.instruments if self._market else charter.instruments
        self.exchange = Exchange(charter, traded, self.clock, self.dialect)
        self.gate = Gate(self.clock, self)
        self.going: asyncio.Future[None]
        self._stack = AsyncExitStack()
        self._runner: web.AppRunner
        self._listening: asyncio.Server | None = None
        self._port = config.port
        self._is_back = asyncio.Event()

    @property
    def urls(self) -> dict[str, str]:
        """The addresses: rest, streams, control, and what else the dialect has."""
        host = f"{self.config.host}:{self._port}"
        return {**self.dialect.urls(host), "control": f"http://{host}/control"}

    async def __aenter__(self) -> Self:
        self.going = asyncio.get_running_loop().create_future()
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self.switchboard = Switchboard(self.gate, tasks)
        self._stack.callback(self.switchboard.stop)
        try:
            await self._open_doors()
            self.switchboard.spawn(self._let_expire(), "expiry")
            if self._market is not None:
                quoted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self.switchboard.spawn(self._play(self._market, quoted), "market")
                await quoted
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.going.cancel()
        await self._stack.aclose()

    def on_tick(self, tick: Tick) -> None:
        """Let the market move."""
        self.dialect.on_tick(tick)
        self.exchange.on_tick(tick)

    def forget(self) -> None:
        """Lose every order; only the oracle remembers."""
        self.dialect.on_forget()
        self.exchange.forget()

    def go_down(self, down_s: float) -> None:
        """Break every connection, take none for `down_s`, then listen on the same port again."""
        if self._listening is None:
            return
        self._is_back.clear()
        self._close_door()
        self._cut()
        self.switchboard.spawn(self._come_back(down_s), "come-back")

    def come_back(self) -> None:
        """End an outage now."""
        self._is_back.set()

    async def _open_doors(self) -> None:
        app = web.Application(client_max_size=_BODY_BYTES_MAX)
        self.dialect.mount(self, app)
        Control(self).mount(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        self._stack.push_async_callback(self._runner.cleanup)
        await self._listen()
        if self.config.port == 0:
            self._stack.enter_context(self._held_port())
        self._stack.callback(self._stop_listening)

    def _held_port(self) -> socket.socket:
        """Keep the port ours through an outage: else the system may give it to somebody else."""
        assert self._listening is not None  # noqa: S101 - it has just begun to listen
        listening = self._listening.sockets[0]
        held = socket.socket(listening.family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(listening.getsockname())
        return held

    async def _listen(self) -> None:
        if self._runner.server is None:
            raise RuntimeError("the runner is not set up")
        loop = asyncio.get_running_loop()
        # Only a port that nobody chose may have a second holder, which is ourselves.
        self._listening = await loop.create_server(
            self._runner.server, self.config.host, self._port, reuse_port=self.config.port == 0
        )
        self._port = self._listening.sockets[0].getsockname()[1]

    def _stop_listening(self) -> None:
        self._close_door()
        self.switchboard.cut_all()

    def _close_door(self) -> None:
        """
        Take no more connections; done in the next turn of the loop.

        One that was accepted in this turn is the server's only by then, and a server that is closed
        before leaves it open (Python 3.11, gh-109564).
        """
        if self._listening is None:
            return
        listening, self._listening = self._listening, None
        loop = asyncio.get_running_loop()
        for each in listening.sockets:
            loop.remove_reader(each.fileno())
        loop.call_soon(listening.close)

    def _cut(self) -> None:
        self.switchboard.cut_all()
        if self._runner.server is not None:
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()

    async def _come_back(self, down_s: float) -> None:
        await asyncio.sleep(0)
        self._cut()  # who was let in as the door closed
        with suppress(TimeoutError):
            async with asyncio.timeout(down_s):
                await self._is_back.wait()
        await self._listen()

    async def _play(self, market: Market, quoted: asyncio.Future[None]) -> None:
        unquoted = set(market.instruments)
        try:
            async for tick in market.ticks():
                self.on_tick(tick)
                unquoted.discard(tick.symbol)
                if not unquoted and not quoted.done():
                    quoted.set_result(None)
        except BrokerdError as error:
            for waiting in (quoted, self.going):
                if not waiting.done():
                    waiting.set_exception(error)
                    # Marked as seen: only one of the two is waited for.
                    waiting.exception()

    async def _let_expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRY_CHECK_S)
            self.exchange.on_time()
