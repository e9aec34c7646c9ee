"""
Other people's adapters: what installed distributions offer under the entry point `brokerd.adapters`.

    [project.entry-points."brokerd.adapters"]
    kraken = "brokerd_kraken:build"

The function is called as (name, config, clock) and returns an executor. Nothing is imported before
an executor names it, and no name can be taken twice: neither from us nor from each other.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from msgspec import Struct

from brokerd.errors import ConfigError
from brokerd.supervisor import Adapters, BuildExecutor
from brokerd.words import suggest

GROUP = "brokerd.adapters"


class Plugin(Struct, frozen=True):
    """One adapter that a distribution offers; `origin` is the distribution with its version."""

    name: str
    origin: str
    entry_point: EntryPoint

    @classmethod
    def of(cls, entry_point: EntryPoint) -> "Plugin":
        """Read where an entry point is from."""
        distribution = entry_point.dist
        origin = f"{distribution.name} {distribution.version}" if distribution else "nobody knows"
        return cls(entry_point.name, origin, entry_point)


def plugins() -> tuple[Plugin, ...]:
    """Return everything that is offered, by name."""
    found = (Plugin.of(each) for each in entry_points(group=GROUP))
    return tuple(sorted(found, key=lambda each: (each.name, each.origin)))


def choose(named: Iterable[str], own: Adapters, offered: Iterable[Plugin]) -> Adapters:
    """Return the adapters of these names, loaded; raises ConfigError with every problem."""
    by_name: dict[str, list[Plugin]] = {}
    for plugin in offered:
        by_name.setdefault(plugin.name, []).append(plugin)
    chosen: dict[str, BuildExecutor] = {}
    problems: list[str] = []
    for name in sorted(set(named)):
        try:
            chosen[name] = _one(name, own, by_name)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return chosen


def _one(name: str, own: Adapters, by_name: Mapping[str, list[Plugin]]) -> BuildExecutor:
    offers = by_name.get(name, [])
    origins = [*(["brokerd itself"] if name in own else []), *(each.origin for each in offers)]
    if not origins:
        raise ConfigError(
            f"there is no adapter {name}; {suggest(name, [*own, *by_name])}",
            hint="is its distribution installed where brokerd runs?",
        )
    if len(origins) > 1:
        raise ConfigError(
            f"the adapter {name} is offered by {' and by '.join(origins)}",
            hint="uninstall all but one: which one an order goes through must not be chance",
        )
    return own[name] if name in own else _loaded(offers[0])


def _loaded(plugin: Plugin) -> BuildExecutor:
    told = f"the adapter {plugin.name} of {plugin.origin}"
    try:
        build = plugin.entry_point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigError(
            f"{told} cannot be loaded: {type(error).__name__}: {error}",
            hint=f"install {plugin.origin.split()[0]} anew, with all it needs",
        ) from error
    if not callable(build):
        raise ConfigError(f"{told} is no function (name, config, clock) -> executor")
    return cast("BuildExecutor", build)
