"""
What the doctor looks at, a function each: it measures one thing and says what to do about it.

Verdicts: `ok`; `warn` for what costs or will hurt; `fail` for what must not stay so.
"""

import os
import sqlite3
import stat
import sys
import tempfile
import time
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise, takewhile
from pathlib import Path
from typing import NamedTuple

from brokerd.cli.jsontext import Record, as_record
from brokerd.cli.paths import may_be_there
from brokerd.cli.views import number
from brokerd.journal.schema import SELECT_META, SELECT_ROWS, genesis, link

OK, WARN, FAIL = "ok", "warn", "fail"

SQLITE_FIXED = (3, 51, 3)
UVLOOP_MIN = (0, 23)
PYTHON_MIN = (3, 11)

SYNC_TRIES = 20
SYNC_BYTES = 4096
SYNC_SLOW_S = 0.010
FREE_WARN_BYTES = 1 << 30
FREE_FAIL_BYTES = 128 << 20
TAIL_ROWS = 1_000
CLOCK_WARN_S, CLOCK_FAIL_S = 0.25, 1.0


class Check(NamedTuple):
    """One row of the doctor's: what was looked at, the verdict, the measurement, the fix."""

    name: str
    verdict: str
    measured: str
    fix: str = ""


def check_python() -> Check:
    """The interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= PYTHON_MIN:
        return Check("python", OK, found)
    return Check("python", FAIL, found, "install Python 3.11 or newer")


def check_sqlite(found: str = sqlite3.sqlite_version) -> Check:
    """Before 3.51.3 two connections that write or checkpoint may corrupt a WAL (the WAL-reset bug)."""
    if _numbers(found) >= SQLITE_FIXED:
        return Check("sqlite", OK, found)
    return Check(
        "sqlite",
        WARN,
        f"{found}: has the WAL-reset bug, fixed in 3.51.3",
        "safe while only brokerd writes: open the journal with mode=ro in everything else",
    )


def check_uvloop(found: str | None) -> Check:
    """Version 0.22 closes file descriptors twice."""
    if found is None:
        return Check("uvloop", FAIL, "not installed", "install brokerd's locked dependencies")
    if _numbers(found) >= UVLOOP_MIN:
        return Check("uvloop", OK, found)
    return Check("uvloop", FAIL, f"{found}: closes descriptors twice", "install uvloop 0.23")


def check_disk(directory: Path) -> list[Check]:
    """How long a durable write takes on the journal's disk, and how much room there is."""
    try:
        free = os.statvfs(directory)
        sync_s = _sync_time_s(directory)
    except OSError as error:
        why = f"{directory}: {error.strerror}"
        return [Check("journal disk", WARN, why, "run this as the daemon's user")]
    free_bytes = free.f_bavail * free.f_frsize
    return [judged_sync(sync_s), judged_room(free_bytes)]


def _sync_time_s(directory: Path) -> float:
    """Return the median time of a small write and its fdatasync, in a file without a name."""
    times_s: list[float] = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(SYNC_TRIES):
            began_s = time.perf_counter()
            file.write(bytes(SYNC_BYTES))
            os.fdatasync(file.fileno())
            times_s.append(time.perf_counter() - began_s)
    return sorted(times_s)[SYNC_TRIES // 2]


def judged_sync(sync_s: float) -> Check:
    """Every order waits for one durable write."""
    measured = f"{sync_s * 1000:.2f} ms, median of {SYNC_TRIES}"
    if sync_s <= SYNC_SLOW_S:
        return Check("sync time", OK, measured)
    fix = "every order waits this long: put the journal on a disk of its own, SSD or NVMe"
    return Check("sync time", WARN, measured, fix)


def judged_room(free_bytes: int) -> Check:
    """The daemon keeps the last of the disk for fills and cancels."""
    measured = f"{free_bytes / (1 << 30):,.1f} GiB free"
    if free_bytes >= FREE_WARN_BYTES:
        return Check("free space", OK, measured)
    verdict = WARN if free_bytes >= FREE_FAIL_BYTES else FAIL
    return Check("free space", verdict, measured, "make room: a full disk stops new orders")


def check_modes(socket: str | None, journal: Path) -> list[Check]:
    """Who may reach the socket, and who may write the journal behind the daemon's back."""
    checks: list[Check] = []
    if socket:
        path = Path(socket)
        checks.append(_judged_mode("socket", path, stat.S_IWOTH, "chmod o-w"))
        checks.append(_judged_mode("socket directory", path.parent, stat.S_IWOTH, "chmod o-w"))
    by_others = stat.S_IWGRP | stat.S_IWOTH
    checks.append(_judged_mode("journal directory", journal.parent, stat.S_IWOTH, "chmod o-w"))
    if may_be_there(journal) is not False:
        checks.append(_judged_mode("journal file", journal, by_others, "chmod go-w"))
    return checks


def _judged_mode(name: str, path: Path, forbidden: int, fix: str) -> Check:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return Check(name, WARN, f"{path}: {error.strerror}", "run this as the daemon's user")
    if mode & forbidden:
        # In a sticky directory nobody can take away what is there, only be there first.
        verdict = WARN if mode & stat.S_ISVTX else FAIL
        return Check(name, verdict, f"{path} has mode {mode:04o}", f"{fix} {path}")
    return Check(name, OK, f"mode {mode:04o}")


def check_tail(journal: Path) -> Check:
    """Whether the newest rows of the journal still hash to what was written."""
    name, fix = "journal tail", f"brokerctl journal verify {journal}"
    if may_be_there(journal) is None:
        return Check(name, WARN, f"{journal} may not be read", "run this as the daemon's user")
    if not journal.exists():
        return Check(name, WARN, f"there is no {journal}", "name the journal by its --config")
    try:
        rows = _tail(journal)
    except sqlite3.Error as error:
        return Check(name, FAIL, f"cannot be read: {error}", fix)
    for (before, _, previous), (seq, body, digest) in pairwise(rows):
        if seq != before + 1 or link(previous, seq, body) != digest:
            why = f"row {seq} is not what was written after row {before}"
            return Check(name, FAIL, why, fix)
    return Check(name, OK, f"{len(rows) - 1:,} rows verified, up to seq {rows[-1][0]:,}")


def _tail(journal: Path) -> list[tuple[int, bytes, bytes]]:
    """Return seq, body and hash of the newest rows, oldest first, led by what they follow."""
    query = f"{SELECT_ROWS} ORDER BY seq DESC LIMIT {TAIL_ROWS + 1}"
    with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)) as db:
        rows: list[tuple[int, bytes, bytes]] = db.execute(query).fetchall()[::-1]
        if len(rows) <= TAIL_ROWS:
            (journal_id,) = db.execute(SELECT_META).fetchone()
            rows.insert(0, (0, b"", genesis(journal_id)))
    return rows


