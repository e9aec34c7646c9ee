"""What stands in for the disk keeps the promises that SQLite keeps: same questions, same answers."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.journal_rows import (
    T0_NS,
    Story,
    a_day,
    acknowledged,
    both,
    canceled,
    submit,
    traded,
)
from tests.simulation.disk import Disk, MemoryHistory, MemoryJournal

from brokerd.events import ExecutorPaused, ExecutorSynced, OrderAdopted, OrderSubmitted
from brokerd.storage import ClOrdIdTaken, History, Journal

Storage = tuple[Journal, History]


@pytest.fixture(params=["sqlite", "memory"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    if request.param == "sqlite":
        async with both(tmp_path) as (journal, history):
            yield journal, history
    else:
        stand_in = MemoryJournal(Disk(random.Random(1), on_rows=lambda rows: None))
        yield stand_in, MemoryHistory(stand_in)


async def kept(storage: Storage, story: Story) -> History:
    """Put a story into both, as the engine does."""
    journal, history = storage
    await journal.append(1, story.entries)
    for seq, entry, order in story.noted:
        history.note(seq, entry, order)
    return history


def adopted(no: int) -> OrderAdopted:
    told = {each: getattr(submit(no), each) for each in OrderSubmitted.__struct_fields__}
    return OrderAdopted(venue_order_id=f"v{no}", **told)


async def test_rows_are_read_back_by_place_and_by_number(storage: Storage) -> None:
    journal, _ = storage
    story = a_day()
    bodies = await journal.append(1, story.entries)
    assert journal.last_seq == len(story.entries)
    rows = await journal.read(0, 100)
    assert [row.entry for row in rows] == story.entries
    assert [row.body for row in rows] == bodies
    assert [row.seq for row in await journal.read(3, 2)] == [4, 5]
    assert [row.seq for row in await journal.rows([7, 2, 999])] == [2, 7]
    assert [row.seq async for row in journal.replay(9)] == [10, 11, 12, 13]


async def test_a_cl_ord_id_that_is_taken_is_named_and_nothing_is_written(storage: Storage) -> None:
    journal, _ = storage
    story = Story()
    story.tell(submit(1))
    await journal.append(1, story.entries)
    with pytest.raises(ClOrdIdTaken) as told:
        await journal.append(2, [*story.entries])
    assert told.value.taken == {"bot-1"}
    assert journal.last_seq == 1


@pytest.mark.parametrize(("first_seq", "count"), [(2, 1), (0, 1), (1, 0), (1, 1001)])
async def test_a_batch_that_cannot_be_the_next_is_refused(
    storage: Storage, first_seq: int, count: int
) -> None:
    journal, _ = storage
    with pytest.raises(ValueError, match=r"next row|entries"):
        await journal.append(first_seq, a_day().entries[:1] * count)


async def test_an_order_is_found_by_each_of_its_ids_and_by_no_others(storage: Storage) -> None:
    history = await kept(storage, a_day())
    by_ours = await history.find(executor="paper", venue_cl_ord_id="e-2")
    assert by_ours is not None
    assert by_ours.cl_ord_id == "bot-2"
    assert await history.find(cl_ord_id="bot-2") == by_ours
    assert await history.find(executor="paper", venue_order_id="v2") == by_ours
    assert await history.find(venue_cl_ord_id="e-2") == by_ours
    renamed = await history.find(executor="paper", venue_cl_ord_id="?", venue_order_id="v2")
    assert renamed == by_ours
    for wrong in (
        {"cl_ord_id": "bot-9"},
        {"executor": "other", "venue_cl_ord_id": "e-2"},
        {"executor": "other", "venue_order_id": "v2"},
    ):
        assert await history.find(**wrong) is None


async def test_an_order_of_other_origin_is_found_like_any_other(storage: Storage) -> None:
    story = Story()
    story.tell(adopted(1))
    history = await kept(storage, story)
    for named in ({"venue_cl_ord_id": "e-1"}, {"venue_order_id": "v1"}):
        found = await history.find(executor="paper", **named)
        assert found is not None
        assert found.is_external


async def test_what_is_unsettled_comes_with_the_executions_it_has_counted(storage: Storage) -> None:
    story = a_day()
    story.tell(traded(4, "x4"))
    history = await kept(storage, story)
    assert [order.cl_ord_id for order in await history.unsettled()] == ["bot-4"]
    assert await history.unsettled_exec_ids() == {"bot-4": {"x4"}}
    assert await history.exec_ids("bot-1") == {"x1", "x2"}
    assert await history.exec_ids("bot-3") == set()


async def test_executions_are_counted_by_the_order_they_belong_to(storage: Storage) -> None:
    history = await kept(storage, a_day())
    asked = [("e-1", None, "x1"), (None, "v2", "x3"), ("e-1", None, "x3"), (None, "v9", "x1")]
    assert await history.counted("paper", asked) == {"x1", "x3"}
    assert await history.counted("other", asked) == set()


async def test_the_last_mark_of_each_kind_is_kept(storage: Storage) -> None:
    story = Story()
    for seconds in (1, 2):
        story.tell(ExecutorSynced(at_ns=T0_NS, executor="paper", synced_ns=seconds))
        story.tell(
            ExecutorPaused(at_ns=T0_NS, executor="paper", paused_until_ns=seconds, reason="")
        )
    history = await kept(storage, story)
    marks = await history.marks()
    assert {type(each) for each in marks} == {ExecutorSynced, ExecutorPaused}
    assert set(marks) == {entry.event for entry in story.entries[2:]}


async def test_a_late_fill_takes_a_settled_order_on(storage: Storage) -> None:
    story = Story()
    for event in (submit(1), acknowledged(1), canceled(1), traded(1, "late")):
        story.tell(event)
    history = await kept(storage, story)
    order = await history.find(cl_ord_id="bot-1")
    assert order == story.orders["bot-1"]
    assert await history.exec_ids("bot-1") == {"late"}
