"""The Alpaca dialect, judged by alpaca-py: Alpaca's own client cannot tell it from Alpaca."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec
import pytest

from brokerd_adapters.paper.markets import QuoteTick
from brokerd_adapters.venue import Step, VenueConfig, VenueServer, WireFault, WireFaults
from brokerd_adapters.venue.alpaca import AlpacaDialect
from brokerd_adapters.venue.alpaca.desk import Desk

D = Decimal
KEY, SECRET = "brokerd-venue-key", "brokerd-venue-secret"
HEADERS = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}


def desk(venue: VenueServer) -> Desk:
    assert isinstance(venue.dialect, AlpacaDialect)
    return venue.dialect.desk


def quote(venue: VenueServer, symbol: str, bid: str, ask: str, size: str = "100") -> None:
    """Move the market: it trades with what rests at or beyond the quote."""
    venue.on_tick(QuoteTick(0, symbol, D(bid), D(size), D(ask), D(size)))


@pytest.fixture
async def venue() -> AsyncIterator[VenueServer]:
    async with VenueServer(VenueConfig(dialect="alpaca", market="none")) as venue:
        quote(venue, "AAPL", "149.90", "150.10")
        quote(venue, "BTC/USD", "39990", "40010")
        yield venue


@pytest.fixture
async def http(venue: VenueServer) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(10)
    async with aiohttp.ClientSession(venue.urls["rest"], headers=HEADERS, timeout=timeout) as http:
        yield http


async def call(
    http: aiohttp.ClientSession, method: str, path: str, body: Any = None, **more: Any
) -> tuple[int, Any]:
    data = None if body is None else msgspec.json.encode(body)
    async with http.request(method, path, data=data, **more) as response:
        text = await response.read()
        return response.status, msgspec.json.decode(text) if text else None


def limit(px: str = "149", qty: str = "10", **members: Any) -> dict[str, Any]:
    order = {
        "symbol": "AAPL",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "qty": qty,
        "limit_price": px,
    }
    return order | members


class Judge:
    """alpaca-py: its REST client in a thread, its stream in this loop."""

    def __init__(self, venue: VenueServer) -> None:
        from alpaca.trading.client import TradingClient

        self.client = TradingClient(KEY, SECRET, url_override=venue.urls["rest"])
        self.updates: asyncio.Queue[Any] = asyncio.Queue()

    async def ask(self, method: str, *arguments: Any) -> Any:
        return await asyncio.to_thread(getattr(self.client, method), *arguments)

    async def heard(self, *events: str) -> list[Any]:
        """Wait for the next events; they must be these."""
        async with asyncio.timeout(30):
            updates = [await self.updates.get() for _ in events]
        assert [each.event for each in updates] == list(events)
        return updates


@asynccontextmanager
async def judged(venue: VenueServer) -> AsyncIterator[Judge]:
    from alpaca.trading.stream import TradingStream

    judge = Judge(venue)
    stream = TradingStream(KEY, SECRET, url_override=venue.urls["streams"])

    async def hear(update: Any) -> None:
        judge.updates.put_nowait(update)

    stream.subscribe_trade_updates(hear)
    await stream._start_ws()
    # What it reads next must be the answer to its subscription.
    assert msgspec.json.decode(await stream._ws.recv())["stream"] == "listening"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_read_to_the_end(stream))
        try:
            yield judge
        finally:
            # Not a cancel: its wait_for swallows one that an update meets (Python 3.11).
            await stream._ws.close()
            judge.client._session.close()


async def _read_to_the_end(stream: Any) -> None:
    from websockets.exceptions import ConnectionClosedOK

    with suppress(ConnectionClosedOK):
        await stream._consume()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestJudgedByAlpacaPy:
    async def test_a_whole_life_of_orders(self, venue: VenueServer) -> None:
        from alpaca.trading.enums import OrderSide, OrderStatus, TimeInForce
        from alpaca.trading.models import TradeActivity
        from alpaca.trading.requests import (
            GetOrdersRequest,
            LimitOrderRequest,
            MarketOrderRequest,
            ReplaceOrderRequest,
        )

        async with judged(venue) as judge:
            asked = LimitOrderRequest(
                symbol="AAPL",
                qty=10,
                side=OrderSide.BUY,
                time_in_force=TimeInForce.DAY,
                limit_price=149.5,
                client_order_id="first",
            )
            placed = await judge.ask("submit_order", asked)
            assert (placed.client_order_id, placed.limit_price) == ("first", "149.5")
            await judge.heard("pending_new", "new")

            by_id = await judge.ask("get_order_by_id", placed.id)
            by_client = await judge.ask("get_order_by_client_id", "first")
            assert by_id.id == by_client.id == placed.id
            assert by_id.status is OrderStatus.NEW
            listed = await judge.ask("get_orders", GetOrdersRequest(symbols=["AAPL"]))
            assert [each.id for each in listed] == [placed.id]

            quote(venue, "AAPL", "149.00", "149.40", size="4")
            (fill,) = await judge.heard("partial_fill")
            assert (fill.price, fill.qty, fill.order.filled_qty) == (149.5, 4, "4")

            change = ReplaceOrderRequest(qty=6, limit_price=149.2, client_order_id="second")
            replaced = await judge.ask("replace_order_by_id", placed.id, change)
            assert replaced.replaces == placed.id
            assert replaced.id != placed.id
            _, old, new = await judge.heard("pending_replace", "replaced", "new")
            assert (old.order.id, old.order.replaced_by) == (placed.id, replaced.id)
            assert (new.order.id, new.order.qty, new.order.filled_qty) == (replaced.id, "6", "0")

            await judge.ask("cancel_order_by_id", replaced.id)
            _, ended = await judge.heard("pending_cancel", "canceled")
            assert ended.order.canceled_at is not None

            crypto = MarketOrderRequest(
                symbol="BTC/USD",
                qty=0.125,
                side=OrderSide.SELL,
                time_in_force=TimeInForce.GTC,
                client_order_id="third",
            )
            sold = await judge.ask("submit_order", crypto)
            await judge.heard("pending_new", "new", "fill")
            assert (await judge.ask("get_order_by_id", sold.id)).status is OrderStatus.FILLED

            rows = await judge.ask("get", "/account/activities/FILL", {"direction": "asc"})
            account_id = "e6fe16f3-64a4-4921-8928-cadf02f92f98"
            fills = [TradeActivity(**row, account_id=account_id) for row in rows]
            assert [(each.order_id, each.qty, each.cum_qty) for each in fills] == [
                (placed.id, 4, 4),
                (sold.id, 0.125, 0.125),
            ]
            positions = {each.symbol: each for each in await judge.ask("get_all_positions")}
            assert positions["AAPL"].qty == "10004"
            assert positions["BTCUSD"].qty == "999.875"
            assert (await judge.ask("get_open_position", "AAPL")).qty == "10004"
            assert (await judge.ask("get_account")).currency == "USD"
            assert (await judge.ask("get_clock")).is_open
            assert (await judge.ask("get_asset", "BTC/USD")).fractionable
            assert {each.symbol for each in await judge.ask("get_all_assets")} >= {
                "AAPL",
                "BTC/USD",
            }

    async def test_its_client_is_told_what_is_wrong(self, venue: VenueServer) -> None:
        from alpaca.common.exceptions import APIError
        from alpaca.trading.enums import OrderSide, TimeInForce
        from alpaca.trading.requests import LimitOrderRequest

        def order(**members: Any) -> LimitOrderRequest:
            usual: dict[str, Any] = {
                "symbol": "AAPL",
                "qty": 1,
                "side": OrderSide.BUY,
                "time_in_force": TimeInForce.DAY,
                "limit_price": 149,
            }
            return LimitOrderRequest(**(usual | members))

        async with judged(venue) as judge:
            await judge.ask("submit_order", order(client_order_id="once"))
            for asked, status, code in (
                (order(client_order_id="once"), 422, 40010001),
                (order(qty=1_000_000), 403, 40310000),
                (order(limit_price=149.005), 422, 42210000),
                (order(symbol="NOPE"), 422, 42210000),
            ):
                with pytest.raises(APIError) as caught:
                    await judge.ask("submit_order", asked)
                assert (caught.value.status_code, caught.value.code) == (status, code)
            with pytest.raises(APIError) as caught:
                await judge.ask("cancel_order_by_id", "61e69015-8549-4bfd-b9c3-01e75843f47d")
            assert (caught.value.status_code, caught.value.code) == (404, 40410000)

    @pytest.mark.parametrize("status", [429, 504])
    async def test_an_order_it_sends_again_by_itself_is_one_order(
        self, venue: VenueServer, status: int
    ) -> None:
        """Done, and answered with a gateway's error: its client repeats, and is told "unique"."""
        from alpaca.common.exceptions import APIError
        from alpaca.trading.enums import OrderSide, TimeInForce
        from alpaca.trading.requests import LimitOrderRequest

        venue.gate.misbehave(WireFaults(script=(Step(fault=WireFault.FAIL, status=status),)))
        asked = LimitOrderRequest(
            symbol="AAPL",
            qty=1,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.DAY,
            limit_price=149,
            client_order_id="repeated",
        )
        async with judged(venue) as judge:
            judge.client._retry_wait = 0
            with pytest.raises(APIError, match="must be unique"):
                await judge.ask("submit_order", asked)
        assert venue.gate.log.by_client()["repeated"] == {"place": 2}
        assert [each.client_order_id for each in venue.exchange.ever] == ["repeated"]


