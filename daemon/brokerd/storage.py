"""
The port between the broker and its disk: what a journal and a history must do and promise.

The journal is the one sequence of everything that happened; history is its fold, kept for what has
left memory. Engine and feed know these two protocols and nothing of SQLite: another disk, real or
simulated, stands in by keeping the same promises.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct

from brokerd.errors import Refused
from brokerd.events import Entry, ExecutorPaused, ExecutorSynced
from brokerd.orders import Order

ENTRIES_MAX = 1_000
"""Entries in one append. A larger batch is refused whole: splitting it is the caller's decision."""

READ_MAX = 10_000
"""Rows of one read."""


class Row(Struct, frozen=True):
    """One journal row: what was written, as a record and as the bytes that `hash` covers."""

    seq: int
    entry: Entry
    body: bytes
    hash: bytes


class ClOrdIdTaken(Refused):
    """An append held submits whose cl_ord_id is on record already: nothing of it was written."""

    name = "cl_ord_id_taken"

    def __init__(self, taken: frozenset[str]) -> None:
        super().__init__(f"{len(taken)} cl_ord_id of the batch are taken")
        self.taken = taken


class Journal(Protocol):
    """The sequence of everything that happened: gap-free, append-only, durable before it returns."""

    @property
    def journal_id(self) -> str:
        """The random name this journal was born with."""
        ...

    @property
    def last_seq(self) -> int:
        """The seq of the newest durable row, 0 before the first."""
        ...

    @property
    def accepts_orders(self) -> bool:
        """False when the disk is so full that what is left is kept for fills and cancels."""
        ...

    async def append(self, first_seq: int, entries: Sequence[Entry]) -> list[bytes]:
        """
        Write entries as rows `first_seq`, `first_seq` + 1, ...; return their bodies once durable.

        Raises ClOrdIdTaken (nothing was written), JournalError (unknown; stop), or ValueError for
        a batch that is empty, above ENTRIES_MAX, or not the next one.
        """
        ...

    async def read(self, after_seq: int, limit: int) -> list[Row]:
        """Return up to `limit` rows (at most READ_MAX) that follow `after_seq`, oldest first."""
        ...

    async def rows(self, seqs: Sequence[int]) -> list[Row]:
        """Return the rows with these seqs (at most READ_MAX), oldest first."""
        ...

    def replay(self, after_seq: int) -> AsyncIterator[Row]:
        """Yield all rows after `after_seq`, checking each hash; JournalError at the first bad one."""
        ...


Named = tuple[str | None, str | None, str]
"""An execution as a venue names it: our id of the order, the venue's own, and the exec_id."""


class History(Protocol):
    """
    Every order as the journal has left it, also those that left memory.

    A question first waits until all that was durable when it was asked is in, and raises Busy if
    that takes too long.
    """

    @property
    def applied_seq(self) -> int:
        """The last journal row that is in; what came after must stay in memory."""
        ...

    @property
    def backlog(self) -> int:
        """Rows noted and not yet in."""
        ...

    def note(self, seq: int, entry: Entry, order: Order | None) -> None:
        """Take in one committed row and the order after it, in journal order; never waits."""
        ...

    async def run(self) -> None:
        """Put what was noted in, until cancelled."""
        ...

    async def flush(self) -> None:
        """Put everything noted so far in; Busy if the disk is full."""
        ...

    async def unsettled(self) -> list[Order]:
        """Return the orders that are not settled, in order of submit: what a start needs."""
        ...

    async def unsettled_exec_ids(self) -> dict[str, set[str]]:
        """Return the exec_ids of the unsettled orders' fills by cl_ord_id."""
        ...

    async def marks(self) -> list[ExecutorSynced | ExecutorPaused]:
        """Return the last of these events of each executor, whatever else came after."""
        ...

    async def find(
        self,
        *,
        cl_ord_id: str | None = None,
        executor: str | None = None,
        venue_order_id: str | None = None,
        venue_cl_ord_id: str | None = None,
    ) -> Order | None:
        """
        Return an order by its cl_ord_id, or by an executor and either id its venue knows it by.

        Of two ids ours counts first, as in memory; it will do without an executor, too. Where a venue gave one id twice, the newer
        order; None if there never was one.
        """
        ...

    async def exec_ids(self, cl_ord_id: str) -> set[str]:
        """Return the exec_ids of one order's fills."""
        ...

    async def counted(self, executor: str, named: Sequence[Named]) -> set[str]:
        """Return the exec_ids, of those named, whose executions are counted."""
        ...
