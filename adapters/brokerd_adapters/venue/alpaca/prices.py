"""Quotes as the Market Data API tells them: the latest by REST, the next ones by stream."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import web

from brokerd.money import digits
from brokerd.secrets import Secret
from brokerd.times import rfc3339
from brokerd_adapters.paper.markets import QuoteTick
from brokerd_adapters.venue.config import VenueConfig
from brokerd_adapters.venue.dialect import Floor
from brokerd_adapters.venue.wire import Connection

_GREETING = b'[{"T":"success","msg":"connected"}]'
_WELCOME = b'[{"T":"success","msg":"authenticated"}]'
_REFUSED = b'[{"T":"error","code":402,"msg":"auth failed"}]'


class Prices:
    """The market of one venue, and who follows it. Prices go out as JSON numbers."""

    def __init__(self, floor: Floor, config: VenueConfig) -> None:
        self._floor = floor
        self._config = config
        self._followers: list[_Follower] = []

    def latest(self, symbols: Iterable[str]) -> dict[str, Any]:
        """Return the latest quotes of symbols; one that has none is left out."""
        quotes: dict[str, Any] = {}
        for symbol in symbols:
            quote = self._floor.exchange.quote(symbol)
            if quote is not None:
                sides = {"bp": _number(quote.bid_px), "ap": _number(quote.ask_px)}
                quotes[symbol] = {**sides, "t": rfc3339(quote.at_ns)}
        return {"quotes": quotes}

    def on_quote(self, tick: QuoteTick) -> None:
        """Tell a new quote to who follows its symbol."""
        followers = [each for each in self._followers if tick.symbol in each.symbols]
        if not followers:
            return
        told = {
            "T": "q",
            "S": tick.symbol,
            "bp": _number(tick.bid_px),
            "bs": _number(tick.bid_qty),
            "ap": _number(tick.ask_px),
            "as": _number(tick.ask_qty),
            "t": rfc3339(self._floor.exchange.clock.now_ns()),
        }
        frame = msgspec.json.encode([told])
        for each in followers:
            each.connection.send(frame)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one stream of quotes."""

        def greet(connection: Connection) -> Callable[[bytes], None]:
            follower = _Follower(connection, self._config)
            self._followers.append(follower)
            connection.farewells.append(lambda: self._followers.remove(follower))
            connection.send(_GREETING)
            return follower.hear

        return await self._floor.switchboard.serve(request, greet)


class _Follower:
    """One client of the quotes."""

    def __init__(self, connection: Connection, config: VenueConfig) -> None:
        self.connection = connection
        self.symbols: set[str] = set()
        self._config = config
        self._is_known = False

    def hear(self, frame: bytes) -> None:
        try:
            told = msgspec.json.decode(frame, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError):
            self.connection.cut()
            return
        if told.get("action") == "auth":
            secret = Secret(str(told.get("secret")))
            self._is_known = told.get("key") == self._config.key and secret == self._config.secret
            self.connection.send(_WELCOME if self._is_known else _REFUSED)
        elif told.get("action") == "subscribe" and self._is_known:
            self.symbols |= {str(each) for each in told.get("quotes") or ()}
            state = {"T": "subscription", "quotes": sorted(self.symbols)}
            self.connection.send(msgspec.json.encode([state]))


def _number(value: Any) -> msgspec.Raw:
    return msgspec.Raw(digits(value).encode())
