"""The daemon and what is measured beside it as processes: started, waited for, weighed and stopped."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

START_S_MAX = 300.0
STOP_S_MAX = 60.0

CONFIG = """\
[daemon]
socket = "{socket}"
journal = "{journal}"
credentials_dir = "."
log_format = "json"

{executor}"""

PAPER = """\
[executors.paper]
adapter = "paper"
seed = 1
balances = { USDT = "1e15", BTC = "1e12", ETH = "1e12" }
"""


class Program(Struct, frozen=True):
    """A running process that has said it is ready; `ready_s` is how long that took from exec."""

    name: str
    pid: int
    socket: str
    ready_s: float

    def memory(self) -> dict[str, int]:
        """Return its memory in bytes: resident, proportional (shared pages split), and the peak."""
        rollup = _fields(Path(f"/proc/{self.pid}/smaps_rollup"))
        status = _fields(Path(f"/proc/{self.pid}/status"))
        return {"rss": rollup["Rss"], "pss": rollup["Pss"], "rss_peak": status["VmHWM"]}


@contextmanager
def daemon(
    state_dir: Path, *, executor: str = PAPER, profile: Path | None = None
) -> Generator[Program]:
    """Run the daemon on one executor with its state in `state_dir`; stop it in order."""
    state_dir.mkdir(parents=True, exist_ok=True)
    profiling = ["-m", "cProfile", "-o", str(profile)] if profile else []
    with tempfile.TemporaryDirectory(prefix="brokerd-bench-") as short:
        path, config = Path(short, "s"), state_dir / "config.toml"
        journal = state_dir / "journal.db"
        config.write_text(CONFIG.format(socket=path, journal=journal, executor=executor))
        argv = [sys.executable, *profiling, "-m", "brokerd", "run", "--config", str(config)]
        with _running("daemon", argv, path, state_dir / "daemon.log") as program:
            yield program


@contextmanager
def floor(state_dir: Path, *options: str) -> Generator[Program]:
    """Run the floor with a fresh table in `state_dir`; `--journal` makes it the second one."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="brokerd-bench-") as short:
        path = Path(short, "s")
        argv = [sys.executable, "-m", "benchmarks.floor", *options]
        argv += [str(path), str(state_dir / "floor.db")]
        with _running("floor", argv, path, state_dir / "floor.log") as program:
            yield program


@contextmanager
def speaking(argv: list[str], log: Path) -> Generator[Callable[[str], str]]:
    """
    Run a Python program that says a line when it is ready; give what it said, and a way to talk.

    The function sends a line, none if it is empty, and returns the next line of the answer.
    """
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, *argv],
            env=_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None

        def say(line: str) -> str:
            if line:
                print(line, file=process.stdin, flush=True)
            answer = process.stdout.readline()
            if not answer:
                raise RuntimeError(f"{argv[1]} has ended; see {log}")
            return answer

        try:
            yield say
        finally:
            process.stdin.close()
            process.terminate()
            process.wait(STOP_S_MAX)
            process.stdout.close()


@contextmanager
def _running(name: str, argv: list[str], path: Path, log: Path) -> Generator[Program]:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
        tempfile.TemporaryDirectory(prefix="brokerd-bench-") as short,
        log.open("ab") as output,
    ):
        told.bind(f"{short}/notify")
        environ = _environ() | {"NOTIFY_SOCKET": f"{short}/notify"}
        began_s = time.perf_counter()
        process = subprocess.Popen(argv, env=environ, stdout=output, stderr=output)
        try:
            _until_ready(told, process, log)
            yield Program(name, process.pid, str(path), time.perf_counter() - began_s)
            process.send_signal(signal.SIGTERM)
            if process.wait(STOP_S_MAX) != 0:
                raise RuntimeError(f"{name} ended with {process.returncode}; see {log}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(STOP_S_MAX)


def _environ() -> dict[str, str]:
    """Return our environment without what would change the daemon's configuration."""
    return {key: value for key, value in os.environ.items() if not key.startswith("BROKERD_")}


def _until_ready(told: socket.socket, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up_s = time.monotonic() + START_S_MAX
    told.settimeout(0.5)
    while time.monotonic() < give_up_s:
        try:
            if b"READY=1" in told.recv(4096):
                return
        except TimeoutError:
            if process.poll() is not None:
                break
    raise RuntimeError(f"it did not come up; see {log}")


def _fields(path: Path) -> dict[str, int]:
    """Read the `Name: 123 kB` lines of a file under /proc, in bytes."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if row[-1] == "kB"}
