"""Hostile surroundings: lines that no bot would send, a full disk, a reader that never reads."""

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tests.daemon_process import (
    PATIENCE_S,
    Bot,
    DaemonProcess,
    Told,
    exported,
    limit,
    market,
    request,
    running,
)
from tests.fuzz import CALLS, fuzz

from brokerd.contract import METHODS
from brokerd.journal.audit import verify
from brokerd.journal.disk import LOOK_EVERY_NS, RESERVE_BYTES
from brokerd.rpc import BATCH_MAX

LOOK_EVERY_S = LOOK_EVERY_NS / 1e9


def test_hostile_lines_name_every_method() -> None:
    named = {method for method, _ in CALLS}
    assert {each.name for each in METHODS} - named == {"daemon.stop", "rpc.discover"}


def test_three_thousand_hostile_lines_are_answered_and_leave_nothing_behind() -> None:
    numbers = fuzz(lines=3_000, seed=3)
    assert numbers["orders"] > 20
    assert numbers["answers"]["result"] > 300
    assert len(numbers["answers"]) > 15


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for the journal's ballast and a few megabytes."""
    size = RESERVE_BYTES + (12 << 20)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(disk: Path, leave_bytes: int) -> Path:
    """Fill a disk up to its last `leave_bytes`, though the daemon writes on meanwhile."""
    filler = disk / "filler"
    with filler.open("wb") as out:
        while True:
            stat = os.statvfs(disk)
            try:
                os.posix_fallocate(out.fileno(), 0, stat.f_bavail * stat.f_frsize - leave_bytes)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            else:
                return filler


def until(what: Callable[[], bool]) -> None:
    """Ask again at the pace at which the daemon looks at its disk."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < give_up_s
        time.sleep(LOOK_EVERY_S)


def is_taken(bot: Bot, **terms: Any) -> bool:
    try:
        bot.call("order.submit", **terms)
    except Told as told:
        if told.code != 302:
            raise
        return False
    return True


def is_listed_or_has_no_room(bot: Bot) -> bool:
    """The history waits until there is room for it again, if the journal leaves it none."""
    try:
        return bot.call("order.list", status="CANCELLED")["orders"] != []
    except Told as told:
        return bool(told.data["reason"] == "history_disk_full")


@pytest.mark.parametrize("leave_bytes", [512 << 10, 0])
def test_on_a_full_disk_orders_are_refused_and_fills_and_cancels_recorded(
    small_disk: Path, leave_bytes: int
) -> None:
    with DaemonProcess(small_disk / "state", daemon={"reserve_free_mb": 1}) as daemon:
        daemon.start()
        with daemon.bot() as bot:
            known = limit(cl_ord_id="known")
            bot.call("order.submit", **known, wait="venue")
            for no in range(20):
                bot.call("order.submit", **limit(cl_ord_id=f"rests-{no}"), wait="venue")
            # Rests at the market's price: it is filled while the disk is full.
            quote = bot.call("order.submit", **market(qty="0.001"), wait="venue")["arrival"]
            near = limit(cl_ord_id="near", px=quote["bid_px"], qty="0.001")
            bot.call("order.submit", **near, wait="venue")
            filler = fill(small_disk, leave_bytes)
            until(lambda: not is_taken(bot, **market(qty="0.001")))

            assert bot.call("order.submit", **known)["cl_ord_id"] == "known"
            bot.call("events.subscribe", events=["order_canceled", "order_traded"])
            for no in range(20):
                bot.call("order.cancel", cl_ord_id=f"rests-{no}")
            ended = {bot.next_event()["params"]["cl_ord_id"] for _ in range(20)} - {"near"}
            assert len(ended) >= 19
            until(lambda: bot.call("order.get", cl_ord_id="near")["ord_status"] == "filled")
            assert is_listed_or_has_no_room(bot)
            assert not bot.call("daemon.info")["accepts_orders"]

            daemon.kill()
        daemon.start()
        with daemon.bot() as bot:
            assert not is_taken(bot, **limit())
            assert bot.call("order.get", cl_ord_id="near")["ord_status"] == "filled"
            for no in range(20):
                order = bot.call("order.get", cl_ord_id=f"rests-{no}")
                assert order["ord_status"] in {"canceled", "pending_cancel"}
            filler.unlink()
            until(lambda: is_taken(bot, **limit()))
        assert daemon.stop() == 0
        assert verify(daemon.journal).is_good


def test_a_reader_that_never_reads_the_log_holds_nobody_up() -> None:
    read_fd, write_fd = os.pipe()
    try:
        with DaemonProcess(daemon={"log_level": "info"}) as daemon:
            daemon.start(stderr=write_fd)
            os.close(write_fd)
            with daemon.bot() as bot:
                waits_s: list[float] = []
                while bot.call("daemon.info")["log_lines_dropped"] == 0:
                    for _ in range(20):
                        began_s = time.monotonic()
                        bot.send(
                            [request(no, "order.submit", **limit()) for no in range(BATCH_MAX)]
                        )
                        assert all("result" in answer for answer in bot.receive())
                        waits_s.append(time.monotonic() - began_s)
                # Half of them, for the machine may hold up a few.
                assert median(waits_s) < 1.0
            assert daemon.stop() == 0
            assert exported(daemon.journal)[-1]["event"]["event"] == "daemon_stopped"
    finally:
        os.close(read_fd)


def test_a_daemon_that_fails_with_a_stuck_reader_still_ends(tmp_path: Path) -> None:
    """Its last word may be lost; that it has gone must not be."""
    read_fd, write_fd = os.pipe()
    with running() as first, DaemonProcess(first.state) as second:
        os.set_blocking(write_fd, False)
        try:
            while True:
                os.write(write_fd, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(write_fd, True)
        ended = threading.Event()
        second.spawn(stderr=write_fd)
        waiter = threading.Thread(target=lambda: (second.wait(), ended.set()))
        waiter.start()
        is_over = ended.wait(PATIENCE_S)
        os.close(write_fd)
        os.close(read_fd)
        waiter.join()
        assert is_over
