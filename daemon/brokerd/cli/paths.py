"""Which journal: the one named, the config's, the running daemon's, or the directory's own."""

import os
from pathlib import Path

from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Failure, Forbidden, Unreachable, Usage
from brokerd.errors import BrokerdError

LOCAL_JOURNAL = "var/journal.db"


def journal_path(control: Control, path: str | None, config: str | None) -> Path:
    """Return a journal that exists; raise Failure saying how to name one."""
    if path and config:
        raise Usage("PATH and --config exclude each other")
    if path:
        found = path
    elif config:
        found = configured_journal(config)
    else:
        found = _running(control) or LOCAL_JOURNAL
    try:
        is_there = Path(found).exists()
    except PermissionError:
        why = f"the journal {found} may not be read"
        raise Forbidden(why, "run this as the daemon's user, or as root") from None
    if not is_there:
        raise Usage(f"there is no journal at {found}", "name it, or its --config")
    return Path(found)


def _running(control: Control) -> str | None:
    try:
        told = control.ask("daemon.info").get("journal")
    except Unreachable:
        return None
    return str(told) if told else None


def configured_journal(config: str) -> str:
    """Return the journal that a config.toml names; raise Failure if the file is not right."""
    from brokerd.config.load import load_config  # noqa: PLC0415 - only --config pays for it

    try:
        return str(load_config(Path(config), os.environ).daemon.journal)
    except BrokerdError as error:
        raise Failure(error.what, error.hint or "", status=Exit.USAGE) from error
