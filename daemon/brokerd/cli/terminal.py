"""
Where output goes: tables for a person at a terminal, JSON lines for a program at a pipe.

Text from outside never reaches a terminal raw: what does not print is escaped, so no venue's
message can move the cursor or retitle the window.
"""

import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple, TextIO, cast

from brokerd.cli.errors import Failure
from brokerd.cli.jsontext import Record, dumps, is_record

COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}
STYLES = {**COLOURS, "bold": 1, "dim": 2}

GAP = "  "

_CURSOR_HOME = "\x1b[H"
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"


class Column(NamedTuple):
    """
    One column of a table.

    `cell` makes the text of a row's cell; `rank` is how dispensable the column is when the
    terminal is narrow (0: never dropped, else the highest goes first); `style` names the colour
    of a padded cell, or None.
    """

    title: str
    cell: Callable[[Record], str]
    rank: int = 0
    right: bool = False
    style: Callable[[str], str | None] | None = None


class Output:
    """stdout, as a table or as JSON lines. `width` is None where lines may be of any length."""

    def __init__(self, form: str | None, *, no_color: bool) -> None:
        terminal = is_terminal(sys.stdout)
        self.is_json = form == "json" or (form is None and not terminal)
        self.is_terminal = terminal
        self.colour = (
            terminal
            and not no_color
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM") != "dumb"
        )

    @property
    def width(self) -> int | None:
        """Columns of the terminal now; it may be resized while we watch."""
        return terminal_size().columns if self.is_terminal else None

    def record(self, value: object) -> None:
        """Print one JSON line."""
        print(dumps(value))

    def records(self, values: Sequence[object]) -> None:
        """Print one JSON line each."""
        if values:
            print("\n".join(map(dumps, values)))

    def paint(self, text: str, style: str | None) -> str:
        """Colour a text where colour is wanted."""
        if not self.colour or style is None:
            return text
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m"

    def table(self, columns: Sequence[Column], rows: Sequence[Record]) -> None:
        """Print a table, with the least important columns left out where it is too wide."""
        print("\n".join(self.layout(columns, rows)))

    def layout(self, columns: Sequence[Column], rows: Sequence[Record]) -> list[str]:
        """Return a table's lines, the titles first."""
        texts = _texts(columns, rows)
        widths = _widths(columns, texts)
        kept = fit(columns, widths, self.width)
        padded = [self._padded(columns[i], texts[i], widths[i]) for i in kept]
        titles = [pad(columns[i].title, widths[i], right=columns[i].right) for i in kept]
        lines = [GAP.join(cells).rstrip() for cells in zip(*padded, strict=True)]
        return [self.paint(GAP.join(titles).rstrip(), "bold"), *lines]

    def room(self, columns: Sequence[Column], rows: Sequence[Record]) -> int | None:
        """Return how wide another column may be beside these; None where there is no end."""
        if self.width is None:
            return None
        widths = _widths(columns, _texts(columns, rows))
        kept = fit(columns, widths, self.width)
        return self.width - sum(widths[i] + len(GAP) for i in kept)

    def _padded(self, column: Column, texts: list[str], width: int) -> list[str]:
        cells = [pad(text, width, right=column.right) for text in texts]
        if not self.colour or column.style is None:
            return cells
        styles = map(column.style, texts)
        return [self.paint(cell, style) for cell, style in zip(cells, styles, strict=True)]

    def card(self, record: Record) -> None:
        """Print one record, a member a line, without those that are null or empty."""
        told = {
            name: show(value) for name, value in record.items() if value not in (None, "", {}, [])
        }
        width = max(map(len, told), default=0)
        for name, text in told.items():
            print(f"{self.paint(name.ljust(width), 'dim')}{GAP}{plain_text(text)}")

    def redraw(self, lines: list[str]) -> None:
        """Draw over what is on the terminal, cut to its height; print plainly elsewhere."""
        if not self.is_terminal:
            print("\n".join(lines), flush=True)
            return
        height = terminal_size().lines - 1
        if len(lines) > height:
            lines = [*lines[: height - 1], f"... and {len(lines) - height + 1} more"]
        text = "".join(f"{line}{_ERASE_LINE}\n" for line in lines)
        print(f"{_CURSOR_HOME}{text}{_ERASE_BELOW}", end="", flush=True)


def _texts(columns: Sequence[Column], rows: Sequence[Record]) -> list[list[str]]:
    return [[plain_text(column.cell(row)) for row in rows] for column in columns]


def _widths(columns: Sequence[Column], texts: Sequence[Sequence[str]]) -> list[int]:
    return [
        max(map(width_of, [column.title, *cells]))
        for column, cells in zip(columns, texts, strict=True)
    ]


def fit(columns: Sequence[Column], widths: Sequence[int], width: int | None) -> list[int]:
    """Return the indices of the columns that fit, dropping the most dispensable first."""
    kept = list(range(len(columns)))
    while width is not None and sum(widths[i] + len(GAP) for i in kept) - len(GAP) > width:
        least = max(kept, key=lambda i: columns[i].rank)
        if columns[least].rank == 0:
            break
        kept.remove(least)
    return kept


def pad(text: str, width: int, *, right: bool) -> str:
    """Pad to a width on screen; numbers stand on the right."""
    if text.isascii():
        return text.rjust(width) if right else text.ljust(width)
    spaces = " " * (width - width_of(text))
    return spaces + text if right else text + spaces


def width_of(text: str) -> int:
    """Return how many cells the text takes on screen: accents that combine take none."""
    if text.isascii():
        return len(text)
    return sum(not unicodedata.combining(character) for character in text)


def plain_text(text: str) -> str:
    """Escape everything that does not print: control characters, bidirectional overrides."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show(value: object) -> str:
    """Return a JSON value as a person reads it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_record(value):
        return " ".join(f"{name}={show(member)}" for name, member in value.items())
    if isinstance(value, list):
        return ", ".join(map(show, cast("list[object]", value)))
    return str(value)


def terminal_size() -> os.terminal_size:
    """Return columns and lines; $COLUMNS and $LINES win."""
    import shutil  # noqa: PLC0415 - it loads every compressor, and most calls need no width

    return shutil.get_terminal_size()


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads it; a closed stream is nobody."""
    return stream is not None and stream.isatty()


def note(text: str) -> None:
    """Say something beside the data: on stderr, where no pipe will take it for data."""
    print("\n".join(map(plain_text, text.splitlines())), file=sys.stderr, flush=True)


def complain(failure: Failure, about: str = "") -> None:
    """Say what went wrong, why, and what to do: one or two lines."""
    what = f"brokerctl: {about}{': ' if about else ''}{failure.what}"
    note(f"{what}\n  {failure.hint}" if failure.hint else what)
