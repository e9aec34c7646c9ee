"""SVG, as little of it as the report needs; every word is escaped, every place has one digit. Pure."""

from collections.abc import Iterable, Sequence
from html import escape

from brokerd.cli.report.axes import Axis

WIDTH, HEIGHT = 560, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34

Place = tuple[float, float]


def picture(label: str, parts: Iterable[str], height: int = HEIGHT) -> str:
    """Return a whole picture; `label` tells what it shows to who cannot see it."""
    name = escape(label, quote=True)
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">'
    return f"{head}{''.join(parts)}</svg>"


def text(place: Place, words: str, style: str = "", anchor: str = "") -> str:
    """Return words at a place; `anchor` is "middle" or "end"."""
    anchored = f' text-anchor="{anchor}"' if anchor else ""
    return f"<text {_xy(place)}{anchored}{_class(style)}>{escape(words)}</text>"


def line(begin: Place, end: Place, style: str) -> str:
    """Return a straight line."""
    return path([begin, end], style)


def path(places: Sequence[Place], style: str) -> str:
    """Return a line through places."""
    steps = "L".join(f"{_digit(x)} {_digit(y)}" for x, y in places)
    return f'<path d="M{steps}"{_class(style)}/>'


def dots(places: Iterable[Place], style: str) -> str:
    """Return round dots as one path: a dozen bytes each."""
    return f'<path d="{"".join(f"M{_digit(x)} {_digit(y)}h0" for x, y in places)}"{_class(style)}/>'


def box(corner: Place, width: float, height: float, style: str, title: str = "") -> str:
    """Return a rectangle; `title` is shown to who points at it."""
    size = f'width="{_digit(max(width, 0))}" height="{_digit(max(height, 0))}"'
    told = f"<title>{escape(title)}</title>" if title else ""
    return f"<rect {_xy(corner)} {size}{_class(style)}>{told}</rect>"


def x_axis(axis: Axis, labels: Iterable[tuple[float, str]], bottom: float, title: str) -> str:
    """Return an axis below a picture: ticks with their labels, and what is measured."""
    parts = [line((axis.begin, bottom), (axis.end, bottom), "axis")]
    for value, label in labels:
        parts.append(line((axis.at(value), bottom), (axis.at(value), bottom + 4), "axis"))
        parts.append(text((axis.at(value), bottom + 15), label, "tick", "middle"))
    parts.append(text((axis.end, bottom + 30), title, "name", "end"))
    return "".join(parts)


def y_axis(axis: Axis, labels: Iterable[tuple[float, str]], left: float, right: float) -> str:
    """Return an axis beside a picture, its ticks as lines across."""
    parts: list[str] = []
    for value, label in labels:
        parts.append(line((left, axis.at(value)), (right, axis.at(value)), "grid"))
        parts.append(text((left - 6, axis.at(value) + 3.5), label, "tick", "end"))
    return "".join(parts)


def _xy(place: Place) -> str:
    return f'x="{_digit(place[0])}" y="{_digit(place[1])}"'


def _class(style: str) -> str:
    return f' class="{style}"' if style else ""


def _digit(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
