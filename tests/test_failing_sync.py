"""
A disk that fails to sync: what was acknowledged before is there, what was not is never told.

The fault is put in by strace(1), between SQLite and the kernel, for one system call from its n-th
call on.
"""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from tests.daemon_process import Bot, DaemonProcess, HungUp, limit

from brokerd.journal.audit import verify

STRACE = shutil.which("strace")


def can_trace() -> bool:
    """Whether there is an strace that may watch a process of ours: containers often forbid it."""
    if STRACE is None:
        return False
    trial = subprocess.run([STRACE, "-o", "/dev/null", "true"], check=False, capture_output=True)
    return trial.returncode == 0


def submit_until_cut_off(bot: Bot) -> list[str]:
    """Submit orders one by one until the daemon is gone; return what it acknowledged."""
    told: list[str] = []
    with suppress(HungUp):
        while len(told) < 1_000:
            told.append(bot.call("order.submit", **limit(cl_ord_id=f"x-{len(told)}"))["cl_ord_id"])
    return told


@pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not trace")
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_sync_that_fails_ends_the_daemon_and_takes_nothing_acknowledged(
    tmp_path: Path, error: str
) -> None:
    fault = f"fdatasync:error={error}:when=60+"
    under = (str(STRACE), "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e")
    with DaemonProcess(tmp_path, under=(*under, f"inject={fault}")) as daemon:
        with daemon.start().bot() as bot:
            told = submit_until_cut_off(bot)
        assert daemon.wait() == 1, "a commit that failed is an unknown outcome: the daemon ends"
    assert told, "it never got as far as an order"
    assert len(told) < 1_000, "the fault never came"
    with DaemonProcess(tmp_path) as daemon:
        with daemon.start().bot() as bot:
            for cl_ord_id in told:
                assert bot.call("order.get", cl_ord_id=cl_ord_id)["cl_ord_id"] == cl_ord_id
        assert daemon.stop() == 0
    assert verify(tmp_path / "journal.db").is_good