def check_daemon(told: Record) -> list[Check]:
    """What the daemon says of itself: does it take orders, does it drop log lines, is it in doubt."""
    checks = [Check("daemon", OK, f"version {told.get('version')}, seq {told.get('seq')}")]
    if told.get("accepts_orders") is False:
        fix = "brokerctl executors tells why, or make room on the journal's disk"
        checks.append(Check("new orders", FAIL, "refused", fix))
    dropped = int(number(told.get("log_lines_dropped")) or 0)
    fix = "whoever reads the log is too slow: log to journald or a file"
    checks.append(
        Check("log lines dropped", WARN if dropped else OK, str(dropped), fix * bool(dropped))
    )
    step_s = number(told.get("clock_step_s")) or 0.0
    if abs(step_s) > CLOCK_FAIL_S:
        fix = "times on record go on without the step; the next start takes up the new time"
        checks.append(Check("clock was set", WARN, f"{step_s:+,.1f} s since the start", fix))
    doubts = int(number(as_record(told.get("orders")).get("in_doubt")) or 0)
    fix = "brokerctl orders marks them with ?; brokerctl order --check ID asks the venue"
    checks.append(Check("orders in doubt", WARN if doubts else OK, str(doubts), fix * bool(doubts)))
    return checks


def check_executor(told: Record) -> list[Check]:
    """Whether an executor's link is up, and whether its clock agrees with ours."""
    name = f"executor {told.get('name')}"
    state = str(told.get("state"))
    measured = f"{state} {told.get('reason') or ''}".strip()
    fixes = {
        "frozen": "look at brokerctl tail, the log and the account, then: brokerctl thaw",
        "down": "it reconnects by itself; is the venue reachable from here?",
    }
    verdict = {"up": OK, "frozen": FAIL}.get(state, WARN)
    checks = [Check(name, verdict, measured, fixes.get(state, "" if state == "up" else "wait"))]
    offset_s = number(told.get("clock_offset_s"))
    if offset_s is not None:
        checks.append(judged_clock(f"{name} clock", offset_s, number(told.get("clock_error_s"))))
    if told.get("paused_until"):
        measured = f"until {told['paused_until']}: {told.get('pause_reason')}"
        fix = "the venue wants to be left alone until then; does anything else use its key?"
        checks.append(Check(f"{name} pause", WARN, measured, fix))
    return checks


def judged_clock(name: str, offset_s: float, error_s: float | None = None) -> Check:
    """Venues refuse requests signed too far from their own time."""
    within = f" within {error_s * 1000:,.0f} ms" if error_s is not None else ""
    measured = f"{offset_s * 1000:+,.0f} ms{within} against the venue"
    if abs(offset_s) <= CLOCK_WARN_S:
        return Check(name, OK, measured)
    verdict = WARN if abs(offset_s) <= CLOCK_FAIL_S else FAIL
    return Check(name, verdict, measured, "set the host's clock by NTP: timedatectl set-ntp true")


def installed(package: str) -> str | None:
    """Return an installed package's version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    """Read the leading numbers of a version: "0.23.0rc1" -> (0, 23)."""
    return tuple(int(part) for part in takewhile(str.isdecimal, text.split(".")))
