"""
`make demo`: a daemon on the paper executor, a bot at work on its socket, and what became of it all.

Nothing is left behind and no network is needed. The daemon gets a directory of its own, the bot is
examples/bot.py, and the tables are brokerctl's. Exit status 0 means that the bot and the daemon
agree, that the daemon stopped in order, and that its journal verifies.
"""

import argparse
import csv
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from brokerd import __version__

START_S_MAX = 30.0
STOP_S_MAX = 30.0
CTL_S_MAX = 60.0
SECONDS_MAX = 3600.0
ROWS_SHOWN = 20
BOT = Path(__file__).with_name("bot.py")

Order = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 0 if everything went as promised."""
    parser = argparse.ArgumentParser(prog="demo", description="A daemon, a bot, and what they did.")
    parser.add_argument("--market", default="synthetic")
    parser.add_argument("--trades", type=Path, metavar="FILE", help="of a recording, for replay")
    parser.add_argument("--quotes", type=Path, metavar="FILE", help="of a recording, for replay")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long the bot trades")
    options = parser.parse_args(argv)
    market = _market(options)
    say(f"brokerd {__version__}: paper executor, {options.market} market, {options.seconds:g} s")
    with tempfile.TemporaryDirectory(prefix="brokerd-demo-") as directory:
        return _run(Path(directory), market, options.seconds)


def _run(home: Path, market: str, seconds: float) -> int:
    path = home / "s"
    (home / "config.toml").write_text(
        f'[daemon]\nsocket = "{path}"\njournal = "{home / "journal.db"}"\nlog_format = "json"\n'
        f'[executors.paper]\nadapter = "paper"\n{market}'
    )
    with _daemon(home) as daemon:
        say("the daemon is ready; the bot trades", gap=True)
        bot = subprocess.run(
            [sys.executable, str(BOT), "--socket", str(path), "--seconds", str(seconds)],
            timeout=seconds + CTL_S_MAX,
            check=False,
        )
        listed = _ctl("-o", "json", "--socket", str(path), "orders", "--all")
        orders = [msgspec.json.decode(line) for line in listed.splitlines()]
        fills = _ctl("-o", "table", "--socket", str(path), "fills", "--limit", str(ROWS_SHOWN))
        statistics = _ctl("-o", "table", "--socket", str(path), "stats", "--by", "strategy")
        table = _ctl("-o", "table", "--socket", str(path), "orders", "--limit", str(ROWS_SHOWN))
        daemon.send_signal(signal.SIGTERM)
        status = daemon.wait(STOP_S_MAX)
    say("statistics (slippage above 0 is worse for us)", gap=True)
    say(statistics)
    say(f"the latest executions, {ROWS_SHOWN} at most", gap=True)
    say(fills)
    say(f"the daemon stopped on SIGTERM with status {status}; its journal:", gap=True)
    say(_ctl("-o", "table", "journal", "verify", str(home / "journal.db")))
    say(
        f"the latest orders of {len(orders)}, {ROWS_SHOWN} at most, and what became of them",
        gap=True,
    )
    say(table)
    say(f"in all: {counted(orders)}")
    return 1 if bot.returncode or status or not orders else 0


def counted(orders: list[Order]) -> str:
    """Return how many orders ended how."""
    counts = Counter(f"{order['status']} ({order['ord_status']})" for order in orders)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def say(text: str, *, gap: bool = False) -> None:
    """Print, in order with what the bot prints."""
    print(f"\n{text}" if gap else text.rstrip("\n"), flush=True)


@contextmanager
def _daemon(home: Path) -> Generator["subprocess.Popen[bytes]"]:
    """Start the daemon and wait until it says that it is ready, as it would say to systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, (home / "log").open("wb") as log:
        told.bind(str(home / "notify"))
        told.settimeout(START_S_MAX)
        environ = {
            key: value for key, value in os.environ.items() if not key.startswith("BROKERD_")
        }
        environ["NOTIFY_SOCKET"] = str(home / "notify")
        argv = [sys.executable, "-m", "brokerd", "run", "--config", str(home / "config.toml")]
        process = subprocess.Popen(argv, env=environ, stderr=log)
        try:
            if told.recv(4096) != b"READY=1":
                _fail("the daemon did not come up")
            yield process
        except TimeoutError:
            _fail(f"the daemon did not come up: {(home / 'log').read_text()}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(STOP_S_MAX)


def _ctl(*argv: str) -> str:
    """Run brokerctl and return what it prints; end the demo if it says that something is wrong."""
    command = [sys.executable, "-m", "brokerd.cli", *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CTL_S_MAX, check=False)
    if done.returncode:
        _fail(f"brokerctl {' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout


def _market(options: argparse.Namespace) -> str:
    """Return the configuration of the market, or end with one line that says what is wrong."""
    if not 1 <= options.seconds <= SECONDS_MAX:
        _fail(f"--seconds is from 1 to {SECONDS_MAX:g}", 2)
    if options.market == "synthetic":
        if options.trades or options.quotes:
            _fail("--trades and --quotes are for --market replay", 2)
        return 'market = "synthetic"\n'
    if options.market != "replay":
        _fail(f"--market is synthetic or replay, not {options.market}", 2)
    if not (options.trades and options.quotes):
        _fail("--market replay needs --trades FILE and --quotes FILE", 2)
    for path in (options.trades, options.quotes):
        if not path.is_file():
            _fail(f"there is no recording {path}", 2)
    # As much faster than it was as makes all of it fit.
    speed = max(_length_s(options.quotes) / options.seconds, 0.1)
    paths = (
        msgspec.json.encode(str(path.resolve())).decode()
        for path in (options.trades, options.quotes)
    )
    trades, quotes = paths
    return f'market = "replay"\ntrades = {trades}\nquotes = {quotes}\nspeed = {speed:.3f}\nloop = true\n'


def _length_s(quotes: Path) -> float:
    """Return how long a recording is."""
    try:
        with quotes.open(encoding="ascii", newline="") as file:
            stamps = [int(row["ts_ms"]) for row in csv.DictReader(file)]
        return (stamps[-1] - stamps[0]) / 1000
    except (OSError, ValueError, KeyError, IndexError):
        _fail(f"{quotes} is no recording: its columns are ts_ms,bid_px,bid_qty,ask_px,ask_qty", 2)


def _fail(what: str, status: int = 1) -> NoReturn:
    print(f"demo: {what.strip()}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    sys.exit(main())
