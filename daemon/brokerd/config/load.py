"""
Configuration: config.toml, the environment and systemd -> one frozen `Config`.

Rule 1: what stands highest wins: BROKERD_... variables, systemd's directories, the file, defaults.
Rule 2: a key nobody knows is refused, with the one that was probably meant.
Rule 3: no secret is ever in it: executors name a credential file instead.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from msgspec import Meta, Struct
from msgspec.structs import replace

from brokerd.config.overrides import apply_overrides
from brokerd.config.settings import Key, Problem, config_error, decode, read_toml
from brokerd.config.wording import reference_table
from brokerd.errors import ConfigError
from brokerd.limits import Limits
from brokerd.secrets import has_secret, is_secret_key
from brokerd.words import suggest

T = TypeVar("T", bound=Struct)

SOCKET_BYTES_MAX = 107
"""What fits into sockaddr_un (unix(7))."""

EXECUTOR_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
PLACES = (Path("config.toml"), Path("/etc/brokerd/config.toml"))


class DaemonConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of [daemon]; paths are absolute once loaded."""

    socket: Annotated[
        Path, Meta(description="Unix socket that bots connect to; at most 107 bytes long")
    ] = Path("var/brokerd.sock")
    journal: Annotated[
        Path, Meta(description="the journal, a SQLite file on a disk that honours fsync")
    ] = Path("var/journal.db")
    credentials_dir: Annotated[
        Path | None, Meta(description="where the executors' credential files are")
    ] = None
    log_format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="auto is console on a terminal, JSON elsewhere"),
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="the least severe lines that are written"),
    ] = "info"
    request_deadline_s: Annotated[
        float,
        Meta(ge=0.1, le=300, description="how long a venue may take to answer before we doubt"),
    ] = 10.0
    retry_window_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="how long an order that was certainly not sent is tried again before it is rejected",
        ),
    ] = 10.0
    poll_floor_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="the longest time between two looks at a venue, however well its stream does",
        ),
    ] = 30.0
    shutdown_grace_s: Annotated[
        float,
        Meta(ge=0, le=300, description="how long a stop waits for the answers still on their way"),
    ] = 10.0
    stall_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="how long a bot may leave its answers unread before it is cut off",
        ),
    ] = 30.0
    inbox_max: Annotated[
        int,
        Meta(
            ge=16,
            le=1_000_000,
            description="commands and reports waiting; above it bots are told busy",
        ),
    ] = 4096
    connections_max: Annotated[
        int, Meta(ge=1, le=65_536, description="bots connected at the same time")
    ] = 256
    in_flight_max: Annotated[
        int, Meta(ge=1, le=65_536, description="unanswered requests per connection")
    ] = 256
    orders_in_memory_max: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="recently closed orders kept at hand; older ones are read from disk",
        ),
    ] = 10_000
    reserve_free_mb: Annotated[
        int,
        Meta(
            ge=1,
            le=1_048_576,
            description="free space (MiB) below which new orders are refused, so that fills still fit",
        ),
    ] = 64


class ExecutorConfig(Struct, frozen=True, kw_only=True):
    """
    One [executors.NAME]: the adapter's name, and its settings, which only the adapter can read.

    Numbers with a point are Decimals in `settings`; see `Config.settings`.
    """

    adapter: Annotated[
        str, Meta(min_length=1, max_length=32, description="the code that speaks to the venue")
    ]
    limits: Annotated[
        Limits | None, Meta(description="a table of limits, see below; none without it")
    ] = None
    settings: dict[str, Any] = {}


class Config(Struct, frozen=True, kw_only=True):
    """
    Everything that was configured.

    `path` is the file as it was named; other files' relative paths start at `base_dir`.
    `origins` says which keys came from the environment, and from which variable.
    """

    daemon: DaemonConfig
    executors: dict[str, ExecutorConfig]
    path: Path
    base_dir: Path
    origins: dict[Key, str] = {}

    def settings(self, name: str, kind: type[T]) -> T:
        """Read the settings of executor `name` as its adapter's own type, or raise ConfigError."""
        source, settings = str(self.path), self.executors[name].settings
        return decode_settings(name, kind, settings, source=source, origins=self.origins)


