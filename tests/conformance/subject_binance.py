"""Binance Spot, against the local venue in its dialect."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance import wire
from tests.conformance.subjects import Subject

from brokerd.clock import SystemClock
from brokerd.secrets import Secret
from brokerd_adapters.binance import BinanceConfig, BinanceExecutor
from brokerd_adapters.kit import Credential
from brokerd_adapters.venue import VenueConfig, VenueServer

KEY, SECRET = "conformance-key", "conformance-secret"


@asynccontextmanager
async def subject(directory: Path) -> AsyncGenerator[Subject]:
    """Make it with a market that nearly stands still."""
    config = VenueConfig(dialect="binance", key=KEY, secret=Secret(SECRET), speed=1e-6)
    async with VenueServer(config) as venue:
        yield wire.subject_of(venue, lambda: executor(venue), "BTCUSDT", secrets=(KEY, SECRET))


def executor(venue: VenueServer, **keys: object) -> BinanceExecutor:
    """Make an executor for a local venue."""
    keys = {
        "credential": "conformance",
        "rest_url": venue.urls["rest"],
        "ws_api_url": venue.urls["ws_api"],
        "stream_url": venue.urls["streams"],
        "symbols": ("BTCUSDT",),
    } | keys
    credential = Credential(api_key=Secret(venue.config.key), secret=venue.config.secret)
    config = BinanceConfig(**keys)  # type: ignore[arg-type]
    return BinanceExecutor("binance", config, credential, clock=SystemClock())
