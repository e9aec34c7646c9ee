"""
The survey against the journal: the same answer from the read model as from a replay, whatever is
asked, in whatever pieces it followed, and whether distributions are exact or rounded.
"""

import sqlite3
from contextlib import closing
from decimal import Decimal
from itertools import groupby
from pathlib import Path

import pytest
from benchmarks.histories import life
from msgspec.structs import replace
from tests.survey_desk import LATER, NOW, T0, Desk, S, lives

from brokerd.events import Event, OrderAdopted, OrderSubmitted, OrderTraded, QuoteSampled
from brokerd.money import ZERO
from brokerd.params import Window
from brokerd.scorecard.show import show_statistics
from brokerd.states import OrdStatus, Status
from brokerd.stats.sample import PLACE, mid
from brokerd.stats.tally import Table
from brokerd.survey import answers, keys, schema, shelf, source, store
from brokerd.survey.answers import TooMuch
from brokerd.survey.cells import Cells, Dims
from brokerd.survey.question import Question
from brokerd.terms import Quote


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("survey"))
    desk.tell(lives())
    return desk


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "BLOCK_ORDERS", 16)
    monkeypatch.setattr(schema, "FANOUT", 3)
    monkeypatch.setattr(store, "ROWS_PER_STEP", 50)
    monkeypatch.setattr(keys, "VALUES_MAX", 100)


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
    "by all that blocks tell apart": {
        "group_by": ("strategy", "user", "executor", "symbol", "side", "ord_type"),
        "status": (Status.CLOSED,),
        "window": Window(None, None, "filled"),
    },
    "nothing": {"window": Window(T0 - 10 * S, T0 - 5 * S)},
}


@pytest.mark.parametrize("exact_max", [0, 100, 10_000], ids=["rounded", "few exact", "exact"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_the_read_model_answers_as_a_replay_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, exact_max: int
) -> None:
    monkeypatch.setattr(answers, "EXACT_ORDERS_MAX", exact_max)
    question = Question(seq=0, now_ns=LATER, **QUESTIONS[name])  # type: ignore[arg-type]
    with desk.followed() as kept:
        answer = kept.ask(question)
    expected = desk.replayed(question, is_exact=answer.is_exact)
    assert_same(answer, expected, question)
    assert answer.is_exact == (expected.orders <= exact_max)


def assert_same(answer: Table, expected: Table, question: Question) -> None:
    """What was counted is the same, and so is what is shown, where only the largest rows are."""
    assert {row: expected.rows[row] for row in answer.rows} == answer.rows
    assert len(answer.rows) + answer.rows_left_out == len(expected.rows)
    shown, wanted = (
        show_statistics(table, window=question.window, seq=0, now_ns=LATER, limit=question.limit)
        for table in (answer, expected)
    )
    assert shown == wanted


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("blocks that keep only shapes", {"shelf.CELLS_MAX": 3}),
        ("no key has few values", {"keys.VALUES_MAX": 0}),
        ("only some keys are told apart", {"keys.NAMES_MAX": 1}),
        ("every shape pushes out another", {"shelf.SHAPES_MAX": 1, "shelf.WORTH_KEEPING": 1}),
    ],
)
def test_whatever_blocks_keep_answers_are_the_same(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: dict[str, int]
) -> None:
    monkeypatch.setattr(answers, "EXACT_ORDERS_MAX", 0)
    for where, value in change.items():
        monkeypatch.setattr(f"brokerd.survey.{where}", value)
    asked = [Question(seq=0, now_ns=LATER, **each) for each in QUESTIONS.values()]  # type: ignore[arg-type]
    with desk.followed(survey=tmp_path / name) as kept:
        for question in asked * 2:
            answer = kept.ask(question)
            assert_same(answer, desk.replayed(question, is_exact=answer.is_exact), question)


def test_what_was_asked_once_is_kept_for_the_next_time(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "EXACT_ORDERS_MAX", 0)
    monkeypatch.setattr(shelf, "WORTH_KEEPING", 1)
    question = Question(seq=0, now_ns=LATER, group_by=("strategy", "symbol"))
    with desk.followed(survey=tmp_path / "survey") as kept:
        first = kept.ask(question)
        monkeypatch.setattr(shelf, "project", only_renamed)
        second = kept.ask(question)
    assert first.rows == second.rows


def test_what_is_asked_first_may_take_several_questions(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "EXACT_ORDERS_MAX", 0)
    monkeypatch.setattr(shelf, "CELLS_MAX", 3)
    monkeypatch.setattr(shelf, "WORTH_KEEPING", 1)
    monkeypatch.setattr(shelf, "READ_MAX", 20)
    question = Question(seq=0, now_ns=LATER, group_by=("strategy", "symbol"))
    with desk.followed(survey=tmp_path / "survey") as kept:
        asked = [kept.ask(question)]
        while asked[-1] is None:
            asked.append(kept.ask(question))
            assert len(asked) < 30, "what was made was not kept"
    assert len(asked) > 3
    assert_same(asked[-1], desk.replayed(question, is_exact=False), question)


