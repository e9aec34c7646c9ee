"""
A small bot with the blocking client: `python examples/bot_blocking.py [SOCKET]`.

It buys at the market, rests a bid far below, moves it, takes it off, and compares what the events
told with what the daemon lists. A lost answer needs no care: the client asks again, and a repeated
submit finds the order it made before.
"""

import sys
import uuid

from brokerd.client import Broker, Trade
from brokerd.errors import BrokerdError
from brokerd.money import digits

FINAL = {"filled", "canceled", "rejected", "expired"}


def main() -> int:
    """Trade; return 0 if the events and the list agree."""
    run = f"blocking-{uuid.uuid4().hex[:8]}"
    with Broker(sys.argv[1] if len(sys.argv) > 1 else None) as broker:
        broker.group_settings(run=run)
        begin_seq = broker.call("daemon.info")["seq"]

        bought = Trade(
            cl_ord_id=f"{run}-1", symbol="BTCUSDT", side="buy", ord_type="market", qty="0.01"
        )
        broker.submit(bought, wait="venue")
        if bought.arrival is None:
            raise SystemExit("the executor has no quotes")
        far = int(bought.arrival.bid_px) - 1000  # the daemon notes the market at arrival
        bid = Trade(
            cl_ord_id=f"{run}-2",
            symbol="BTCUSDT",
            side="buy",
            ord_type="limit",
            qty="0.01",
            px=far,
        )
        broker.submit(bid, wait="venue")
        broker.replace(bid, px=far + 1)
        broker.cancel(bid)

        told: dict[str, tuple[str, str]] = {}
        for event in broker.events(after_seq=begin_seq, group={"run": run}):
            told[event.data["cl_ord_id"]] = (event.data["ord_status"], event.data["cum_qty"])
            if len(told) == 2 and all(status in FINAL for status, _ in told.values()):
                break

        trades = broker.load()
        for trade in trades:
            print(trade.cl_ord_id, trade.ord_status, digits(trade.cum_qty), trade.avg_px or "-")
        listed = {str(t.cl_ord_id): (t.ord_status, digits(t.cum_qty)) for t in trades}
    return 0 if listed == told else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokerdError as error:
        sys.exit(f"{error.name}: {error}")
