"""What every judge needs: the venue's addresses from argv, and a hand on its market."""

import json
import sys
import urllib.request
from typing import Any

URLS: dict[str, str] = json.loads(sys.argv[1])
KEY, SECRET = "brokerd-venue-key", "brokerd-venue-secret"


def quote(bid_px: str, ask_px: str, qty: str = "1") -> None:
    """Move the market of BTCUSDT."""
    row = {"symbol": "BTCUSDT", "bid_px": bid_px, "bid_qty": qty, "ask_px": ask_px, "ask_qty": qty}
    _post("market", {"quotes": [row]})


def print_trade(px: str, qty: str) -> None:
    """Let the market print a trade in which the seller took."""
    row = {"symbol": "BTCUSDT", "px": px, "qty": qty, "buyer_is_maker": True}
    _post("market", {"trades": [row]})


def _post(word: str, body: Any) -> None:
    request = urllib.request.Request(f"{URLS['control']}/{word}", json.dumps(body).encode())
    with urllib.request.urlopen(request) as reply:
        assert reply.status == 200
