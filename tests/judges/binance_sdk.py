"""The official binance-sdk-spot against brokerd-venue: a whole life of orders on all three roads."""

import asyncio
import sys
from typing import Any

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_spot.spot import Spot
from tests.judges.quote import KEY, SECRET, URLS, print_trade, quote

BTC: dict[str, Any] = {"symbol": "BTCUSDT"}
BUY: dict[str, Any] = {**BTC, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}


def over_rest(rest: Any) -> None:
    """Place, ask by either id, amend, cancel and replace, cancel; every answer fits its model."""
    rest.ping()
    assert rest.time().data().server_time > 0
    info = rest.exchange_info().data()
    assert {symbol.symbol for symbol in info.symbols} == {"BTCUSDT", "ETHUSDT"}
    rest.order_test(**BUY, quantity=0.01, price=30000)
    placed = rest.new_order(**BUY, quantity=0.01, price=30000, new_client_order_id="r1").data()
    assert (placed.status, placed.client_order_id) == ("NEW", "r1")
    for named in ({"order_id": placed.order_id}, {"orig_client_order_id": "r1"}):
        assert rest.get_order(**BTC, **named).data().status == "NEW"
    assert [row.order_id for row in rest.get_open_orders(**BTC).data()] == [placed.order_id]
    amended = rest.order_amend_keep_priority(
        **BTC, orig_client_order_id="r1", new_qty=0.006, new_client_order_id="r1"
    ).data()
    assert float(amended.amended_order.qty) == 0.006
    assert rest.order_amendments(**BTC, order_id=placed.order_id).data()[0].new_qty == "0.00600000"
    replaced = rest.order_cancel_replace(
        **BUY,
        cancel_replace_mode="STOP_ON_FAILURE",
        cancel_orig_client_order_id="r1",
        new_client_order_id="r2",
        quantity=0.7,
        price=40001,
    ).data()
    assert replaced.cancel_response.orig_client_order_id == "r1"
    assert replaced.new_order_response.status == "PARTIALLY_FILLED"
    r2 = replaced.new_order_response.order_id
    assert [trade.qty for trade in rest.my_trades(**BTC, order_id=r2).data()] == ["0.50000000"]
    canceled = rest.delete_order(**BTC, order_id=r2).data()
    assert (canceled.status, canceled.executed_qty) == ("CANCELED", "0.50000000")
    assert {row.order_id for row in rest.all_orders(**BTC).data()} >= {placed.order_id, r2}
    held = {row.asset: row.free for row in rest.get_account().data().balances}
    assert held["BTC"] == "1000.49950000"
    assert rest.account_commission(**BTC).data().symbol == "BTCUSDT"
    assert len(rest.rate_limit_order().data()) == 2
    assert rest.ticker_book_ticker(**BTC).data().actual_instance.bid_price == "39999.00000000"
    assert rest.avg_price(**BTC).data().mins == 5
    assert rest.depth(**BTC).data().bids == [["39999.00000000", "0.50000000"]]
    assert rest.ticker24hr(**BTC).data() is not None


async def over_ws_api(api: Any) -> None:
    """Do it again over the WebSocket API, and hear each step on the account's stream."""
    connection = await api.create_connection()
    events: asyncio.Queue[Any] = asyncio.Queue()
    subscribed = await connection.user_data_stream_subscribe_signature()
    subscribed.stream.on("message", events.put_nowait)

    async def heard(*words: tuple[str, str]) -> None:
        """Wait for these execution types and statuses, in this order."""
        for word in words:
            while True:
                event = (await asyncio.wait_for(events.get(), 30)).actual_instance
                if type(event).__name__ == "ExecutionReport":
                    break
                assert type(event).__name__ == "OutboundAccountPosition"
            assert (event.x, event.X) == word

    assert (await connection.ping()).data().status == 200
    quote("39999", "40001", "0.5")
    placed = await connection.order_place(
        **BUY, quantity=0.7, price=40001, new_client_order_id="w1"
    )
    order = placed.data().result
    assert (order.status, order.executed_qty) == ("PARTIALLY_FILLED", "0.50000000")
    await heard(("NEW", "NEW"), ("TRADE", "PARTIALLY_FILLED"))
    for named in ({"order_id": order.order_id}, {"orig_client_order_id": "w1"}):
        status = await connection.order_status(**BTC, **named)
        assert status.data().result.status == "PARTIALLY_FILLED"
    opened = await connection.open_orders_status(**BTC)
    assert [row.order_id for row in opened.data().result] == [order.order_id]
    await connection.order_amend_keep_priority(**BTC, order_id=order.order_id, new_qty=0.6)
    await heard(("REPLACED", "PARTIALLY_FILLED"))
    replaced = await connection.order_cancel_replace(
        **BUY,
        cancel_replace_mode="STOP_ON_FAILURE",
        cancel_order_id=order.order_id,
        new_client_order_id="w2",
        quantity=0.1,
        price=30000,
    )
    assert replaced.data().result.new_order_response.status == "NEW"
    await heard(("CANCELED", "CANCELED"), ("NEW", "NEW"))
    print_trade("30000", "0.04")
    await heard(("TRADE", "PARTIALLY_FILLED"))
    canceled = await connection.order_cancel(**BTC, orig_client_order_id="w2")
    assert canceled.data().result.executed_qty == "0.04000000"
    await heard(("CANCELED", "CANCELED"))
    fills = await connection.my_trades(**BTC, order_id=order.order_id)
    assert [fill.commission for fill in fills.data().result] == ["0.00050000"]
    assert (await connection.account_status()).data().result.can_trade
    assert (await connection.all_orders(**BTC)).data().result[-1].status == "CANCELED"
    assert (await connection.session_status()).data().result.user_data_stream
    await connection.close_connection(close_session=True)


async def over_streams(streams: Any) -> None:
    """Hear the market's quotes and prints."""
    connection = await streams.create_connection()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    for stream in (
        await connection.book_ticker(symbol="btcusdt"),
        await connection.trade(symbol="btcusdt"),
        await connection.agg_trade(symbol="btcusdt"),
    ):
        stream.on("message", heard.put_nowait)
    await connection.list_subscribe()
    quote("40099", "40101", "0.3")
    print_trade("40100", "0.1")
    told = [await asyncio.wait_for(heard.get(), 30) for _ in range(3)]
    assert told[0].b == "40099.00000000"
    assert {told[1].p, told[2].p} == {"40100.00000000"}
    await connection.close_connection(close_session=True)


async def main() -> None:
    spot = Spot(
        ConfigurationRestAPI(KEY, SECRET, base_path=URLS["rest"], timeout=30_000, retries=0),
        ConfigurationWebSocketAPI(KEY, SECRET, stream_url=URLS["ws_api"], timeout=30_000),
        ConfigurationWebSocketStreams(stream_url=URLS["streams"] + "/stream"),
    )
    quote("39999", "40001", "0.5")
    over_rest(spot.rest_api)
    await over_ws_api(spot.websocket_api)
    await over_streams(spot.websocket_streams)


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
