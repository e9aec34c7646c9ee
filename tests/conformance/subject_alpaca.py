"""Alpaca, over real HTTP and WebSocket, against the local venue in its dialect."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance.subjects import Subject

from brokerd.clock import SystemClock
from brokerd.secrets import Secret
from brokerd_adapters.alpaca import AlpacaConfig, AlpacaExecutor
from brokerd_adapters.kit import Credential
from brokerd_adapters.venue import VenueConfig, VenueServer, WireFault, WireFaults

SYMBOL = "BTC/USD"
OUTAGE_S = 0.2
CANARY = "alpaca-secret-canary"


@asynccontextmanager
async def subject(directory: Path) -> AsyncGenerator[Subject]:
    """Make it with a market that nearly stands still; pairs trade around the clock."""
    config = VenueConfig(dialect="alpaca", speed=1e-6, key="alpaca-key", secret=Secret(CANARY))
    async with VenueServer(config) as venue:

        def made() -> AlpacaExecutor:
            return executor_at(venue)

        def befall(fault: WireFault) -> Callable[[], None]:
            return lambda: venue.gate.misbehave(WireFaults(script=(fault,)))

        def wire_commands(venue_cl_ord_id: str) -> int:
            counts = venue.gate.log.by_client().get(venue_cl_ord_id, {})
            return sum(counts.get(each, 0) for each in ("place", "replace", "cancel"))

        yield Subject(
            executor=made(),
            symbol=SYMBOL,
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
            another=made,
            secrets=(CANARY,),
            outage_s=OUTAGE_S,
        )


def executor_at(venue: VenueServer, **keys: object) -> AlpacaExecutor:
    """Make an executor for a local venue."""
    keys = {
        "symbols": (SYMBOL, "AAPL"),
        "base_url": venue.urls["rest"],
        "data_url": venue.urls["data"],
        "data_stream_url": venue.urls["data_streams"],
        "requests_per_minute": 10_000,
    } | keys
    credential = Credential(api_key=Secret(venue.config.key), secret=venue.config.secret)
    config = AlpacaConfig(**keys)  # type: ignore[arg-type]
    return AlpacaExecutor("alpaca", config, credential, clock=SystemClock())
