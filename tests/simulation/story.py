"""What happened, in the order in which it happened, for whoever must understand a failed seed."""

from collections import deque
from typing import Any

LINES_KEPT = 20_000
LINES_SHOWN = 45
REPEATS_SHOWN = 2
STARTS_S = 1000.0
"""What the clock shows when a seed begins."""


class Story:
    """Lines of (time, who, what, order); they are put into words only when somebody asks."""

    def __init__(self) -> None:
        self._lines: deque[tuple[float, str, str, tuple[Any, ...], str]] = deque(maxlen=LINES_KEPT)

    @property
    def newest_s(self) -> float:
        """When something happened last, but for polls that find nothing new."""
        return self._lines[-1][0] if self._lines else STARTS_S

    def tell(self, now_s: float, who: str, what: str, *args: Any, about: str = "") -> None:
        """Add a line: `what` is a format for `args`; `about` names an order, or else everybody."""
        self._lines.append((now_s, who, what, args, about))

    def about(self, order: str, lines: int = LINES_SHOWN) -> str:
        """Return the last lines about an order, and about what concerns everybody."""
        told: list[str] = []
        said, times = "", 0
        for now_s, who, what, args, concerns in self._lines:
            if order and concerns not in {"", order}:
                continue
            words = f"{who:8} {what.format(*args)}"
            times = times + 1 if words == said else 1
            if times > REPEATS_SHOWN:
                told[-1] = f"{'':15}(said {times} times in a row)"
            else:
                told.append(f"  {now_s - STARTS_S:9.4f} s  {words}")
            said = words
        left_out = [f"  ({len(told) - lines} lines before)"] if len(told) > lines else []
        return "\n".join(left_out + told[-lines:])
