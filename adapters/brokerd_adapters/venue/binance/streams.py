"""
The market's streams: /ws/<name>/.., /stream?streams=<name>/.., and SUBSCRIBE on either.

Source: web-socket-streams.md. Served are <symbol>@bookTicker, @trade and @aggTrade; other names may
be subscribed to and are silent.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from brokerd_adapters.venue.binance.market import Listener, Market
from brokerd_adapters.venue.binance.words import MS_NS, US_NS
from brokerd_adapters.venue.wire import Connection, Switchboard

STREAMS_MAX = 1_024
_encode = msgspec.json.Encoder().encode


class Command(Struct, frozen=True):
    """One frame from the client."""

    method: str
    id: Any = None
    params: list[Any] = []


_decode = msgspec.json.Decoder(Command).decode


class Streams:
    """The endpoint."""

    def __init__(self, market: Market, switchboard: Switchboard) -> None:
        self._market = market
        self._switchboard = switchboard

    def mount(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/ws", self._serve)
        app.router.add_get("/ws/{names:.*}", self._serve)
        app.router.add_get("/stream", self._serve)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        is_combined = request.path.startswith("/stream")
        asked = request.query.get("streams") if is_combined else request.match_info.get("names")
        names = [name for name in (asked or "").split("/") if name]
        is_micro = request.query.get("timeUnit", "").upper() == "MICROSECOND"

        def greet(connection: Connection) -> Callable[[bytes], None]:
            listener = Listener(connection, is_combined, US_NS if is_micro else MS_NS)
            ear = _Ear(self._market, listener)
            ear.subscribe(names)
            connection.farewells.append(ear.close)
            return ear.on_frame

        return await self._switchboard.serve(request, greet)


class _Ear:
    """One connection's streams."""

    def __init__(self, market: Market, listener: Listener) -> None:
        self._market = market
        self._listener = listener
        self._names: dict[str, None] = {}

    def subscribe(self, names: list[str]) -> None:
        """Hear these, too."""
        for name in names:
            self._names[name] = None
            self._market.listen(name, self._listener)

    def close(self) -> None:
        """Hear nothing any more."""
        for name in self._names:
            self._market.leave(name, self._listener)
        self._names.clear()

    def on_frame(self, frame: bytes) -> None:
        """Carry out SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS."""
        try:
            command = _decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._send({"error": {"code": 3, "msg": "Invalid JSON: expected value"}})
            return
        names = [name for name in command.params if isinstance(name, str)]
        match command.method:
            case "SUBSCRIBE":
                if len(self._names) + len(names) > STREAMS_MAX:
                    self._send({"error": {"code": 2, "msg": "Invalid request: too many streams"}})
                    return
                self.subscribe(names)
                self._send({"result": None, "id": command.id})
            case "UNSUBSCRIBE":
                for name in names:
                    if name in self._names:
                        del self._names[name]
                        self._market.leave(name, self._listener)
                self._send({"result": None, "id": command.id})
            case "LIST_SUBSCRIPTIONS":
                self._send({"result": list(self._names), "id": command.id})
            case _:
                self._send({"error": {"code": 2, "msg": "Invalid request: unknown method"}})

    def _send(self, told: Any) -> None:
        self._listener.connection.send(_encode(told))