class TestOrders:
    async def test_a_client_id_is_taken_for_ever(
        self, venue: VenueServer, http: aiohttp.ClientSession
    ) -> None:
        _, placed = await call(http, "POST", "/v2/orders", limit(client_order_id="x"))
        await call(http, "DELETE", f"/v2/orders/{placed['id']}")
        _, shown = await call(http, "GET", f"/v2/orders/{placed['id']}")
        assert shown["status"] == "canceled"
        status, told = await call(http, "POST", "/v2/orders", limit(client_order_id="x"))
        assert (status, told["code"]) == (422, 40010001)

    async def test_a_204_is_no_cancel_and_a_fill_in_between_wins(
        self, venue: VenueServer, http: aiohttp.ClientSession
    ) -> None:
        _, placed = await call(http, "POST", "/v2/orders", limit())
        desk(venue).hold()
        assert (await call(http, "DELETE", f"/v2/orders/{placed['id']}"))[0] == 204
        _, shown = await call(http, "GET", f"/v2/orders/{placed['id']}")
        assert shown["status"] == "pending_cancel"
        again = await call(http, "DELETE", f"/v2/orders/{placed['id']}")
        assert again[0] == 422
        quote(venue, "AAPL", "148.00", "148.50")
        desk(venue).work()
        _, shown = await call(http, "GET", f"/v2/orders/{placed['id']}")
        assert (shown["status"], shown["filled_qty"]) == ("filled", "10")

    async def test_a_200_is_no_replace_and_a_fill_in_between_wins(
        self, venue: VenueServer, http: aiohttp.ClientSession
    ) -> None:
        _, placed = await call(http, "POST", "/v2/orders", limit(client_order_id="x"))
        desk(venue).hold()
        path = f"/v2/orders/{placed['id']}"
        change = {"qty": "20", "limit_price": "148", "client_order_id": "x-r1"}
        status, new = await call(http, "PATCH", path, change)
        assert (status, new["status"], new["replaces"]) == (200, "accepted", placed["id"])
        assert (await call(http, "PATCH", path, {"qty": "30"}))[0] == 422
        quote(venue, "AAPL", "148.00", "148.50")
        desk(venue).work()
        _, old = await call(http, "GET", path)
        assert (old["status"], old["replaced_by"]) == ("filled", None)
        _, new = await call(http, "GET", f"/v2/orders/{new['id']}")
        assert new["status"] == "rejected"
        assert venue.exchange.ever[0].cum_qty == D(10)

    async def test_what_the_old_entity_fills_on_the_way_stays_beside_the_new_ones_quantity(
        self, venue: VenueServer, http: aiohttp.ClientSession
    ) -> None:
        _, placed = await call(http, "POST", "/v2/orders", limit())
        desk(venue).hold()
        path = f"/v2/orders/{placed['id']}"
        _, new = await call(http, "PATCH", path, {"qty": "10", "limit_price": "149"})
        quote(venue, "AAPL", "148.00", "149.00", size="3")
        desk(venue).work()
        order = venue.exchange.ever[0]
        assert (order.qty, order.cum_qty) == (D(13), D(3))
        _, new = await call(http, "GET", f"/v2/orders/{new['id']}")
        assert (new["qty"], new["filled_qty"], new["status"]) == ("10", "0", "new")

    async def test_a_replace_without_a_quantity_takes_the_old_ones_whole(
        self, venue: VenueServer, http: aiohttp.ClientSession
    ) -> None:
        """alpacahq/Alpaca-API issue 165."""
        _, placed = await call(http, "POST", "/v2/orders", limit())
        quote(venue, "AAPL", "148.00", "149.00", size="3")
        path = f"/v2/orders/{placed['id']}"
        _, new = await call(http, "PATCH", path, {"limit_price": "148"})
        assert new["qty"] == "10"

    async def test_cancel_all_answers_for_each(
        self, venue: VenueServer, http: aiohttp.ClientSession
    ) -> None:
        for px in ("149", "148"):
            await call(http, "POST", "/v2/orders", limit(px))
        status, rows = await call(http, "DELETE", "/v2/orders")
        assert (status, [row["status"] for row in rows]) == (207, [200, 200])
        assert (await call(http, "GET", "/v2/orders"))[1] == []
        _, closed = await call(http, "GET", "/v2/orders?status=closed&direction=asc&limit=1")
        assert [each["status"] for each in closed] == ["canceled"]

    @pytest.mark.parametrize(
        ("members", "status"),
        [
            ({"qty": "0.5"}, 200),
            ({"qty": 0.5}, 200),
            ({"qty": "0.5", "time_in_force": "gtc"}, 422),
            ({"qty": "0.5", "symbol": "BRK.A", "limit_price": "1"}, 422),
            ({"symbol": "BTCUSD", "time_in_force": "gtc", "limit_price": "30000"}, 200),
            ({"symbol": "BTC/USD", "time_in_force": "day", "limit_price": "30000"}, 422),
            ({"time_in_force": "opg"}, 422),
            ({"time_in_force": "gtd"}, 422),
            ({"type": "trailing_stop"}, 422),
            ({"type": "stop", "stop_price": "151"}, 200),
            ({"order_class": "bracket"}, 422),
            ({"qty": None, "notional": "100"}, 422),
            ({"qty": "NaN"}, 422),
            ({"qty": "-1"}, 422),
            ({"qty": True}, 422),
            ({"client_order_id": "x" * 129}, 422),
            ({"extended_hours": True}, 200),
            ({"extended_hours": True, "time_in_force": "gtc"}, 422),
        ],
    )
    async def test_what_may_be_ordered(
        self,
        venue: VenueServer,
        http: aiohttp.ClientSession,
        members: dict[str, Any],
        status: int,
    ) -> None:
        got, _ = await call(http, "POST", "/v2/orders", limit() | members)
        assert got == status

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"[" * 50_000])
    async def test_a_body_that_is_none_is_refused(
        self, venue: VenueServer, http: aiohttp.ClientSession, body: bytes
    ) -> None:
        async with http.post("/v2/orders", data=body) as response:
            assert response.status == 422

    async def test_fills_are_read_in_pages(
        self, venue: VenueServer, http: aiohttp.ClientSession
    ) -> None:
        _, placed = await call(http, "POST", "/v2/orders", limit())
        for _ in range(3):
            quote(venue, "AAPL", "148.00", "149.00", size="1")
        _, first = await call(http, "GET", "/v2/account/activities/FILL?direction=asc&page_size=2")
        assert [row["cum_qty"] for row in first] == ["1", "2"]
        token = {"page_token": first[-1]["id"], "direction": "asc", "page_size": "2"}
        _, rest = await call(http, "GET", "/v2/account/activities/FILL", params=token)
        assert [row["cum_qty"] for row in rest] == ["3"]
        only = {"order_id": placed["id"], "direction": "desc"}
        _, newest = await call(http, "GET", "/v2/account/activities/FILL", params=only)
        assert [row["leaves_qty"] for row in newest] == ["7", "8", "9"]
        for bad in ("page_token=none", "page_size=101", "after=yesterday"):
            assert (await call(http, "GET", f"/v2/account/activities/FILL?{bad}"))[0] == 422


