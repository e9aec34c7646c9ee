"""The template of docs/adapters.md, against the local venue in the Binance dialect."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance import wire
from tests.conformance.subjects import Subject

from brokerd.clock import SystemClock
from brokerd.secrets import Secret
from brokerd_adapters.kit import Credential
from brokerd_adapters.venue import VenueConfig, VenueServer

KEY, SECRET = "canary-key-example", "canary-secret-example"
TEMPLATE = Path(__file__).parents[2] / "examples" / "adapter"


@asynccontextmanager
async def subject(directory: Path) -> AsyncGenerator[Subject]:
    """Make it with a market that nearly stands still."""
    if str(TEMPLATE) not in sys.path:
        sys.path.append(str(TEMPLATE))
    from brokerd_example import ExampleExecutor, Settings

    config = VenueConfig(dialect="binance", key=KEY, secret=Secret(SECRET), speed=1e-6)
    async with VenueServer(config) as venue:
        settings = Settings(
            credential="main", rest_url=venue.urls["rest"], symbols=("BTCUSDT",), poll_s=0.1
        )
        credential = Credential(api_key=Secret(KEY), secret=Secret(SECRET))

        def made() -> ExampleExecutor:
            return ExampleExecutor("example", settings, credential, clock=SystemClock())

        yield wire.subject_of(
            venue, made, "BTCUSDT", secrets=(KEY, SECRET), cut=lambda: venue.go_down(wire.OUTAGE_S)
        )
