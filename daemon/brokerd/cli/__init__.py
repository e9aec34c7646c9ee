"""
brokerctl: what a person or a shell script asks of the daemon.

    argv -> arguments -> commands/<name>.py -> control -> wire -> the daemon's socket
                               `-> terminal -> tables or JSON lines on stdout

Rule 1: data goes to stdout, every other word to stderr.
Rule 2: the exit status says what is known; `errors.Exit` lists them.
Rule 3: nothing heavy is imported, and a command's module only when it is called: a shell loop
        over `brokerctl` must cost milliseconds.
Rule 4: a number from the wire stays as it was written; none becomes a float on its way through.
"""

__all__ = ["load", "main"]

import importlib
import os
import sys
from argparse import Namespace
from typing import Protocol, cast

from brokerd.cli.arguments import Parser, command_parser, main_parser
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Failure, Usage
from brokerd.cli.terminal import Output, complain


class Command(Protocol):
    """What every module in `commands` offers."""

    def add_options(self, parser: Parser) -> None:
        """Declare the command's own arguments."""
        ...

    def run(self, control: Control, options: Namespace) -> Exit:
        """Do it; raise Failure for what the outside did wrong."""
        ...


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status; no error of the outside shows a traceback."""
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        print(end="", flush=True)
    except Failure as failure:
        complain(failure)
        return failure.status
    except SystemExit as done:  # argparse after --help and --version
        return int(done.code or 0)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return Exit.BROKEN_PIPE
    except OSError as error:  # the socket's are translated in wire: this one is stdout's
        _abandon_stdout()
        complain(Failure(f"cannot write the output: {error.strerror or error}"))
        return Exit.REFUSED
    return status


def _run(argv: list[str]) -> Exit:
    options = main_parser().parse_args(argv)
    if options.command is None:
        raise Usage("which command?", "see: brokerctl --help")
    command = load(options.command)
    parser = command_parser(options.command)
    command.add_options(parser)
    options = parser.parse_args(options.rest, namespace=options)
    with Control(options, Output(options.output, no_color=options.no_color)) as control:
        return command.run(control, options)


def load(name: str) -> Command:
    """Import the module of a command."""
    module = importlib.import_module(f"brokerd.cli.commands.{name.replace('-', '_')}")
    return cast("Command", module)


def _abandon_stdout() -> None:
    """Point stdout at nothing, so that the flush at exit has nobody left to fail on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
