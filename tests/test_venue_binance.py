"""The Binance Spot dialect over REST: what the documents promise, and what the venue refuses."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from tests.fixtures.venue.signed import LIMIT, Client, client_of, hmac_sha256, now_ms

from brokerd_adapters.venue import Step, WireFault, WireFaults
from brokerd_adapters.venue.binance import BinanceDialect
from brokerd_adapters.venue.binance.filters import Caps


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with client_of() as client:
        yield client


class TestParameters:
    @pytest.mark.parametrize("road", ["query", "body", "both"])
    async def test_they_come_in_the_query_in_the_body_or_in_both(
        self, client: Client, road: str
    ) -> None:
        query = {"query": LIMIT, "body": {}, "both": {"symbol": "BTCUSDT", "side": "BUY"}}[road]
        body = {name: value for name, value in LIMIT.items() if name not in query}
        placed = await client.rest("POST", "order", query, body=None if road == "query" else body)
        assert (placed.status, placed.body["status"]) == (200, "NEW")

    async def test_of_one_sent_twice_the_query_counts(self, client: Client) -> None:
        placed = await client.rest("POST", "order", {"price": "31000"}, body=LIMIT)
        assert placed.body["price"] == "31000.00000000"

    async def test_what_is_percent_encoded_was_signed_so(self, client: Client) -> None:
        query = f"symbol=%EF%BC%91%EF%BC%92&orderId=1&timestamp={now_ms()}"
        refused = await client.raw("GET", f"order?{query}&signature={hmac_sha256(query)}")
        assert refused.error == (400, -1121, "Invalid symbol.")

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"symbol": None}, (-1102, "Mandatory parameter 'symbol' was not sent")),
            ({"symbol": "NOUSDT"}, (-1121, "Invalid symbol.")),
            ({"side": "HOLD"}, (-1117, "Invalid side.")),
            ({"type": "OCO"}, (-1116, "Invalid orderType.")),
            ({"timeInForce": None}, (-1102, "Mandatory parameter 'timeInForce' was not sent")),
            ({"timeInForce": "GTD"}, (-1115, "Invalid timeInForce.")),
            ({"price": None}, (-1102, "Mandatory parameter 'price' was not sent")),
            ({"price": "1e5"}, (-1100, "Illegal characters found in parameter 'price'")),
            ({"price": "1" + "0" * 19}, (-1130, "Data sent for parameter 'price' is not valid.")),
            ({"price": "30000.123456789"}, (-1111, "Parameter 'price' has too much precision.")),
            ({"quantity": None}, (-1102, "Mandatory parameter 'quantity' was not sent")),
            ({"stopPrice": "1"}, (-1106, "Parameter 'stopPrice' sent when not required.")),
            ({"quoteOrderQty": "9"}, (-1106, "Parameter 'quoteOrderQty' sent when not")),
            ({"newClientOrderId": "a b"}, (-1100, "Illegal characters found in parameter 'new")),
            ({"newClientOrderId": "a" * 37}, (-1100, "Illegal characters found in parameter")),
            ({"newOrderRespType": "ALL"}, (-1130, "Data sent for parameter 'newOrderRespType'")),
            ({"strategyType": "1"}, (-1134, "strategyType was less than 1000000.")),
            ({"recvWindow": "60001"}, (-1131, "recvWindow must be less than 60000")),
            ({"trailingDelta": "10"}, (-2010, "Trailing stop orders are not supported")),
            ({"icebergQty": "0.02"}, (-2010, "IcebergQty exceeds QTY.")),
            ({"icebergQty": "0.01", "timeInForce": "IOC"}, (-1014, "Unsupported order combin")),
            ({"type": "LIMIT_MAKER"}, (-1106, "Parameter 'timeInForce' sent when not required.")),
            (
                {"type": "MARKET", "timeInForce": None, "price": None, "quantity": None},
                (-1102, "Param 'quantity' or 'quoteOrderQty' must be sent"),
            ),
            (
                {"type": "STOP_LOSS", "timeInForce": None, "price": None},
                (-1102, "Param 'stopPrice' or 'trailingDelta' must be sent"),
            ),
        ],
    )
    async def test_what_is_wrong_is_refused_with_its_code_and_words(
        self, client: Client, change: dict[str, Any], error: tuple[int, str]
    ) -> None:
        refused = await client.place(**change)
        assert (refused.status, refused.body["code"]) == (400, error[0])
        assert refused.body["msg"].startswith(error[1])
        assert not client.venue.exchange.ever

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"price": "30000.001"}, "PRICE_FILTER"),
            ({"price": "1000000.01"}, "PRICE_FILTER"),
            ({"quantity": "0.000001"}, "LOT_SIZE"),
            ({"quantity": "9000.00001"}, "LOT_SIZE"),
            ({"quantity": "0.0001"}, "NOTIONAL"),
            ({"quantity": "400"}, "NOTIONAL"),
            ({"price": "399", "quantity": "1"}, "PERCENT_PRICE_BY_SIDE"),
            ({"icebergQty": "0.0009"}, "ICEBERG_PARTS"),
            (
                {"type": "MARKET", "timeInForce": None, "price": None, "quantity": "0.000001"},
                "MARKET_LOT_SIZE",
            ),
            ({"type": "STOP_LOSS_LIMIT", "stopPrice": "41000.001"}, "PRICE_FILTER"),
        ],
    )
    async def test_filters_are_enforced_by_name(
        self, client: Client, change: dict[str, Any], name: str
    ) -> None:
        if name == "NOTIONAL" and change["quantity"] == "0.0001":
            change = {**change, "price": "40000"}
        refused = await client.place(**change)
        assert refused.error == (400, -1013, f"Filter failure: {name}")


class TestSecurity:
    async def test_no_key_a_wrong_key_and_a_wrong_signature(self, client: Client) -> None:
        client.key = ""
        assert (await client.query(orderId=1)).error[:2] == (401, -2014)
        client.key = "another"
        assert (await client.query(orderId=1)).error[:2] == (401, -2015)
        client.key = "brokerd-venue-key"
        forged = await client.rest("GET", "account", {}, sign=lambda payload: "00" * 32)
        assert forged.error == (400, -1022, "Signature for this request is not valid.")

    async def test_a_request_without_signature_or_timestamp_is_refused(
        self, client: Client
    ) -> None:
        unsigned = await client.rest("GET", "account", {}, sign=None)
        assert (unsigned.status, unsigned.body["code"]) == (400, -1102)
        assert "'signature'" in unsigned.body["msg"]
        undated = await client.raw("GET", f"account?signature={hmac_sha256('')}")
        assert "'timestamp'" in undated.body["msg"]

    async def test_a_clock_that_is_off_is_told_which_way(self, client: Client) -> None:
        client.venue.clock.skew_s = 6
        assert (await client.query(orderId=1)).error == (
            400,
            -1021,
            "Timestamp for this request is outside of the recvWindow.",
        )
        assert (await client.query(orderId=1, recvWindow="7000.5")).error[1] == -2013
        client.venue.clock.skew_s = -2
        assert (await client.query(orderId=1)).error == (
            400,
            -1021,
            "Timestamp for this request was 1000ms ahead of the server's time.",
        )

    async def test_a_request_held_beyond_its_window_is_refused_when_it_arrives(
        self, client: Client
    ) -> None:
        held = Step(fault=WireFault.HOLD, delay_s=0.1)
        client.venue.gate.misbehave(WireFaults(script=(held,)))
        assert (await client.place(recvWindow="50")).error[1] == -1021
        assert not client.venue.exchange.ever

    async def test_timestamps_may_be_in_microseconds(self, client: Client) -> None:
        query = f"symbol=BTCUSDT&orderId=1&timestamp={now_ms() * 1000}"
        answer = await client.raw("GET", f"order?{query}&signature={hmac_sha256(query)}")
        assert answer.error[1] == -2013


class TestOrders:
    @pytest.mark.parametrize(
        ("response", "has", "lacks"),
        [("ACK", "transactTime", "status"), ("RESULT", "status", "fills"), ("FULL", "fills", "-")],
    )
    async def test_the_answer_is_as_long_as_was_asked(
        self, client: Client, response: str, has: str, lacks: str
    ) -> None:
        placed = (await client.place(newOrderRespType=response)).body
        assert has in placed
        assert lacks not in placed

    async def test_limit_orders_answer_in_full_and_stops_briefly(self, client: Client) -> None:
        taken = (await client.place(quantity="0.7", price="40001")).body
        assert taken["fills"] == [
            {
                "price": "40001.00000000",
                "qty": "0.50000000",
                "commission": "0.00050000",
                "commissionAsset": "BTC",
                "tradeId": taken["fills"][0]["tradeId"],
            }
        ]
        assert taken["cummulativeQuoteQty"] == "20000.50000000"
        stop = await client.place(type="STOP_LOSS_LIMIT", stopPrice="41000", price="41000")
        assert "status" not in stop.body

    async def test_a_market_order_may_name_what_it_spends(self, client: Client) -> None:
        market = {"type": "MARKET", "timeInForce": None, "price": None, "quantity": None}
        placed = (await client.place(**market, quoteOrderQty="4000.1")).body
        assert (placed["status"], placed["executedQty"]) == ("FILLED", "0.10000000")
        assert placed["origQuoteOrderQty"] == "4000.10000000"
        short = (await client.place(**{**market, "quantity": "1"})).body
        assert (short["status"], short["expiryReason"]) == ("EXPIRED", "INSUFFICIENT_LIQUIDITY")

    @pytest.mark.parametrize(
        ("tif", "reason"),
        [
            ("IOC", "UNFILLED_IOC_QUANTITY_EXPIRED"),
            ("FOK", "UNFILLED_FOK_ORDER_EXPIRED"),
        ],
    )
    async def test_orders_that_may_not_rest_expire(
        self, client: Client, tif: str, reason: str
    ) -> None:
        placed = (await client.place(timeInForce=tif, quantity="0.7", price="40001")).body
        assert (placed["status"], placed["expiryReason"]) == ("EXPIRED", reason)

    async def test_a_client_id_is_unique_among_open_orders_only(self, client: Client) -> None:
        first = await client.place(newClientOrderId="a", price="40001")
        assert first.body["status"] == "FILLED"
        second = await client.place(newClientOrderId="a")
        assert second.body["orderId"] != first.body["orderId"]
        assert (await client.place(newClientOrderId="a")).error == (
            400,
            -2010,
            "Duplicate order sent.",
        )

    async def test_a_maker_that_would_take_and_a_stop_that_would_trigger_are_refused(
        self, client: Client
    ) -> None:
        maker = await client.place(type="LIMIT_MAKER", timeInForce=None, price="40001")
        assert maker.error == (400, -2010, "Order would immediately match and take.")
        client.print_trade("40000")
        for kind, stop_px in (("STOP_LOSS_LIMIT", "39000"), ("TAKE_PROFIT_LIMIT", "41000")):
            stop = await client.place(type=kind, stopPrice=stop_px, price="39000")
            assert stop.error == (400, -2010, "Order would trigger immediately.")

    async def test_a_stop_shows_when_it_works(self, client: Client) -> None:
        client.print_trade("40000")
        stop = {"type": "TAKE_PROFIT_LIMIT", "stopPrice": "39500", "price": "39000"}
        number = (await client.place(**stop)).body["orderId"]
        asleep = (await client.query(orderId=number)).body
        assert (asleep["isWorking"], asleep["workingTime"]) == (False, -1)
        client.print_trade("39500")
        awake = (await client.query(orderId=number)).body
        assert awake["isWorking"] is True
        assert awake["workingTime"] > 0

    async def test_too_little_money_is_said_in_the_venues_words(self, client: Client) -> None:
        poor = await client.place(side="SELL", quantity="2000", price="4000")
        assert poor.error == (400, -2010, "Account has insufficient balance for requested action.")

    async def test_an_iceberg_shows_its_visible_part(self, client: Client) -> None:
        placed = await client.place(quantity="0.1", icebergQty="0.01")
        assert placed.body["icebergQty"] == "0.01000000"
        assert (await client.query(orderId=placed.body["orderId"])).body[
            "icebergQty"
        ] == "0.01000000"

    async def test_a_test_order_is_checked_and_never_placed(self, client: Client) -> None:
        assert (await client.rest("POST", "order/test", LIMIT)).body == {}
        assert (await client.rest("POST", "order/test", {**LIMIT, "price": "0.001"})).status == 400
        assert not client.venue.exchange.ever

    async def test_order_lists_are_refused_and_said_to_be(self, client: Client) -> None:
        assert (await client.rest("POST", "orderList/oco", LIMIT)).error[1] == -2010
        info = (await client.rest("GET", "exchangeInfo", sign=None)).body
        assert not info["symbols"][0]["ocoAllowed"]


class TestCancels:
    async def test_a_cancel_renames_the_order_and_frees_its_name(self, client: Client) -> None:
        number = (await client.place(newClientOrderId="a")).body["orderId"]
        canceled = (await client.cancel(origClientOrderId="a", newClientOrderId="b")).body
        assert (canceled["origClientOrderId"], canceled["clientOrderId"]) == ("a", "b")
        assert (await client.query(origClientOrderId="a")).error == (
            400,
            -2013,
            "Order does not exist.",
        )
        assert (await client.query(origClientOrderId="b")).body["orderId"] == number

    async def test_a_cancel_under_the_same_name_leaves_the_order_where_it_is(
        self, client: Client
    ) -> None:
        await client.place(newClientOrderId="a")
        await client.cancel(origClientOrderId="a", newClientOrderId="a")
        assert (await client.query(origClientOrderId="a")).body["status"] == "CANCELED"

    async def test_a_cancel_under_the_name_of_another_open_order_does_not_hide_that_one(
        self, client: Client
    ) -> None:
        for name in "ab":
            await client.place(newClientOrderId=name)
        await client.cancel(origClientOrderId="a", newClientOrderId="b")
        assert (await client.query(origClientOrderId="b")).body["status"] == "NEW"

    async def test_what_is_unknown_or_done_is_one_and_the_same(self, client: Client) -> None:
        await client.place(newClientOrderId="a", price="40001")
        for name in ("a", "nobody"):
            refused = await client.cancel(origClientOrderId=name)
            assert refused.error == (400, -2011, "Unknown order sent.")

    async def test_number_and_name_must_fit(self, client: Client) -> None:
        number = (await client.place(newClientOrderId="a")).body["orderId"]
        refused = await client.cancel(orderId=number, origClientOrderId="b")
        assert refused.error[:2] == (400, -2039)
        assert (await client.cancel()).error[1] == -1102

    async def test_restrictions_hold(self, client: Client) -> None:
        await client.place(newClientOrderId="a", quantity="0.7", price="40001")
        refused = await client.cancel(origClientOrderId="a", cancelRestrictions="ONLY_NEW")
        assert refused.error == (400, -2011, "Order was not canceled due to cancel restrictions.")
        strange = await client.cancel(origClientOrderId="a", cancelRestrictions="NEVER")
        assert strange.error[1] == -1145
        only = "ONLY_PARTIALLY_FILLED"
        canceled = await client.cancel(origClientOrderId="a", cancelRestrictions=only)
        assert canceled.body["executedQty"] == "0.50000000"

    async def test_all_orders_of_a_symbol_are_canceled_or_there_are_none(
        self, client: Client
    ) -> None:
        for name in "ab":
            await client.place(newClientOrderId=name)
        every = await client.rest("DELETE", "openOrders", {"symbol": "BTCUSDT"})
        assert [row["origClientOrderId"] for row in every.body] == ["a", "b"]
        assert (await client.rest("DELETE", "openOrders", {"symbol": "BTCUSDT"})).error[1] == -2011


class TestCancelReplace:
    async def replace(self, client: Client, mode: str, **more: Any) -> Any:
        params = {**LIMIT, "cancelReplaceMode": mode, "cancelOrigClientOrderId": "a", **more}
        return await client.rest("POST", "order/cancelReplace", params)

    async def test_both_halves_done_is_200(self, client: Client) -> None:
        await client.place(newClientOrderId="a")
        done = await self.replace(client, "STOP_ON_FAILURE", newClientOrderId="a")
        assert (done.status, done.body["cancelResult"], done.body["newOrderResult"]) == (
            200,
            "SUCCESS",
            "SUCCESS",
        )
        assert done.body["newOrderResponse"]["clientOrderId"] == "a"

    @pytest.mark.parametrize(
        ("mode", "is_there", "price", "told"),
        [
            ("STOP_ON_FAILURE", False, "30000", (400, -2022, "FAILURE", "NOT_ATTEMPTED")),
            ("ALLOW_FAILURE", False, "30000", (409, -2021, "FAILURE", "SUCCESS")),
            ("ALLOW_FAILURE", False, "40001", (400, -2022, "FAILURE", "FAILURE")),
            ("STOP_ON_FAILURE", True, "40001", (409, -2021, "SUCCESS", "FAILURE")),
        ],
    )
    async def test_half_done_and_not_done_say_so(
        self,
        client: Client,
        mode: str,
        is_there: bool,
        price: str,
        told: tuple[int, int, str, str],
    ) -> None:
        if is_there:
            await client.place(newClientOrderId="a")
        # A post-only order at the ask is refused by the matching, after the filters let it through.
        params = {**LIMIT, "type": "LIMIT_MAKER", "price": price, "cancelReplaceMode": mode}
        del params["timeInForce"]
        refused = await client.rest(
            "POST", "order/cancelReplace", {**params, "cancelOrigClientOrderId": "a"}
        )
        data = refused.body["data"]
        assert (*refused.error[:2], data["cancelResult"], data["newOrderResult"]) == told
        if told[2] == "FAILURE":
            assert data["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
        if told[3] == "NOT_ATTEMPTED":
            assert data["newOrderResponse"] is None

    async def test_filters_come_before_the_cancel(self, client: Client) -> None:
        await client.place(newClientOrderId="a")
        refused = await self.replace(client, "ALLOW_FAILURE", price="30000.001")
        assert refused.error[1] == -1013
        assert (await client.query(origClientOrderId="a")).body["status"] == "NEW"


class TestAmend:
    async def amend(self, client: Client, **params: Any) -> Any:
        path = "order/amend/keepPriority"
        return await client.rest("PUT", path, {"symbol": "BTCUSDT", **params})

    async def test_less_keeps_the_place_in_the_queue(self, client: Client) -> None:
        for name in "ab":
            await client.place(newClientOrderId=name, quantity="0.02")
        amended = await self.amend(
            client, origClientOrderId="a", newQty="0.01", newClientOrderId="c"
        )
        assert amended.body["amendedOrder"]["origClientOrderId"] == "a"
        assert amended.body["amendedOrder"]["cumulativeQuoteQty"] == "0.00000000"
        client.print_trade("30000", "0.01")
        assert (await client.query(origClientOrderId="c")).body["status"] == "FILLED"
        assert (await client.query(origClientOrderId="b")).body["status"] == "NEW"

    async def test_without_a_name_the_order_gets_a_new_one(self, client: Client) -> None:
        await client.place(newClientOrderId="a", quantity="0.02")
        amended = await self.amend(client, origClientOrderId="a", newQty="0.01")
        assert amended.body["amendedOrder"]["clientOrderId"] != "a"
        assert (await client.query(origClientOrderId="a")).error[1] == -2013

    @pytest.mark.parametrize(
        ("qty", "code"), [("0.7", -2038), ("0.8", -2038), ("0.5", -2038), ("0.000001", -1013)]
    )
    async def test_what_is_no_less_or_already_filled_is_refused(
        self, client: Client, qty: str, code: int
    ) -> None:
        await client.place(newClientOrderId="a", quantity="0.7", price="40001")
        assert (await self.amend(client, origClientOrderId="a", newQty=qty)).error[1] == code
        assert (await client.query(origClientOrderId="a")).body["origQty"] == "0.70000000"

    async def test_a_taken_name_is_refused(self, client: Client) -> None:
        for name in "ab":
            await client.place(newClientOrderId=name, quantity="0.02")
        refused = await self.amend(
            client, origClientOrderId="a", newQty="0.01", newClientOrderId="b"
        )
        assert refused.error == (400, -2010, "Duplicate order sent.")


class TestQuestions:
    async def test_trades_come_by_order_from_a_number_on_and_by_time(self, client: Client) -> None:
        first = (await client.place(quantity="0.1", price="40001")).body
        second = (await client.place(quantity="0.2", price="40001")).body
        ids = [order["fills"][0]["tradeId"] for order in (first, second)]

        async def trades(**params: Any) -> list[int]:
            rows = await client.rest("GET", "myTrades", {"symbol": "BTCUSDT", **params})
            return [row["id"] for row in rows.body]

        assert await trades() == ids
        assert await trades(orderId=second["orderId"]) == ids[1:]
        assert await trades(fromId=ids[1]) == ids[1:]
        assert await trades(limit=1) == ids[1:]
        assert await trades(startTime=now_ms() - 60_000, limit=1) == ids[:1]
        assert await trades(endTime=now_ms() - 60_000) == []

    async def test_a_window_of_more_than_a_day_is_refused(self, client: Client) -> None:
        params = {"symbol": "BTCUSDT", "startTime": 0, "endTime": 86_400_001}
        assert (await client.rest("GET", "allOrders", params)).error[1] == -1127

    async def test_all_orders_come_from_a_number_on(self, client: Client) -> None:
        numbers = [(await client.place()).body["orderId"] for _ in range(3)]
        rows = await client.rest("GET", "allOrders", {"symbol": "BTCUSDT", "orderId": numbers[1]})
        assert [row["orderId"] for row in rows.body] == numbers[1:]

    async def test_the_account_shows_what_is_locked(self, client: Client) -> None:
        await client.place()
        rows = (await client.rest("GET", "account", {"omitZeroBalances": "true"})).body["balances"]
        usdt = next(row for row in rows if row["asset"] == "USDT")
        assert (usdt["free"], usdt["locked"]) == ("9999700.00000000", "300.00000000")

    async def test_exchange_info_is_narrowed_by_symbol_or_symbols(self, client: Client) -> None:
        async def symbols(**params: str) -> list[str]:
            info = await client.rest("GET", "exchangeInfo", params, sign=None)
            return [row["symbol"] for row in info.body["symbols"]]

        assert await symbols() == ["BTCUSDT", "ETHUSDT"]
        assert await symbols(symbol="ETHUSDT") == ["ETHUSDT"]
        assert await symbols(symbols='["ETHUSDT"]') == ["ETHUSDT"]
        bad = await client.rest("GET", "exchangeInfo", {"symbols": '["NO"]'}, sign=None)
        assert bad.error[1] == -1121
        torn = await client.rest("GET", "exchangeInfo", {"symbols": '["NO"'}, sign=None)
        assert torn.error == (400, -1135, "JSON sent for parameter 'symbols' is not valid")

    async def test_the_market_is_shown_as_it_is(self, client: Client) -> None:
        client.print_trade("40000", "0.2")
        client.print_trade("39998", "0.2")

        async def ask(path: str) -> Any:
            return (await client.rest("GET", path, {"symbol": "BTCUSDT"}, sign=None)).body

        assert (await ask("ticker/price"))["price"] == "39998.00000000"
        assert (await ask("avgPrice"))["price"] == "39999.00000000"
        assert (await ask("depth"))["asks"] == [["40001.00000000", "0.50000000"]]
        assert [row["price"] for row in await ask("trades")] == ["40000.00000000", "39998.00000000"]
        assert [row["p"] for row in await ask("aggTrades")] == ["40000.00000000", "39998.00000000"]
        assert (await ask("ticker/24hr"))["priceChange"] == "-2.00000000"
        assert (await ask("ticker/bookTicker"))["bidPrice"] == "39999.00000000"

    async def test_times_are_in_microseconds_if_asked_for(self, client: Client) -> None:
        micro = {"X-MBX-TIME-UNIT": "MICROSECOND"}
        told = await client.rest("GET", "time", sign=None, headers=micro)
        assert told.body["serverTime"] > 10**15


class TestLimits:
    @pytest.fixture
    async def client(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
        """A client of a venue whose clock stands still, for windows are aligned to it."""
        async with client_of(limits="documented") as client:
            now_s = 1_800_000_001
            monkeypatch.setattr(client.venue.clock, "now_ns", lambda: now_s * 1_000_000_000)
            client.now_ms = lambda: now_s * 1_000
            yield client

    async def test_a_command_that_succeeds_is_free_and_one_that_fails_is_not(
        self, client: Client
    ) -> None:
        placed = await client.place(newClientOrderId="a")
        assert placed.headers["X-MBX-USED-WEIGHT-1M"] == "0"
        assert placed.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        refused = await client.place(newClientOrderId="a")
        assert refused.headers["X-MBX-USED-WEIGHT-1M"] == "1"
        asked = await client.rest("GET", "openOrders")
        assert asked.headers["X-MBX-USED-WEIGHT-1M"] == "81"

    async def test_the_fifty_first_unfilled_order_is_429_and_nothing_happened(
        self, client: Client
    ) -> None:
        for _ in range(50):
            await client.place()
        refused = await client.place()
        assert refused.error[:2] == (429, -1015)
        assert refused.headers["Retry-After"] == "9"
        assert len(client.venue.exchange.ever) == 50

    async def test_a_replace_beyond_the_order_limit_leaves_the_old_order_or_only_cancels(
        self, client: Client
    ) -> None:
        for n in range(50):
            await client.place(newClientOrderId=f"a{n}")
        params = {**LIMIT, "cancelReplaceMode": "ALLOW_FAILURE", "cancelOrigClientOrderId": "a0"}
        refused = await client.rest("POST", "order/cancelReplace", params)
        assert refused.error[:2] == (429, -1015)
        assert (await client.query(origClientOrderId="a0")).body["status"] == "NEW"
        params["orderRateLimitExceededMode"] = "CANCEL_ONLY"
        half = await client.rest("POST", "order/cancelReplace", params)
        assert half.error[:2] == (409, -2021)
        assert half.body["data"]["newOrderResponse"]["code"] == -1015

    async def test_a_new_order_that_is_not_attempted_counts_as_one(self, client: Client) -> None:
        params = {**LIMIT, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": 1}
        assert (await client.rest("POST", "order/cancelReplace", params)).error[1] == -2022
        assert (await client.place()).headers["X-MBX-ORDER-COUNT-10S"] == "2"

    async def test_an_amendment_costs_its_weight(self, client: Client) -> None:
        await client.place(newClientOrderId="a")
        params = {"symbol": "BTCUSDT", "origClientOrderId": "a", "newQty": "0.009"}
        amended = await client.rest("PUT", "order/amend/keepPriority", params)
        assert amended.headers["X-MBX-USED-WEIGHT-1M"] == "4"

    async def test_a_fill_gives_orders_back(self, client: Client) -> None:
        await client.place()
        taken = await client.place(price="40001")
        assert taken.headers["X-MBX-ORDER-COUNT-1D"] == "1"

    async def test_too_much_weight_is_429_and_going_on_is_a_ban(self, client: Client) -> None:
        statuses = [(await client.rest("GET", "openOrders")).status for _ in range(75 + 20)]
        assert statuses == [200] * 75 + [429] * 20
        for path in ("time", "ping"):
            banned = await client.rest("GET", path, sign=None)
            assert banned.error[:2] == (418, -1003)
            assert banned.headers["Retry-After"] == "120"

    async def test_so_many_orders_may_be_open_and_so_many_asleep(self, client: Client) -> None:
        stop = {"type": "STOP_LOSS_LIMIT", "stopPrice": "41000", "price": "41000"}
        for _ in range(5):
            assert (await client.place(**stop)).status == 200
        assert (await client.place(**stop)).error[2] == "Filter failure: MAX_NUM_ALGO_ORDERS"
        assert isinstance(client.venue.dialect, BinanceDialect)
        client.venue.dialect._desk.caps = Caps(orders=5, algo_orders=5)
        assert (await client.place()).error[2] == "Filter failure: MAX_NUM_ORDERS"
        await client.rest("DELETE", "openOrders", {"symbol": "BTCUSDT"})
        assert (await client.place(**stop)).status == 200


class TestExcuses:
    @pytest.mark.parametrize(
        ("status", "code"), [(429, -1003), (418, -1003), (500, -1000), (503, -1008), (504, -1007)]
    )
    async def test_a_status_has_the_venues_words(
        self, client: Client, status: int, code: int
    ) -> None:
        step = Step(fault=WireFault.UNAVAILABLE, status=status, retry_after_s=7)
        client.venue.gate.misbehave(WireFaults(script=(step,)))
        told = await client.place()
        assert told.error[:2] == (status, code)
        assert told.headers.get("Retry-After") == ("7" if status in {418, 429} else None)

    async def test_a_script_may_put_words_into_its_mouth(self, client: Client) -> None:
        step = Step(fault=WireFault.FAIL, status=400, code=-1006, message="Lost.")
        client.venue.gate.misbehave(WireFaults(script=(step,)))
        assert (await client.place()).error == (400, -1006, "Lost.")
        assert len(client.venue.exchange.ever) == 1

    async def test_a_gateway_answers_in_html(self, client: Client) -> None:
        step = Step(fault=WireFault.UNAVAILABLE, status=502)
        client.venue.gate.misbehave(WireFaults(script=(step,)))
        assert (await client.place()).body.startswith(b"<html>")


async def test_a_venue_that_forgot_knows_no_order_and_never_repeats_a_number(
    client: Client,
) -> None:
    before = (await client.place(newClientOrderId="a")).body["orderId"]
    client.venue.forget()
    assert (await client.query(origClientOrderId="a")).error[1] == -2013
    assert (await client.rest("GET", "openOrders")).body == []
    again = (await client.place(newClientOrderId="a")).body["orderId"]
    assert again > before
    assert [order.order_id for order in client.venue.exchange.ever] == [str(before), str(again)]


async def test_the_oracle_counts_who_was_named(client: Client) -> None:
    number = (await client.place(newClientOrderId="a")).body["orderId"]
    await client.query(origClientOrderId="a")
    await client.query(orderId=number)
    params = {**LIMIT, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": number}
    await client.rest("POST", "order/cancelReplace", {**params, "newClientOrderId": "b"})
    url = client.venue.urls["control"] + "/orders"
    async with client.session.get(url) as response:
        orders = (await response.json())["orders"]
    counts = [(o["client_order_id"], o["wire_requests_by_operation"]) for o in orders]
    assert counts == [
        ("a", {"place": 1, "query": 2, "cancel_replace": 1}),
        ("b", {"cancel_replace": 1}),
    ]
    assert Decimal(orders[0]["qty"]) == Decimal("0.01")
