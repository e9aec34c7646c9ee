"""The poller: all that is at a venue, after every gap and at a floor rate, is merged: proof."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from tests.asked import desk
from tests.scripted import (
    CLOCK,
    D,
    E,
    S,
    ScriptedExecutor,
    house,
    report,
    reported,
    submit,
    traded,
    until,
    view,
)

from brokerd import poller as module
from brokerd.errors import VenueUnavailable
from brokerd.executor import Snapshot
from brokerd.messages import Reported
from brokerd.orders import Order

DOWN = VenueUnavailable("down")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brokerd.questions.FIRST_ASK_S", 0.001)
    monkeypatch.setattr("brokerd.retries.delay_s", lambda *_: 0.0)


async def test_a_snapshot_is_merged_and_what_it_leaves_open_is_asked(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.submitted()
        await at.home.engine.do(submit("y", CLOCK.now_ns()))
        await at.home.engine.settle(Reported("sim", report(E.NEW, "y"), "stream", CLOCK.now_ns()))
        at.venue.views.append(view(S.CANCELED, "y"))
        at.snapshot(view(), view(cl_ord_id="of-a-person"), executions=(traded("t", 3),))
        await at.link.poller.sync()
        await until(lambda: at.home.order("y").is_final)
        assert (at.home.order().cum_qty, at.home.order().ord_status) == (D(3), S.PARTIALLY_FILLED)


async def test_a_snapshot_is_asked_for_again_and_reaches_back_behind_the_last(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        at.venue.snapshots += [DOWN, DOWN]
        at.snapshot(began_ns=10**18)
        await at.link.poller.sync()
        await at.link.poller.sync()
        promised = at.venue.capabilities
        late_s = promised.processing_bound_s + promised.query_lag_s + promised.clock_error_s
        overlap_ns = int((late_s + module.OVERLAP_S) * 1e9)
        assert at.venue.since == [0, 0, 0, 10**18 - overlap_ns]


async def test_the_first_look_of_a_run_begins_where_the_last_one_was_in_sync_however_long_ago(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, query_lag_s=2.0) as at:
        at.link.poller.resume(10**18)
        await at.link.poller.sync()
        back_s = 2.0 + module.OVERLAP_S + module.RESTART_OVERLAP_S
        assert at.venue.since == [10**18 - int(back_s * 1e9)]


async def test_it_goes_on_record_now_and_then_how_far_all_is_known(tmp_path: Path) -> None:
    async with desk(tmp_path, query_lag_s=2.0) as at:
        every_ns = int(module.SYNC_NOTED_EVERY_S * 1e9)
        for began_ns in (10**18, 10**18 + every_ns - 1, 10**18 + every_ns):
            at.snapshot(began_ns=began_ns)
            await at.link.poller.sync()
        marks = await at.home.history.marks()
        lag_ns = 2 * 10**9
        assert [mark.synced_ns for mark in marks] == [10**18 + every_ns - lag_ns]
        assert at.home.journal.last_seq == 2


async def test_it_goes_on_record_only_once_what_history_is_asked_for_is_known_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run looks no further back: a fill of an order that left memory would be lost."""
    async with desk(tmp_path) as at:
        leave, known = asyncio.Event(), at.home.engine.recall.known

        async def in_its_own_time(**names: str | None) -> Order | None:
            await leave.wait()
            return await known(**names)

        monkeypatch.setattr(at.home.engine.recall, "known", in_its_own_time)
        await at.home.engine.tell(reported(traded("late", 2), at_ns=5))
        at.snapshot(began_ns=10**18)
        await at.link.poller.sync()
        assert await at.home.history.marks() == []
        leave.set()
        await until(lambda: at.home.engine.strangers.unknown == 1)
        at.snapshot(began_ns=10**18 + 1)
        await at.link.poller.sync()
        assert len(await at.home.history.marks()) == 1


async def test_a_snapshot_that_never_comes_is_given_up(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.venue.snapshots += [DOWN] * 99
        with pytest.raises(VenueUnavailable):
            await at.link.poller.sync()
        assert len(at.venue.since) == module.SNAPSHOT_TRIES_MAX


async def test_the_floor_rate_goes_on_whatever_the_stream_and_the_venue_do(tmp_path: Path) -> None:
    """A fill that the stream dropped is found by the next look."""
    async with desk(tmp_path, floor_s=0.01) as at:
        at.venue.snapshots += [DOWN] * module.SNAPSHOT_TRIES_MAX
        await at.submitted()
        await at.home.engine.settle(Reported("sim", report(E.NEW), "stream", CLOCK.now_ns()))
        at.snapshot(view(), executions=(traded("dropped", 3),))
        await until(lambda: at.home.order().cum_qty == D(3))
        looks = len(at.venue.since)
        await until(lambda: len(at.venue.since) >= looks + 2)


async def test_the_floor_rate_ends_though_its_executor_swallows_the_end(tmp_path: Path) -> None:
    class Deaf(ScriptedExecutor):
        async def snapshot(self, since_ns: int) -> Snapshot:
            self.since.append(since_ns)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return self.empty()

    async with house(tmp_path) as home:
        venue = Deaf()
        poller = home.link(venue, poll_floor_s=0).poller
        task = asyncio.get_running_loop().create_task(poller.run())
        await until(lambda: len(venue.since) == 1, "a snapshot is under way")
        task.cancel()
        await asyncio.wait((task,), timeout=30)
        assert task.cancelled()
        assert len(venue.since) == 1
