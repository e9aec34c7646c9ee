"""
The journal's disk: one daemon to a journal, and room kept for what must still be written.

A venue goes on filling orders whether or not we have room to write it down. So a file of ballast
lies beside the journal: when the disk is full it is cut to nothing, and the fills and cancels of
the orders that are out there go where it lay. New orders are refused long before that.
"""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from brokerd.errors import ConfigError, JournalError

RESERVE_BYTES = 16 << 20
RESERVE_FREE_BYTES = 64 << 20
LOOK_EVERY_NS = 100_000_000
OPEN_BYTES = 1 << 20
"""What SQLite may need to open a journal: a write-ahead log, its index, and a first page."""

PID_CHARS = 20


class Reserve:
    """
    The ballast at `path` and the free space of its disk.

    `has_room` is false while less than `free_bytes_min` is free or the ballast is given up, and
    turns true again only with a quarter more than that free and the ballast back in place, so
    that it does not flicker. `monotonic_ns` paces the looks at the disk.
    """

    def __init__(
        self,
        path: Path,
        monotonic_ns: Callable[[], int],
        *,
        ballast_bytes: int = RESERVE_BYTES,
        free_bytes_min: int = RESERVE_FREE_BYTES,
    ) -> None:
        self._path = path
        self._monotonic_ns = monotonic_ns
        self._ballast_bytes = ballast_bytes
        self._free_bytes_min = free_bytes_min
        self._has_room = True
        self._looked_at_ns: int | None = None

    @property
    def has_ballast(self) -> bool:
        """Whether the whole ballast lies on the disk."""
        try:
            return self._path.stat().st_size >= self._ballast_bytes
        except OSError:
            return False

    def prepare(self) -> None:
        """Make room to open the journal in: give the ballast up on a full disk, else lay it."""
        if self._free_bytes() < OPEN_BYTES:
            self.give_up()
        self._look()

    def has_room(self) -> bool:
        """Say whether new orders may be taken. Looks at the disk at most every 100 ms."""
        now_ns = self._monotonic_ns()
        if self._looked_at_ns is None or now_ns - self._looked_at_ns >= LOOK_EVERY_NS:
            self._looked_at_ns = now_ns
            self._look()
        return self._has_room

    def give_up(self) -> bool:
        """Cut the ballast to nothing for what must be written; False if there was none left."""
        self._has_room = False
        try:
            had_some = self._path.stat().st_blocks > 0
            os.truncate(self._path, 0)
        except OSError:
            return False
        return had_some

    def _look(self) -> None:
        free_bytes = self._free_bytes()
        if self._has_room and self.has_ballast:
            self._has_room = free_bytes >= self._free_bytes_min
            return
        missing_bytes = 0 if self.has_ballast else self._ballast_bytes
        slack_bytes = 0 if self._has_room else self._free_bytes_min // 4
        enough = free_bytes - missing_bytes >= self._free_bytes_min + slack_bytes
        self._has_room = enough and self._lay_ballast()

    def _free_bytes(self) -> int:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def _lay_ballast(self) -> bool:
        """Allocate the ballast's blocks; False, and nothing left behind, if that does not go."""
        if self.has_ballast:
            return True
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(fd, 0, self._ballast_bytes)
        except OSError:
            os.ftruncate(fd, 0)
            return False
        finally:
            os.close(fd)
        return True


class Place:
    """
    Where the journal lies: its file and its write-ahead log must stay under their names.

    SQLite goes on writing into files that were moved or removed, and a restart would not find what
    was acknowledged meanwhile. A log is there from the first look on, and is never made anew.
    """

    def __init__(self, path: Path) -> None:
        self._paths = (str(path), f"{path}-wal")
        self._inodes: list[int | None] = []

    def check(self) -> None:
        """Raise JournalError unless the names lead to the same files as at the first look."""
        found = [_inode(path) for path in self._paths]
        self._inodes = self._inodes or found
        for path, inode, before in zip(self._paths, found, self._inodes, strict=True):
            if inode != before:
                raise JournalError(
                    f"{path} was removed or replaced while it was in use",
                    reason="journal_moved",
                    hint="put it back as it was, then start again; compare with the venues",
                )


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - at every commit: a Path would cost as much again
    except OSError:
        return None


@contextmanager
def sole_owner(path: Path) -> Generator[None]:
    """
    Hold an exclusive lock on the file `path` for as long as the block runs.

    Raises ConfigError naming the process that holds it, or saying why the file cannot be made.
    The kernel lets go of the lock when the process dies, however it dies; the file stays.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the journal's directory {path.parent} cannot be written: {error.strerror}",
            reason="journal_not_writable",
            field="journal",
            hint="give the daemon's user write access, or set another journal path",
        ) from error
    try:
        _lock(fd, path)
        # Overwritten in place: a full disk has no block for a file that was cut first.
        with suppress(OSError):
            os.pwrite(fd, f"{os.getpid():<{PID_CHARS}}".encode(), 0)
        yield
    finally:
        os.close(fd)


@contextmanager
def sole_name(path: Path) -> Generator[None]:
    """
    Hold an exclusive lock on the journal itself, made if it is not there: a file may have two names.

    SQLite keeps a write-ahead log for each name, and two of them tear the file apart
    (sqlite.org/howtocorrupt.html, 2.5). To close any descriptor of a file is to let go of SQLite's
    own locks on it: be the first to open it and the last to close it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        _lock(fd, path, "unknown")
        yield
    finally:
        os.close(fd)


def _lock(fd: int, path: Path, pid: str | None = None) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        pid = pid or os.pread(fd, PID_CHARS, 0).decode("ascii", "replace").strip() or "unknown"
        raise ConfigError(
            f"another daemon, pid {pid}, holds {path}",
            reason="journal_in_use",
            field="journal",
            hint="stop it, or give this daemon a journal of its own",
            pid=pid,
        ) from error
