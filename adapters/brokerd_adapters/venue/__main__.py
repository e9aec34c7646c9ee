"""
`brokerd-venue`: a local exchange for testing bots and adapters against.

Prints one line of JSON with its addresses when it is ready. Exit status: 0 asked to stop, 1 a bug,
2 usage, 78 what it was started with cannot be used (EX_CONFIG of sysexits.h).
"""

import argparse
import asyncio
import gc
import json
import math
import signal
import sys
from pathlib import Path
from typing import get_args

import uvloop

from brokerd import __version__
from brokerd.errors import BrokerdError
from brokerd.secrets import Secret
from brokerd_adapters.venue.config import DialectName, VenueConfig
from brokerd_adapters.venue.server import VenueServer

EX_BUG = 1
EX_CONFIG = 78
PORT_MAX = 65_535


def main(argv: list[str] | None = None) -> int:
    """Run the `brokerd-venue` command; return its exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.market == "replay" and not (arguments.trades and arguments.quotes):
        parser.error("--market replay needs --trades FILE and --quotes FILE")
    # Orders are kept for ever and make no reference cycles: the collector need not walk them.
    gc.set_threshold(50_000, 50, 100)
    try:
        config = _config(arguments)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config))
    except (BrokerdError, OSError) as error:
        print(f"brokerd-venue: {error}", file=sys.stderr)  # noqa: T201 - a program's last word
        return EX_CONFIG
    return 0


async def _serve(config: VenueConfig) -> None:
    """Serve until the first SIGTERM or SIGINT; a second one kills."""
    loop = asyncio.get_running_loop()
    async with VenueServer(config) as venue:
        stop = venue.going

        def ask_to_stop() -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            if not stop.done():
                stop.set_result(None)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ask_to_stop)
        print(json.dumps(venue.urls), flush=True)  # noqa: T201 - what whoever started us waits for
        await stop


def _config(arguments: argparse.Namespace) -> VenueConfig:
    public_key = Path(arguments.public_key).read_text() if arguments.public_key else ""
    return VenueConfig(
        dialect=arguments.dialect,
        host=arguments.host,
        port=arguments.port,
        market=arguments.market,
        trades=arguments.trades,
        quotes=arguments.quotes,
        speed=arguments.speed,
        seed=arguments.seed,
        key=arguments.key,
        secret=Secret(arguments.secret),
        public_key=public_key,
        limits=arguments.limits,
    )


def _port(text: str) -> int:
    # Linux takes only the last 16 bits of a larger one, and listens elsewhere.
    port = int(text)
    if not 0 <= port <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {PORT_MAX}")
    return port


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return speed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brokerd-venue",
        description="A local exchange that speaks a venue's dialect, for testing against.",
    )
    default = VenueConfig(dialect="binance")
    add = parser.add_argument
    add("--version", action="version", version=f"brokerd-venue {__version__}")
    add("--dialect", required=True, choices=get_args(DialectName), help="whose words it speaks")
    add("--host", default=default.host, help="the address to listen on (%(default)s)")
    add(
        "--port",
        type=_port,
        default=default.port,
        help="the port (%(default)s); 0 takes a free one",
    )
    add(
        "--market",
        default=default.market,
        choices=("synthetic", "replay", "none"),
        help="a random walk (synthetic, the default), a recording, or none but what /control moves",
    )
    trades = "with replay: CSV with ts_ms,trade_id,px,qty,buyer_is_maker"
    quotes = "with replay: CSV with ts_ms,bid_px,bid_qty,ask_px,ask_qty"
    add("--trades", metavar="FILE", default=default.trades, help=trades)
    add("--quotes", metavar="FILE", default=default.quotes, help=quotes)
    add("--speed", type=_speed, default=default.speed, help="market seconds a second (%(default)g)")
    add("--seed", type=int, default=default.seed, help="the synthetic market's (%(default)s)")
    add("--key", default=default.key, help="the API key it knows (%(default)s)")
    add("--secret", default="brokerd-venue-secret", help="the key's secret (%(default)s)")
    pem = "a PEM file: an Ed25519 or RSA key for the same API key"
    add("--public-key", metavar="FILE", default="", help=pem)
    add(
        "--limits",
        default=default.limits,
        choices=("open", "documented"),
        help="whether the venue's rate limits are enforced: documented, or not (open, the default)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
