"""A shell loop over brokerctl must cost milliseconds, and a script's client hardly more: what they import and burn."""

import subprocess
import sys

from tests.cpu import as_slow_as_this, cpu_s, empty_s
from tests.scripted_daemon import ScriptedDaemon

FORBIDDEN = (
    "asyncio",
    "aiohttp",
    "aiosqlite",
    "structlog",
    "rich",
    "msgspec",
    "sqlite3",
    "decimal",
)


def test_a_ping_costs_at_most_twice_an_empty_python_and_60_ms() -> None:
    with ScriptedDaemon({"daemon.ping": "pong"}) as daemon:
        ping_s = cpu_s("-m", "brokerd.cli", "--socket", daemon.path, "call", "daemon.ping")
    assert ping_s <= 2 * empty_s() + as_slow_as_this(0.060)


def test_the_client_costs_a_notebook_at_most_twice_an_empty_python_and_100_ms() -> None:
    client_s = cpu_s("-c", "from brokerd.client import Broker, AsyncBroker, Trade")
    assert client_s <= 2 * empty_s() + as_slow_as_this(0.100)


def test_a_ping_and_an_order_list_load_nothing_heavy() -> None:
    script = {"daemon.ping": "pong", "order.list": {"orders": []}}
    check = (
        "import sys; from brokerd.cli import main; main(sys.argv[1:]);"
        f"sys.exit(' '.join(set({FORBIDDEN!r}) & set(sys.modules)) or None)"
    )
    with ScriptedDaemon(script) as daemon:
        for argv in (["call", "daemon.ping"], ["orders"]):
            command = [sys.executable, "-c", check, "--socket", daemon.path, *argv]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert (done.returncode, done.stderr) == (0, "")
