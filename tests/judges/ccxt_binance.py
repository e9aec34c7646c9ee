"""ccxt over REST and ccxt.pro over WebSocket against brokerd-venue: a whole life of orders."""

import asyncio
import sys
from typing import Any

import ccxt.pro as ccxt
from tests.judges.quote import KEY, SECRET, URLS, print_trade, quote

SYMBOL = "BTC/USDT"


def exchange() -> Any:
    """Return ccxt's binance, pointed at the venue."""
    options = {
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},
        "fetchMargins": False,
        "fetchCurrencies": False,
    }
    binance = ccxt.binance({"apiKey": KEY, "secret": SECRET, "options": options})
    binance.has["fetchCurrencies"] = False
    for part in ("public", "private", "v1"):
        binance.urls["api"][part] = URLS["rest"] + "/api/v3"
    binance.urls["api"]["ws"]["spot"] = URLS["streams"] + "/ws"
    binance.urls["api"]["ws"]["ws-api"]["spot"] = URLS["ws_api"]
    return binance


async def over_rest(binance: Any) -> None:
    assert {SYMBOL, "ETH/USDT"} == set(await binance.load_markets())
    assert await binance.fetch_time() > 0
    placed = await binance.create_order(
        SYMBOL, "limit", "buy", 0.01, 30000, {"clientOrderId": "c1"}
    )
    assert (placed["status"], placed["clientOrderId"]) == ("open", "c1")
    by_name = await binance.fetch_order(None, SYMBOL, {"clientOrderId": "c1"})
    by_id = await binance.fetch_order(placed["id"], SYMBOL)
    assert by_name["id"] == by_id["id"] == placed["id"]
    assert [row["id"] for row in await binance.fetch_open_orders(SYMBOL)] == [placed["id"]]
    edited = await binance.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.7, 40001)
    assert edited["filled"] == 0.5
    assert (await binance.fetch_order(placed["id"], SYMBOL))["status"] == "canceled"
    (fill,) = await binance.fetch_my_trades(SYMBOL)
    assert (fill["order"], fill["fee"]) == (edited["id"], {"cost": 0.0005, "currency": "BTC"})
    assert (await binance.cancel_order(edited["id"], SYMBOL))["status"] == "canceled"
    assert (await binance.fetch_balance())["BTC"]["free"] == 1000.4995
    assert (await binance.fetch_ticker(SYMBOL))["bid"] == 39999
    assert (await binance.fetch_order_book(SYMBOL))["asks"][0][0] == 40001
    market = await binance.create_order(SYMBOL, "market", "sell", 0.1)
    assert (market["status"], market["average"]) == ("closed", 39999)
    stop = await binance.create_order(
        SYMBOL, "limit", "sell", 0.1, 38000, {"stopLossPrice": 38500, "clientOrderId": "c2"}
    )
    assert stop["status"] == "open"
    assert len(await binance.cancel_all_orders(SYMBOL)) == 1


async def refusals(binance: Any) -> None:
    """What the venue refuses becomes the exceptions that ccxt has for it."""
    for error, qty, px in (
        (ccxt.InsufficientFunds, 2000, 4000),
        (ccxt.ExchangeError, 0.01, 300),
    ):
        try:
            await binance.create_order(SYMBOL, "limit", "sell", qty, px)
        except error:
            continue
        raise AssertionError(error)
    try:
        await binance.cancel_order("1", SYMBOL)
    except ccxt.OrderNotFound:
        return
    raise AssertionError("an unknown order was canceled")


async def over_ws(binance: Any) -> None:
    async def heard(status: str, filled: float) -> None:
        while True:
            orders = await asyncio.wait_for(binance.watch_orders(SYMBOL), 30)
            last = orders[-1]
            if last["clientOrderId"] == "p1" and (last["status"], last["filled"]) == (
                status,
                filled,
            ):
                return

    # The subscription must be there first: what happens before it is not heard.
    await binance.authenticate()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(heard("open", 0.0))
        placed = await binance.create_order_ws(
            SYMBOL, "limit", "buy", 0.01, 31000, {"clientOrderId": "p1"}
        )
        assert (placed["status"], placed["clientOrderId"]) == ("open", "p1")
        await watching
    print_trade("31000", "0.004")
    await heard("open", 0.004)
    assert (await binance.fetch_order_ws(placed["id"], SYMBOL))["filled"] == 0.004
    assert (await binance.cancel_order_ws(placed["id"], SYMBOL))["status"] == "canceled"
    async with asyncio.TaskGroup() as tasks:
        ticker = tasks.create_task(binance.watch_bids_asks([SYMBOL]))
        while not ticker.done():
            quote("39998", "40002")
            await asyncio.wait({ticker}, timeout=0.05)
    assert ticker.result()[SYMBOL]["bid"] == 39998


async def main() -> None:
    binance = exchange()
    quote("39999", "40001", "0.5")
    try:
        await over_rest(binance)
        await refusals(binance)
        await over_ws(binance)
    finally:
        await binance.close()


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
