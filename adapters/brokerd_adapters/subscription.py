"""One subscription to what a venue tells: bounded, and honest about its end."""

import asyncio
from typing import Generic, Self, TypeVar

from brokerd.errors import VenueUnavailable

T = TypeVar("T")


class Subscription(Generic[T]):
    """
    An async iterator; at most `size` items may wait to be read.

    Once it is `cut`, what was already in it is still handed out, then VenueUnavailable is raised:
    everything before the gap, nothing after it.
    """

    def __init__(self, size: int) -> None:
        # One more than asked for: the end always finds room.
        self._queue: asyncio.Queue[T | None] = asyncio.Queue(size + 1)
        self._size = size
        self.gap: str | None = None

    def put(self, item: T) -> None:
        """Hand one item over; a reader that is too slow is cut off."""
        if self.gap is not None:
            return
        if self._queue.qsize() >= self._size:
            self.cut("the reader was too slow")
        else:
            self._queue.put_nowait(item)

    def cut(self, why: str) -> None:
        """End the stream after what it holds; the first reason counts."""
        if self.gap is None:
            self.gap = why
            self._queue.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Wait for the next item; raises VenueUnavailable at the gap, and ever after."""
        item = None if self.gap is not None and self._queue.empty() else await self._queue.get()
        if item is None:
            raise VenueUnavailable(f"the report stream ended: {self.gap}", reason="stream_gap")
        return item
