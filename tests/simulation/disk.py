"""
A disk with rows written and rows synced, and on it a journal and a history that know no SQLite.

What was synced survives everything. What was only written survives a kill if luck has it: all of a
transaction or nothing, and nothing after something that is lost.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence

from msgspec import Struct

from brokerd.errors import Busy, JournalError
from brokerd.events import (
    Entry,
    ExecutorPaused,
    ExecutorSynced,
    OrderSubmitted,
    OrderTraded,
    decode_entry,
    encode_entry,
)
from brokerd.journal.fold import Fold
from brokerd.journal.schema import genesis, link
from brokerd.orders import Order
from brokerd.storage import ENTRIES_MAX, ClOrdIdTaken, Named, Row

JOURNAL_ID = "simulated"
SYNC_S = (0.0002, 0.003)
SLOW_SYNC_S = (0.05, 0.8)
BALLAST_ROWS = 60
"""How many rows still fit on a full disk, where the ballast lay."""

FLUSH_EVERY_S = 0.2
FULL_RETRY_S = 1.0
SYNC_TIMEOUT_S = 10.0


class Disk:
    """
    What lies on the disk between the runs. `rows` holds all that was written, `synced` says how far
    it is safe. `on_rows` is told of rows when they are written; decoded from the very bytes.
    """

    def __init__(self, rng: random.Random, on_rows: Callable[[list[Row]], None]) -> None:
        self.rows: list[Row] = []
        self.synced = 0
        self.is_full = False
        self.ballast_rows = BALLAST_ROWS
        self.slow_sync = 0.0
        self.fail_next_sync = False
        self.submitted: dict[str, int] = {}
        self._rng = rng
        self._on_rows = on_rows

    def write(self, bodies: list[bytes]) -> None:
        """Write the bodies of the next rows; they are not safe yet."""
        head = self.rows[-1].hash if self.rows else genesis(JOURNAL_ID)
        written: list[Row] = []
        for seq, body in enumerate(bodies, len(self.rows) + 1):
            head = link(head, seq, body)
            row = Row(seq, decode_entry(body), body, head)
            written.append(row)
            if type(row.entry.event) is OrderSubmitted:
                self.submitted[row.entry.event.cl_ord_id] = seq
        self.rows += written
        self._on_rows(written)

    def sync(self) -> None:
        """Make all that is written safe."""
        self.synced = len(self.rows)

    def sync_s(self) -> float:
        """Draw how long a sync takes."""
        is_slow = self.slow_sync and self._rng.random() < self.slow_sync
        return self._rng.uniform(*(SLOW_SYNC_S if is_slow else SYNC_S))

    def crash(self) -> int:
        """Lose what luck wants of the rows that were not synced; return how many were lost."""
        kept = self._rng.randint(0, 1) * len(self.rows)
        lost = self.rows[max(self.synced, kept) :]
        del self.rows[len(self.rows) - len(lost) :]
        for row in lost:
            if type(row.entry.event) is OrderSubmitted:
                del self.submitted[row.entry.event.cl_ord_id]
        self.synced = len(self.rows)
        return len(lost)


class MemoryJournal:
    """`brokerd.storage.Journal` of one run of the daemon. A run that is over writes no more."""

    journal_id = JOURNAL_ID

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.last_seq = len(disk.rows)
        self.is_over = False
        self._failure: JournalError | None = None

    @property
    def accepts_orders(self) -> bool:
        return not self.disk.is_full

    async def append(self, first_seq: int, entries: Sequence[Entry]) -> list[bytes]:
        if self._failure is not None:
            raise self._failure
        if first_seq != self.last_seq + 1:
            raise ValueError(f"the next row is {self.last_seq + 1}, not {first_seq}")
        if not 0 < len(entries) <= ENTRIES_MAX:
            raise ValueError(f"a batch has 1 to {ENTRIES_MAX} entries, not {len(entries)}")
        bodies = [encode_entry(entry) for entry in entries]
        self._check_taken(entries)
        self._check_room(len(entries))
        await self._insert(bodies)
        self.last_seq = first_seq + len(entries) - 1
        return bodies

    async def _insert(self, bodies: list[bytes]) -> None:
        """One transaction: written, then synced; a fault leaves nobody knowing whether."""
        disk = self.disk
        if self.is_over:
            raise asyncio.CancelledError
        if disk.fail_next_sync:
            disk.fail_next_sync = False
            disk.write(bodies)
            self._failure = JournalError("the sync failed", reason="commit_unknown")
            raise self._failure
        disk.write(bodies)
        await asyncio.sleep(disk.sync_s())
        if self.is_over:
            raise asyncio.CancelledError
        disk.sync()

    def _check_taken(self, entries: Sequence[Entry]) -> None:
        submitted = [
            entry.event.cl_ord_id for entry in entries if type(entry.event) is OrderSubmitted
        ]
        taken = {each for each in submitted if each in self.disk.submitted}
        taken |= {each for each in submitted if submitted.count(each) > 1}
        if taken:
            raise ClOrdIdTaken(frozenset(taken))

    def _check_room(self, count: int) -> None:
        disk = self.disk
        if not disk.is_full:
            return
        disk.ballast_rows -= count
        if disk.ballast_rows < 0:
            self._failure = JournalError("the disk is full", reason="journal_disk_full")
            raise self._failure

    async def read(self, after_seq: int, limit: int) -> list[Row]:
        return self.disk.rows[after_seq : min(after_seq + limit, self.last_seq)]

    async def rows(self, seqs: Sequence[int]) -> list[Row]:
        return [self.disk.rows[seq - 1] for seq in sorted(seqs) if 0 < seq <= self.last_seq]

    async def replay(self, after_seq: int) -> AsyncIterator[Row]:
        for row in self.disk.rows[after_seq : self.last_seq]:
            yield row


class _Noted(Struct, frozen=True):
    seq: int
    entry: Entry
    order: Order | None


class MemoryHistory:
    """`brokerd.storage.History` of one run: the fold of the journal, always a little behind it."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.applied_seq = 0
        self._journal = journal
        self._noted: list[_Noted] = []
        self._noted_seq = 0
        self._arrived = asyncio.Event()
        self._orders: dict[str, Order] = {}
        self._exec_ids: dict[str, set[str]] = {}
        self._marks: dict[tuple[str, str], ExecutorSynced | ExecutorPaused] = {}
        self._numbers: dict[str, int] = {}
        self._by_ours: dict[tuple[str | None, str], str] = {}
        self._by_venues: dict[tuple[str | None, str], str] = {}
        fold = Fold()
        for row in journal.disk.rows:
            self._apply(row.seq, row.entry, fold.step(row))

    @property
    def backlog(self) -> int:
        return self._noted_seq - self.applied_seq if self._noted else 0

    def note(self, seq: int, entry: Entry, order: Order | None) -> None:
        self._noted.append(_Noted(seq, entry, order))
        self._noted_seq = seq
        self._arrived.set()

    async def run(self) -> None:
        while True:
            if not self._noted:
                self._arrived.clear()
                await self._arrived.wait()
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                await self.flush()
            except Busy:
                await asyncio.sleep(FULL_RETRY_S)

    async def flush(self) -> None:
        if self._journal.disk.is_full:
            raise Busy("history cannot be written: its disk is full", reason="history_disk_full")
        noted, self._noted = self._noted, []
        for each in noted:
            self._apply(each.seq, each.entry, each.order)
        await asyncio.sleep(0)

    async def synced(self, seq: int) -> None:
        try:
            async with asyncio.timeout(SYNC_TIMEOUT_S):
                while self.applied_seq < seq:
                    if self._noted_seq < seq:
                        self._arrived.clear()
                        await self._arrived.wait()
                    else:
                        await self.flush()
        except TimeoutError as error:
            raise Busy("history is behind", reason="history_behind") from error

    def _apply(self, seq: int, entry: Entry, order: Order | None) -> None:
        self.applied_seq = seq
        event = entry.event
        if isinstance(event, ExecutorSynced | ExecutorPaused):
            self._marks[type(event).__name__, event.executor] = event
        if order is None:
            return
        cl_ord_id, executor = order.cl_ord_id, order.terms.executor
        if cl_ord_id not in self._orders:
            # Where an id was given twice, the newer order has it.
            self._by_ours[executor, order.venue_cl_ord_id] = cl_ord_id
            self._by_ours[None, order.venue_cl_ord_id] = cl_ord_id
            self._numbers[cl_ord_id] = seq
        self._orders[cl_ord_id] = order
        if order.venue_order_id is not None:
            known = self._by_venues.get((executor, order.venue_order_id), cl_ord_id)
            newer = max(known, cl_ord_id, key=self._numbers.__getitem__)
            self._by_venues[executor, order.venue_order_id] = newer
        if type(event) is OrderTraded:
            self._exec_ids.setdefault(cl_ord_id, set()).add(event.exec_id)

    async def _synced_now(self) -> None:
        await self.synced(self._journal.last_seq)

    async def unsettled(self) -> list[Order]:
        await self._synced_now()
        return [order for order in self._orders.values() if not order.is_settled]

    async def unsettled_exec_ids(self) -> dict[str, set[str]]:
        await self._synced_now()
        return {
            cl_ord_id: set(exec_ids)
            for cl_ord_id, exec_ids in self._exec_ids.items()
            if not self._orders[cl_ord_id].is_settled
        }

    async def find(
        self,
        *,
        cl_ord_id: str | None = None,
        executor: str | None = None,
        venue_order_id: str | None = None,
        venue_cl_ord_id: str | None = None,
    ) -> Order | None:
        await self._synced_now()
        if cl_ord_id is None:
            cl_ord_id = self._by_ours.get((executor, venue_cl_ord_id or ""))
            if cl_ord_id is None and venue_order_id is not None:
                cl_ord_id = self._by_venues.get((executor, venue_order_id))
        return self._orders.get(cl_ord_id or "")

    async def marks(self) -> list[ExecutorSynced | ExecutorPaused]:
        await self._synced_now()
        return list(self._marks.values())

    async def exec_ids(self, cl_ord_id: str) -> set[str]:
        await self._synced_now()
        return set(self._exec_ids.get(cl_ord_id, ()))

    async def counted(self, executor: str, named: Sequence[Named]) -> set[str]:
        await self._synced_now()
        found: set[str] = set()
        for ours, venues, exec_id in named:
            cl_ord_id = self._by_ours.get((executor, ours or "")) or self._by_venues.get(
                (executor, venues or "")
            )
            if cl_ord_id is not None and exec_id in self._exec_ids.get(cl_ord_id, ()):
                found.add(exec_id)
        return found
