"""
Overrides: BROKERD_DAEMON__SOCKET=... in the environment stands above `socket` in the file.

Levels are parted by two underscores; letter case does not count, and "-" and "_" are the same, so
that BROKERD_EXECUTORS__BINANCE_MAIN__ADAPTER reaches [executors.binance-main]. A value is read as
TOML; what TOML cannot read is text.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from brokerd.config.settings import Key, Problem, parse_toml
from brokerd.words import suggest

PREFIX = "BROKERD_"

ELSEWHERE = frozenset({"BROKERD_CONFIG", "BROKERD_SOCKET"})
"""Variables of ours that are no keys: where the config file is, and where clients find the socket."""


def apply_overrides(
    table: dict[str, Any], environ: Mapping[str, str], daemon_keys: Iterable[str]
) -> tuple[dict[Key, str], list[Problem]]:
    """
    Put the environment's values into `table`, in place.

    Returns which variable each overridden key came from, and a problem for each variable that
    names no key.
    """
    origins: dict[Key, str] = {}
    problems: list[Problem] = []
    for name in sorted(set(environ) - ELSEWHERE):
        if not name.startswith(PREFIX):
            continue
        key = _key(name, table)
        target = _table_at(table, key[:-1]) if key else None
        if key is None or target is None:
            problems.append(Problem((), _names_nothing(name, table, daemon_keys)))
            continue
        target[key[-1]] = _value(environ[name])
        origins[key] = name
    return origins, problems


def _key(name: str, table: Mapping[str, Any]) -> Key | None:
    """Return where a variable's value belongs, in the file's own spelling; None if nowhere."""
    section, *rest = (part.lower() for part in name.removeprefix(PREFIX).split("__"))
    is_daemon = section == "daemon" and len(rest) == 1
    is_executor = section == "executors" and len(rest) >= 2
    if not all(rest) or not (is_daemon or is_executor):
        return None
    level = _table(table.get(section))
    key = [section]
    for part in rest:
        key.append(next((one for one in level if _same(one, part)), part))
        level = _table(level.get(key[-1]))
    return tuple(key) if is_daemon or key[1] in _table(table.get(section)) else None


def _table(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _same(one: str, other: str) -> bool:
    return one.lower().replace("-", "_") == other.replace("-", "_")


def _table_at(table: dict[str, Any], key: Key) -> dict[str, Any] | None:
    level: Any = table
    for part in key:
        level = cast("dict[str, Any]", level).setdefault(part, {})
        if not isinstance(level, dict):
            return None
    return cast("dict[str, Any]", level)


def _value(text: str) -> Any:
    try:
        values = parse_toml(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # "1\nmore = 2" is a document, not a value.
    return values["value"] if len(values) == 1 else text


def _names_nothing(name: str, table: Mapping[str, Any], daemon_keys: Iterable[str]) -> str:
    known = [f"daemon__{key}" for key in daemon_keys]
    executors = (name.replace("-", "_") for name in _table(table.get("executors")))
    known += [f"executors__{name}__adapter" for name in executors]
    near = suggest(name, [f"{PREFIX}{key.upper()}" for key in known])
    return f"${name} names no key of this configuration; {near}"
