"""Check the host, the daemon and its journal: `brokerctl doctor`."""

from argparse import Namespace
from pathlib import Path

from brokerd.cli.arguments import Parser
from brokerd.cli.checks import (
    FAIL,
    OK,
    WARN,
    Check,
    check_daemon,
    check_disk,
    check_executor,
    check_modes,
    check_python,
    check_sqlite,
    check_tail,
    check_uvloop,
    installed,
)
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Failure
from brokerd.cli.jsontext import Record, as_records
from brokerd.cli.paths import configured_journal, resting_journal
from brokerd.cli.terminal import Column, plain_text
from brokerd.cli.views import member

_STYLES = {OK: "green", WARN: "yellow", FAIL: "red"}


def add_options(parser: Parser) -> None:
    """Declare which journal."""
    parser.add_argument("--config", metavar="FILE", help="look at the journal this one names")


def run(control: Control, options: Namespace) -> Exit:
    """Print every check with its fix; exit 5 if one failed. Runs without a daemon, too."""
    told, checks = _ask(control)
    if options.config:
        journal = Path(configured_journal(options.config))
    else:
        journal = Path(str(told.get("journal") or resting_journal()))
    checks = [
        check_python(),
        check_sqlite(),
        check_uvloop(installed("uvloop")),
        *check_disk(journal.parent),
        *check_modes(told.get("socket"), journal),
        check_tail(journal),
        *checks,
    ]
    rows = [check._asdict() for check in checks]
    if control.out.is_json:
        control.out.records(rows)
    else:
        title, *lines = control.out.layout(_COLUMNS, rows)
        print(title)
        for line, check in zip(lines, checks, strict=True):
            print(line)
            if check.fix:
                print(control.out.paint(f"    {plain_text(check.fix)}", "dim"))
    return Exit.CHECK_FAILED if any(check.verdict == FAIL for check in checks) else Exit.DONE


def _ask(control: Control) -> tuple[Record, list[Check]]:
    """Return what the daemon tells of itself, and the checks of it and its executors."""
    try:
        told = control.ask("daemon.info")
        executors = as_records(control.ask("executor.list").get("executors"))
    except Failure as failure:
        return {}, [Check("daemon", FAIL, failure.what, failure.hint)]
    of_executors = [check for executor in executors for check in check_executor(executor)]
    return told, [*check_daemon(told), *of_executors]


_COLUMNS = [
    Column("check", member("name")),
    Column("verdict", member("verdict"), style=_STYLES.get),
    Column("measured", member("measured")),
]
