"""Alpaca, over real HTTP and WebSocket, against the local venue in its dialect."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance import wire
from tests.conformance.subjects import Subject

from brokerd.clock import SystemClock
from brokerd.secrets import Secret
from brokerd_adapters.alpaca import AlpacaConfig, AlpacaExecutor
from brokerd_adapters.kit import Credential
from brokerd_adapters.venue import VenueConfig, VenueServer

SYMBOL = "BTC/USD"
CANARY = "alpaca-secret-canary"


@asynccontextmanager
async def subject(directory: Path) -> AsyncGenerator[Subject]:
    """Make it with a market that nearly stands still; pairs trade around the clock."""
    config = VenueConfig(dialect="alpaca", speed=1e-6, key="alpaca-key", secret=Secret(CANARY))
    async with VenueServer(config) as venue:
        secrets = (venue.config.key, CANARY)
        yield wire.subject_of(venue, lambda: executor_at(venue), SYMBOL, secrets=secrets)


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