def only_renamed(found: Cells, dims: Dims, onto: Dims) -> Cells:
    assert dims == onto, "what was made for the first answer was not kept"
    return found


def test_a_key_that_comes_late_and_one_that_gets_too_many_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that know nothing of a key, that tell it apart, and that do not any more, add up."""
    monkeypatch.setattr(answers, "EXACT_ORDERS_MAX", 0)
    monkeypatch.setattr(keys, "VALUES_MAX", 40)
    desk, events = Desk(tmp_path), lives(200)
    questions = [
        Question(seq=0, now_ns=LATER, group_by=("pair",), limit=1000),
        Question(seq=0, now_ns=LATER, group_by=("user", "pair"), group={"pair": "p95"}),
        Question(seq=0, now_ns=LATER, group_by=("user",)),
    ]
    events[:300] = map(without_pair, events[:300])
    for until in (300, 440, len(events)):
        desk.tell(events[len(desk.entries) : until])
        with desk.followed(events[until - 1].at_ns) as kept:
            for question in questions:
                kept.ask(question)
    with desk.followed() as kept, closing(sqlite3.connect(desk.survey)) as db:
        dims = db.execute("SELECT dims FROM blocks WHERE level = 0 ORDER BY id").fetchall()
        tell_apart = ["group.pair" in each for (each,) in dims]
        assert [kind for kind, _ in groupby(tell_apart)] == [False, True, False]
        for question in questions:
            answer = kept.ask(question)
            assert_same(answer, desk.replayed(question, is_exact=answer.is_exact), question)


def test_how_many_orders_have_a_key_is_known_however_often_they_changed(tmp_path: Path) -> None:
    desk, events = Desk(tmp_path), lives(120)
    for until in (100, 101, 300, len(events)):
        desk.tell(events[len(desk.entries) : until])
        with desk.followed(events[until - 1].at_ns), closing(sqlite3.connect(desk.survey)) as db:
            told = db.execute("SELECT id, orders FROM keys ORDER BY id").fetchall()
            sql = "SELECT key, count(*) FROM samples GROUP BY key ORDER BY key"
            assert told == db.execute(sql).fetchall()
    assert sum(orders for _, orders in told) == 120


def without_pair(event: Event) -> Event:
    if not isinstance(event, OrderSubmitted):
        return event
    group = {key: value for key, value in event.terms.group.items() if key != "pair"}
    return replace(event, terms=replace(event.terms, group=group))


def test_an_answer_that_would_take_too_long_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "EXACT_ORDERS_MAX", 0)
    monkeypatch.setattr(answers, "SINGLY_MAX", 50)
    question = Question(seq=0, now_ns=LATER, group_by=("pair",))
    with desk.followed() as kept:
        with pytest.raises(TooMuch, match="100 orders would have to be counted one by one"):
            kept.ask(question)
        assert len(kept.ask(replace(question, limit=50)).rows) == 50


def test_blocks_were_made_of_blocks(desk: Desk) -> None:
    """Else the questions above have asked nothing of them."""
    with desk.followed(), closing(sqlite3.connect(desk.survey)) as db:
        levels = dict(db.execute("SELECT level, count(*) FROM blocks GROUP BY level").fetchall())
        alone = db.execute("SELECT count(*) FROM singles WHERE series = 0").fetchone()
    assert levels[0] > levels[1] > levels[2] >= 1
    assert alone[0] > 10, "orders that are still open are in no block"


def test_what_comes_late_takes_its_block_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "EXACT_ORDERS_MAX", 0)
    desk = Desk(tmp_path)
    desk.tell(lives(150))
    everything = Question(seq=0, now_ns=LATER, group_by=("user",))
    with desk.followed() as kept:
        before = kept.ask(everything)
    late = next(order for order in desk.blotter() if order.ord_status is OrdStatus.CANCELED)
    fill = OrderTraded(at_ns=NOW, cl_ord_id=late.cl_ord_id, exec_id="late", last_qty=late.qty,
                       last_px=late.px or ZERO)  # fmt: skip
    desk.tell([fill])
    with desk.followed() as kept:
        after = kept.ask(everything)
    assert after.rows == desk.replayed(everything, is_exact=False).rows
    assert after.rows != before.rows


def test_times_across_a_restart_are_counted_whatever_piece_they_came_in(desk: Desk) -> None:
    """That all roads agree is shown above: here, that there was something to agree on."""
    question = Question(seq=0, now_ns=LATER)
    with desk.followed() as kept:
        (tally,) = (row["USDT"] for row in kept.ask(question).rows.values())
    orders, across = tally.sum("time_to_fill_n"), tally.sum("time_to_fill_across")
    assert 0 < across < orders
    assert tally.sum("fills_across") == 2 * across, "both of its fills came after the restart"
    assert not tally.sum("time_to_ack_across")


def test_marks_come_in_when_they_are_due(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    story = list(life(0, T0))
    quotes = [event for event in story if isinstance(event, QuoteSampled)]
    filled_ns = max(event.at_ns for event in story if isinstance(event, OrderTraded))
    desk.tell([event for event in story if event not in quotes])
    question = Question(seq=0, now_ns=filled_ns)
    with desk.followed(filled_ns) as kept:
        (before,) = kept.ask(question).rows.values()
    assert before["USDT"].sum("markout_1s_n") == 0
    desk.tell(quotes)
    with desk.followed(filled_ns + 10 * S) as kept:
        (after,) = kept.ask(question).rows.values()
    assert after["USDT"].sum("markout_1s_n") == 2


@pytest.mark.parametrize(("bid_px", "ask_px"), [("0", "101"), ("100", "0"), ("0.0", "0.0")])
def test_a_quote_on_record_with_an_empty_side_is_no_mark(
    tmp_path: Path, bid_px: str, ask_px: str
) -> None:
    """Older journals have them: the next quote in time is the mark, as if this one were not there."""
    story = list(life(0, T0))
    (quoted,) = [event for event in story if isinstance(event, QuoteSampled)]
    empty_ns = quoted.at_ns - 1
    empty = replace(quoted, at_ns=empty_ns, quote=Quote(Decimal(bid_px), Decimal(ask_px), empty_ns))
    question = Question(seq=0, now_ns=LATER)
    found = []
    for name, events in (("whole", story), ("empty", [empty, *story])):
        (tmp_path / name).mkdir()
        desk = Desk(tmp_path / name)
        desk.tell(events)
        with desk.followed() as kept:
            answer = kept.ask(question)
        assert_same(answer, desk.replayed(question, is_exact=answer.is_exact), question)
        (tally,) = answer.rows.values()
        assert tally["USDT"].sum("markout_1s_n") == 2
        found.append(tally["USDT"].sums)
    assert found[0] == found[1]


def test_only_quotes_that_may_be_a_mark_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two fills a day apart that are followed in one step: what the market did between is left."""
    desk, day_ns = Desk(tmp_path), 86_400 * S
    story = list(life(0, T0))
    filled_ns = max(event.at_ns for event in story if isinstance(event, OrderTraded))
    (quoted,) = [event for event in story if isinstance(event, QuoteSampled)]
    between = [replace(quoted, at_ns=filled_ns + n * 600 * S) for n in range(1, 144)]
    last = [
        replace(event, at_ns=event.at_ns + day_ns, **changed)
        for event in story
        for changed in ({} if isinstance(event, QuoteSampled) else {"cl_ord_id": "b"},)
    ]
    last[0] = replace(last[0], venue_cl_ord_id="v-b")
    desk.tell([*story, *between, *last])
    read: list[int] = []
    monkeypatch.setattr(source, "mid", lambda quote: read.append(quote.at_ns) or mid(quote))
    with desk.followed(LATER + day_ns):
        assert sorted(set(read)) == [quoted.at_ns, quoted.at_ns + day_ns]


