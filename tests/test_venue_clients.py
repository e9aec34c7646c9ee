"""Other people's clients against brokerd-venue: each walks a whole life of orders, none complains."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from brokerd_adapters.venue import VenueConfig, VenueServer

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("judge", ["ccxt_binance", "binance_sdk"])
async def test_a_client_lives_through_an_orders_whole_life(judge: str) -> None:
    """In a process of its own: clients import slowly, and leave tasks and sessions behind."""
    async with VenueServer(VenueConfig(dialect="binance", market="none")) as venue:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"tests.judges.{judge}",
            json.dumps(venue.urls),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
