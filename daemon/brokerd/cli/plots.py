"""
Small plots out of Unicode blocks, for a terminal. Pure: numbers -> text.

A measurement that is not there is a gap, never a zero.
"""

from collections.abc import Sequence

_HEIGHTS = "▁▂▃▄▅▆▇█"
_LENGTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
GAP_MARK = " "


def spark(values: Sequence[float | None], top: float | None = None) -> str:
    """Return one character a value, as high as its share of `top` (or of the highest)."""
    there = [value for value in values if value is not None]
    highest = max(there, default=0.0) if top is None else top
    return "".join(_height(value, highest) for value in values)


def bar(share: float, cells: int) -> str:
    """Return a bar that fills a share (0 to 1) of so many cells, to an eighth of a cell."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    full, rest = divmod(eighths, 8)
    return (_FULL * full + (_LENGTHS[rest] if rest else "")).ljust(cells)


def _height(value: float | None, highest: float) -> str:
    if value is None:
        return GAP_MARK
    if highest <= 0 or value <= 0:
        return _HEIGHTS[0]
    return _HEIGHTS[min(int(value / highest * len(_HEIGHTS)), len(_HEIGHTS) - 1)]
