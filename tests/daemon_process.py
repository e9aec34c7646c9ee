"""
A real daemon in a directory of its own, and bots on its socket: no mocks, no ports, no sleeps.

The daemon says READY=1 to a socket of ours as it would to systemd, and its death is seen through
a pidfd, so that nothing here waits by guessing.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

PATIENCE_S = 60.0
"""How long anything may take on a loaded machine before a test is told that it never came."""

Message = dict[str, Any]


class Told(Exception):
    """The daemon answered with an error."""

    def __init__(self, error: Message) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Message = error["data"]


class HungUp(Exception):
    """The daemon closed the connection."""


class Bot:
    """
    A blocking JSON-RPC client. `events` holds the notifications that came between the answers.

    Numbers in answers stay as they were written: Decimals are never floats here either.
    """

    def __init__(self, path: Path, timeout_s: float = PATIENCE_S) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.events: list[Message] = []
        self._rest = b""
        self._last_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def call(self, method: str, **params: Any) -> Any:
        """Call, and return the result; raises Told for an error and HungUp for no answer."""
        return self.result(self.ask(method, **params))

    def ask(self, method: str, **params: Any) -> int:
        """Send a call and return its id, without waiting for the answer."""
        self._last_id += 1
        self.send(request(self._last_id, method, **params))
        return self._last_id

    def result(self, call_id: int) -> Any:
        """Read until the answer to a call comes; what else comes must be notifications."""
        while True:
            message = self.receive()
            if "method" in message:
                self.events.append(message)
                continue
            assert message["id"] == call_id, message
            if "error" in message:
                raise Told(message["error"])
            return message["result"]

    def next_event(self) -> Message:
        """Return the next notification, one that came earlier first."""
        return self.events.pop(0) if self.events else self.receive()

    def send(self, message: object) -> None:
        self.send_raw(json.dumps(message).encode() + b"\n")

    def send_raw(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HungUp from error

    def receive(self) -> Any:
        """Read one message, whatever it is."""
        return json.loads(self.receive_raw(), parse_float=Decimal)

    def receive_raw(self) -> bytes:
        """Read one line, without its newline."""
        while b"\n" not in self._rest:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError as error:
                raise HungUp from error
            if not data:
                raise HungUp
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line

    def is_hung_up(self) -> bool:
        """Read to the end, and say whether there is one."""
        try:
            while True:
                self.receive_raw()
        except HungUp:
            return True
        except TimeoutError:
            return False


def request(call_id: object, method: str, **params: Any) -> Message:
    return {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}


class DaemonProcess:
    """
    One daemon's directory, and the process that runs in it now, if any.

    `daemon` and `executor` are keys of [daemon] and of the one executor's table, which is a paper one
    named paper unless `executor` names another adapter, and so itself. The journal and the paper
    venue's log lie in `state`; the socket has a short path of its own. `under` is a command that
    the daemon is run by.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        daemon: Message | None = None,
        executor: Message | None = None,
        under: Sequence[str] = (),
    ) -> None:
        self._under = under
        self._home = tempfile.TemporaryDirectory(prefix="bkd")
        self.home = Path(self._home.name)
        self.state = state or self.home / "state"
        self.socket_path = self.home / "s"
        self.journal = self.state / "journal.db"
        self.config = self.home / "config.toml"
        self.log = self.home / "daemon.log"
        self.configure(daemon, executor)
        self.process: subprocess.Popen[bytes] | None = None
        self.pidfd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._home.cleanup()

    def configure(self, daemon: Message | None = None, executor: Message | None = None) -> None:
        """Write the configuration that the next start will read."""
        tables = {
            "daemon": {
                "socket": str(self.socket_path),
                "journal": str(self.journal),
                "log_format": "json",
                **(daemon or {}),
            },
        }
        executor = {"adapter": "paper", **(executor or {})}
        if executor["adapter"] == "paper":
            executor.setdefault("seed", 1)
        tables[f"executors.{executor['adapter']}"] = executor
        lines = [
            f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
            for name, table in tables.items()
        ]
        self.config.write_text("\n".join(lines))

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def spawn(self, stderr: Any = None, env: Message | None = None) -> None:
        """Start a process, and return at once."""
        assert self.process is None, "it runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self._under,
                    sys.executable,
                    "-m",
                    "brokerd",
                    "run",
                    "--config",
                    str(self.config),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stderr or log,
                stderr=stderr or log,
                env={**os.environ, "PYTHONFAULTHANDLER": "1", **(env or {})},
            )
        self.pidfd = os.pidfd_open(self.process.pid)

    def _last_words(self) -> str:
        """Say how it ended, or, with the stack of every thread, that it has not."""
        assert self.process is not None
        status = self.process.poll()
        if status is None:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(PATIENCE_S)
        how = "it hangs" if status is None else f"exit status {status}"
        return f"{how}\n{self.log.read_text()[-8000:]}"

    def start(self, stderr: Any = None) -> Self:
        """Start, and return once the daemon says that it is ready."""
        path = self.home / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            try:
                self.spawn(stderr, {"NOTIFY_SOCKET": str(path)})
                while True:
                    there, _, _ = select.select([notify, self.pidfd], [], [], PATIENCE_S)
                    if notify not in there:
                        raise AssertionError(f"it did not come up: {self._last_words()}")
                    if b"READY=1" in notify.recv(4096):
                        return self
            finally:
                path.unlink()

    def listen(self) -> Self:
        """Start, and return as soon as bots can connect: it may still be starting."""
        self.spawn()
        give_up_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_s and not select.select([self.pidfd], [], [], 0.005)[0]:
            with suppress(FileNotFoundError, ConnectionRefusedError), self.bot():
                return self
        raise AssertionError(f"it does not listen:\n{self.log.read_text()[-4000:]}")

    def bot(self, timeout_s: float = PATIENCE_S) -> Bot:
        return Bot(self.socket_path, timeout_s)

    def call(self, method: str, **params: Any) -> Any:
        """Make one call on a connection of its own."""
        with self.bot() as bot:
            return bot.call(method, **params)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self) -> int:
        """Ask it to stop; return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a power cut would, if it runs."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            self.wait()

    def wait(self) -> int:
        """Return the exit status once the process is gone."""
        assert self.process is not None
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.log.read_text()[-4000:]}") from None
        os.close(self.pidfd)
        self.process, self.pidfd = None, -1
        return status

    def refusal(self) -> tuple[int, str]:
        """Start, wait for the end, and return the exit status with all that it said."""
        before = len(self.log.read_bytes()) if self.log.exists() else 0
        self.spawn()
        status = self.wait()
        return status, self.log.read_bytes()[before:].decode()

    def logged(self, event: str) -> list[Message]:
        """Return the log lines of one name."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]
        return [line for line in lines if line["event"] == event]

    def rss_bytes(self) -> int:
        """What the process holds in memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def fds(self) -> int:
        """How many files and sockets the process has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())


@contextmanager
def running(state: Path | None = None, **settings: Any) -> Iterator[DaemonProcess]:
    """A daemon that is ready; killed at the end, for a clean stop is the test's own business."""
    with DaemonProcess(state, **settings) as daemon:
        yield daemon.start()


def brokerctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line's own program."""
    command = [sys.executable, "-m", "brokerd.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def exported(journal: Path) -> list[Message]:
    """Return the journal's rows as `brokerctl journal export` writes them."""
    told = brokerctl("journal", "export", str(journal))
    assert told.returncode == 0, told.stderr
    return [json.loads(line, parse_float=Decimal) for line in told.stdout.splitlines()]


def limit(**terms: Any) -> Message:
    """A small order far from the market, which rests until it is told otherwise."""
    return {
        "symbol": "BTCUSDT",
        "side": "buy",
        "ord_type": "limit",
        "qty": "0.01",
        "px": "20000",
        **terms,
    }


def market(**terms: Any) -> Message:
    """A small order that is filled at once."""
    return {"symbol": "BTCUSDT", "side": "buy", "ord_type": "market", "qty": "0.01", **terms}


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)
