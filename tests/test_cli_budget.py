"""A shell loop over brokerctl must cost milliseconds: what it may import, and what it may burn."""

import os
import subprocess
import sys

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
RUNS = 7


def cpu_s(*argv: str) -> float:
    """The least CPU time, user and system, of several runs of Python."""
    times_s: list[float] = []
    for _ in range(RUNS):
        process = subprocess.Popen([sys.executable, *argv], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        times_s.append(used.ru_utime + used.ru_stime)
    return min(times_s)


def test_a_ping_costs_at_most_twice_an_empty_python_and_60_ms() -> None:
    with ScriptedDaemon({"daemon.ping": "pong"}) as daemon:
        ping_s = cpu_s("-m", "brokerd.cli", "--socket", daemon.path, "call", "daemon.ping")
    assert ping_s <= 2 * cpu_s("-c", "pass") + 0.060


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
