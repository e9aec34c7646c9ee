"""One subscription to the venue's reports: bounded, and honest about its end."""

import asyncio

from brokerd.errors import VenueUnavailable
from brokerd.executor import Report


class Subscription:
    """
    An async iterator over reports; at most `size` may wait to be read.

    Once it is `cut`, what was already in it is still handed out, then VenueUnavailable is raised:
    everything before the gap, nothing after it.
    """

    def __init__(self, size: int) -> None:
        # One more than asked for: the end always finds room.
        self._queue: asyncio.Queue[Report | None] = asyncio.Queue(size + 1)
        self._size = size
        self._gap: str | None = None

    def put(self, report: Report) -> None:
        """Hand one report over; a reader that is too slow is cut off."""
        if self._gap is not None:
            return
        if self._queue.qsize() >= self._size:
            self.cut("the reader was too slow")
        else:
            self._queue.put_nowait(report)

    def cut(self, why: str) -> None:
        """End the stream after what it holds; the first reason counts."""
        if self._gap is None:
            self._gap = why
            self._queue.put_nowait(None)

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Report:
        """Wait for the next report; raises VenueUnavailable at the gap, and ever after."""
        report = None if self._gap is not None and self._queue.empty() else await self._queue.get()
        if report is None:
            raise VenueUnavailable(f"the report stream ended: {self._gap}", reason="stream_gap")
        return report
