"""Binance Spot, against the local venue in its dialect."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance.subjects import Subject

from brokerd.clock import SystemClock
from brokerd.secrets import Secret
from brokerd_adapters.binance import BinanceConfig, BinanceExecutor
from brokerd_adapters.kit import Credential
from brokerd_adapters.venue import Step, VenueConfig, VenueServer, WireFault, WireFaults

KEY, SECRET = "conformance-key", "conformance-secret"
OUTAGE_S = 0.2
COMMANDS = ("place", "cancel", "replace", "amend")


@asynccontextmanager
async def subject(directory: Path) -> AsyncGenerator[Subject]:
    """Make it with a market that nearly stands still."""
    config = VenueConfig(dialect="binance", key=KEY, secret=Secret(SECRET), speed=1e-6)
    async with VenueServer(config) as venue:

        def befall(fault: WireFault) -> Callable[[], None]:
            step = Step(fault=fault, down_s=OUTAGE_S)
            return lambda: venue.gate.misbehave(WireFaults(script=(step,)))

        def wire_commands(client_order_id: str) -> int:
            counts = venue.gate.log.by_client().get(client_order_id, {})
            return sum(counts.get(each, 0) for each in COMMANDS)

        yield Subject(
            executor=executor(venue),
            symbol="BTCUSDT",
            befall={
                "lose_request": befall(WireFault.LOSE_REQUEST),
                "lose_reply": befall(WireFault.LOSE_REPLY),
                "unavailable": befall(WireFault.UNAVAILABLE),
                "fail": befall(WireFault.FAIL),
                "garble": befall(WireFault.GARBLE),
                "truncate": befall(WireFault.TRUNCATE),
                "down": lambda: venue.go_down(OUTAGE_S),
            },
            wire_commands=wire_commands,
            cut=venue.switchboard.cut_all,
            another=lambda: executor(venue),
            secrets=(KEY, SECRET),
            outage_s=OUTAGE_S,
        )


def executor(venue: VenueServer) -> BinanceExecutor:
    return BinanceExecutor(
        "binance",
        BinanceConfig(
            credential="conformance",
            rest_url=venue.urls["rest"],
            ws_api_url=venue.urls["ws_api"],
            stream_url=venue.urls["streams"],
            symbols=("BTCUSDT",),
        ),
        Credential(api_key=Secret(KEY), secret=Secret(SECRET)),
        clock=SystemClock(),
    )
