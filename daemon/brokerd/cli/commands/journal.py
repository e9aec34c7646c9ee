"""Verify or export the journal: `brokerctl journal verify`, `brokerctl journal export > f`."""

import sys
from argparse import Namespace
from pathlib import Path

from brokerd.cli.arguments import Parser, count
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Failure
from brokerd.cli.paths import journal_path
from brokerd.cli.progress import Progress
from brokerd.errors import BrokerdError


def add_options(parser: Parser) -> None:
    """Declare what to do, and to which journal."""
    add = parser.add_argument
    add(
        "action",
        choices=("verify", "export"),
        metavar="verify|export",
        help="prove every row, or print each as JSON",
    )
    add("path", nargs="?", metavar="PATH", help="the running daemon's journal if left out")
    add("--config", metavar="FILE", help="the journal that this config.toml names")
    add("--after-seq", type=count, default=0, metavar="N", help="export only what is behind row N")


def run(control: Control, options: Namespace) -> Exit:
    """Read the journal, read-only; the daemon may be running on it."""
    path = journal_path(control, options.path, options.config)
    if options.action == "export":
        return _export(path, options.after_seq)
    return _verify(control, path)


def _export(path: Path, after_seq: int) -> Exit:
    from brokerd.journal.audit import export  # noqa: PLC0415 - verify and export alone need it

    try:
        with Progress("rows") as progress:
            export(path, sys.stdout.buffer, progress, after_seq=after_seq)
    except BrokerdError as error:
        raise Failure(error.what, error.hint or "", status=Exit.CHECK_FAILED) from error
    return Exit.DONE


def _verify(control: Control, path: Path) -> Exit:
    from brokerd.journal.audit import verify  # noqa: PLC0415 - verify and export alone need it

    try:
        with Progress("rows") as progress:
            verdict = verify(path, progress)
    except BrokerdError as error:
        raise Failure(error.what, error.hint or "", status=Exit.CHECK_FAILED) from error
    told = {
        "journal": str(path),
        "verified": verdict.is_good,
        "rows": verdict.rows,
        "first_bad": verdict.bad_seq,
        "why": verdict.why,
        "head_hash": verdict.head,
    }
    if control.out.is_json:
        control.out.record(told)
    else:
        control.out.card(told)
    return Exit.DONE if verdict.is_good else Exit.CHECK_FAILED
