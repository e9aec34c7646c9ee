"""The listener: connected, in sync, or on record as down, and never the end of anybody else."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.scripted import (
    CLOCK,
    D,
    E,
    House,
    ScriptedExecutor,
    house,
    report,
    submit,
    traded,
    until,
    view,
)

from brokerd import condition
from brokerd import listener as module
from brokerd import pauses as pausing
from brokerd.errors import (
    ConfigError,
    Halted,
    NotFrozen,
    OutcomeUnknown,
    VenueRefused,
    VenueUnavailable,
)
from brokerd.events import ExecutorChanged, ExecutorPaused, ExecutorThawed
from brokerd.executor import LinkState, Snapshot, Standing

DOWN = VenueUnavailable("no route", retry_after_s=7.0)


class Desk:
    def __init__(self, home: House, venue: ScriptedExecutor) -> None:
        self.home, self.venue = home, venue
        self.link = home.link(venue)
        self.listener, self.condition = self.link.listener, self.link.condition
        self.task: asyncio.Task[None] | None = None

    @property
    def states(self) -> list[str]:
        events = [change.entry.event for change in self.home.changes]
        return [event.state for event in events if isinstance(event, ExecutorChanged)]

    async def until_up(self, times: int = 1) -> None:
        await until(lambda: self.states.count("up") == times, "up")


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float | None]]:
    asked: list[tuple[int, float | None]] = []

    def delay_s(attempt: int, retry_after_s: float | None = None) -> float:
        asked.append((attempt, retry_after_s))
        return 0.0

    monkeypatch.setattr(module, "delay_s", delay_s)
    monkeypatch.setattr("brokerd.retries.delay_s", lambda *_: 0.0)
    return asked


@asynccontextmanager
async def desk(directory: Path) -> AsyncGenerator[Desk, None]:
    async with house(directory) as home:
        venue = ScriptedExecutor()
        at = Desk(home, venue)
        yield at
        if at.task is not None:
            at.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await at.task


@asynccontextmanager
async def listening(directory: Path) -> AsyncGenerator[Desk, None]:
    async with desk(directory) as at:
        at.task = asyncio.get_running_loop().create_task(at.listener.run())
        yield at


async def test_a_link_comes_up_in_steps_that_are_on_record_before_they_show(
    tmp_path: Path,
) -> None:
    async with listening(tmp_path) as at:
        assert at.condition.state is LinkState.STARTING
        at.home.journal.leave.clear()
        await until(lambda: at.home.journal.appends == [1])
        assert at.condition.state is LinkState.STARTING, "syncing is not durable yet"
        assert not at.condition.settled.is_set()
        at.home.journal.leave.set()
        await at.until_up()
        assert at.states == ["syncing", "up"]
        await until(lambda: at.condition.state is LinkState.UP)
        assert at.condition.settled.is_set()
    assert at.venue.closed == 1


async def test_what_the_stream_tells_is_merged_also_while_the_snapshot_is_under_way(
    tmp_path: Path,
) -> None:
    async with listening(tmp_path) as at:
        leave = asyncio.Event()

        async def slow(_since_ns: int) -> object:
            await leave.wait()
            return at.venue.empty()

        at.venue.snapshot = slow  # type: ignore[method-assign,assignment]
        await at.home.engine.do(submit(at_ns=CLOCK.now_ns()))
        at.venue.told.put_nowait(traded("t", 3))
        await until(lambda: at.home.order().cum_qty == D(3))
        assert at.states == ["syncing"]
        assert at.listener.reports == 1
        leave.set()
        await at.until_up()


@pytest.mark.parametrize(
    "gap",
    [
        StopAsyncIteration(),
        VenueUnavailable("cut"),
        OutcomeUnknown("?"),
        KeyError("bug"),
        TimeoutError(),
    ],
    ids=lambda gap: type(gap).__name__,
)
async def test_every_gap_in_the_stream_is_down_then_a_new_connection_and_a_new_snapshot(
    tmp_path: Path, gap: Exception
) -> None:
    async with listening(tmp_path) as at:
        await at.until_up()
        at.venue.told.put_nowait(gap)
        await at.until_up(2)
        assert at.states == ["syncing", "up", "down", "syncing", "up"]
        assert (at.venue.connected, at.venue.streams, len(at.venue.since)) == (2, 2, 2)


async def test_who_is_told_to_stop_while_a_gap_is_tidied_up_after_stops(tmp_path: Path) -> None:
    """A task group that ends with an error forgets that its task was cancelled (Python 3.11, 3.12)."""
    async with desk(tmp_path) as at:
        asking, tidying, leave = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow_to_stop(_since_ns: int) -> Snapshot:
            asking.set()
            try:
                return await asyncio.get_running_loop().create_future()
            finally:
                tidying.set()
                await leave.wait()

        at.venue.snapshot = slow_to_stop  # type: ignore[method-assign]
        link = asyncio.get_running_loop().create_task(at.listener.run())
        await asking.wait()
        at.venue.told.put_nowait(VenueUnavailable("cut"))
        await tidying.wait()
        link.cancel()
        await asyncio.sleep(0)
        leave.set()
        done, _ = await asyncio.wait({link}, timeout=30)
        if not done:
            link.cancel()
            await asyncio.wait({link})
        assert done
        assert link.cancelled()
        assert at.venue.closed == 1


async def test_a_venue_that_cannot_be_reached_is_down_with_the_reason_and_tried_again(
    tmp_path: Path, waits: list[tuple[int, float | None]]
) -> None:
    async with listening(tmp_path) as at:
        at.venue.connects += [DOWN, KeyError("bug"), VenueRefused("no right"), DOWN]
        await at.until_up()
        assert at.states == ["down", "syncing", "up"]
        (event,) = [
            c.entry.event
            for c in at.home.changes
            if isinstance(c.entry.event, ExecutorChanged) and c.entry.event.state == "down"
        ]
        assert event.reason == "no route"
        assert waits == [(1, 7.0), (2, None), (3, None), (4, 7.0)], (
            "each wait longer, Retry-After passed on"
        )


async def test_a_venue_that_refuses_the_key_at_the_start_is_the_trouble_of_its_link_alone(
    tmp_path: Path,
) -> None:
    async with listening(tmp_path) as at:
        at.venue.connects += [ConfigError("403: the key is refused"), None]
        await at.until_up()
        assert at.states == ["down", "syncing", "up"]
        reasons = [
            each.entry.event.reason
            for each in at.home.changes
            if isinstance(each.entry.event, ExecutorChanged)
        ]
        assert reasons[0] == "403: the key is refused"


def downs(at: Desk) -> list[str]:
    events = [change.entry.event for change in at.home.changes]
    return [e.reason for e in events if isinstance(e, ExecutorChanged) and e.state == "down"]


async def test_why_a_link_is_down_is_what_it_was_the_last_time(
    tmp_path: Path, waits: list[tuple[int, float | None]]
) -> None:
    async with listening(tmp_path) as at:
        at.venue.connects += [DOWN, VenueRefused("the key is not valid")]
        at.venue.connects += [VenueRefused("the key is not valid")] * 1000
        await until(lambda: at.condition.reason == "the key is not valid")
        await until(lambda: len(waits) > 5 and bool(downs(at)))
        assert downs(at) == ["no route"], "on record no more than once a minute"


async def test_another_reason_to_be_down_goes_on_record_and_another_number_in_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condition, "REASON_NOTED_EVERY_S", 0.0)
    async with listening(tmp_path) as at:
        at.venue.connects += [VenueUnavailable(f"no answer in {n} s") for n in range(5)]
        at.venue.connects += [VenueRefused("the key is not valid")] * 2
        await at.until_up()
        assert downs(at) == ["no answer in 0 s", "the key is not valid"]
        assert at.condition.reason == ""


async def test_waits_start_over_only_after_a_healthy_time_up(
    tmp_path: Path, waits: list[tuple[int, float | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(tmp_path) as at:
        for healthy_after_s in (60.0, 60.0, 0.0):
            await at.until_up(len(waits) + 1)
            await until(lambda: at.condition.state is LinkState.UP)
            monkeypatch.setattr("brokerd.retries.HEALTHY_AFTER_S", healthy_after_s)
            at.venue.told.put_nowait(VenueUnavailable("cut"))
            before = len(waits)
            await until(lambda before=before: len(waits) > before)
        assert [attempt for attempt, _ in waits] == [1, 2, 0]


async def test_a_connection_that_never_came_up_was_not_healthy_however_long_it_took(
    tmp_path: Path, waits: list[tuple[int, float | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brokerd.retries.HEALTHY_AFTER_S", 0.005)
    async with listening(tmp_path) as at:
        calls = 0

        async def slow(_since_ns: int) -> object:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.01)
            raise DOWN

        at.venue.snapshot = slow  # type: ignore[method-assign,assignment]
        await until(lambda: len(waits) >= 2)
        assert [attempt for attempt, _ in waits[:2]] == [1, 2]
        assert "up" not in at.states


async def test_a_snapshot_that_fails_is_a_connection_that_failed(tmp_path: Path) -> None:
    async with listening(tmp_path) as at:
        at.venue.snapshots += [DOWN] * 5
        await at.until_up()
        assert at.states == ["syncing", "down", "syncing", "up"]


async def test_a_connect_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECT_S_MAX", 0.01)
    async with desk(tmp_path) as at:

        async def never() -> None:
            await asyncio.Event().wait()

        at.venue.connect = never  # type: ignore[method-assign]
        at.task = asyncio.get_running_loop().create_task(at.listener.run())
        await until(lambda: at.condition.state is LinkState.DOWN)
        assert "no answer within" in at.condition.reason


async def test_a_stream_that_fails_to_close_is_only_a_gap(tmp_path: Path) -> None:
    async with listening(tmp_path) as at:
        await at.until_up()
        at.venue.at_stream_close = KeyError("bug")
        at.venue.told.put_nowait(VenueUnavailable("cut"))
        await until(lambda: at.states.count("down") == 1)
        at.venue.at_stream_close = None
        await until(lambda: at.condition.state is LinkState.UP)
        assert at.states[:3] == ["syncing", "up", "down"]


async def test_an_executor_that_fails_or_hangs_at_the_end_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_S_MAX", 0.01)
    async with listening(tmp_path) as at:
        await at.until_up()
        at.venue.at_close = KeyError("bug")
        at.venue.at_stream_close = OSError("bug")
    assert at.venue.closed == 1
    (tmp_path / "again").mkdir()
    async with listening(tmp_path / "again") as at:
        await at.until_up()

        async def never() -> None:
            await asyncio.Event().wait()

        at.venue.aclose = never  # type: ignore[method-assign]


async def test_a_report_of_nobodys_order_is_counted_and_harms_nothing(tmp_path: Path) -> None:
    async with listening(tmp_path) as at:
        await at.until_up()
        at.venue.told.put_nowait(report(E.CANCELED, "of-a-person"))
        await until(lambda: at.listener.reports == 1)
        assert at.condition.state is LinkState.UP
        assert (at.link.others.reports, at.home.engine.strangers.unknown) == (1, 0)


def pauses(at: Desk) -> list[tuple[int, str]]:
    events = [change.entry.event for change in at.home.changes]
    return [(e.paused_until_ns, e.reason) for e in events if isinstance(e, ExecutorPaused)]


async def test_a_pause_is_on_record_once_and_again_when_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pausing, "NOTED_WITHIN_S", 0.001)
    async with desk(tmp_path) as at:
        at.task = asyncio.get_running_loop().create_task(at.link.pauses.record())
        soon_ns = CLOCK.now_ns() + pausing.NOTED_NS_MIN // 2
        at.venue.stands = Standing(paused_until_ns=soon_ns, pause_reason="too short to note")
        await asyncio.sleep(0.01)
        until_ns = CLOCK.now_ns() + 3_600 * 10**9
        at.venue.stands = Standing(paused_until_ns=until_ns, pause_reason="418: banned")
        await until(lambda: len(pauses(at)) == 1)
        await asyncio.sleep(0.01)
        longer_ns = until_ns + pausing.NOTED_NS_MIN
        at.venue.stands = Standing(paused_until_ns=longer_ns, pause_reason="418: banned")
        await until(lambda: len(pauses(at)) == 2)
        assert pauses(at) == [(until_ns, "418: banned"), (longer_ns, "418: banned")]
        (mark,) = await at.home.history.marks()
        assert isinstance(mark, ExecutorPaused)
        assert mark.paused_until_ns == longer_ns


async def test_a_pause_of_the_last_run_is_kept_and_one_that_is_over_is_not(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        until_ns = CLOCK.now_ns() + 3_600 * 10**9
        at.link.pauses.resume(until_ns, "418: banned")
        at.link.pauses.resume(5, "long over")
        assert at.venue.resumed == [(until_ns, "418: banned")]


async def test_a_frozen_link_says_why_at_once_and_on_record_and_stays_frozen(
    tmp_path: Path,
) -> None:
    async with listening(tmp_path) as at:
        await at.until_up()
        recording = asyncio.get_running_loop().create_task(at.condition.record_freezes())
        at.condition.freeze("who is it?")
        assert (at.condition.state, at.condition.reason) == (LinkState.FROZEN, "who is it?")
        at.condition.freeze("another reason")
        await until(lambda: at.states[-1] == "frozen")
        at.venue.told.put_nowait(StopAsyncIteration())
        await until(lambda: at.venue.streams == 2 and at.link.in_sync.holds)
        assert at.states == ["syncing", "up", "frozen"]
        assert (at.condition.state, at.condition.reason) == (LinkState.FROZEN, "who is it?")
        recording.cancel()


async def test_an_order_of_our_kind_that_no_row_knows_freezes_the_link_before_it_is_up(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        shown = view(venue_cl_ord_id="bkd-elsewhere-1")
        snapshot = Snapshot(began_ns=CLOCK.now_ns(), since_ns=0, orders=(shown,), executions=())
        at.venue.snapshots.append(snapshot)
        at.task = asyncio.get_running_loop().create_task(at.listener.run())
        await until(lambda: at.link.in_sync.holds)
        assert at.condition.state is LinkState.FROZEN
        assert "bkd-elsewhere-1, which is not in this journal" in at.condition.reason
        assert at.states == ["syncing"]


@asynccontextmanager
async def frozen(directory: Path) -> AsyncGenerator[Desk, None]:
    """A link that is up, was frozen, and has it on record."""
    async with listening(directory) as at, asyncio.TaskGroup() as group:
        await at.until_up()
        recording = group.create_task(at.condition.record_freezes())
        at.condition.freeze("who is it?")
        await until(lambda: at.states[-1] == "frozen")
        yield at
        recording.cancel()


def stranger_shown() -> Snapshot:
    shown = view(venue_cl_ord_id="bkd-elsewhere-1")
    return Snapshot(began_ns=CLOCK.now_ns(), since_ns=0, orders=(shown,), executions=())


def thaws(at: Desk) -> list[tuple[str, str, str]]:
    events = [change.entry.event for change in at.home.changes]
    return [(e.by, e.reason, e.state) for e in events if isinstance(e, ExecutorThawed)]


async def test_a_thaw_is_on_record_with_who_and_why_and_the_link_is_what_it_was(
    tmp_path: Path,
) -> None:
    async with frozen(tmp_path) as at:
        await at.link.thaw("uid 0", "the other brokerd is gone")
        assert (at.condition.state, at.condition.reason) == (LinkState.UP, "")
        await until(lambda: thaws(at) == [("uid 0", "the other brokerd is gone", "up")])
        with pytest.raises(NotFrozen):
            await at.link.thaw("uid 0", "again")


async def test_a_link_that_broke_while_it_was_frozen_is_down_once_it_thaws(tmp_path: Path) -> None:
    async with frozen(tmp_path) as at:
        at.venue.connects.extend([VenueUnavailable("no route")] * 100_000)
        at.venue.told.put_nowait(StopAsyncIteration())
        await until(lambda: not at.link.in_sync.holds and at.venue.connected > 1)
        await until(lambda: at.condition._beneath[0] is LinkState.DOWN)
        await at.link.thaw("uid 0", "looked")
        assert at.condition.state is LinkState.DOWN
        assert "no route" in at.condition.reason


async def test_while_the_cause_is_there_a_thaw_is_refused_and_says_so(tmp_path: Path) -> None:
    async with frozen(tmp_path) as at:
        at.venue.snapshots.append(stranger_shown())
        with pytest.raises(Halted, match="bkd-elsewhere-1") as caught:
            await at.link.thaw("uid 0", "looked")
        assert caught.value.reason == "cause_remains"
        assert at.condition.state is LinkState.FROZEN
        assert thaws(at) == []


async def test_without_a_picture_of_the_venue_nothing_thaws(tmp_path: Path) -> None:
    async with frozen(tmp_path) as at:
        at.venue.snapshots.extend([VenueUnavailable("no route")] * 5)
        with pytest.raises(VenueUnavailable):
            await at.link.thaw("uid 0", "looked")
        assert at.condition.state is LinkState.FROZEN


async def test_in_a_pause_who_thaws_is_told_how_long_it_lasts(tmp_path: Path) -> None:
    """A ban may last for days: the person who waits for an answer can come back when it is over."""
    async with frozen(tmp_path) as at:
        looks = len(at.venue.since)
        at.venue.stands = Standing(paused_until_ns=CLOCK.now_ns() + 3 * 86_400 * 10**9)
        with pytest.raises(VenueUnavailable, match="left alone for 259") as caught:
            await at.link.thaw("uid 0", "looked")
        assert caught.value.reason == "paused"
        assert caught.value.extra["retry_after_s"] > 250_000
        assert (at.condition.state, len(at.venue.since)) == (LinkState.FROZEN, looks)
        at.venue.stands = Standing()
        await at.link.thaw("uid 0", "looked")
        assert at.condition.state is LinkState.UP


async def test_a_cause_that_comes_up_after_a_thaw_freezes_again_and_is_on_record(
    tmp_path: Path,
) -> None:
    async with frozen(tmp_path) as at:
        await at.link.thaw("uid 0", "looked")
        at.venue.snapshots.append(stranger_shown())
        await at.link.poller.sync()
        assert at.condition.state is LinkState.FROZEN
        await until(lambda: at.states.count("frozen") == 2)


async def test_a_cause_that_comes_up_while_a_thaw_is_written_down_keeps_it_frozen(
    tmp_path: Path,
) -> None:
    async def thaw(at: Desk) -> None:
        with pytest.raises(Halted, match="bkd-elsewhere-2"):
            await at.link.thaw("uid 0", "looked")

    async with frozen(tmp_path) as at:
        at.home.journal.leave.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(thaw(at))
            await until(lambda: at.home.engine.pending_since_ns is not None)
            at.condition.freeze("bkd-elsewhere-2")
            at.home.journal.leave.set()
        assert at.condition.state is LinkState.FROZEN
        await until(lambda: at.states.count("frozen") == 2)


async def test_of_two_thaws_at_once_the_later_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link may have moved on by then."""
    looked, began = asyncio.Event(), asyncio.Event()

    async def look_long() -> None:
        began.set()
        await looked.wait()

    async with frozen(tmp_path) as at:
        async with asyncio.TaskGroup() as group:
            with monkeypatch.context() as patch:
                patch.setattr(at.link.poller, "sync_now", look_long)
                group.create_task(at.link.thaw("uid 0", "looked long"))
                await began.wait()
            await at.link.thaw("uid 0", "looked")
            await at.condition.move(LinkState.DOWN, "gone")
            looked.set()
        assert (at.condition.state, at.condition.reason) == (LinkState.DOWN, "gone")
