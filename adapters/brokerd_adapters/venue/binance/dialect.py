"""BinanceDialect: the exchange in Binance Spot's words."""

from decimal import Decimal

from aiohttp import web

from brokerd_adapters.paper import LISTINGS, Fees
from brokerd_adapters.paper.markets import Tick
from brokerd_adapters.paper.records import Record
from brokerd_adapters.venue.binance import filters
from brokerd_adapters.venue.binance.desk import Desk
from brokerd_adapters.venue.binance.keys import Key
from brokerd_adapters.venue.binance.limits import Limits
from brokerd_adapters.venue.binance.market import Market
from brokerd_adapters.venue.binance.rest import Rest
from brokerd_adapters.venue.binance.service import Service
from brokerd_adapters.venue.binance.streams import Streams
from brokerd_adapters.venue.binance.userdata import UserData
from brokerd_adapters.venue.binance.wsapi import WsApi
from brokerd_adapters.venue.charter import Charter
from brokerd_adapters.venue.config import VenueConfig
from brokerd_adapters.venue.dialect import Floor
from brokerd_adapters.venue.orders import Order

BALANCES = {"USDT": Decimal(10_000_000), "BTC": Decimal(1_000), "ETH": Decimal(10_000)}
FEE_BPS = Decimal(10)
_CENT = Decimal("0.00000001")


class BinanceDialect:
    """REST, WebSocket API, account stream and market streams of Binance Spot."""

    def __init__(self, config: VenueConfig) -> None:
        self._config = config
        self._key = Key(config.key, config.secret, config.public_key)
        self.charter = Charter(
            listings=LISTINGS,
            balances=BALANCES,
            fees=Fees(FEE_BPS, FEE_BPS, in_received=True, step=_CENT),
            repeat_id="refused_while_open",
        )

    def mount(self, floor: Floor, app: web.Application) -> None:
        """Build the rooms of the dialect, and add their routes."""
        is_strict = self._config.limits == "documented"
        exchange = floor.exchange
        self._market = Market(exchange.instruments, exchange.clock)
        self._desk = Desk(
            exchange,
            self._market,
            Limits(enforced=is_strict),
            filters.DOCUMENTED if is_strict else filters.OPEN,
            self._config.seed,
        )
        self._user_data = UserData(self._desk)
        service = Service(self._desk)
        ws_api = WsApi(service, self._key, self._user_data, floor.switchboard)
        Rest(service, self._key, floor.gate).mount(app)
        ws_api.mount(app)
        Streams(self._market, floor.switchboard).mount(app)

        async def server_shutdown(_: web.Request) -> web.Response:
            ws_api.say_shutdown()
            return web.json_response({})

        app.router.add_post("/control/server_shutdown", server_shutdown)

    def urls(self, host: str) -> dict[str, str]:
        """Return the addresses by role."""
        return {
            "rest": f"http://{host}",
            "ws_api": f"ws://{host}/ws-api/v3",
            "streams": f"ws://{host}",
        }

    def on_record(self, order: Order, record: Record) -> None:
        """Keep the books, then tell the account."""
        facts = self._desk.on_record(order, record)
        self._user_data.on_record(order, facts, record)

    def on_settled(self) -> None:
        """Tell the balances that changed."""
        self._user_data.on_settled()

    def on_tick(self, tick: Tick) -> None:
        """Show the market."""
        self._market.on_tick(tick)

    def on_forget(self) -> None:
        """Lose all that was remembered of orders."""
        self._desk.forget()
