"""
ccxt called directly, with no journal: `python -m benchmarks.direct VENUE_JSON [--as-it-comes]`.

Says a line when it is ready; then for each line "ROAD TAG ORDERS IN_FLIGHT" on stdin it places so
many orders over "rest" (`create_order`) or "ws" (`create_order_ws`), or makes so many round trips
without any order ("bare", a ping over the WebSocket API), and answers with a line of JSON:
{"took_s": [..], "all_s": ..}. Its own throttle is off and it has the daemon's loop, unless it is
asked to be as it comes.
"""

import asyncio
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


Place = Callable[[str, int], Awaitable[Any]]
"""(tag, number) -> what the venue answered."""


async def main(venue: dict[str, str], *, as_it_comes: bool) -> None:
    exchange = _exchange(venue, as_it_comes=as_it_comes)
    try:
        await exchange.load_markets()
        _say({"ready": True})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            road, tag, orders, in_flight = line.split()
            async with _road(exchange, road, venue) as place:
                _say(await _measured(place, tag, int(orders), int(in_flight)))
    finally:
        await exchange.close()


@asynccontextmanager
async def _road(exchange: Any, road: str, venue: dict[str, str]) -> AsyncGenerator[Place]:
    if road == "bare":
        async with aiohttp.ClientSession() as http, http.ws_connect(venue["ws_api"]) as ws:

            async def ping(tag: str, number: int) -> None:
                await ws.send_str(f'{{"id":"{tag}-{number}","method":"ping"}}')
                await ws.receive_str()

            yield ping
        return
    create = exchange.create_order if road == "rest" else exchange.create_order_ws

    async def place(tag: str, number: int) -> None:
        params = {"clientOrderId": f"{tag}-{number}", "timeInForce": "IOC"}
        await create(SYMBOL, "limit", "buy", 0.001, 20_000.5 + number % 1_000, params)

    yield place


def _exchange(venue: dict[str, str], *, as_it_comes: bool) -> Any:
    exchange = ccxt.pro.binance(
        {
            "apiKey": venue["key"],
            "secret": venue["secret"],
            "enableRateLimit": as_it_comes,
            # While others have their turn it is silent for longer than its keepalive bears.
            "streaming": {"keepAlive": 3_600_000},
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
