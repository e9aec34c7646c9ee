"""What a dialect brings to the venue: its charter, its routes and its words."""

from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from brokerd_adapters.paper.markets import Tick
from brokerd_adapters.venue.charter import Charter
from brokerd_adapters.venue.config import VenueConfig
from brokerd_adapters.venue.exchange import Exchange, Listener
from brokerd_adapters.venue.gate import Gate
from brokerd_adapters.venue.wire import Switchboard


class Floor(Protocol):
    """What the venue gives a dialect to work with."""

    exchange: Exchange
    gate: Gate
    switchboard: Switchboard
    config: VenueConfig


class Dialect(Listener, Protocol):
    """
    One way to talk to the exchange. A listener of it, too: what happens there becomes frames here.

    Handlers put every request through `wire.answer` (HTTP) or `Connection.answer` (WebSocket), so
    that each is counted and may be befallen by faults.
    """

    charter: Charter

    def mount(self, floor: Floor, app: web.Application) -> None:
        """Add the routes, and keep what the venue gives."""
        ...

    def urls(self, host: str) -> dict[str, str]:
        """Return the addresses by role (rest, ws_api, streams), for a `host` of HOST:PORT."""
        ...

    def on_tick(self, tick: Tick) -> None:
        """Hear of the market, before the exchange trades by it."""
        ...

    def on_forget(self) -> None:
        """Lose all that was remembered of orders."""
        ...


DialectMaker = Callable[[VenueConfig], Dialect]