@pytest.mark.parametrize(
    "what", ["missing", "nonsense", "of another journal", "of another shape", "ahead"]
)
def test_a_survey_that_cannot_be_used_is_made_anew(tmp_path: Path, what: str) -> None:
    desk = Desk(tmp_path)
    desk.tell(lives(20))
    question = Question(seq=0, now_ns=LATER)
    with desk.followed() as kept:
        expected = kept.ask(question).rows
    if what == "missing":
        desk.survey.unlink()
    elif what == "nonsense":
        desk.survey.write_bytes(b"x" * 4096)
    else:
        change = {
            "of another journal": "journal_id = 'x'",
            "of another shape": "shape = 'of last year'",
            "ahead": "followed_seq = 999999",
        }[what]
        with closing(sqlite3.connect(desk.survey)) as db, db:
            db.execute(f"UPDATE meta SET {change}")
    with desk.followed() as kept:
        assert kept.ask(question).rows == expected


def test_an_order_of_other_origin_is_in_no_figure(tmp_path: Path) -> None:
    told = [event for event in life(0, T0) if isinstance(event, OrderSubmitted | OrderTraded)]
    ours = [replace(event, cl_ord_id="ours") for event in told]
    submitted, *fills = [replace(event, cl_ord_id="ext-sim-v1") for event in told]
    shared = {name: getattr(submitted, name) for name in OrderSubmitted.__struct_fields__}
    theirs = OrderAdopted(**(shared | {"venue_order_id": "v1", "venue_cl_ord_id": "web"}))
    desk = Desk(tmp_path)
    desk.tell([*ours, theirs, *fills])
    assert fills, "it has fills to be counted"
    question = Question(seq=0, now_ns=LATER)
    with desk.followed() as kept:
        answer = kept.ask(question)
    assert_same(answer, desk.replayed(question, is_exact=True), question)
    ((tally,),) = (row.values() for row in answer.rows.values())
    assert (tally.sums[PLACE["orders"]], tally.sums[PLACE["fills"]]) == (1, len(fills))
