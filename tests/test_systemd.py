"""sd_notify, the watchdog's judgement, and the unit that is shipped."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon_process import DaemonProcess, market
from tests.test_failing_sync import can_trace

from brokerd import systemd
from brokerd.clock import SystemClock
from brokerd.systemd import Watchdog

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "systemd" / "brokerd.service"
EXPOSURE_MAX = 1.5
S = 10**9


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_each_word_reaches_systemd_as_sd_notify_spells_it(manager: socket.socket) -> None:
    assert systemd.ready()
    assert systemd.stopping()
    assert systemd.watchdog()
    assert systemd.still_starting(60)
    told = [manager.recv(4096).decode() for _ in range(4)]
    assert told == ["READY=1", "STOPPING=1", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=60000000"]


def test_an_abstract_socket_is_reached_too() -> None:
    name = f"brokerd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(30)
        assert systemd.notify("READY=1", {"NOTIFY_SOCKET": "@" + name})
        assert sock.recv(64) == b"READY=1"


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    assert not systemd.notify("READY=1", {})
    assert not systemd.notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_a_manager_that_does_not_read_blocks_nobody(manager: socket.socket) -> None:
    """The receive queue of a datagram socket is short; the call that finds it full says so."""
    assert not all(systemd.watchdog() for _ in range(100_000))


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_interval_is_what_systemd_set_for_this_process(
    environ: dict[str, str], interval_s: float | None
) -> None:
    assert systemd.watchdog_interval_s(environ) == interval_s


@pytest.mark.parametrize(
    ("lag_ns", "pending_since_ns", "healthy"),
    [
        (0, None, True),
        (0, 100 * S, True),
        (10 * S, None, True),
        (10 * S + 1, None, False),
        (0, 85 * S, True),
        (0, 85 * S - 1, False),
        (10 * S + 1, 100 * S, False),
    ],
)
def test_life_is_a_loop_that_answers_and_a_journal_that_moves_or_rests(
    lag_ns: int, pending_since_ns: int | None, *, healthy: bool
) -> None:
    policy = Watchdog.within(30)
    assert policy.healthy(100 * S, lag_ns, pending_since_ns) is healthy


async def test_the_watch_pets_while_the_journal_moves(manager: socket.socket) -> None:
    manager.setblocking(False)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        watch = group.create_task(systemd.keep_watch(0.03, SystemClock(), lambda: None))
        assert await asyncio.get_running_loop().sock_recv(manager, 64) == b"WATCHDOG=1"
        watch.cancel()


async def test_the_watch_is_silent_while_the_journal_hangs(manager: socket.socket) -> None:
    manager.setblocking(False)
    asked = asyncio.Event()
    times = 0

    def pending_since_ns() -> int:
        nonlocal times
        times += 1
        if times == 3:
            asked.set()
        return 0

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        watch = group.create_task(systemd.keep_watch(0.03, SystemClock(), pending_since_ns))
        await asked.wait()
        watch.cancel()
    with pytest.raises(BlockingIOError):
        manager.recv(64)


def run(*command: str | Path, given: Path | None = None) -> subprocess.CompletedProcess[str]:
    program = str(command[0])
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here, and only systemd itself can judge its files")
    text = given.read_text() if given else ""
    return subprocess.run(
        [*map(str, command)], check=False, capture_output=True, text=True, input=text, timeout=60
    )


def test_the_unit_is_hardened() -> None:
    told = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", told.stdout)
    assert exposure, told.stderr
    assert float(exposure[1]) <= EXPOSURE_MAX


def test_the_unit_has_no_word_systemd_does_not_know(tmp_path: Path) -> None:
    """The daemon is not installed where tests run, so its program is replaced."""
    unit = tmp_path / "brokerd.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/brokerd", "/bin/true"))
    told = run("systemd-analyze", "verify", "--man=no", unit)
    assert (told.returncode, told.stderr) == (0, "")


def test_users_and_directories_are_declared_in_words_systemd_knows(tmp_path: Path) -> None:
    accounts = ROOT / "systemd" / "sysusers.d" / "brokerd.conf"
    told = run("systemd-sysusers", f"--root={tmp_path}", "--dry-run", "-", given=accounts)
    assert told.returncode == 0, told.stderr
    assert "brokerd" in told.stdout + told.stderr
    rules = (ROOT / "systemd" / "tmpfiles.d" / "brokerd.conf").read_text()
    # As the user of the test, in a root of its own: only the paths and modes are under test.
    mine = tmp_path / "brokerd.conf"
    mine.write_text(rules.replace("root root", f"{os.getuid()} {os.getgid()}"))
    told = run("systemd-tmpfiles", f"--root={tmp_path}", "--create", mine)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "etc" / "brokerd" / "credentials").stat().st_mode & 0o777 == 0o700


def directives() -> list[str]:
    return [line for line in UNIT.read_text().splitlines() if not line.startswith(("#", "["))]


AS_ROOT = {"fchown"}
"""What SQLite calls for root alone, and the unit's user is not root."""


