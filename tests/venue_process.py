"""A real `brokerd-venue` in a process of its own, behind a bad network if wanted."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from tests.daemon_process import PATIENCE_S, Message
from tests.fault_proxy import FaultProxy, Network
from tests.oracles import VenueOracle

KEY, SECRET = "test-key", "test-secret"
TABLES = {
    "binance": {"rest": "rest_url", "ws_api": "ws_api_url", "streams": "stream_url"},
    "alpaca": {"rest": "base_url"},
}
"""Which key of an executor's table takes which of the venue's addresses."""


class Wired(Struct, frozen=True):
    """A running venue: its oracle, the network before it, and the table of an executor for it."""

    oracle: VenueOracle
    proxy: FaultProxy
    executor: Message


@contextmanager
def wired(dialect: str, network: Network, seed: int, credentials: Path) -> Iterator[Wired]:
    """Run a venue, with a key for it in `credentials`, until the end of the block."""
    credential = credentials / f"{dialect}-test"
    credential.write_text(f'api_key = "{KEY}"\nsecret = "{SECRET}"\n')
    credential.chmod(0o600)
    command = ["--dialect", dialect, "--seed", str(seed), "--key", KEY, "--secret", SECRET]
    with subprocess.Popen(
        [sys.executable, "-m", "brokerd_adapters.venue", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
            assert ready, "the venue does not come up"
            urls = json.loads(os.read(process.stdout.fileno(), 4096))
            port = urlsplit(urls["rest"]).port
            assert port is not None
            with FaultProxy(port, network, seed) as proxy:
                table = {
                    key: urls[url].replace(f":{port}", f":{proxy.port}")
                    for url, key in TABLES[dialect].items()
                }
                executor = {"adapter": dialect, "credential": credential.name, **table}
                yield Wired(VenueOracle(urls["control"]), proxy, executor)
        finally:
            process.kill()
