"""
The root: argv -> config -> adapters -> journal -> run -> exit status.

Exit status: 0 asked to stop, 1 a bug or a journal that cannot be trusted, 78 bad configuration
(EX_CONFIG of sysexits.h). The only file that names an adapter.
"""

import argparse
import asyncio
import gc
import os
import sys
import threading
import traceback
from contextlib import suppress
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from typing import cast

import uvloop

from brokerd import __version__, plugins, supervisor
from brokerd.clock import SystemClock
from brokerd.config.load import Config, find_config, load_config
from brokerd.errors import BrokerdError, ConfigError
from brokerd.executor import Clock, Executor
from brokerd.guard import Walled
from brokerd.logs.setup import configure_logs
from brokerd.signals import ignore_stray

EX_BUG = 1
EX_CONFIG = 78

DEADLINE_SHARE = 0.9
"""The part of the daemon's deadline that an adapter has for itself, to say what befell a request."""

FILES_KEPT = 128
"""Files and sockets for the journal, the history, the venues and the statistics: about 30 in use."""

LAST_WORD_S = 1.0
"""How long the last words may take to write."""


def main(argv: list[str] | None = None) -> int:
    """Run the `brokerd` command; return its exit status."""
    ignore_stray()
    arguments = command_line().parse_args(argv)
    try:
        config = load_config(find_config(arguments.config))
        adapters = _adapters(config)
        _check_files(config)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there are no logs yet
        return EX_CONFIG
    if arguments.command == "check":
        return _check(config, adapters)
    return _run(config, adapters)


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the daemon's command line."""
    parser = argparse.ArgumentParser(
        prog="brokerd", description="The broker between trading bots and venues."
    )
    parser.add_argument("--version", action="version", version=f"brokerd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("run", "run the daemon until it is asked to stop"),
        ("check", "read the configuration and say what it would do"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument(
            "--config",
            help="the configuration file (default: $BROKERD_CONFIG, ./config.toml, /etc/brokerd/config.toml)",
        )
    return parser


def _run(config: Config, adapters: supervisor.Adapters) -> int:
    _tune()
    daemon = config.daemon
    with configure_logs(daemon.log_format, daemon.log_level) as drain:
        work = supervisor.run(config, adapters, SystemClock(), drain)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(work)
        except (BrokerdError, ExceptionGroup, OSError) as error:
            return _told(error)
    return 0


def _tune() -> None:
    """
    Set up the interpreter for one loop that must not wait.

    Orders make no reference cycles, so the collector need not walk them all every few hundred;
    and the threads that write logs and history hand the interpreter back the sooner.
    """
    gc.set_threshold(50_000, 50, 100)
    sys.setswitchinterval(0.0002)
    # Few are allowed at first for the sake of programs that use select(2), which ours does not.
    _, files_max = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (files_max, files_max))


def _told(error: Exception) -> int:
    """Say why the daemon ends: in one sentence if it is ours, with the traceback if it is a bug."""
    ours = _first_of_ours(error)
    if ours is None:
        _say("".join(traceback.format_exception(error)))
        return EX_BUG
    _say(f"brokerd: {ours}\n")
    return EX_CONFIG if isinstance(ours, ConfigError) else EX_BUG


def _say(text: str) -> None:
    """
    Write the last words to stderr, for whoever started us.

    A reader that is stuck must not keep us from going: then systemd would not start another.
    """

    def write() -> None:
        rest = memoryview(text.encode(errors="backslashreplace"))
        with suppress(OSError):
            while rest:
                rest = rest[os.write(2, rest) :]

    speaker = threading.Thread(target=write, name="last-words", daemon=True)
    speaker.start()
    speaker.join(LAST_WORD_S)


def _first_of_ours(error: BaseException) -> BrokerdError | None:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        found = (_first_of_ours(each) for each in group.exceptions)
        return next((each for each in found if each is not None), None)
    return error if isinstance(error, BrokerdError) else None


def _check(config: Config, adapters: supervisor.Adapters) -> int:
    """Say what the configuration would do, without doing it."""
    daemon = config.daemon
    try:
        executors = supervisor.build_executors(config, adapters, SystemClock())
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EX_CONFIG
    print(f"configuration  {config.path}")  # noqa: T201
    print(f"socket         {daemon.socket}")  # noqa: T201
    print(f"journal        {daemon.journal}")  # noqa: T201
    for name, executor in executors.items():
        kind = "paper" if Walled(executor).capabilities.is_paper else "live"
        print(f"executor       {name}: adapter {config.executors[name].adapter}, {kind}")  # noqa: T201
    print(f"adapters       {', '.join(sorted(ADAPTERS))}")  # noqa: T201
    for plugin in plugins.plugins():
        print(f"               {plugin.name}: from {plugin.origin}")  # noqa: T201
    return 0


def _check_files(config: Config) -> None:
    """Raise ConfigError if bots alone could take the files that journal and venues need."""
    connections_max = config.daemon.connections_max
    _, files_max = getrlimit(RLIMIT_NOFILE)
    if connections_max > files_max - FILES_KEPT:
        raise ConfigError(
            f"{config.path}: daemon.connections_max is {connections_max}, but the process may open "
            f"only {files_max} files, and needs {FILES_KEPT} for itself",
            field="daemon.connections_max",
            hint="lower it, or raise LimitNOFILE in the unit (in a shell, ulimit -Hn)",
        )


def _adapters(config: Config) -> supervisor.Adapters:
    """Return the adapters that the configuration names; raises ConfigError."""
    named = {executor.adapter for executor in config.executors.values()}
    try:
        return plugins.choose(named, ADAPTERS, plugins.plugins())
    except ConfigError as error:
        raise ConfigError(f"{config.path}: {error.what}", hint=error.hint) from error


def _paper(name: str, config: Config, clock: Clock) -> Executor:
    """Make a paper executor; its venue's memory lies beside the journal."""
    from brokerd_adapters.paper import (  # noqa: PLC0415 - only if named
        PaperConfig,
        PaperExecutor,
        check_market,
    )

    settings = config.settings(name, PaperConfig)
    check_market(settings, config.base_dir)
    state_dir = config.daemon.journal.parent
    return PaperExecutor(name, settings, clock=clock, state_dir=state_dir, base_dir=config.base_dir)


def _alpaca(name: str, config: Config, clock: Clock) -> Executor:
    """Make an Alpaca executor; its key is read here and nowhere else."""
    from brokerd_adapters.alpaca import AlpacaConfig, AlpacaExecutor  # noqa: PLC0415 - only if named
    from brokerd_adapters.kit import Credential, load_credential  # noqa: PLC0415

    settings = config.settings(name, AlpacaConfig)
    credential = load_credential(settings.credential, config, Credential)
    deadline_s = _adapters_deadline_s(config)
    return AlpacaExecutor(name, settings, credential, clock=clock, deadline_s=deadline_s)


def _binance(name: str, config: Config, clock: Clock) -> Executor:
    """Make a Binance Spot executor with the key its settings name."""
    from brokerd_adapters.binance import BinanceConfig, BinanceExecutor  # noqa: PLC0415 - only if named
    from brokerd_adapters.kit import Credential, load_credential  # noqa: PLC0415 - only if named

    settings = config.settings(name, BinanceConfig)
    credential = load_credential(settings.credential, config, Credential)
    deadline_s = _adapters_deadline_s(config)
    return BinanceExecutor(name, settings, credential, clock=clock, deadline_s=deadline_s)


def _ccxt(name: str, config: Config, clock: Clock) -> Executor:
    """Make an executor of any exchange that ccxt has; raises ConfigError if ccxt is not there."""
    from brokerd_adapters.ccxt import (  # noqa: PLC0415 - it costs a second
        CcxtConfig,
        CcxtCredential,
        CcxtExecutor,
    )
    from brokerd_adapters.kit import load_credential  # noqa: PLC0415

    settings = config.settings(name, CcxtConfig)
    credential = load_credential(settings.credential, config, CcxtCredential)
    deadline_s = _adapters_deadline_s(config)
    return CcxtExecutor(name, settings, credential, clock=clock, deadline_s=deadline_s)


def _adapters_deadline_s(config: Config) -> float:
    return config.daemon.request_deadline_s * DEADLINE_SHARE


ADAPTERS: supervisor.Adapters = {
    "alpaca": _alpaca,
    "binance": _binance,
    "ccxt": _ccxt,
    "paper": _paper,
}


if __name__ == "__main__":
    sys.exit(main())
