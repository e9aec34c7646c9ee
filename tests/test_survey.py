"""
The survey against the journal: the same answer from the read model as from a replay, whatever is
asked, in whatever pieces it followed, and whether distributions are exact or rounded.
"""

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from benchmarks.histories import life

from brokerd.blotter import Blotter, Stage
from brokerd.clock import SystemClock
from brokerd.events import DaemonStarted, Event, OrderTraded, QuoteSampled
from brokerd.executor import Clock
from brokerd.history.model import open_history
from brokerd.journal.store import open_journal
from brokerd.money import ZERO
from brokerd.params import Window
from brokerd.states import OrdStatus, Status
from brokerd.stats.marks import SETTLED_AFTER_NS
from brokerd.stats.replay import samples
from brokerd.stats.sample import Sample
from brokerd.stats.tally import Table
from brokerd.survey import store as survey
from brokerd.survey.question import Question
from brokerd.survey.store import Store, open_store

S = 1_000_000_000
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
    def followed(self, now_ns: int = LATER) -> Iterator[Store]:
        with open_store(self.survey, self.history) as store:
            while store.step(now_ns):
                pass
            yield store

    def replayed(self, question: Question, *, is_exact: bool) -> Table:
        """The same question to the journal itself, one order after the other."""
        table = Table(question.group_by, is_exact=is_exact)
        orders = {order.cl_ord_id: order for order in self.blotter()}
        for sample, order in zip(
            samples(self.entries, question.now_ns), orders.values(), strict=True
        ):
            times = {"created": order.created_at_ns, "closed": order.closed_at_ns,
                     "filled": order.last_fill_at_ns}  # fmt: skip
            if is_meant(
                question, sample, times[question.window.by], order.status, order.shown_status
            ):
                table.count(sample)
        return table

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
    """Lives that overlap: some orders are still open at the end, and quotes come in between."""
    told: list[Event] = [DaemonStarted(at_ns=T0, version="t", epoch="t")]
    chance = random.Random(5)
    for number in range(orders):
        events = list(life(number, T0 + number * 2 * S))
        if number % 17 == 0:
            events = events[: chance.randint(1, 2)]
        told += events
    told.sort(key=lambda event: event.at_ns)
    return told


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("survey"))
    desk.tell(lives())
    return desk


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "BLOCK_ORDERS", 16)
    monkeypatch.setattr(survey, "FANOUT", 3)
    monkeypatch.setattr(survey, "ROWS_PER_STEP", 50)


QUESTIONS = {
    "everything": {},
    "by our own keys": {"group_by": ("symbol", "side", "ord_type", "executor")},
    "by one key of a group": {"group_by": ("strategy",)},
    "by two keys of a group": {"group_by": ("strategy", "user")},
    "by a key with many values": {"group_by": ("pair", "side")},
    "by a key nobody has": {"group_by": ("nobody",)},
    "one symbol": {"symbol": "BTCUSDT", "group_by": ("user",)},
    "one side": {"side": "sell"},
    "no executor": {"executor": "elsewhere"},
    "one group": {"group": {"user": "u3"}},
    "two keys": {"group": {"user": "u3", "strategy": "s4"}},
    "canceled": {"ord_status": (OrdStatus.CANCELED,), "group_by": ("user",)},
    "closed": {"status": (Status.CLOSED, Status.PENDING)},
    "a window": {"window": Window(T0 + 77 * S, T0 + 401 * S), "group_by": ("symbol",)},
    "since": {"window": Window(T0 + 300 * S, None)},
    "until": {"window": Window(None, T0 + 300 * S)},
    "by time closed": {"window": Window(T0 + 77 * S, T0 + 401 * S, "closed")},
    "by time filled": {"window": Window(T0 + 77 * S, T0 + 401 * S, "filled")},
    "all that filled": {"window": Window(None, None, "filled"), "group_by": ("user",)},
    "a window of one user": {"window": Window(T0 + 77 * S, None), "group": {"user": "u1"}},
    "nothing": {"window": Window(T0 - 10 * S, T0 - 5 * S)},
}


@pytest.mark.parametrize("exact_max", [0, 10_000], ids=["rounded", "exact"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_the_read_model_answers_as_a_replay_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, exact_max: int
) -> None:
    monkeypatch.setattr(survey, "EXACT_ORDERS_MAX", exact_max)
    question = Question(seq=0, now_ns=LATER, **QUESTIONS[name])  # type: ignore[arg-type]
    with desk.followed() as store:
        answer = store.ask(question)
    expected = desk.replayed(question, is_exact=answer.is_exact)
    assert answer.rows == expected.rows
    assert answer.is_exact == (exact_max > 0 or not expected.rows)


def test_blocks_were_made_of_blocks(desk: Desk) -> None:
    """Else the questions above have asked nothing of them."""
    with desk.followed(), closing(sqlite3.connect(desk.survey)) as db:
        levels = dict(db.execute("SELECT level, count(*) FROM blocks GROUP BY level").fetchall())
        alone = db.execute("SELECT count(*) FROM samples WHERE block IS NULL").fetchone()
    assert levels[0] > levels[1] > levels[2] >= 1
    assert alone[0] > 10, "orders that are still open are in no block"


def test_what_comes_late_takes_its_block_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "EXACT_ORDERS_MAX", 0)
    desk = Desk(tmp_path)
    desk.tell(lives(150))
    everything = Question(seq=0, now_ns=LATER, group_by=("user",))
    with desk.followed() as store:
        before = store.ask(everything)
    late = next(order for order in desk.blotter() if order.ord_status is OrdStatus.CANCELED)
    fill = OrderTraded(at_ns=NOW, cl_ord_id=late.cl_ord_id, exec_id="late", last_qty=late.qty,
                       last_px=late.px or ZERO)  # fmt: skip
    desk.tell([fill])
    with desk.followed() as store:
        after = store.ask(everything)
    assert after.rows == desk.replayed(everything, is_exact=False).rows
    assert after.rows != before.rows


def test_marks_come_in_when_they_are_due(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    story = list(life(0, T0))
    quotes = [event for event in story if isinstance(event, QuoteSampled)]
    filled_ns = max(event.at_ns for event in story if isinstance(event, OrderTraded))
    desk.tell([event for event in story if event not in quotes])
    question = Question(seq=0, now_ns=filled_ns)
    with desk.followed(filled_ns) as store:
        (before,) = store.ask(question).rows.values()
    assert before["USDT"].sum("markout_1s_n") == 0
    desk.tell(quotes)
    with desk.followed(filled_ns + 10 * S) as store:
        (after,) = store.ask(question).rows.values()
    assert after["USDT"].sum("markout_1s_n") == 2


@pytest.mark.parametrize("what", ["missing", "nonsense", "of another journal", "ahead"])
def test_a_survey_that_cannot_be_used_is_made_anew(tmp_path: Path, what: str) -> None:
    desk = Desk(tmp_path)
    desk.tell(lives(20))
    question = Question(seq=0, now_ns=LATER)
    with desk.followed() as store:
        expected = store.ask(question).rows
    if what == "missing":
        desk.survey.unlink()
    elif what == "nonsense":
        desk.survey.write_bytes(b"x" * 4096)
    else:
        change = "journal_id = 'x'" if what == "of another journal" else "followed_seq = 999999"
        with closing(sqlite3.connect(desk.survey)) as db, db:
            db.execute(f"UPDATE meta SET {change}")
    with desk.followed() as store:
        assert store.ask(question).rows == expected
