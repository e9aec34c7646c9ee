"""
SQLite through aiosqlite: how connections are opened, closed and awaited.

Rule 1: of all connections to a file exactly one writes and checkpoints; the others are `mode=ro`.
Rule 2: an awaited statement is watched to its end, whoever is cancelled meanwhile (`finish`); where
        nobody may need its result any more, that end is brought about (`limited`).
Rule 3: no statement outlives the call that made it: results are fetched whole, in bounded pieces.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiosqlite

T = TypeVar("T")

STATEMENTS_MAX = 64
"""Compiled statements kept by a connection; an INSERT of many rows holds about 1 kB for each."""

BUSY_TIMEOUT_S = 5.0
INTERRUPT_EVERY_S = 0.05

FULL = "SQLITE_FULL"
INTERRUPTED = "SQLITE_INTERRUPT"
UNIQUE = "SQLITE_CONSTRAINT_UNIQUE"


def address(path: Path, mode: str) -> str:
    """Return SQLite's URI for a file: mode `rw` (must exist), `rwc` or `ro`."""
    return f"file:{quote(str(path.absolute()))}?mode={mode}"


@asynccontextmanager
async def connection(
    path: Path, mode: str, pragmas: tuple[str, ...] = ()
) -> AsyncGenerator[aiosqlite.Connection]:
    """
    Open a connection in autocommit mode and close it at the end, even when cancelled.

    aiosqlite's thread is no daemon thread: a connection left open would hang the exit.
    """
    db = aiosqlite.connect(
        address(path, mode),
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        cached_statements=STATEMENTS_MAX,
    )
    await finish(_opened(db))
    try:
        for pragma in pragmas:
            await db.execute_fetchall(f"PRAGMA {pragma}")
        yield db
    finally:
        await finish(db.close())


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """
    Await `work` to its end and return its result, even if the caller is cancelled meanwhile.

    The cancellation is then raised, after the end. Never wrap what may wait for ever.
    """
    task = asyncio.get_running_loop().create_task(work, name="finish")
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()
        raise cancelled
    return task.result()


async def limited(db: aiosqlite.Connection, statement: Coroutine[Any, Any, T], limit_s: float) -> T:
    """
    Await the only statement of a connection; it is interrupted at its limit, or if cancelled.

    Whatever is returned or raised, it has ended by then: its result, SQLite's INTERRUPTED, or the
    cancellation.
    """
    task = asyncio.get_running_loop().create_task(statement, name="limited")
    try:
        await asyncio.wait((task,), timeout=limit_s)
    finally:
        if not task.done():
            await finish(_interrupted(db, task))
    return task.result()


@lru_cache(maxsize=512)
def multi_row(insert: str, row: str, count: int, tail: str = "") -> str:
    """Return one INSERT of `count` rows: one step of SQLite, one hop, one transaction."""
    return f"{insert} VALUES {','.join([row] * count)}{tail}"


def placeholders(count: int) -> str:
    """Return the list that follows IN: (?,?,?)."""
    return f"({','.join('?' * count)})"


def code(error: sqlite3.Error) -> str:
    """Return SQLite's own name of an error, such as SQLITE_FULL."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether the file itself is broken, or never was a database."""
    return code(error).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


async def _interrupted(db: aiosqlite.Connection, task: asyncio.Task[Any]) -> None:
    while not task.done():
        # Again and again: one that its thread is only about to begin is not hit.
        await db.interrupt()
        await asyncio.wait((task,), timeout=INTERRUPT_EVERY_S)
    if not task.cancelled():
        task.exception()  # known to whoever asks: a caller that is cancelled does not


async def _opened(db: aiosqlite.Connection) -> None:
    await db
