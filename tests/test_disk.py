"""Room for what must still be written: new orders stop early, fills and cancels never."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journal_rows import a_day, write

from brokerd.clock import SystemClock
from brokerd.errors import ConfigError, JournalError
from brokerd.journal.audit import verify
from brokerd.journal.disk import LOOK_EVERY_NS, Reserve
from brokerd.journal.store import open_journal

MEGABYTE = 1 << 20


class Ticks:
    """A monotonic clock that stands still until told."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        self.ns += LOOK_EVERY_NS
        return self.ns


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave_bytes: int = 0) -> Path:
    """Fill a disk up to its last `leave_bytes`."""
    filler = disk / "filler"
    stat = os.statvfs(disk)
    size = stat.f_bavail * stat.f_frsize - leave_bytes
    with filler.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, size)
    return filler


def make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def reserve(disk: Path, clock: Ticks | None = None) -> Reserve:
    return Reserve(disk / "r", clock or Ticks(), ballast_bytes=MEGABYTE, free_bytes_min=MEGABYTE)


def test_the_ballast_takes_real_blocks(small_disk: Path) -> None:
    room = reserve(small_disk)
    room.prepare()
    assert (small_disk / "r").stat().st_blocks * 512 >= MEGABYTE
    assert room.has_room()


def test_orders_stop_before_the_disk_is_full_and_come_back_with_room(small_disk: Path) -> None:
    room = reserve(small_disk)
    room.prepare()
    filler = fill(small_disk, leave_bytes=MEGABYTE - 4096)
    assert not room.has_room()
    filler.unlink()
    assert room.has_room()


def test_room_that_is_barely_back_is_not_room_yet(small_disk: Path) -> None:
    """Without a step between stop and go every order would flip the answer."""
    room = reserve(small_disk)
    room.prepare()
    fill(small_disk, leave_bytes=MEGABYTE - 4096)
    assert not room.has_room()
    fill(small_disk).unlink()
    fill(small_disk, leave_bytes=MEGABYTE + 65_536)
    assert not room.has_room()
    fill(small_disk).unlink()
    fill(small_disk, leave_bytes=MEGABYTE + MEGABYTE // 2)
    assert room.has_room()


def test_a_ballast_given_up_is_laid_again_when_there_is_room(small_disk: Path) -> None:
    room = reserve(small_disk)
    room.prepare()
    filler = fill(small_disk)
    assert room.give_up()
    assert not room.give_up()
    assert not room.has_room()
    assert not room.has_ballast
    filler.unlink()
    assert room.has_room()
    assert room.has_ballast


def test_the_disk_is_looked_at_ten_times_a_second_at_most(small_disk: Path) -> None:
    now = [0]
    room = Reserve(small_disk / "r", lambda: now[0], ballast_bytes=4096, free_bytes_min=MEGABYTE)
    room.prepare()
    assert room.has_room()
    fill(small_disk)
    now[0] += LOOK_EVERY_NS - 1
    assert room.has_room()
    now[0] += 1
    assert not room.has_room()


async def test_a_full_disk_still_takes_fills_and_cancels(small_disk: Path) -> None:
    """The ballast's room is used without a row lost; orders are refused from then on."""
    path = small_disk / "j.db"
    sizes = {"reserve_bytes": MEGABYTE, "reserve_free_bytes": MEGABYTE}
    async with open_journal(path, SystemClock(), **sizes) as journal:
        await write(journal, a_day())
        assert journal.accepts_orders
        fill(small_disk)
        entry = a_day().entries[0]
        for _ in range(10):
            await journal.append(journal.last_seq + 1, [entry] * 100)
        assert not journal._reserve.has_ballast
        assert not journal.accepts_orders
        rows = journal.last_seq
    assert verify(path).rows == rows


async def test_a_disk_that_is_full_to_the_last_ends_the_journal_and_loses_nothing(
    small_disk: Path,
) -> None:
    path = small_disk / "j.db"
    sizes = {"reserve_bytes": 65_536, "reserve_free_bytes": MEGABYTE}
    async with open_journal(path, SystemClock(), **sizes) as journal:
        filler = fill(small_disk)
        entry = a_day().entries[0]

        async def write_on() -> None:
            for _ in range(1_000):
                await journal.append(journal.last_seq + 1, [entry] * 100)

        with pytest.raises(JournalError) as caught:
            await write_on()
        rows = journal.last_seq
        assert caught.value.reason == "journal_disk_full"
        with pytest.raises(JournalError):
            await journal.append(journal.last_seq + 1, [entry])
    filler.unlink()
    assert rows > 0
    assert verify(path).rows == rows


async def test_a_journal_opens_on_a_full_disk(small_disk: Path) -> None:
    """A restart must not need room: the fills of open orders are still coming."""
    path = small_disk / "j.db"
    sizes = {"reserve_bytes": MEGABYTE, "reserve_free_bytes": MEGABYTE}
    async with open_journal(path, SystemClock(), **sizes) as journal:
        await write(journal, a_day())
        rows = journal.last_seq
    fill(small_disk)
    async with open_journal(path, SystemClock(), **sizes) as journal:
        assert journal.last_seq == rows
        assert not journal.accepts_orders
        await journal.append(rows + 1, a_day().entries[:1])
    assert verify(path).rows == rows + 1


async def test_a_read_only_disk_is_bad_configuration(small_disk: Path) -> None:
    make_read_only(small_disk)
    with pytest.raises(ConfigError, match="Read-only"):
        async with open_journal(small_disk / "j.db", SystemClock()):
            pass


async def test_a_journal_on_a_read_only_disk_can_be_verified(small_disk: Path) -> None:
    async with open_journal(
        small_disk / "j.db", SystemClock(), reserve_bytes=4096, reserve_free_bytes=4096
    ) as journal:
        await write(journal, a_day())
    make_read_only(small_disk)
    assert verify(small_disk / "j.db").is_good
