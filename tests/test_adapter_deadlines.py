"""An adapter gives a request up before the daemon does: what is known of its fault is not lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.subject_ccxt import config_for
from tests.rawhttp import raw_server
from tests.scripted import CLOCK

from brokerd.__main__ import ADAPTERS
from brokerd.config.load import Config, DaemonConfig, ExecutorConfig
from brokerd.errors import BrokerdError

FALLBACK_S = 9.0
"""How long each of them waits if nobody tells it otherwise."""


def settings(adapter: str, url: str) -> dict[str, Any]:
    ccxt = config_for({"rest": url, "streams": url, "ws_api": url})
    return {
        "alpaca": {"base_url": url},
        "binance": {"rest_url": url, "ws_api_url": url, "stream_url": url},
        "ccxt": {
            "exchange": ccxt.exchange,
            "symbols": list(ccxt.symbols),
            "urls": ccxt.urls,
            "options": ccxt.options,
        },
    }[adapter]


@pytest.mark.parametrize("adapter", ["alpaca", "binance", "ccxt"])
async def test_a_question_to_a_silent_venue_ends_within_the_daemons_own_deadline(
    tmp_path: Path, adapter: str
) -> None:
    key = tmp_path / "main"
    key.write_text('api_key = "key"\nsecret = "secret"\n')
    key.chmod(0o600)
    async with raw_server(hang=True) as server:
        named = {"credential": "main", **settings(adapter, server.url)}
        config = Config(
            daemon=DaemonConfig(request_deadline_s=0.1, credentials_dir=tmp_path),
            executors={"x": ExecutorConfig(adapter=adapter, settings=named)},
            path=tmp_path / "config.toml",
            base_dir=tmp_path,
        )
        executor = ADAPTERS[adapter]("x", config, CLOCK)
        try:
            async with asyncio.timeout(FALLBACK_S - 1):
                with pytest.raises(BrokerdError):
                    await executor.connect()
        finally:
            await executor.aclose()
