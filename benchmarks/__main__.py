"""Measure, print a table, write bench.json: `python -m benchmarks [--only a,b] [--quick]`."""

import argparse
import os
import platform
import pstats
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks import crowd, latency, questions, startup, throughput, venue
from benchmarks.report import Row, say, table
from benchmarks.size import FULL, QUICK, Size
from brokerd import __version__
from brokerd.times import rfc3339

PARTS: dict[str, Callable[[Path, Size], list[Row]]] = {
    "a": latency.measure,
    "b": throughput.measure,
    "c": startup.measure,
    "d": crowd.measure,
    "e": venue.measure,
    "f": questions.measure,
}
ON_HISTORIES = {"c", "f"}
PROFILE_LINES = 25


def main(argv: list[str] | None = None) -> int:
    """Run the parts that were asked for; 0 whatever they measured: a miss is a number, not a crash."""
    options = _options(argv)
    size = QUICK if options.quick else FULL
    options.dir = options.dir.resolve()  # the daemon reads relative paths from its configuration
    options.dir.mkdir(parents=True, exist_ok=True)
    # What is measured starts afresh; only the histories of (c) and (f) are worth keeping.
    with tempfile.TemporaryDirectory(prefix="run-", dir=options.dir) as fresh:
        if options.profile:
            _profile(Path(fresh), size)
            return 0
        rows: list[Row] = []
        for part in options.only:
            say(str(sys.modules[PARTS[part].__module__].__doc__))
            rows += PARTS[part](options.dir if part in ON_HISTORIES else Path(fresh), size)
    print(table(rows))
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(_record(options, rows))))
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", type=_parts, default=list(PARTS), metavar="a,b,c,d,e,f")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE")
    parser.add_argument("--dir", type=Path, default=Path("build/bench"), help="on a real disk")
    parser.add_argument("--quick", action="store_true", help="a few seconds: does all of it run?")
    parser.add_argument("--profile", action="store_true", help="show where (b) spends its time")
    return parser.parse_args(argv)


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if unknown := set(parts) - PARTS.keys():
        raise argparse.ArgumentTypeError(f"{min(unknown)!r} is not one of {', '.join(PARTS)}")
    return parts


def _record(options: argparse.Namespace, rows: list[Row]) -> dict[str, object]:
    """Return what bench.json holds: the rows, and what they were measured on."""
    return {
        "brokerd": __version__,
        "at": rfc3339(time.time_ns()),
        "quick": options.quick,
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
        "rows": rows,
    }


def _profile(directory: Path, size: Size) -> None:
    path = throughput.profile(directory, size)
    stats = pstats.Stats(str(path), stream=sys.stdout)
    stats.sort_stats("tottime").print_stats(PROFILE_LINES)
    stats.sort_stats("cumtime").print_stats("brokerd", PROFILE_LINES)
    kept = shutil.copy(path, directory.parent / path.name)
    say(f"all of it is in {kept}")


if __name__ == "__main__":
    sys.exit(main())
