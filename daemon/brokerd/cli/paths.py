"""Which journal: the one named, the config's, the running daemon's, the service's, the directory's own."""

import os
from pathlib import Path

from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Failure, Forbidden, Unreachable, Usage
from brokerd.errors import BrokerdError

SYSTEM_CONFIG = "/etc/brokerd/config.toml"
SYSTEM_STATE = "/var/lib/brokerd"
LOCAL_STATE = "var"
JOURNAL = "journal.db"


def journal_path(control: Control, path: str | None, config: str | None) -> Path:
    """Return a journal that exists; raise Failure saying how to name one."""
    if path and config:
        raise Usage("PATH and --config exclude each other")
    if path:
        found = path
    elif config:
        found = configured_journal(config)
    else:
        found = _running(control) or resting_journal()
    is_there = may_be_there(found)
    if is_there is None:
        why = f"the journal {found} may not be read"
        raise Forbidden(why, "run this as the daemon's user, or as root")
    if not is_there:
        raise Usage(f"there is no journal at {found}", "name it, or its --config")
    return Path(found)


def _running(control: Control) -> str | None:
    try:
        told = control.ask("daemon.info").get("journal")
    except Unreachable:
        return None
    return str(told) if told else None


def resting_journal() -> str:
    """Return where the journal is while no daemon says so: the service's if it is there."""
    service = f"{SYSTEM_STATE}/{JOURNAL}"
    return f"{LOCAL_STATE}/{JOURNAL}" if may_be_there(service) is False else service


def may_be_there(path: str | Path) -> bool | None:
    """Say whether a file is there; None if we may not look."""
    try:
        return Path(path).exists()
    except PermissionError:
        return None


def configured_journal(config: str) -> str:
    """
    Return the journal that a config.toml names; raise Failure if the file is not right.

    The unit's own file is read as the unit reads it: systemd's directory stands above what it says.
    """
    from brokerd.config.load import load_config  # noqa: PLC0415 - only --config pays for it

    try:
        return str(load_config(Path(config), {**_unit(config), **os.environ}).daemon.journal)
    except BrokerdError as error:
        raise Failure(error.what, error.hint or "", status=Exit.USAGE) from error


def _unit(config: str) -> dict[str, str]:
    is_its = Path(config).resolve() == Path(SYSTEM_CONFIG)
    has_run = is_its and may_be_there(f"{SYSTEM_STATE}/{JOURNAL}") is not False
    return {"STATE_DIRECTORY": SYSTEM_STATE} if has_run else {}
