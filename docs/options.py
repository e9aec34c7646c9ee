"""Every option of every command of brokerctl as Markdown, read off the parsers: for docs/cli.md."""

from argparse import Action
from html import escape

from brokerd.cli import load
from brokerd.cli.arguments import COMMANDS, Parser, add_order_filters

Row = tuple[str, str]

_FILTERS = "Filters"


def options() -> str:
    """Return a section for each command with its arguments, what they share first."""
    bare = Parser(add_help=False)
    add_order_filters(bare)
    filters = _rows(bare)
    parts = [f"### {_FILTERS}", f"Of {_who_has(filters)}.", _table(filters)]
    for command in COMMANDS:
        rows = _rows(_parser_of(command))
        has_all = set(filters) <= set(rows)
        own = [row for row in rows if not has_all or row not in filters]
        parts.append(f"### {command}")
        parts += [f"The [filters](#{_FILTERS.lower()})."] if has_all else []
        parts += [_table(own)] if own else []
        parts += [] if rows else ["None of its own."]
    return "\n\n".join(parts)


def _who_has(filters: list[Row]) -> str:
    names = [each for each in COMMANDS if set(filters) <= set(_rows(_parser_of(each)))]
    return ", ".join(f"`{name}`" for name in names)


def _parser_of(command: str) -> Parser:
    parser = Parser(add_help=False)
    load(command).add_options(parser)
    return parser


def _rows(parser: Parser) -> list[Row]:
    """Return name and meaning of each argument, in the order in which they were declared."""
    return [(_name(action), str(action.help)) for action in parser._actions]  # noqa: SLF001 - there is no other way to ask argparse


def _name(action: Action) -> str:
    """Return how an argument is written: "-n, --lines N", "--watch [S]", "ID ..."."""
    names = ", ".join(action.option_strings)
    if action.nargs == 0:
        return names
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    value = {"?": f"[{value}]", "+": f"{value} ...", "*": f"[{value} ...]"}.get(
        str(action.nargs), value
    )
    return f"{names} {value}".lstrip()


def _table(rows: list[Row]) -> str:
    lines = [f"| {_code(name)} | {told.replace('|', '&#124;')} |" for name, told in rows]
    return "\n".join(["| argument | means |", "| --- | --- |", *lines])


def _code(text: str) -> str:
    """Return code for a table's cell, where a pipe would end it."""
    return f"<code>{escape(text).replace('|', '&#124;')}</code>"