def calls_in(group: str) -> set[str]:
    """The system calls of one of systemd's groups, such as @resources; of a call, itself."""
    if not group.startswith("@"):
        return {group}
    told = run("systemd-analyze", "syscall-filter", group).stdout
    members = [line.strip() for line in told.splitlines()[1:]]
    return set().union(*(calls_in(each) for each in members if each and each[0] != "#"))


def calls_let_by() -> set[str]:
    """What the unit's filter leaves: each line adds to those before it, or with ~ takes away."""
    left: set[str] = set()
    for line in directives():
        key, _, groups = line.partition("=")
        if key == "SystemCallFilter":
            named = set().union(*map(calls_in, groups.removeprefix("~").split()))
            left = left - named if groups.startswith("~") else left | named
    return left


@pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not trace")
def test_the_unit_lets_by_every_system_call_of_the_daemon_and_its_statistics(
    tmp_path: Path,
) -> None:
    trace = tmp_path / "trace"
    under = ("strace", "-f", "-qq", "-o", str(trace))
    with DaemonProcess(under=under) as daemon:
        daemon.start()
        with daemon.bot() as bot:
            bot.call("order.submit", **market(), wait="venue")
            assert bot.call("stats.get")["orders"] == 1
            bot.call("daemon.stop")
        assert daemon.wait() == 0
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert {"setpriority", "fdatasync"} <= made
    assert made - AS_ROOT <= calls_let_by()


@pytest.mark.parametrize(
    "directive",
    [
        "Type=notify",
        "WatchdogSec=30",
        "User=brokerd",
        "Restart=on-failure",
        "RestartPreventExitStatus=78",
        "LogRateLimitIntervalSec=0",
        "RuntimeDirectory=brokerd",
        "RuntimeDirectoryMode=0750",
        "StateDirectory=brokerd",
        "UMask=0007",
    ],
)
def test_the_unit_keeps_what_the_daemon_counts_on(directive: str) -> None:
    assert directive in directives()


def test_the_unit_does_not_blind_peer_credentials() -> None:
    assert not [line for line in directives() if line.startswith("PrivateUsers")]


@pytest.mark.parametrize("page", ["README.md", "docs/howto/systemd.md", "docs/howto/venue.md"])
def test_the_documented_check_passes_with_a_credential_that_the_unit_hands_over(
    page: str, tmp_path: Path
) -> None:
    """Outside the unit nobody else says where the credentials are."""
    (command,) = re.findall(
        r"^((?:.*\\\n)*.*brokerd check --config [^ \n]+)", (ROOT / page).read_text(), re.MULTILINE
    )
    etc, credential = tmp_path / "brokerd", tmp_path / "brokerd" / "credentials" / "binance-main"
    credential.parent.mkdir(parents=True)
    credential.write_text('api_key = "key"\nsecret = "secret"\n')
    credential.chmod(0o600)
    live = '[executors.binance-main]\nadapter = "binance"\ncredential = "binance-main"\n'
    (etc / "config.toml").write_text(live)
    command = command.replace("/etc/brokerd", str(etc)).replace(
        "brokerd check", f"{sys.executable} -m brokerd check"
    )
    told = run("sh", "-c", command)
    assert (told.returncode, told.stderr) == (0, "")
    assert "binance-main: adapter binance, live" in told.stdout
    assert "/var/lib/brokerd/journal.db" in told.stdout
