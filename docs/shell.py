"""
What a shell wants to know of the commands: completions for bash and zsh, and manual pages.

`generate.py` writes them to contrib/ from the parsers, and checks that none is stale.
"""

import os
from argparse import Action, ArgumentParser
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import shtab
from argparse_manpage.manpage import Manpage

from brokerd import __version__
from brokerd.__main__ import command_line
from brokerd.cli import load
from brokerd.cli.arguments import COMMANDS, STATUSES_TOLD, Parser, add_global, one_of, sentence

CONTRIB = Path(__file__).parents[1] / "contrib"
ARE_FILES = {"--socket", "--config", "--html"}


def brokerctl() -> Parser:
    """Return all of brokerctl as one parser; itself it makes only the one it is called for."""
    parser = Parser(prog="brokerctl", description="Ask and tell the broker daemon.")
    add_global(parser)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=sentence(name))
        load(name).add_options(command)
        add_global(command.add_argument_group("everywhere"))
        for action in command._actions:  # noqa: SLF001 - argparse has no other way to them
            _add_values(action)
    return parser


def _add_values(action: Action) -> None:
    """Tell shtab what an option may be: a name of several, or a file."""
    if isinstance(action.type, one_of):
        action.choices = action.type.names
    if ARE_FILES & set(action.option_strings):
        action.complete = shtab.FILE  # type: ignore[attr-defined]


def _completion(shell: str) -> str:
    written = shtab.complete(brokerctl(), shell=shell)
    return "\n".join(line.rstrip() for line in written.rstrip().splitlines()) + "\n"


def _manual(parser: ArgumentParser, section: int, about: str, more: str = "") -> str:
    told = {
        "manual_section": str(section),
        "manual_title": "brokerd",
        "project_name": f"brokerd {__version__}",
        # Of the version, not of the day it was made.
        "date": " ",
        "description": about,
    }
    # Else argparse folds by the width of the terminal that the page is made at.
    with patch.dict(os.environ, COLUMNS="80"):
        written = str(Manpage(parser, _data=told))
    lines = [_as_text(line.rstrip()) for line in written.rstrip().splitlines()]
    return "\n".join([*lines, *([".SH EXIT STATUS", more] if more else [])]) + "\n"


def _as_text(line: str) -> str:
    """Return a line that groff takes for words, also one that begins with a path or a quote."""
    return f"\\&{line}" if line.startswith(("./", "'")) else line


FILES: dict[Path, Callable[[], str]] = {
    CONTRIB / "completion" / "brokerctl.bash": lambda: _completion("bash"),
    CONTRIB / "completion" / "_brokerctl": lambda: _completion("zsh"),
    CONTRIB / "man" / "brokerctl.1": lambda: _manual(
        brokerctl(),
        1,
        "what a person or a shell script asks of brokerd",
        STATUSES_TOLD.removeprefix("exit status: "),
    ),
    CONTRIB / "man" / "brokerd.8": lambda: _manual(
        command_line(), 8, "the broker between trading bots and venues"
    ),
}
"""Each file, and what writes it."""
