"""
A small bot for asyncio: `python examples/bot_asyncio.py [SOCKET]`.

It buys at the market, rests a bid far below, moves it, takes it off, and compares what the events
told meanwhile with what the daemon lists. A lost answer needs no care: the client asks again, and a
repeated submit finds the order it made before.
"""

import asyncio
import sys
import uuid
from contextlib import aclosing

from brokerd.client import AsyncBroker, Trade
from brokerd.errors import BrokerdError
from brokerd.money import digits

FINAL = {"filled", "canceled", "rejected", "expired"}


async def follow(broker: AsyncBroker, run: str, begin_seq: int) -> dict[str, tuple[str, str]]:
    """Read events until both orders are done; return what they said of each last."""
    told: dict[str, tuple[str, str]] = {}
    async with aclosing(broker.events(after_seq=begin_seq, group={"run": run})) as events:
        async for event in events:
            told[event.data["cl_ord_id"]] = (event.data["ord_status"], event.data["cum_qty"])
            if len(told) == 2 and all(status in FINAL for status, _ in told.values()):
                break
    return told


async def trade(broker: AsyncBroker, run: str) -> None:
    """Buy at the market; rest a bid, move it and take it off."""
    bought = Trade(
        cl_ord_id=f"{run}-1", symbol="BTCUSDT", side="buy", ord_type="market", qty="0.01"
    )
    await broker.submit(bought, wait="venue")
    if bought.arrival is None:
        raise SystemExit("the executor has no quotes")
    far = int(bought.arrival.bid_px) - 1000  # the daemon notes the market at arrival
    bid = Trade(
        cl_ord_id=f"{run}-2", symbol="BTCUSDT", side="buy", ord_type="limit", qty="0.01", px=far
    )
    await broker.submit(bid, wait="venue")
    await broker.replace(bid, px=far + 1)
    await broker.cancel(bid)


async def main() -> int:
    """Trade; return 0 if the events and the list agree."""
    run = f"asyncio-{uuid.uuid4().hex[:8]}"
    async with AsyncBroker(sys.argv[1] if len(sys.argv) > 1 else None) as broker:
        broker.group_settings(run=run)
        begin_seq = (await broker.call("daemon.info"))["seq"]
        async with asyncio.TaskGroup() as group:
            following = group.create_task(follow(broker, run, begin_seq), name="events")
            group.create_task(trade(broker, run), name="trade")
        trades = await broker.load()
        for each in trades:
            print(each.cl_ord_id, each.ord_status, digits(each.cum_qty), each.avg_px or "-")
        listed = {str(t.cl_ord_id): (t.ord_status, digits(t.cum_qty)) for t in trades}
    return 0 if listed == following.result() else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except* BrokerdError as errors:
        sys.exit(f"{errors.exceptions[0]}")