class TestDoor:
    async def test_who_has_no_key_is_told_so(self, venue: VenueServer) -> None:
        async with aiohttp.ClientSession(venue.urls["rest"]) as http:
            assert await call(http, "GET", "/v2/account") == (401, {"message": "unauthorized"})

    async def test_the_budget_is_told_and_enforced(self) -> None:
        config = VenueConfig(dialect="alpaca", market="none", limits="documented")
        async with (
            VenueServer(config) as venue,
            aiohttp.ClientSession(venue.urls["rest"], headers=HEADERS) as http,
        ):
            # Far from the turn of a minute, wherever this one is.
            venue.clock.skew_s = 1 - venue.clock.now_ns() % 60_000_000_000 / 1e9
            async with http.get("/v2/clock") as response:
                assert response.headers["X-Ratelimit-Limit"] == "200"
                assert response.headers["X-Ratelimit-Remaining"] == "199"
            for _ in range(199):
                await call(http, "GET", "/v2/clock")
            assert await call(http, "GET", "/v2/clock") == (
                429,
                {"message": "too many requests."},
            )

    async def test_who_does_not_say_who_it_is_hears_nothing(self, venue: VenueServer) -> None:
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(venue.urls["streams"]) as ws,
        ):
            await ws.send_str('{"action":"listen","data":{"streams":["trade_updates"]}}')
            told = await ws.receive()
            assert told.type is aiohttp.WSMsgType.BINARY
            assert msgspec.json.decode(told.data)["data"] == {
                "status": "unauthorized",
                "action": "listen",
            }
            await ws.send_str("no JSON")
            assert (await ws.receive()).type in {
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            }

    async def test_a_venue_that_forgets_knows_no_order(
        self, venue: VenueServer, http: aiohttp.ClientSession
    ) -> None:
        _, placed = await call(http, "POST", "/v2/orders", limit(client_order_id="x"))
        venue.forget()
        assert (await call(http, "GET", f"/v2/orders/{placed['id']}"))[0] == 404
        assert (await call(http, "POST", "/v2/orders", limit(client_order_id="x")))[0] == 200


def test_the_same_seed_makes_the_same_market() -> None:
    from itertools import islice

    from brokerd_adapters.paper import SyntheticMarket
    from brokerd_adapters.venue.alpaca.holdings import LISTINGS

    def ticks(seed: int) -> list[Any]:
        return list(islice(SyntheticMarket(LISTINGS, seed=seed).ticks(), 50))

    assert ticks(1) == ticks(1)
    assert ticks(1) != ticks(2)
    assert all(tick.bid_qty > D("0.01") for tick in ticks(1) if isinstance(tick, QuoteTick))
