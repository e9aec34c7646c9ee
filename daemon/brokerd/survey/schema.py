"""
The tables of the survey's file, and how it is opened: one that cannot be used is made anew.

`samples` has what each order adds to every figure; `singles` says which of them are in no block.
A block of level 0 names its `members`; FANOUT blocks of a level are the children of one above.
`cells` has a block's tallies by some `dims`. `keys` are the terms that tell orders apart, with how
many `orders` have them, and `key_tags` finds them by one of those; `names` are the group keys in the
order they were first seen.
"""

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

from brokerd.history.schema import SHAPE as HISTORY_SHAPE
from brokerd.journal.sqlite import address
from brokerd.stats.sample import SPREADS, SUMS

BLOCK_ORDERS = 1_024
FANOUT = 8

SCHEMA = """
CREATE TABLE meta (shape TEXT, journal_id TEXT, followed_seq INTEGER);
CREATE TABLE keys (id INTEGER PRIMARY KEY, orders INTEGER NOT NULL, key TEXT NOT NULL UNIQUE);
CREATE TABLE key_tags (name TEXT, value TEXT, key INTEGER,
    PRIMARY KEY (name, value, key)) WITHOUT ROWID;
CREATE TABLE names (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE samples (no INTEGER PRIMARY KEY, key INTEGER NOT NULL, created INTEGER NOT NULL,
    closed INTEGER, filled INTEGER, status TEXT NOT NULL, ord_status TEXT NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX samples_created ON samples (created);
CREATE INDEX samples_closed ON samples (closed) WHERE closed IS NOT NULL;
CREATE INDEX samples_filled ON samples (filled) WHERE filled IS NOT NULL;
CREATE INDEX samples_key ON samples (key, created, closed, filled, status, ord_status);
CREATE TABLE singles (no INTEGER PRIMARY KEY, series INTEGER NOT NULL, due INTEGER);
CREATE INDEX singles_series ON singles (series, no);
CREATE INDEX singles_due ON singles (due) WHERE due IS NOT NULL;
CREATE TABLE blocks (id INTEGER PRIMARY KEY, level INTEGER NOT NULL, series INTEGER NOT NULL,
    parent INTEGER, dims TEXT NOT NULL, no_from INTEGER NOT NULL, no_to INTEGER NOT NULL,
    created_from INTEGER, created_to INTEGER, closed_from INTEGER, closed_to INTEGER,
    filled_from INTEGER, filled_to INTEGER, members BLOB);
CREATE INDEX blocks_parent ON blocks (parent, series, level);
CREATE TABLE cells (block INTEGER, dims TEXT, size INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (block, dims));
CREATE TABLE shapes (dims TEXT PRIMARY KEY, asked INTEGER NOT NULL) WITHOUT ROWID;
"""

FORMAT = 2
"""Raised when bodies are written another way."""

_LAID_OUT = (SCHEMA, FORMAT, HISTORY_SHAPE, SUMS, SPREADS, BLOCK_ORDERS)
SHAPE = sha256(repr(_LAID_OUT).encode()).hexdigest()
"""What the file looks like: one of another shape is made anew, not read."""

PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "cache_size = -64000",
    "wal_autocheckpoint = 8000",
    "temp_store = MEMORY",
)
SUFFIXES = ("", "-wal", "-shm")


@contextmanager
def opened(path: Path, journal_id: str, applied_seq: int) -> Generator[sqlite3.Connection]:
    """Open the survey of a journal whose read model has come as far as `applied_seq`."""
    if not _is_usable(path, journal_id, applied_seq):
        remove(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    with closing(sqlite3.connect(path, isolation_level=None)) as own:
        for pragma in PRAGMAS:
            own.execute(f"PRAGMA {pragma}")
        if not own.execute("SELECT 1 FROM sqlite_master").fetchall():
            own.executescript(f"BEGIN IMMEDIATE;{SCHEMA}COMMIT")
            own.execute("INSERT INTO meta VALUES (?, ?, 0)", (SHAPE, journal_id))
        yield own


def remove(path: Path) -> None:
    """Remove the survey, to be made anew."""
    for suffix in SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _is_usable(path: Path, journal_id: str, applied_seq: int) -> bool:
    try:
        with closing(sqlite3.connect(address(path, "ro"), uri=True)) as own:
            ((shape, followed_id, seq),) = own.execute("SELECT * FROM meta").fetchall()
    except (sqlite3.Error, ValueError):
        return False
    return bool((shape, followed_id) == (SHAPE, journal_id) and seq <= applied_seq)
