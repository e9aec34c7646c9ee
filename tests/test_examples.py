"""The same small bot in every language: it trades, and a lost answer never makes a second order."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon_process import PATIENCE_S, DaemonProcess, running
from tests.unix_proxy import losing

EXAMPLES = Path(__file__).parents[1] / "examples"
BOTS = ["bot_blocking.py", "bot_asyncio.py", "bot.mjs", "bot.rs", "bot.sh"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bot") as directory:
        yield Path(directory)


def needed(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return found


def command_of(name: str, built: Path) -> list[str]:
    """Return how the bot is run; skip if its runtime is not there."""
    path = str(EXAMPLES / name)
    if name.endswith(".py"):
        return [sys.executable, path]
    if name == "bot.mjs":
        return [needed("node", "nodejs"), path]
    if name == "bot.sh":
        for tool in ("socat", "jq"):
            needed(tool, tool)
        return [path]
    rustc, binary = needed("rustc", "rustc"), built / "bot"
    if not binary.exists():
        command = [rustc, "-D", "warnings", "--edition", "2021", "-O", path, "-o", str(binary)]
        subprocess.run(command, check=True, timeout=200)
    return [str(binary)]


def run(command: list[str], socket: Path) -> list[list[str]]:
    """Run a bot and return what it says of its orders: [cl_ord_id, ord_status, cum_qty, avg_px]."""
    done = subprocess.run(
        [*command, str(socket)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def listed(daemon: DaemonProcess, said: list[list[str]]) -> list[list[str]]:
    """What the daemon has of the run, in the bot's words."""
    group = {"run": said[0][0].rpartition("-")[0]}
    orders = daemon.call("order.list", group=group)["orders"]
    names = ("cl_ord_id", "ord_status", "cum_qty", "avg_px")
    return [[order[name] or "-" for name in names] for order in orders]


@pytest.mark.parametrize("name", BOTS)
def test_a_bot_trades_and_its_events_agree_with_the_list(
    name: str, daemon: DaemonProcess, built: Path
) -> None:
    said = run(command_of(name, built), daemon.socket_path)
    assert said == listed(daemon, said)
    assert [(status, cum_qty) for _, status, cum_qty, _ in said] == [
        ("canceled", "0"),
        ("filled", "0.01"),
    ]


@pytest.mark.parametrize("name", BOTS)
def test_a_bot_whose_answer_was_lost_asks_again_and_finds_its_order(
    name: str, daemon: DaemonProcess, built: Path
) -> None:
    command, front = command_of(name, built), built / f"{name}.s"
    with losing(front, daemon.socket_path, "order.submit") as proxy:
        said = run(command, front)
    assert proxy.lost == 1
    assert said == listed(daemon, said)
    assert [status for _, status, _, _ in said] == ["canceled", "filled"]


def test_a_bot_that_is_refused_says_so_and_fails(built: Path) -> None:
    with running(executor={"balances": {"USDT": "0"}}) as daemon:
        for name in BOTS:
            done = subprocess.run(
                [*command_of(name, built), str(daemon.socket_path)],
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert done.returncode != 0, name
