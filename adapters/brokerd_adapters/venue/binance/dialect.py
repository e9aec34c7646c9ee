"""BinanceDialect: the exchange in Binance Spot's words."""

from decimal import Decimal

import msgspec
from aiohttp import web

from brokerd_adapters.paper import Fees
from brokerd_adapters.paper.markets import LISTINGS, Tick
from brokerd_adapters.paper.records import Record
from brokerd_adapters.venue.charter import Charter
from brokerd_adapters.venue.config import VenueConfig
from brokerd_adapters.venue.dialect import Floor
from brokerd_adapters.venue.orders import Order

BALANCES = {"USDT": Decimal(10_000_000), "BTC": Decimal(1_000), "ETH": Decimal(10_000)}


class BinanceDialect:
    """REST, WebSocket API and streams of Binance Spot."""

    def __init__(self, config: VenueConfig) -> None:
        self._config = config
        self.charter = Charter(
            listings=LISTINGS,
            balances=BALANCES,
            fees=Fees(Decimal(10), Decimal(10)),
            repeat_id="refused_while_open",
        )

    def mount(self, floor: Floor, app: web.Application) -> None:
        """Add the routes, and keep what the venue gives."""
        self._floor = floor
        app.router.add_get("/api/v3/ping", self._ping)
        app.router.add_get("/api/v3/time", self._time)

    def urls(self, host: str) -> dict[str, str]:
        """Return the addresses by role."""
        return {
            "rest": f"http://{host}",
            "ws_api": f"ws://{host}/ws-api/v3",
            "streams": f"ws://{host}",
        }

    def on_record(self, order: Order, record: Record) -> None:
        """Hear of one thing that happened."""

    def on_settled(self) -> None:
        """Hear that a command is done."""

    def on_tick(self, tick: Tick) -> None:
        """Hear of the market."""

    def on_forget(self) -> None:
        """Lose all that was remembered of orders."""

    async def _ping(self, _: web.Request) -> web.Response:
        return _json({})

    async def _time(self, _: web.Request) -> web.Response:
        return _json({"serverTime": self._floor.exchange.clock.now_ns() // 1_000_000})


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")
