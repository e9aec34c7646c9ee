"""
The events of the journal as a stream: the latest from memory, older ones from disk.

A reader keeps nothing here but its own position, so a slow one costs nothing and misses nothing:
it reads on from the journal and catches up.
"""

import asyncio
from collections import deque

from brokerd.blotter import Change
from brokerd.events import Entry
from brokerd.storage import Journal

CHANGES_KEPT = 20_000
"""How many of the latest events are served from memory."""

Told = tuple[int, Entry]
"""An event with its seq."""


class Feed:
    """Publishes what became durable; `read` and `wait` are for any number of readers."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._recent: deque[Told] = deque(maxlen=CHANGES_KEPT)
        self._published = asyncio.Event()
        self.last_seq = journal.last_seq
        self._awaiting = 0

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the next event."""
        return self._awaiting > 0

    @property
    def durable_seq(self) -> int:
        """The last row there is. It may be answered to a bot a moment before it is published here."""
        return max(self._journal.last_seq, self.last_seq)

    def publish(self, changes: list[Change]) -> None:
        """Make events visible to readers. Called once they are durable, in order."""
        self._recent.extend((change.seq, change.entry) for change in changes)
        self.last_seq = changes[-1].seq
        published, self._published = self._published, asyncio.Event()
        published.set()

    async def wait(self, after_seq: int) -> None:
        """Return when there is an event after `after_seq`."""
        self._awaiting += 1
        try:
            while self.last_seq <= after_seq:
                await self._published.wait()
        finally:
            self._awaiting -= 1

    async def read(self, after_seq: int, limit: int) -> list[Told]:
        """Return up to `limit` events after `after_seq`, in order and without a gap."""
        if self._recent and self._recent[0][0] <= after_seq + 1:
            start = after_seq + 1 - self._recent[0][0]
            stop = min(start + limit, len(self._recent))
            return [self._recent[index] for index in range(start, stop)]
        rows = await self._journal.read(after_seq, limit)
        return [(row.seq, row.entry) for row in rows]
