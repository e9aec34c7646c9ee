"""
A disk that loses what was not synced: SQLite's own writes and syncs, recorded, and replayed in part.

`Recorder` is an SQLite VFS (sqlite.org/vfs.html) that notes every write, truncation and sync of a
journal while production code works on it. `images` then gives, for each moment, files as a power cut
at that moment could leave them: what was synced is there; of what was not, nothing, all, or any
part, the last write torn at a sector's edge.

    python -m tests.power_cut --seed 1      every moment of one run, which takes some minutes
"""

import argparse
import asyncio
import itertools
import random
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import apsw
from msgspec import Struct
from tests.journal_rows import SMALL, T0_NS, Story, acknowledged, canceled, submit

from brokerd.clock import SystemClock
from brokerd.events import DaemonStarted
from brokerd.journal import sqlite, store
from brokerd.journal.audit import verify
from brokerd.journal.store import open_journal

SECTOR = 512
BATCHES = 60
GROUP_BYTES_MAX = 60_000
"""Long words fill pages, so that the write-ahead log is checkpointed on the way."""

_numbers = itertools.count()


class Io(Struct, frozen=True):
    """
    One thing that happened: `write`, `truncate`, `sync`, `delete`, `sync_directory` (without it a
    deleted file may be back), or `ack` of rows up to `at`.
    """

    verb: str
    file: str = ""
    at: int = 0
    data: bytes = b""


class Recorder(apsw.VFS):
    """The system's own files, with every change noted in `log`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.log: list[Io] = []
        super().__init__(name, "")

    def acknowledge(self, seq: int) -> None:
        """Note that a caller was told that rows up to `seq` are durable."""
        self.log.append(Io("ack", at=seq))

    def sync_directory(self, _path: Path) -> None:
        """Stand in for `brokerd.journal.sqlite.sync_directory`."""
        self.log.append(Io("sync_directory"))

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _File(self.log, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.log.append(Io("delete", Path(filename).name))
        super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, log: list[Io], name: Any, flags: list[int]) -> None:
        self._log = log
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path or "temporary").name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._log.append(Io("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._log.append(Io("truncate", self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._log.append(Io("sync", self._name))


class Connection:
    """What the journal uses of an aiosqlite connection, on apsw: the same SQL, the recorded files."""

    def __init__(self, path: str, vfs: str) -> None:
        self._db = apsw.Connection(
            path,
            vfs=vfs,
            flags=apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
        )

    async def execute_fetchall(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return list(self._db.execute(sql, tuple(values)))

    async def executescript(self, sql: str) -> None:
        list(self._db.execute(sql))

    async def set_authorizer(self, authorize: Callable[..., int]) -> None:
        self._db.authorizer = authorize

    async def close(self) -> None:
        self._db.close()

    def __await__(self) -> Iterator[Any]:
        return self
        yield  # a connection is open as soon as it is awaited


class Image(Struct, frozen=True):
    """The files after a power cut, and the last row that had been acknowledged by then."""

    moment: int
    acknowledged: int
    files: dict[str, bytes]


def images(log: Sequence[Io], moments: set[int], chance: random.Random) -> Iterator[Image]:
    """Yield what power cuts after each of these entries of the log could leave."""
    durable: dict[str, bytearray] = {}
    unsynced: list[Io] = []
    acknowledged = 0
    for moment, io in enumerate(log):
        match io.verb:
            case "ack":
                acknowledged = io.at
            case "sync" | "sync_directory":
                kept: list[Io] = []
                for each in unsynced:
                    is_synced = (
                        each.verb == "delete"
                        if io.verb == "sync_directory"
                        else each.file == io.file
                    )
                    if is_synced:
                        _carry_out(durable, each)
                    else:
                        kept.append(each)
                unsynced = kept
            case _:
                unsynced.append(io)
        if moment in moments:
            for survivors in _survivors(unsynced, chance):
                files = {name: bytearray(data) for name, data in durable.items()}
                for each in survivors:
                    _carry_out(files, each)
                yield Image(moment, acknowledged, {name: bytes(files[name]) for name in files})


def _survivors(unsynced: list[Io], chance: random.Random) -> list[list[Io]]:
    """Nothing of it, all of it, any part of it; and what came first with the last of it torn."""
    if not unsynced:
        return [[]]
    part = [each for each in unsynced if chance.random() < 0.5]
    upto = unsynced[: chance.randrange(len(unsynced)) + 1]
    last = upto[-1]
    torn_bytes = chance.randrange(len(last.data) // SECTOR + 1) * SECTOR
    torn = Io(last.verb, last.file, last.at, last.data[:torn_bytes])
    return [[], unsynced, part, [*upto[:-1], torn]]


def _carry_out(files: dict[str, bytearray], io: Io) -> None:
    if io.verb == "delete":
        files.pop(io.file, None)
        return
    content = files.setdefault(io.file, bytearray())
    if io.verb == "truncate":
        del content[io.at :]
        return
    content.extend(bytes(max(0, io.at - len(content))))
    content[io.at : io.at + len(io.data)] = io.data


def put(image: Image, directory: Path) -> Path:
    """Write the files of an image; return the journal's path. What shared memory held is gone."""
    for name, data in image.files.items():
        if not name.endswith("-shm"):
            (directory / name).write_bytes(data)
    return directory / "journal.db"