def find_config(argument: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file to read: --config, $BROKERD_CONFIG, ./config.toml, /etc/brokerd/config.toml."""
    named = argument or environ.get("BROKERD_CONFIG")
    if named:
        return Path(named)
    for place in PLACES:
        if place.exists():
            return place
    raise ConfigError(
        f"there is no configuration: neither {' nor '.join(str(place) for place in PLACES)} exists",
        hint="name a file with --config or $BROKERD_CONFIG",
    )


def load_config(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """
    Read and check the whole configuration.

    Raises ConfigError with one line for each thing that is wrong.
    """
    table = read_toml(path)
    base_dir = path.absolute().parent
    known = DaemonConfig.__struct_encode_fields__
    origins, problems = apply_overrides(table, environ, known)
    problems += _drop_secrets(table, ())
    problems += [
        Problem((name,), f"is not a known table; {suggest(name, ['daemon', 'executors'])}")
        for name in table
        if name not in {"daemon", "executors"}
    ]
    daemon, found = _decode_daemon(table.get("daemon", {}), base_dir, environ, origins)
    executors, more = _decode_executors(table.get("executors", {}))
    problems += found + more
    if problems or daemon is None:
        raise config_error(str(path), problems, origins)
    return Config(daemon=daemon, executors=executors, path=path, base_dir=base_dir, origins=origins)


def decode_settings(
    name: str,
    kind: type[T],
    settings: Mapping[str, Any],
    *,
    source: str = "config.toml",
    origins: Mapping[Key, str] | None = None,
) -> T:
    """Read the settings of one executor as `kind`; raise ConfigError with all that is wrong."""
    value, problems = decode(kind, settings, ("executors", name))
    if value is None:
        raise config_error(source, problems, origins or {})
    return value


def config_reference(adapters: Mapping[str, type[Struct]] | None = None) -> str:
    """Return markdown tables of all keys, those of the given adapters included."""
    parts = [
        f"### `[daemon]`\n\n{reference_table(DaemonConfig)}",
        f"### `[executors.NAME]`\n\n{reference_table(ExecutorConfig, without={'settings', 'limits'})}",
        f"### `[executors.NAME.limits]`\n\n{reference_table(Limits)}",
    ]
    for adapter, kind in (adapters or {}).items():
        parts.append(
            f'### `[executors.NAME]` with `adapter = "{adapter}"`\n\n{reference_table(kind, without={"adapter"})}'
        )
    return "\n\n".join(parts) + "\n"


def _decode_daemon(
    table: Any, base_dir: Path, environ: Mapping[str, str], origins: Mapping[Key, str]
) -> tuple[DaemonConfig | None, list[Problem]]:
    if not isinstance(table, dict):
        return None, [Problem(("daemon",), "must be a table")]
    daemon, problems = decode(DaemonConfig, cast("dict[str, Any]", table), ("daemon",))
    if daemon is None:
        return None, problems
    paths = {name: getattr(daemon, name) for name in _SYSTEMD}
    for name, (variable, file) in _SYSTEMD.items():
        directory = environ.get(variable, "").split(":")[0]
        if directory and ("daemon", name) not in origins:
            paths[name] = Path(directory) / file
    absolute = {name: path and base_dir / path for name, path in paths.items()}
    daemon = replace(daemon, **absolute)
    length = len(os.fsencode(daemon.socket))
    if length > SOCKET_BYTES_MAX:
        what = f"is {length} bytes long as {daemon.socket}, and a Unix socket's path ends at {SOCKET_BYTES_MAX}; choose a shorter one such as /run/brokerd/brokerd.sock"
        return None, [Problem(("daemon", "socket"), what)]
    return daemon, []


_SYSTEMD = {
    "socket": ("RUNTIME_DIRECTORY", "brokerd.sock"),
    "journal": ("STATE_DIRECTORY", "journal.db"),
    "credentials_dir": ("CREDENTIALS_DIRECTORY", ""),
}
"""Paths that systemd's directories stand above (systemd.exec(5)), and the file's name inside."""


def _decode_executors(tables: Any) -> tuple[dict[str, ExecutorConfig], list[Problem]]:
    if not isinstance(tables, dict) or not tables:
        what = 'needs at least one table, such as [executors.paper] with adapter = "paper"'
        return {}, [Problem(("executors",), what)]
    executors: dict[str, ExecutorConfig] = {}
    problems: list[Problem] = []
    for name, table in cast("dict[str, Any]", tables).items():
        key = ("executors", name)
        if EXECUTOR_NAME.fullmatch(name) is None:
            what = 'is no name for an executor: use a-z, 0-9 and "-", at most 32 of them, "-" not first'
            problems.append(Problem(key, what))
        elif not isinstance(table, dict):
            problems.append(Problem(key, f"must be a table: [executors.{name}]"))
        else:
            settings = dict(cast("dict[str, Any]", table))
            own: dict[str, Any] = {
                k: settings.pop(k) for k in ("adapter", "limits") if k in settings
            }
            executor, found = decode(ExecutorConfig, {**own, "settings": settings}, key)
            problems += found
            if executor is not None:
                executors[name] = executor
    return executors, problems


def _drop_secrets(level: Any, key: Key) -> Iterator[Problem]:
    """Take everything that looks secret out of the table, so that no other message can show it."""
    if isinstance(level, list):
        for n, item in enumerate(cast("Sequence[Any]", level)):
            yield from _drop_secrets(item, (*key, str(n)))
    if not isinstance(level, dict):
        return
    table = cast("dict[str, Any]", level)
    for name, value in list(table.items()):
        # An executor may be called "token": it is the name of a table, and holds no text.
        is_named_so = is_secret_key(name) and key != ("executors",)
        if is_named_so or (isinstance(value, str) and has_secret(value)):
            del table[name]
            what = "looks like a secret, and no secret is ever in this file or overrides it; put it into a credential file and name that: credential = ..."
            yield Problem((*key, name), what)
        else:
            yield from _drop_secrets(value, (*key, name))
