"""Whether an executor's stream tells all that happens: the listener says so, others rely on it."""

from collections.abc import Generator
from contextlib import contextmanager


class InSync:
    """
    What is known of one stream. `missed` counts what came to light otherwise while it seemed well.

    It holds from `begin` to `end`; what `mark` gave before a question tells after the answer
    whether it has held all along.
    """

    def __init__(self) -> None:
        self.missed = 0
        self._mark: object | None = None
        self._is_waiting = False

    @property
    def holds(self) -> bool:
        """Whether the stream tells what happens, and what happened before is merged."""
        return self._mark is not None

    def begin(self) -> None:
        """From now on the stream tells what happens, and what happened before is merged."""
        self._mark = object()

    def end(self) -> None:
        """The stream may have missed something."""
        self._mark = None

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Hold for as long as a report of the stream waits for room: an absence proves nothing then."""
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False

    def mark(self) -> object | None:
        """Return what `held_since` is asked with."""
        return self._mark

    def held_since(self, mark: object | None) -> bool:
        """Whether the stream has told all since then, and nothing of it is still to be merged."""
        return mark is not None and mark is self._mark and not self._is_waiting

    def found(self) -> None:
        """Count what only asking brought to light: what the stream missed, if it seemed well."""
        self.missed += self.holds