def rows(path: Path) -> int:
    """Count the rows that SQLite finds after its own recovery; 0 if there is no journal yet."""
    db = sqlite3.connect(path)
    try:
        (tables,) = db.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'journal'"
        ).fetchone()
        return int(db.execute("SELECT count(*) FROM journal").fetchone()[0]) if tables else 0
    except sqlite3.DatabaseError:
        return -1
    finally:
        db.close()


def a_run(seed: int) -> tuple[Story, list[int]]:
    """Return what is to be journalled, and in batches of which sizes."""
    chance, told = random.Random(seed), Story()
    told.tell(DaemonStarted(at_ns=T0_NS, version="0.1.0", epoch="abc"))
    sizes = [chance.randint(1, 12) for _ in range(BATCHES)]
    for number in range(sum(sizes)):
        told.tell(submit(number, group={"why": "x" * chance.randint(1, GROUP_BYTES_MAX)}))
        if chance.random() < 0.5:
            told.tell(acknowledged(number))
        if chance.random() < 0.2:
            told.tell(canceled(number))
    return told, sizes


async def recorded(directory: Path, seed: int, pragmas: tuple[str, ...] | None = None) -> list[Io]:
    """Let the journal itself write a run, on recorded files; return all that its disk was told."""
    vfs = Recorder(f"power-cut-{next(_numbers)}")

    def connect(path: str, **_: Any) -> Connection:
        return Connection(path.replace("mode=ro", "mode=rw"), vfs.name)

    told, sizes = a_run(seed)
    with (
        mock.patch.object(sqlite.aiosqlite, "connect", connect),
        mock.patch.object(store, "sync_directory", vfs.sync_directory),
        mock.patch.object(store, "PRAGMAS", pragmas or store.PRAGMAS),
    ):
        async with open_journal(directory / "journal.db", SystemClock(), **SMALL) as journal:
            at = 0
            for size in sizes:
                await journal.append(at + 1, told.entries[at : at + size])
                at += size
                vfs.acknowledge(at)
    return vfs.log


def lost(log: Sequence[Io], moments: set[int], seed: int) -> list[str]:
    """Cut the power at these moments of a log; return what was wrong afterwards."""
    wrong: list[str] = []
    for image in images(log, moments, random.Random(seed)):
        with tempfile.TemporaryDirectory() as directory:
            path = put(image, Path(directory))
            found = rows(path)
            if found < image.acknowledged:
                wrong.append(f"moment {image.moment}: {found} rows, {image.acknowledged} told")
            elif found and not (verdict := verify(path)).is_good:
                wrong.append(f"moment {image.moment}: {verdict.why}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description="cut the power at every write and sync of a run")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        log = asyncio.run(recorded(Path(directory), options.seed))
    wrong: list[str] = []
    for start in range(0, len(log), 100):
        wrong += lost(log, set(range(start, start + 100)), options.seed)
        sys.stdout.write(
            f"{min(start + 100, len(log))} of {len(log)} moments: {len(wrong)} wrong\n"
        )
        sys.stdout.flush()
    sys.stdout.write("".join(f"{each}\n" for each in wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
