"""How fast the survey catches up, and how long that will take. Pure."""

MEASURED_S_MIN = 2.0
"""Less than this says little of what is to come."""


class Pace:
    """Rows followed over time, since it last was where it should be."""

    def __init__(self) -> None:
        self._began: tuple[int, float] | None = None
        self._now = 0, 0.0

    def note(self, seq: int, at_s: float, *, is_done: bool) -> None:
        """Note up to which journal row has been followed by when."""
        self._now = seq, at_s
        if is_done:
            self._began = None
        elif self._began is None or seq < self._began[0]:
            self._began = self._now

    def left_s(self, seq: int) -> float | None:
        """Return how long it takes from here to a row; None if that cannot be told yet."""
        if self._began is None:
            return None
        rows, took_s = self._now[0] - self._began[0], self._now[1] - self._began[1]
        if took_s < MEASURED_S_MIN or rows <= 0:
            return None
        return max(seq - self._now[0], 0) * took_s / rows


def told(seq: int, of: int, left_s: float | None) -> str:
    """Say how far it is, for people: "at row 60 of 200 (30 %), about 2 min to go"."""
    share = f"at row {seq} of {of} ({100 * seq // max(of, 1)} %)"
    if left_s is None:
        return share
    about = f"{left_s / 60:.0f} min" if left_s >= 90 else f"{max(round(left_s), 1)} s"
    return f"{share}, about {about} to go"
