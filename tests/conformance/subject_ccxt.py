"""ccxt's binance against the local venue in the Binance dialect."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance import wire
from tests.conformance.subjects import Subject

from brokerd.clock import SystemClock
from brokerd.secrets import Secret
from brokerd_adapters.ccxt import CcxtConfig, CcxtCredential, CcxtExecutor
from brokerd_adapters.venue import VenueConfig, VenueServer

KEY, SECRET = "canary-key-ccxt", "canary-secret-ccxt"


def config_for(urls: dict[str, str], **changes: object) -> CcxtConfig:
    """Return what leads ccxt's binance to a local venue."""
    rest = f"{urls['rest']}/api/v3"
    streams = {"spot": f"{urls['streams']}/ws", "ws-api": {"spot": urls["ws_api"]}}
    return CcxtConfig(
        exchange="binance",
        credential="main",
        symbols=("BTC/USDT",),
        poll_s=0.2,
        urls={"api": {"public": rest, "private": rest, "v1": rest, "ws": streams}},
        options={
            "fetchMarkets": {"types": ["spot"]},
            "fetchMargins": False,
            "fetchCurrencies": False,
        },
        **changes,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def subject(directory: Path) -> AsyncGenerator[Subject]:
    """Make it with a market that nearly stands still."""
    settings = VenueConfig(dialect="binance", key=KEY, secret=Secret(SECRET), speed=1e-6)
    async with VenueServer(settings) as venue:
        credential = CcxtCredential(api_key=Secret(KEY), secret=Secret(SECRET))

        def made() -> CcxtExecutor:
            return CcxtExecutor("ccxt", config_for(venue.urls), credential, clock=SystemClock())

        yield wire.subject_of(
            venue, made, "BTC/USDT", secrets=(KEY, SECRET), cut=lambda: venue.go_down(wire.OUTAGE_S)
        )
