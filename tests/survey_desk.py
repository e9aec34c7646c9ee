"""A journal, its read model and its survey, grown together, and lives for them to grow by."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.histories import life

from brokerd.blotter import Blotter, Stage
from brokerd.clock import SystemClock
from brokerd.events import DaemonStarted, Event
from brokerd.executor import Clock
from brokerd.history.model import open_history
from brokerd.journal.store import open_journal
from brokerd.orders import Order
from brokerd.states import OrdStatus, Status
from brokerd.stats.marks import SETTLED_AFTER_NS
from brokerd.stats.replay import samples
from brokerd.stats.sample import Sample, is_measured
from brokerd.stats.tally import Table
from brokerd.survey.question import Question
from brokerd.survey.store import Store, open_store

MS = 1_000_000
S = 1_000 * MS
T0 = 1_760_000_000 * S
ORDERS = 300
NOW = T0 + (2 * ORDERS + 30) * S
LATER = NOW + 2 * SETTLED_AFTER_NS


class Desk:
    """A journal, its read model and its survey, grown together."""

    def __init__(self, directory: Path) -> None:
        self.journal = directory / "journal.db"
        self.history = directory / "journal-history.db"
        self.survey = directory / "journal-survey.db"
        self.events: list[Event] = []
        self.entries = []
        self._replayed: tuple[int, int, list[tuple[Sample, Order]]] = (-1, 0, [])

    def tell(self, events: list[Event]) -> None:
        asyncio.run(self._tell(events))

    async def _tell(self, events: list[Event]) -> None:
        clock: Clock = SystemClock()
        small = {"reserve_bytes": 65_536, "reserve_free_bytes": 1_048_576}
        async with (
            open_journal(self.journal, clock, **small) as journal,
            open_history(self.history, journal) as history,
        ):
            blotter = Blotter()
            for seq, entry in self.entries:
                blotter.fold(seq, entry.event)
            stage = Stage(blotter, journal.last_seq + 1)
            for event in events:
                stage.record(event)
            for at in range(0, len(stage.changes), 900):
                chunk = stage.changes[at : at + 900]
                await journal.append(chunk[0].seq, [change.entry for change in chunk])
            for change in stage.changes:
                history.note(change.seq, change.entry, change.order)
                self.entries.append((change.seq, change.entry))
            await history.flush()

    @contextmanager
    def followed(self, now_ns: int = LATER, survey: Path | None = None) -> Iterator[Store]:
        with open_store(survey or self.survey, self.history) as kept:
            while kept.step(now_ns):
                pass
            yield kept

    def replayed(self, question: Question, *, is_exact: bool) -> Table:
        """The same question to the journal itself, one order after the other."""
        table = Table(question.group_by, is_exact=is_exact)
        for sample, order in self._lives(question.now_ns):
            times = {"created": order.created_at_ns, "closed": order.closed_at_ns,
                     "filled": order.last_fill_at_ns}  # fmt: skip
            if is_meant(
                question, sample, times[question.window.by], order.status, order.shown_status
            ):
                table.count(sample)
        return table

    def _lives(self, now_ns: int) -> list[tuple[Sample, Order]]:
        """Replay the journal; once for all questions to the same rows."""
        rows, at_ns, lives = self._replayed
        if (rows, at_ns) != (len(self.entries), now_ns):
            orders = {each.cl_ord_id: each for each in self.blotter() if is_measured(each)}
            lives = list(zip(samples(self.entries, now_ns), orders.values(), strict=True))
            self._replayed = len(self.entries), now_ns, lives
        return lives

    def blotter(self) -> Blotter:
        blotter = Blotter()
        for seq, entry in self.entries:
            blotter.fold(seq, entry.event)
        return blotter


def is_meant(
    question: Question, sample: Sample, at_ns: int | None, status: Status, shown: OrdStatus
) -> bool:
    window = question.window
    return (
        at_ns is not None
        and (window.since_ns is None or at_ns >= window.since_ns)
        and (window.until_ns is None or at_ns < window.until_ns)
        and (not question.status or status in question.status)
        and (not question.ord_status or shown in question.ord_status)
        and question.means(sample.key)
    )


def lives(orders: int = ORDERS) -> list[Event]:
    """
    Lives that overlap: some orders are still open at the end, and quotes come in between.

    One order in ten lives on while the daemon is started anew.
    """
    told: list[Event] = [DaemonStarted(at_ns=T0, version="t", epoch="t")]
    chance = random.Random(5)
    for number in range(orders):
        events = list(life(number, T0 + number * 2 * S))
        if number % 17 == 0:
            events = events[: chance.randint(1, 2)]
        told += events
        if number % 10 == 0:
            restarted_ns = T0 + number * 2 * S + 100 * MS
            told.append(DaemonStarted(at_ns=restarted_ns, version="t", epoch="t"))
    told.sort(key=lambda event: event.at_ns)
    return told
