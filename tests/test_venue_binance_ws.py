"""The Binance Spot dialect over WebSocket: requests in frames, sessions, the account's events."""

import asyncio
import base64
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from tests.fixtures.venue.signed import LIMIT, Client, Ws, client_of, now_ms

from brokerd.errors import ConfigError
from brokerd.secrets import Secret
from brokerd_adapters.venue import Step, WireFault, WireFaults
from brokerd_adapters.venue.binance import frames, rest
from brokerd_adapters.venue.binance.errors import Rejected
from brokerd_adapters.venue.binance.keys import Key


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with client_of() as client:
        yield client


@pytest.fixture
async def ws(client: Client) -> AsyncIterator[Ws]:
    async with client.ws() as ws:
        yield ws


def pem_of(private: Any) -> str:
    public = private.public_key()
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(encoding, form).decode()


class TestSignatures:
    """The vectors of rest-api.md and web-socket-api.md."""

    SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    REST = (
        "symbol={}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1"
        "&recvWindow=5000&timestamp=1499827319559"
    )
    WIDE = "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96"

    @pytest.mark.parametrize(
        ("symbol", "signature"),
        [
            ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
            (WIDE, "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
        ],
    )
    def test_over_rest_what_was_sent_is_what_was_signed(self, symbol: str, signature: str) -> None:
        key = Key(self.API_KEY, Secret(self.SECRET))
        query = self.REST.format(symbol)
        key.check_signature(rest.signed_part(query, f"signature={signature}"), signature)
        key.check_signature(rest.signed_part(f"{query}&signature=x", ""), signature.upper())
        with pytest.raises(Rejected):
            key.check_signature(rest.signed_part(query + "0", ""), signature)

    @pytest.mark.parametrize(
        ("changes", "signature"),
        [
            ({}, "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"),
            (
                {
                    "symbol": "\uff11\uff12\uff13\uff14\uff15\uff16",
                    "side": "BUY",
                    "quantity": "1.00000000",
                    "price": "0.10000000",
                    "recvWindow": "5000",
                },
                "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
            ),
        ],
    )
    def test_over_websocket_parameters_are_sorted_and_not_encoded(
        self, changes: dict[str, str], signature: str
    ) -> None:
        params = {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01000000",
            "price": "52000.00",
            "recvWindow": "100",
            "timestamp": "1645423376532",
            "apiKey": self.API_KEY,
            "signature": signature,
            **changes,
        }
        Key(self.API_KEY, Secret(self.SECRET)).check_signature(
            frames.signed_part(params), signature
        )

    @pytest.mark.parametrize("kind", ["rsa", "ed25519"])
    async def test_keys_of_two_parts_sign_on_both_roads(self, kind: str) -> None:
        private: Any = (
            rsa.generate_private_key(65537, 2048)
            if kind == "rsa"
            else ed25519.Ed25519PrivateKey.generate()
        )

        def sign(payload: str) -> str:
            if kind == "rsa":
                raw = private.sign(payload.encode(), padding.PKCS1v15(), hashes.SHA256())
            else:
                raw = private.sign(payload.encode())
            return base64.b64encode(raw).decode()

        def forge(payload: str) -> str:
            return sign(payload + " ")

        async with client_of(public_key=pem_of(private)) as client, client.ws() as ws:
            assert (await client.rest("GET", "account", sign=sign)).status == 200
            assert (await client.rest("GET", "account", sign=forge)).error[1] == -1022
            assert (await ws.send("account.status", sign=sign))["status"] == 200
            assert (await ws.send("account.status", sign=forge))["error"]["code"] == -1022
            logon = await ws.send("session.logon", sign=sign)
            assert logon["status"] == (400 if kind == "rsa" else 200)

    def test_a_public_key_that_cannot_be_used_is_a_config_error(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import x25519

        for pem in ("nonsense", pem_of(x25519.X25519PrivateKey.generate())):
            with pytest.raises(ConfigError):
                Key("k", Secret("s"), pem)


class TestRequests:
    @pytest.mark.parametrize("request_id", ["null", "7", '"a-b"', '{"any":["thing",1.50]}'])
    async def test_the_id_is_echoed_as_it_was_sent(self, ws: Ws, request_id: str) -> None:
        await ws.ws.send_str(f'{{"id":{request_id},"method":"ping"}}')
        assert (await ws.ws.receive_str(timeout=30)).startswith(
            f'{{"id":{request_id},"status":200,"result":{{}}'
        )

    @pytest.mark.parametrize("frame", ["", "{", '{"id":1}', "[1]", '{"method":"ping","params":3}'])
    async def test_what_is_no_request_is_answered_under_no_id(self, ws: Ws, frame: str) -> None:
        told = await ws.raw(frame)
        assert (told["id"], told["status"], told["error"]["code"]) == (None, 400, -1135)

    async def test_an_unknown_method_is_refused_and_v3_is_the_same(self, ws: Ws) -> None:
        assert (await ws.raw('{"id":1,"method":"order.undo"}'))["error"]["code"] == -1020
        assert (await ws.raw('{"id":1,"method":"v3/time"}'))["status"] == 200

    async def test_numbers_are_signed_as_they_were_written(self, ws: Ws) -> None:
        assert (await ws.place(quantity=0.01, price=30000.5))["result"]["price"] == "30000.50000000"

    async def test_lists_are_lists_and_null_is_nothing(self, ws: Ws) -> None:
        params = {"symbols": ["ETHUSDT"], "symbol": None}
        told = (await ws.send("exchangeInfo", params, sign=None))["result"]["symbols"]
        assert [row["symbol"] for row in told] == ["ETHUSDT"]

    async def test_limits_are_told_unless_unwanted(self, client: Client, ws: Ws) -> None:
        kinds = [row["rateLimitType"] for row in (await ws.place())["rateLimits"]]
        assert kinds == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]
        quiet = {"id": 1, "method": "ping", "params": {"returnRateLimits": False}}
        assert "rateLimits" not in await ws.raw(str(quiet).replace("'", '"').replace("F", "f"))
        async with client.ws("?returnRateLimits=false") as silent:
            assert "rateLimits" not in await silent.send("ping", sign=None)
            told = await silent.send("ping", {"returnRateLimits": True}, sign=None)
            assert "rateLimits" in told

    async def test_an_error_carries_status_code_words_and_data(self, ws: Ws) -> None:
        params = {**LIMIT, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": 1}
        told = await ws.send("order.cancelReplace", params)
        assert (told["status"], told["error"]["code"]) == (400, -2022)
        assert told["error"]["data"]["newOrderResult"] == "NOT_ATTEMPTED"

    async def test_too_many_requests_tells_when_to_come_back(self, client: Client, ws: Ws) -> None:
        step = Step(fault=WireFault.UNAVAILABLE, status=429, retry_after_s=7)
        client.venue.gate.misbehave(WireFaults(script=(step,)))
        told = await ws.place()
        data = told["error"]["data"]
        assert (told["id"], told["status"]) == (1, 429)
        assert data["retryAfter"] - data["serverTime"] == 7_000

    async def test_every_method_of_an_orders_life_is_there(self, ws: Ws) -> None:
        placed = (await ws.place(newClientOrderId="a"))["result"]
        named = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
        assert (await ws.send("order.test", LIMIT))["result"] == {}
        assert (await ws.send("order.status", named))["result"]["clientOrderId"] == "a"
        assert len((await ws.send("openOrders.status"))["result"]) == 1
        assert len((await ws.send("allOrders", {"symbol": "BTCUSDT"}))["result"]) == 1
        assert (await ws.send("myTrades", named))["result"] == []
        assert (await ws.send("order.amendments", named))["result"] == []
        assert len((await ws.send("account.rateLimits.orders"))["result"]) == 2
        assert (await ws.send("order.cancel", named))["result"]["status"] == "CANCELED"
        assert (await ws.send("openOrders.cancelAll", {"symbol": "BTCUSDT"}))["status"] == 400
        assert (await ws.send("exchangeInfo", sign=None))["result"]["symbols"]


class TestSessions:
    async def test_who_is_logged_on_need_not_sign_but_must_say_when(self) -> None:
        private = ed25519.Ed25519PrivateKey.generate()

        def sign(payload: str) -> str:
            return base64.b64encode(private.sign(payload.encode())).decode()

        async with client_of(public_key=pem_of(private)) as client, client.ws() as ws:
            before = (await ws.send("session.status", sign=None))["result"]
            assert (before["apiKey"], before["authorizedSince"]) == (None, None)
            on = (await ws.send("session.logon", sign=sign))["result"]
            assert on["apiKey"] == "brokerd-venue-key"
            unsigned = {**LIMIT, "timestamp": now_ms()}
            assert (await ws.send("order.place", unsigned, sign=None))["status"] == 200
            other = {**unsigned, "apiKey": "another"}
            assert (await ws.send("order.place", other, sign=None))["error"]["code"] == -2015
            undated = await ws.send("order.place", LIMIT, sign=None)
            assert undated["error"]["code"] == -1102
            assert (await ws.send("userDataStream.subscribe", sign=None))["status"] == 200
            assert (await ws.send("session.status", sign=None))["result"]["userDataStream"]
            off = (await ws.send("session.logout", sign=None))["result"]
            assert (off["apiKey"], off["userDataStream"]) == (None, False)
            assert (await ws.send("order.place", unsigned, sign=None))["status"] == 401

    async def test_hmac_keys_do_not_log_on(self, ws: Ws) -> None:
        assert (await ws.send("session.logon"))["error"]["code"] == -4056
        assert (await ws.send("userDataStream.subscribe", sign=None))["status"] == 401

    async def test_one_subscription_a_connection_and_none_after_its_end(self, ws: Ws) -> None:
        subscribe = "userDataStream.subscribe.signature"
        assert (await ws.send(subscribe))["result"] == {"subscriptionId": 0}
        assert (await ws.send(subscribe))["error"]["code"] == -2035
        listed = await ws.send("session.subscriptions", sign=None)
        assert listed["result"] == [{"subscriptionId": 0}]
        ended = await ws.send("userDataStream.unsubscribe", {"subscriptionId": 0}, sign=None)
        assert ended["result"] == {}
        assert (await ws.next_event())["e"] == "eventStreamTerminated"
        again = await ws.send("userDataStream.unsubscribe", sign=None)
        assert again["error"]["code"] == -2036
        await ws.place()
        assert ws.events == []

    async def test_a_shutdown_is_announced_to_every_connection(
        self, client: Client, ws: Ws
    ) -> None:
        await ws.send("ping", sign=None)
        async with client.session.post(client.venue.urls["control"] + "/server_shutdown") as done:
            assert done.status == 200
        assert (await ws.next_event())["e"] == "serverShutdown"


class TestEvents:
    @pytest.fixture
    async def ws(self, client: Client) -> AsyncIterator[Ws]:
        async with client.ws() as ws:
            await ws.send("userDataStream.subscribe.signature")
            yield ws

    async def test_an_orders_life_is_told_with_every_field(self, client: Client, ws: Ws) -> None:
        placed = (await ws.place(newClientOrderId="a", quantity="0.7", price="40001"))["result"]
        new, trade = await ws.next_report(), await ws.next_report()
        assert (new["x"], new["X"], new["c"], new["C"]) == ("NEW", "NEW", "a", "")
        assert (new["t"], new["N"], new["w"], new["i"]) == (-1, None, True, placed["orderId"])
        expected = {
            "x": "TRADE",
            "X": "PARTIALLY_FILLED",
            "q": "0.70000000",
            "l": "0.50000000",
            "L": "40001.00000000",
            "z": "0.50000000",
            "Z": "20000.50000000",
            "Y": "20000.50000000",
            "n": "0.00050000",
            "N": "BTC",
            "m": False,
            "t": placed["fills"][0]["tradeId"],
            "V": "EXPIRE_MAKER",
            "g": -1,
        }
        assert {name: trade[name] for name in expected} == expected
        assert trade["I"] > new["I"]
        client.print_trade("40001", "0.1")
        assert (await ws.next_report())["m"] is True
        await ws.send("order.cancel", {"symbol": "BTCUSDT", "origClientOrderId": "a"})
        end = await ws.next_report()
        assert (end["x"], end["X"], end["C"], end["z"]) == (
            "CANCELED",
            "CANCELED",
            "a",
            "0.60000000",
        )
        assert end["c"] != "a"

    async def test_an_amendment_is_replaced_and_tells_both_names(self, ws: Ws) -> None:
        await ws.place(newClientOrderId="a", quantity="0.02")
        await ws.next_report()
        params = {"symbol": "BTCUSDT", "origClientOrderId": "a", "newQty": "0.01"}
        amended = (await ws.send("order.amend.keepPriority", params))["result"]
        event = await ws.next_report()
        assert (event["x"], event["X"], event["C"], event["q"]) == (
            "REPLACED",
            "NEW",
            "a",
            "0.01000000",
        )
        assert event["c"] == amended["amendedOrder"]["clientOrderId"]
        assert event["I"] == amended["executionId"]

    @pytest.mark.parametrize(
        ("mode", "expired", "left"),
        [
            ("EXPIRE_TAKER", ["taker"], ["maker"]),
            ("EXPIRE_MAKER", ["maker"], ["taker"]),
            ("EXPIRE_BOTH", ["maker", "taker"], []),
        ],
    )
    async def test_self_trades_are_prevented_as_the_taker_says(
        self, client: Client, ws: Ws, mode: str, expired: list[str], left: list[str]
    ) -> None:
        await ws.place(newClientOrderId="maker", side="SELL", price="40000")
        await ws.place(newClientOrderId="taker", price="40000", selfTradePreventionMode=mode)
        reports = [await ws.next_report() for _ in range(2 + len(expired))]
        prevented = [report for report in reports if report["x"] == "TRADE_PREVENTION"]
        assert [report["c"] for report in prevented] == expired
        for report in prevented:
            assert (report["X"], report["A"], report["z"]) == (
                "EXPIRED_IN_MATCH",
                "0.01000000",
                "0.00000000",
            )
            shown = (await client.query(orderId=report["i"])).body
            assert (shown["status"], shown["preventedQuantity"]) == (
                "EXPIRED_IN_MATCH",
                "0.01000000",
            )
        opened = (await ws.send("openOrders.status"))["result"]
        assert [order["clientOrderId"] for order in opened] == left

    async def test_an_expiry_tells_its_reason(self, ws: Ws) -> None:
        await ws.place(timeInForce="IOC")
        await ws.next_report()
        event = await ws.next_report()
        assert (event["x"], event["X"], event["eR"]) == (
            "EXPIRED",
            "EXPIRED",
            "UNFILLED_IOC_QUANTITY_EXPIRED",
        )

    async def test_balances_are_told_when_they_change_and_only_those(self, ws: Ws) -> None:
        await ws.place()
        await ws.next_report()
        position = await ws.next_event()
        assert position["e"] == "outboundAccountPosition"
        assert position["B"] == [{"a": "USDT", "f": "9999700.00000000", "l": "300.00000000"}]

    async def test_orders_over_rest_are_told_here_too(self, client: Client, ws: Ws) -> None:
        await client.place(newClientOrderId="r", strategyId="3", strategyType="1000000")
        event = await ws.next_report()
        assert (event["c"], event["j"], event["J"]) == ("r", 3, 1_000_000)

    async def test_times_are_in_the_unit_of_the_connection(self, client: Client) -> None:
        async with client.ws("?timeUnit=MICROSECOND") as ws:
            await ws.send("userDataStream.subscribe.signature")
            assert (await ws.place())["result"]["transactTime"] > 10**15
            assert (await ws.next_report())["T"] > 10**15

    async def test_a_dropped_stream_breaks_the_connection(self, client: Client, ws: Ws) -> None:
        client.venue.gate.misbehave(WireFaults(drop_stream=1))
        assert (await client.place()).status == 200
        message = await ws.ws.receive(timeout=30)
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}

    async def test_thirty_two_in_flight_are_all_placed_once(self, client: Client, ws: Ws) -> None:
        await asyncio.gather(*(client.place(newClientOrderId=f"n{n}") for n in range(32)))
        names = {order.client_order_id for order in client.venue.exchange.ever}
        assert names == {f"n{n}" for n in range(32)}


class TestMarketStreams:
    async def test_raw_and_combined_streams_carry_quotes_and_prints(self, client: Client) -> None:
        base = client.venue.urls["streams"]
        raw = client.session.ws_connect(base + "/ws/btcusdt@bookTicker")
        both = client.session.ws_connect(base + "/stream?streams=btcusdt@trade/btcusdt@aggTrade")
        async with raw as quotes, both as prints:
            client.quote("39998", "40002")
            client.print_trade("40000")
            quote = await quotes.receive_json(timeout=30)
            assert (quote["s"], quote["b"], quote["a"]) == (
                "BTCUSDT",
                "39998.00000000",
                "40002.00000000",
            )
            told = [await prints.receive_json(timeout=30) for _ in range(2)]
            assert [frame["stream"] for frame in told] == ["btcusdt@trade", "btcusdt@aggTrade"]
            assert [Decimal(frame["data"]["p"]) for frame in told] == [40_000, 40_000]

    async def test_streams_are_subscribed_listed_and_left(self, client: Client) -> None:
        async with client.session.ws_connect(client.venue.urls["streams"] + "/ws") as ws:

            async def ask(method: str, *params: str) -> Any:
                await ws.send_json({"id": 5, "method": method, "params": list(params)})
                return await ws.receive_json(timeout=30)

            assert await ask("SUBSCRIBE", "btcusdt@trade", "no@stream") == {"result": None, "id": 5}
            assert (await ask("LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@trade", "no@stream"]
            client.print_trade("40000")
            assert (await ws.receive_json(timeout=30))["e"] == "trade"
            await ask("UNSUBSCRIBE", "btcusdt@trade", "never@there")
            client.print_trade("40000")
            assert (await ask("LIST_SUBSCRIPTIONS"))["result"] == ["no@stream"]
            assert (await ask("SING"))["error"]["code"] == 2
            assert (await ask("SUBSCRIBE", *[f"{n}" for n in range(1_025)]))["error"]["code"] == 2
            await ws.send_str("{")
            assert (await ws.receive_json(timeout=30))["error"]["code"] == 3
