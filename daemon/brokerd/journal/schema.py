"""
What a journal file looks like, and how its rows hold on to each other.

Each row's hash covers the hash before it, its own seq and its body; the first one covers the
journal's random id. The other columns repeat what the body says, for SQLite's indexes and for
people with a SQL prompt.
"""

import sqlite3
from collections.abc import Iterable
from hashlib import sha256
from typing import get_args

import msgspec

from brokerd.errors import ConfigError, JournalError
from brokerd.events import AnyEvent, Event, decode_entry
from brokerd.storage import Row

APPLICATION_ID = 0x62726B64
"""The letters "brkd" in the file's header: what `file` shows, and how we know our own."""

SCHEMA_VERSION = 1


def _append_only(table: str, verb: str) -> str:
    return (
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
        " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    )


SCHEMA = {
    "table meta": "CREATE TABLE meta (journal_id TEXT NOT NULL, created_at_ns INTEGER NOT NULL)",
    "table journal": """CREATE TABLE journal (
        seq INTEGER PRIMARY KEY,
        at_ns INTEGER NOT NULL,
        event TEXT NOT NULL,
        cl_ord_id TEXT,
        body TEXT NOT NULL,
        hash BLOB NOT NULL)""",
    "index journal_cl_ord_id": """CREATE UNIQUE INDEX journal_cl_ord_id
        ON journal (cl_ord_id) WHERE event = 'order_submitted'""",
    "trigger journal_no_gap": """CREATE TRIGGER journal_no_gap BEFORE INSERT ON journal
        WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM journal)
        BEGIN SELECT RAISE(ABORT, 'seq is not the next one'); END""",
    "trigger journal_no_update": _append_only("journal", "UPDATE"),
    "trigger journal_no_delete": _append_only("journal", "DELETE"),
    "trigger meta_no_update": _append_only("meta", "UPDATE"),
    "trigger meta_no_delete": _append_only("meta", "DELETE"),
}

SELECT_ROWS = "SELECT seq, CAST(body AS BLOB), hash FROM journal"
"""As bytes, the very ones that were hashed, even where they are no longer UTF-8."""

SELECT_MARKS = (
    "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
    " FROM pragma_application_id, pragma_user_version"
)
SELECT_SCHEMA = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
SELECT_META = "SELECT journal_id FROM meta"

TAGS: dict[type[Event], str] = {
    kind: str(kind.__struct_config__.tag) for kind in get_args(AnyEvent)
}


def genesis(journal_id: str) -> bytes:
    """Return the hash that the first row follows."""
    return sha256(journal_id.encode()).digest()


def link(previous: bytes, seq: int, body: bytes) -> bytes:
    """Return the hash of a row: SHA-256 of the hash before, seq as 8 big-endian bytes, the body."""
    return sha256(b"".join((previous, seq.to_bytes(8, "big"), body))).digest()


def columns(event: Event) -> tuple[int, str, str | None]:
    """Return what the columns at_ns, event and cl_ord_id repeat of an event."""
    return event.at_ns, TAGS[type(event)], getattr(event, "cl_ord_id", None)


def decode_row(seq: int, body: bytes, digest: bytes) -> Row:
    """Return a row as a record; JournalError if the body is not one of ours."""
    try:
        return Row(seq, decode_entry(body), body, digest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise untrusted(seq, f"its body is not an entry: {error}") from error


def untrusted(seq: int, why: str) -> JournalError:
    """Return the error that says which row is bad, and why."""
    return JournalError(
        f"row {seq} of the journal cannot be trusted: {why}",
        reason="journal_damaged",
        hint="keep the file, restore a copy that verifies, and reconcile with the venues",
        seq=seq,
    )


def is_new(marks: tuple[int, int, int], path: str) -> bool:
    """
    Say whether a database with these SELECT_MARKS is empty rather than a journal.

    Raises ConfigError for somebody else's database and for a journal of another version.
    """
    application_id, version, objects = marks
    if not objects:
        return True
    if application_id != APPLICATION_ID:
        raise ConfigError(
            f"{path} is a SQLite database, but no journal of brokerd",
            reason="not_a_journal",
            field="journal",
            hint="set another journal path",
        )
    if version != SCHEMA_VERSION:
        raise ConfigError(
            f"{path} is a journal of version {version}, this brokerd writes {SCHEMA_VERSION}",
            reason="journal_version",
            field="journal",
            hint="run the brokerd that wrote it, or set another journal path",
        )
    return False


def check_schema(statements: Iterable[str]) -> None:
    """Raise JournalError if a table, index or trigger of ours is gone or was changed."""
    found = set(statements)
    for name, statement in SCHEMA.items():
        if statement not in found:
            raise JournalError(
                f"the journal's schema was changed: its {name} is not as it was made",
                reason="journal_schema_changed",
                hint="keep the file and find out who changed it",
            )


def creation(journal_id: str, created_at_ns: int) -> str:
    """Return the script that makes an empty database a journal, all of it or nothing."""
    return ";\n".join(
        (
            "BEGIN IMMEDIATE",
            *SCHEMA.values(),
            f"INSERT INTO meta VALUES ('{journal_id}', {created_at_ns:d})",  # noqa: S608 - our own hex digits
            f"PRAGMA application_id = {APPLICATION_ID}",
            f"PRAGMA user_version = {SCHEMA_VERSION}",
            "COMMIT",
        )
    )


_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)


def authorize(
    action: int, first: str | None, _second: str | None, _schema: str | None, _trigger: str | None
) -> int:
    """Let the writer read, append and checkpoint: SQLite asks this for every statement it compiles."""
    if (
        action in _ALLOWED
        or (action == sqlite3.SQLITE_INSERT and first == "journal")
        or (action == sqlite3.SQLITE_PRAGMA and first == "wal_checkpoint")
    ):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
