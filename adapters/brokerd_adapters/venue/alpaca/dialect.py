"""AlpacaDialect: the exchange in Alpaca's words."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web
from msgspec.structs import replace as with_changes

from brokerd.money import ZERO, add, digits
from brokerd.secrets import Secret
from brokerd.times import parse_rfc3339, rfc3339
from brokerd_adapters.paper import Fees
from brokerd_adapters.paper.markets import QuoteTick, Tick
from brokerd_adapters.paper.records import Record
from brokerd_adapters.venue.alpaca import answers, holdings
from brokerd_adapters.venue.alpaca.answers import bad_input, not_found, reply
from brokerd_adapters.venue.alpaca.desk import Desk
from brokerd_adapters.venue.alpaca.entities import Entity
from brokerd_adapters.venue.alpaca.entry import Refusal, change, new_order, read
from brokerd_adapters.venue.alpaca.meter import Meter
from brokerd_adapters.venue.alpaca.prices import Prices
from brokerd_adapters.venue.alpaca.stream import Client
from brokerd_adapters.venue.charter import Charter
from brokerd_adapters.venue.config import VenueConfig
from brokerd_adapters.venue.dialect import Floor
from brokerd_adapters.venue.faults import Step
from brokerd_adapters.venue.gate import Reply
from brokerd_adapters.venue.orders import Order
from brokerd_adapters.venue.wire import Connection, answer
from brokerd_adapters.venue.wirelog import Call

ORDERS_MAX = 500
ORDERS_DEFAULT = 50

_encode = msgspec.json.Encoder(decimal_format="string").encode


class AlpacaDialect:
    """REST and `trade_updates`. `desk` is there once it is mounted."""

    desk: Desk

    def __init__(self, config: VenueConfig) -> None:
        self.charter = Charter(
            listings=holdings.LISTINGS,
            balances=holdings.BALANCES,
            fees=Fees(),
            repeat_id="refused_forever",
        )
        self._config = config
        self.meter = Meter(enforced=config.limits == "documented")
        self._clients: list[Client] = []
        self._frames: list[bytes] = []

    def mount(self, floor: Floor, app: web.Application) -> None:
        """Add the routes, and keep what the venue gives."""
        self._floor = floor
        self.desk = Desk(floor.exchange, self._tell, _soon)
        router = app.router
        router.add_post("/v2/orders", self._place)
        router.add_get("/v2/orders", self._orders)
        router.add_delete("/v2/orders", self._cancel_all)
        router.add_get("/v2/orders:by_client_order_id", self._by_client_id)
        router.add_get("/v2/orders/{id}", self._by_id)
        router.add_patch("/v2/orders/{id}", self._replace)
        router.add_delete("/v2/orders/{id}", self._cancel)
        router.add_get("/v2/account/activities/FILL", self._fills)
        router.add_get("/v2/account/activities", self._fills)
        router.add_get("/v2/account", self._account)
        router.add_get("/v2/positions", self._positions)
        router.add_get("/v2/positions/{symbol:.+}", self._position)
        router.add_get("/v2/assets", self._assets)
        router.add_get("/v2/assets/{symbol:.+}", self._asset)
        router.add_get("/v2/clock", self._clock)
        router.add_get("/stream", self._stream)
        self._prices = Prices(floor, self._config)
        router.add_get("/v2/stocks/quotes/latest", self._latest_quotes)
        router.add_get("/v1beta3/crypto/us/latest/quotes", self._latest_quotes)
        router.add_get("/v2/{feed:iex|sip|delayed_sip}", self._prices.serve)
        router.add_get("/v1beta3/crypto/us", self._prices.serve)

    def urls(self, host: str) -> dict[str, str]:
        """Return the addresses by role."""
        return {
            "rest": f"http://{host}",
            "streams": f"ws://{host}/stream",
            "data": f"http://{host}",
            "data_streams": f"ws://{host}",
        }

    def on_record(self, order: Order, record: Record) -> None:
        """Hear of one thing that happened; its frames leave when the command is done."""
        self.desk.on_record(order, record)

    def on_settled(self) -> None:
        """Hear that a command is done: the account is as the frames say."""
        self._send()

    def on_tick(self, tick: Tick) -> None:
        """Hear of the market: its quotes go to who asked for them."""
        if isinstance(tick, QuoteTick):
            self._prices.on_quote(tick)

    def on_forget(self) -> None:
        """Lose all that was remembered of orders."""
        self.desk.forget()

    async def _place(self, request: web.Request) -> web.StreamResponse:
        members, fault = _read(await request.read())
        name = str(members.get("client_order_id") or "")

        def do() -> Reply:
            if fault is not None:
                return fault
            new = new_order(members, self.desk.instruments)
            return self.desk.place(new, extended_hours=members.get("extended_hours") is True)

        call = Call("place", is_command=True, client_order_id=name)
        return await self._answer(request, call, do)

    async def _replace(self, request: web.Request) -> web.StreamResponse:
        order_id = request.match_info["id"]
        members, fault = _read(await request.read())
        name = str(members.get("client_order_id") or "")

        def do() -> Reply:
            return fault or self.desk.replace(order_id, change(members))

        call = Call("replace", True, name, self._number(order_id))  # noqa: FBT003 - a record
        return await self._answer(request, call, do)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        order_id = request.match_info["id"]
        call = Call("cancel", is_command=True, order_id=self._number(order_id))
        return await self._answer(request, call, lambda: self.desk.cancel(order_id))

    async def _cancel_all(self, request: web.Request) -> web.StreamResponse:
        call = Call("cancel_all", is_command=True)
        return await self._answer(request, call, self.desk.cancel_all)

    async def _by_id(self, request: web.Request) -> web.StreamResponse:
        order_id = request.match_info["id"]
        call = Call("query", order_id=self._number(order_id))
        return await self._answer(request, call, lambda: _shown(self.desk.entity(order_id)))

    async def _by_client_id(self, request: web.Request) -> web.StreamResponse:
        name = request.query.get("client_order_id", "")
        call = Call("query", client_order_id=name)
        return await self._answer(request, call, lambda: _shown(self.desk.named(name)))

    async def _orders(self, request: web.Request) -> web.StreamResponse:
        def do() -> Reply:
            try:
                return reply([each.shown() for each in self._chosen(dict(request.query))])
            except ValueError as error:
                return bad_input(f"a parameter {error}")

        is_open = request.query.get("status", "open") == "open"
        return await self._answer(request, Call("open_orders" if is_open else "orders"), do)

    async def _fills(self, request: web.Request) -> web.StreamResponse:
        def do() -> Reply:
            wanted = request.query.get("activity_types", "FILL")
            if "FILL" not in wanted.split(","):
                return reply([])
            try:
                return reply(self.desk.fills.page(dict(request.query)))
            except ValueError as error:
                return bad_input(f"a parameter {error}")

        return await self._answer(request, Call("fills"), do)

    async def _account(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(
            request, Call("account"), lambda: reply(holdings.account(*self._held()))
        )

    async def _positions(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(
            request, Call("positions"), lambda: reply(holdings.positions(*self._held()))
        )

    async def _position(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["symbol"].replace("/", "")

        def do() -> Reply:
            for each in holdings.positions(*self._held()):
                if name in {each["symbol"], each["asset_id"]}:
                    return reply(each)
            return not_found("position does not exist")

        return await self._answer(request, Call("positions"), do)

    async def _assets(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("asset_class")

        def do() -> Reply:
            shown = [holdings.asset(each) for each in self.desk.instruments.values()]
            return reply([each for each in shown if wanted in {None, each["class"]}])

        return await self._answer(request, Call("assets"), do)

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["symbol"]

        def do() -> Reply:
            symbol = holdings.symbol_of(name, self.desk.instruments)
            if symbol is None:
                return not_found(f"asset not found for {name}")
            return reply(holdings.asset(self.desk.instruments[symbol]))

        return await self._answer(request, Call("assets"), do)

    async def _latest_quotes(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("symbols", "").split(",")
        call = Call("quotes")
        return await self._answer(request, call, lambda: reply(self._prices.latest(wanted)))

    async def _clock(self, request: web.Request) -> web.StreamResponse:
        now_ns = self._floor.exchange.clock.now_ns
        return await self._answer(request, Call("clock"), lambda: reply(holdings.clock(now_ns())))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        def greet(connection: Connection) -> Callable[[bytes], None]:
            client = Client(connection, self._config.key, self._config.secret)
            self._clients.append(client)
            connection.farewells.append(lambda: self._clients.remove(client))
            return client.hear

        return await self._floor.switchboard.serve(request, greet, opcode=WSMsgType.BINARY)

    async def _answer(
        self, request: web.Request, call: Call, do: Callable[[], Reply]
    ) -> web.StreamResponse:
        """Let a request through the gate: who asks, how often, then what."""
        is_known = self._knows(request)
        may_pass = self.meter.count(self._floor.exchange.clock.now_ns())

        def carry_out() -> Reply:
            if not is_known:
                return answers.UNAUTHORIZED
            if not may_pass:
                return answers.TOO_MANY
            try:
                done = do()
            except Refusal as refused:
                done = refused.reply
            # Requests are taken without anything happening at the exchange yet.
            self._send()
            return done

        def metered() -> Reply:
            return with_changes(carry_out(), headers=self.meter.headers())

        return await answer(self._floor.gate, request, call, metered, self._excuse)

    def _excuse(self, step: Step) -> Reply:
        return with_changes(answers.excuse(step.status), headers=self.meter.headers())

    def _knows(self, request: web.Request) -> bool:
        secret = Secret(request.headers.get("APCA-API-SECRET-KEY", ""))
        key = request.headers.get("APCA-API-KEY-ID", "")
        return key == self._config.key and secret == self._config.secret

    def _number(self, order_id: str) -> str:
        """Return the exchange's number for an entity's order: what the wire log counts by."""
        entity = self.desk.entity(order_id)
        return entity.order.order_id if entity else order_id

    def _chosen(self, query: dict[str, str]) -> list[Entity]:
        """Return the entities that a list asks for; raises ValueError."""
        status = query.get("status", "open")
        limit = int(query.get("limit", ORDERS_DEFAULT))
        if not 0 < limit <= ORDERS_MAX:
            raise ValueError(f"is out of range: limit is 1 to {ORDERS_MAX}")
        after = parse_rfc3339(query["after"]) if "after" in query else None
        until = parse_rfc3339(query["until"]) if "until" in query else None
        symbols = set(query["symbols"].replace("/", "").split(",")) if "symbols" in query else None
        chosen = [
            each
            for each in self.desk.entities()
            if (status == "all" or each.is_open is (status == "open"))
            and (after is None or each.created_at_ns > after)
            and (until is None or each.created_at_ns < until)
            and query.get("side", each.order.terms.side) == each.order.terms.side
            and (symbols is None or each.order.terms.symbol.replace("/", "") in symbols)
        ]
        if query.get("direction", "desc") != "asc":
            chosen.reverse()
        return chosen[:limit]

    def _held(self) -> tuple[Any, Any, Any]:
        exchange = self._floor.exchange
        quotes = {symbol: exchange.quote(symbol) for symbol in exchange.instruments}
        return exchange.balances(), quotes, exchange.instruments

    def _tell(self, event: str, entity: Entity, said: dict[str, Any]) -> None:
        """Note an event for the stream; the entity is shown as it is now."""
        now_ns = self._floor.exchange.clock.now_ns()
        data = {"event": event, "timestamp": rfc3339(now_ns), "order": entity.shown()}
        if said:
            held = [each for each in self._floor.exchange.balances() if each.asset == _base(entity)]
            qty = ZERO
            for each in held:
                qty = add(each.free, each.locked)
            data |= said | {"position_qty": digits(qty)}
        self._frames.append(_encode({"stream": "trade_updates", "data": data}))

    def _send(self) -> None:
        frames, self._frames = self._frames, []
        if frames:
            for client in self._clients:
                if client.is_listening:
                    client.connection.stream(frames)


def _soon(work: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(work)


def _base(entity: Entity) -> str:
    return entity.order.terms.symbol.partition("/")[0]


def _read(body: bytes) -> tuple[dict[str, Any], Reply | None]:
    """Read a body before the gate, which wants to know whom it names; a fault is answered behind it."""
    try:
        return read(body), None
    except Refusal as refused:
        return {}, refused.reply


def _shown(entity: Entity | None) -> Reply:
    return reply(entity.shown()) if entity else not_found("order not found")
