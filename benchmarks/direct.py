"""
ccxt called directly, with no journal: `python -m benchmarks.direct VENUE_JSON [--as-it-comes]`.

Says a line when it is ready; then for each line "ROAD TAG ORDERS IN_FLIGHT" on stdin it places so
many orders over "rest" (`create_order`), "ws" (`create_order_ws`) or "bare" (a signed line over the
WebSocket API and nothing else: the least that any client does), and answers with a line of JSON:
{"took_s": [..], "all_s": ..}. ccxt's own throttle is off and it has the daemon's loop, unless it is
asked to be as it comes.

Every line gets connections of its own, opened by an order that is not counted: ccxt.pro reads past
aiohttp's account of its buffer, and after some 5,000 answers its connection is paused for ever.
"""

import asyncio
import hmac
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import ccxt.pro
import uvloop

SYMBOL = "BTC/USDT"
LINE_S_MAX = 100.0


Place = Callable[[str, int], Awaitable[Any]]
"""(tag, number) -> what the venue answered."""


async def main(venue: dict[str, str], *, as_it_comes: bool) -> None:
    _say({"ready": True})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        road, tag, orders, in_flight = line.split()
        opened = _bare(venue) if road == "bare" else _ccxt(venue, road, as_it_comes=as_it_comes)
        async with asyncio.timeout(LINE_S_MAX), opened as place:
            await place(f"{tag}w", 0)
            _say(await _measured(place, tag, int(orders), int(in_flight)))


@asynccontextmanager
async def _ccxt(venue: dict[str, str], road: str, *, as_it_comes: bool) -> AsyncGenerator[Place]:
    exchange = _exchange(venue, as_it_comes=as_it_comes)
    create = exchange.create_order if road == "rest" else exchange.create_order_ws

    async def place(tag: str, number: int) -> None:
        params = {"clientOrderId": f"{tag}-{number}", "timeInForce": "IOC"}
        await create(SYMBOL, "limit", "buy", 0.001, _px(number), params)

    try:
        await exchange.load_markets()
        yield place
    finally:
        await exchange.close()


@asynccontextmanager
async def _bare(venue: dict[str, str]) -> AsyncGenerator[Place]:
    async with aiohttp.ClientSession() as http, http.ws_connect(venue["ws_api"]) as ws:
        waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

        async def hear() -> None:
            async for message in ws:
                answer = json.loads(message.data)
                waiting.pop(answer["id"]).set_result(answer)

        async def place(tag: str, number: int) -> None:
            cl_ord_id = f"{tag}-{number}"
            heard = asyncio.get_running_loop().create_future()
            waiting[cl_ord_id] = heard
            await ws.send_str(_signed_order(venue, cl_ord_id, number))
            answer = await heard
            if answer["status"] != 200:
                raise RuntimeError(f"the venue refused: {answer}")

        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(hear())
            yield place
            hearing.cancel()


def _signed_order(venue: dict[str, str], cl_ord_id: str, number: int) -> str:
    """Return an `order.place` of Binance's WebSocket API, its parameters in the order of their names."""
    params = {
        "apiKey": venue["key"],
        "newClientOrderId": cl_ord_id,
        "price": f"{_px(number)}",
        "quantity": "0.001",
        "side": "BUY",
        "symbol": SYMBOL.replace("/", ""),
        "timeInForce": "IOC",
        "timestamp": str(time.time_ns() // 1_000_000),
        "type": "LIMIT",
    }
    payload = "&".join(f"{name}={value}" for name, value in params.items())
    params["signature"] = hmac.digest(venue["secret"].encode(), payload.encode(), "sha256").hex()
    return json.dumps({"id": cl_ord_id, "method": "order.place", "params": params})


def _px(number: int) -> float:
    return 20_000.5 + number % 1_000


def _exchange(venue: dict[str, str], *, as_it_comes: bool) -> Any:
    exchange = ccxt.pro.binance(
        {
            "apiKey": venue["key"],
            "secret": venue["secret"],
            "enableRateLimit": as_it_comes,
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
            },
        }
    )
    exchange.has["fetchCurrencies"] = False
    rest = f"{venue['rest']}/api/v3"
    exchange.urls["api"].update({"public": rest, "private": rest, "v1": rest})
    exchange.urls["api"]["ws"]["spot"] = f"{venue['streams']}/ws"
    exchange.urls["api"]["ws"]["ws-api"]["spot"] = venue["ws_api"]
    return exchange


async def _measured(place: Place, tag: str, orders: int, in_flight: int) -> dict[str, Any]:
    took_s: list[float] = []
    numbers = iter(range(orders))

    async def lane() -> None:
        for number in numbers:
            began_s = time.perf_counter()
            await place(tag, number)
            took_s.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(lane())
    return {"took_s": took_s, "all_s": time.perf_counter() - began_s}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    is_shipped = "--as-it-comes" in sys.argv
    with asyncio.Runner(loop_factory=None if is_shipped else uvloop.new_event_loop) as runner:
        runner.run(main(json.loads(sys.argv[1]), as_it_comes=is_shipped))
