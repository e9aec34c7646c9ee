"""The desk: what one run knew of its venues, the next one goes on from."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.journal_rows import both
from tests.scripted import CLOCK, ScriptedExecutor, submit, until

from brokerd.config.load import DaemonConfig
from brokerd.desk import Desk, still_paused_until
from brokerd.errors import Busy, VenueUnavailable
from brokerd.events import DaemonStopped
from brokerd.executor import InDoubt, LinkState, Snapshot, Standing
from brokerd.history.model import SqliteHistory

HOUR_NS = 3_600 * 10**9


@asynccontextmanager
async def run_of(
    directory: Path,
    venue: ScriptedExecutor,
    epoch: str = "k3",
    state: LinkState = LinkState.UP,
) -> AsyncGenerator[Desk, None]:
    """One run on a journal that stays."""
    async with both(directory) as (journal, history), asyncio.TaskGroup() as group:
        config = DaemonConfig(request_deadline_s=5.0)
        desk = Desk(config, CLOCK, journal, history, on_changes=lambda *_: None)
        desk.add("scripted", venue, CLOCK.now_ns())
        tasks = await desk.start(group, epoch)
        await until(lambda: desk.links.by_name["sim"].condition.state is state)
        yield desk
        for task in tasks:
            task.cancel()


async def test_a_run_looks_back_to_where_the_last_one_was_in_sync_however_long_it_was_cut_off(
    tmp_path: Path,
) -> None:
    """The daemon may have run for days without its venue: its last row says nothing of that."""
    days_ago_ns = CLOCK.now_ns() - 72 * HOUR_NS
    first, second = ScriptedExecutor(), ScriptedExecutor()
    synced = Snapshot(began_ns=days_ago_ns, since_ns=0, orders=(), executions=())
    first.snapshots.append(synced)
    async with run_of(tmp_path, first):
        pass
    async with run_of(tmp_path, second):
        pass
    (since_ns,) = second.since
    assert days_ago_ns - HOUR_NS - 60 * 10**9 < since_ns < days_ago_ns


async def test_where_no_run_was_ever_in_sync_the_first_looks_back_to_the_oldest_open_order(
    tmp_path: Path,
) -> None:
    """Orders go out as soon as the stream is up; the last row may be days younger than they are."""
    days_ago_ns = CLOCK.now_ns() - 72 * HOUR_NS
    first, second = ScriptedExecutor(), ScriptedExecutor()
    first.snapshots += [VenueUnavailable("no list of orders today")] * 10
    async with run_of(tmp_path, first, state=LinkState.SYNCING) as desk:
        await desk.engine.do(submit(at_ns=days_ago_ns))
    async with run_of(tmp_path, second):
        pass
    (since_ns,) = second.since
    assert days_ago_ns - HOUR_NS - 60 * 10**9 < since_ns < days_ago_ns


async def test_a_ban_survives_a_restart(tmp_path: Path) -> None:
    first, second = ScriptedExecutor(), ScriptedExecutor()
    until_ns = CLOCK.now_ns() + HOUR_NS
    async with run_of(tmp_path, first) as desk:
        first.stands = Standing(paused_until_ns=until_ns, pause_reason="418: banned")
        pauses = desk.links.by_name["sim"].pauses
        await until(lambda: pauses._noted_until_ns == until_ns)
        await desk.engine.do(submit(at_ns=CLOCK.now_ns()))
    async with run_of(tmp_path, second):
        ((resumed_ns, reason),) = second.resumed
        assert (reason, first.resumed) == ("418: banned", [])
        assert until_ns <= resumed_ns <= CLOCK.now_ns() + HOUR_NS


@pytest.mark.parametrize(
    ("until_ns", "kept_ns"),
    [
        (50, 1_000),
        (160, 1_060),
        (2_000, 2_900),
        (100 + 2 * HOUR_NS, 100 + 2 * HOUR_NS),
        (100 + HOUR_NS, 1_000 + HOUR_NS),
    ],
    ids=["over", "60 ns left", "by what was left", "by the clock", "an hour at most"],
)
def test_a_clock_set_between_two_runs_does_not_end_a_ban_early(until_ns: int, kept_ns: int) -> None:
    """The last run stamped its last row at 100; this one begins at 1,000 by its own clock."""
    assert still_paused_until(until_ns, 100, 1_000) == kept_ns


def test_a_day_long_ban_is_waited_for_an_hour_anew_though_the_clock_says_it_is_over() -> None:
    assert still_paused_until(24 * HOUR_NS, 0, 30 * HOUR_NS) == 31 * HOUR_NS


async def test_a_desk_at_rest_has_let_go_of_its_venues_and_still_takes_a_last_row(
    tmp_path: Path,
) -> None:
    """An answer that came in after the end of a run would stand behind it in the journal."""
    venue = ScriptedExecutor(validity_window_s=0.0)
    venue.script["place"].append(InDoubt(evidence="lost"))
    async with run_of(tmp_path, venue) as desk:
        await desk.engine.do(submit(at_ns=CLOCK.now_ns()))
        await until(lambda: len(desk.engine.blotter.asking("sim")) == 1)
        await desk.rest()
        assert venue.closed == 1
        asked = len(venue.asked)
        await desk.engine.note(DaemonStopped(at_ns=CLOCK.now_ns(), reason="asked"))
        await desk.feed.wait(desk._journal.last_seq - 1)
        assert len(venue.asked) == asked
        names = {task.get_name() for task in asyncio.all_tasks()}
    assert names >= {"engine", "history"}
    assert not {name for name in names if name.startswith(("sim", "sampler"))}


async def test_a_run_starts_on_a_disk_so_full_that_history_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: SqliteHistory) -> None:
        raise Busy("history cannot be written: its disk is full")

    async with run_of(tmp_path, ScriptedExecutor()):
        pass
    async with both(tmp_path) as (journal, history), asyncio.TaskGroup() as group:
        monkeypatch.setattr(SqliteHistory, "flush", full)
        desk = Desk(DaemonConfig(), CLOCK, journal, history, on_changes=lambda *_: None)
        desk.add("scripted", ScriptedExecutor(), 0)
        for task in await desk.start(group, "k5"):
            task.cancel()
        monkeypatch.undo()


async def test_what_an_executor_left_that_is_configured_no_more_harms_nobody(
    tmp_path: Path,
) -> None:
    async with run_of(tmp_path, ScriptedExecutor()):
        pass
    other = ScriptedExecutor()
    other.name = "other"
    async with both(tmp_path) as (journal, history), asyncio.TaskGroup() as group:
        desk = Desk(DaemonConfig(), CLOCK, journal, history, on_changes=lambda *_: None)
        desk.add("scripted", other, 0)
        for task in await desk.start(group, "k4"):
            task.cancel()


async def test_a_doubt_of_an_earlier_run_is_asked_about_again_and_waits_anew_without_a_row(
    tmp_path: Path,
) -> None:
    first = ScriptedExecutor(validity_window_s=0.0)
    first.script["place"].append(InDoubt(evidence="lost"))
    async with run_of(tmp_path, first) as desk:
        await desk.engine.do(submit(at_ns=CLOCK.now_ns()))
        await until(lambda: len(desk.engine.blotter.asking("sim")) == 1)
    for epoch in ("k4", "k5"):
        began_ns, later = CLOCK.now_ns(), ScriptedExecutor(validity_window_s=60.0)
        later.views.append(None)
        async with run_of(tmp_path, later, epoch) as desk:
            await until(lambda venue=later: len(venue.asked) == 1)  # type: ignore[misc]
            order = desk.engine.blotter.get("x")
            assert order is not None
            assert (order.in_doubt, order.doubts, order.not_found_at_ns) == (True, 1, None)
            (request,) = desk.links.by_name["sim"].questions.waits_anew("x")
            assert request.final_at_ns is not None
            assert request.final_at_ns >= began_ns + 60 * 10**9


async def test_what_was_in_flight_when_a_run_died_is_put_in_doubt_once(tmp_path: Path) -> None:
    first = ScriptedExecutor()
    first.script["place"].append(None)
    async with run_of(tmp_path, first) as desk:
        await desk.engine.do(submit(at_ns=CLOCK.now_ns()))
    for epoch in ("k4", "k5", "k6"):
        async with run_of(tmp_path, ScriptedExecutor(), epoch) as desk:
            order = desk.engine.blotter.get("x")
            assert order is not None
            assert (order.in_doubt, order.doubts) == (True, 1)
