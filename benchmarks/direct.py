"""
ccxt called directly, with no journal: `python -m benchmarks.direct VENUE_JSON`.

Says a line when it is ready; then for each line "ROAD TAG ORDERS IN_FLIGHT" on stdin it places so
many orders over "rest" (`create_order`) or "ws" (`create_order_ws`), and answers with a line of JSON:
{"took_s": [..], "all_s": ..}. Its own throttle is off, and it has the daemon's loop.
"""

import asyncio
import json
import sys
import time
from typing import Any

import ccxt.pro
import uvloop

SYMBOL = "BTC/USDT"


async def main(venue: dict[str, str]) -> None:
    exchange = _exchange(venue)
    try:
        await exchange.load_markets()
        _say({"ready": True})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            road, tag, orders, in_flight = line.split()
            _say(await _measured(exchange, road, tag, int(orders), int(in_flight)))
    finally:
        await exchange.close()


def _exchange(venue: dict[str, str]) -> Any:
    exchange = ccxt.pro.binance(
        {
            "apiKey": venue["key"],
            "secret": venue["secret"],
            "enableRateLimit": False,
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


async def _measured(
    exchange: Any, road: str, tag: str, orders: int, in_flight: int
) -> dict[str, Any]:
    place = exchange.create_order if road == "rest" else exchange.create_order_ws
    took_s: list[float] = []
    numbers = iter(range(orders))

    async def lane() -> None:
        for number in numbers:
            began_s = time.perf_counter()
            params = {"clientOrderId": f"{tag}-{number}", "timeInForce": "IOC"}
            await place(SYMBOL, "limit", "buy", 0.001, 20_000.5 + number % 1_000, params)
            took_s.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(lane())
    return {"took_s": took_s, "all_s": time.perf_counter() - began_s}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(json.loads(sys.argv[1])))
