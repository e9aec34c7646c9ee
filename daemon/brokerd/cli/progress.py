"""A progress bar on stderr, for a person; silent where nobody looks."""

import sys
import time
from typing import Self

from brokerd.cli.terminal import is_terminal
from brokerd.cli.views import duration

BAR_CELLS = 24
REDRAW_S = 0.1

_LINE_START_AND_ERASE = "\r\x1b[K"


class Progress:
    """Call it with what is done and the total, as often as you like; it draws ten times a second."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._is_shown = is_terminal(sys.stderr)
        self._began_s = time.monotonic()
        self._next_s = self._began_s + REDRAW_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, done: int, total: int) -> None:
        """Draw, if it is time."""
        now_s = time.monotonic()
        if self._is_shown and now_s >= self._next_s:
            self._next_s = now_s + REDRAW_S
            text = bar(done, total, self._unit, now_s - self._began_s)
            print(f"{_LINE_START_AND_ERASE}{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the bar off the screen."""
        if self._is_shown:
            print(_LINE_START_AND_ERASE, end="", file=sys.stderr, flush=True)


def bar(done: int, total: int, unit: str, elapsed_s: float) -> str:
    """Return the bar's text: share, count, rate, time left."""
    share = min(done / total, 1.0) if total else 1.0
    cells = int(share * BAR_CELLS)
    per_s = done / elapsed_s if elapsed_s else 0.0
    left = duration((total - done) / per_s) if per_s else "?"
    return (
        f"[{'#' * cells}{'.' * (BAR_CELLS - cells)}] {share:4.0%}"
        f"  {done:,} of {total:,} {unit}  {per_s:,.0f}/s  {left} left"
    )
