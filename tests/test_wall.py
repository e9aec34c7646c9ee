"""A hostile adapter: whatever fails in it, and however, the daemon and the other executors live on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.journal_rows import both
from tests.scripted import CLOCK, D, E, S, ScriptedExecutor, report, submit, until, view

from brokerd.config.load import DaemonConfig
from brokerd.desk import Desk
from brokerd.errors import BrokerdError, ConfigError, OutcomeUnknown, VenueUnavailable
from brokerd.executor import Accepted, InDoubt, LinkState, Standing
from brokerd.guard import NO_PROMISES, Walled, building, guarded
from brokerd.messages import Cancel, Replace
from brokerd.overview import show_link

AT_ONCE = ("capabilities", "standing", "resume", "instruments", "quote")
IN_TIME = ("connect", "aclose", "place", "cancel", "replace", "query", "snapshot", "stream")
IN_STREAM = ("entering", "reading", "leaving")
HOUR_NS = 3_600 * 10**9


class Hostile(ScriptedExecutor):
    """Does in one of its methods what no executor may; else it is as good as any."""

    def __init__(self, evil: str, deed: Callable[[], Any]) -> None:
        super().__init__()
        self.evil, self.deed = evil, deed
        self.name = "hostile"

    def __getattribute__(self, name: str) -> Any:
        mine = super().__getattribute__
        if name not in {*AT_ONCE, *IN_TIME} or mine("evil") != name:
            return mine(name)
        return mine("deed")() if name == "capabilities" else lambda *_: mine("deed")()

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Any]]:
        return self._hostile_stream()

    @asynccontextmanager
    async def _hostile_stream(self) -> AsyncGenerator[AsyncIterator[Any], None]:
        self._do("entering")
        try:
            yield self._read()
        finally:
            self._do("leaving")

    async def _read(self) -> AsyncIterator[Any]:
        self._do("reading")
        async for told in self._reports():
            yield told

    def _do(self, what: str) -> None:
        if self.evil == what:
            self.deed()


def fail() -> None:
    raise KeyError("secret")


def cancel() -> None:
    """What waiting for a future that was cancelled comes to."""
    raise asyncio.CancelledError


def babble() -> str:
    return "nonsense"


@asynccontextmanager
async def desk_of(
    directory: Path, hostile: ScriptedExecutor, good: ScriptedExecutor
) -> AsyncGenerator[Desk, None]:
    async with both(directory) as (journal, history), asyncio.TaskGroup() as group:
        config = DaemonConfig(request_deadline_s=5.0)
        desk = Desk(config, CLOCK, journal, history, on_changes=lambda *_: None)
        for executor in (hostile, good):
            desk.add("scripted", executor, CLOCK.now_ns())
        tasks = await desk.start(group, "k3")
        for link in desk.links:
            await link.condition.settled.wait()
        yield desk
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()


async def first_run(directory: Path) -> None:
    """Leave an order in flight, and a pause to keep, at an executor that was good so far."""
    venue = Hostile("nothing", fail)
    venue.script["place"].append(None)
    async with desk_of(directory, venue, ScriptedExecutor()) as desk:
        await desk.engine.do(submit("old", at_ns=CLOCK.now_ns(), executor="hostile"))
        await until(lambda: len(venue.calls) == 1)
        venue.stands = Standing(paused_until_ns=CLOCK.now_ns() + HOUR_NS, pause_reason="418")
        pauses = desk.links.by_name["hostile"].pauses
        await until(lambda: pauses._noted_until_ns > 0)
        await desk.engine.do(submit("older", at_ns=CLOCK.now_ns()))


def is_answered(desk: Desk, cl_ord_id: str) -> bool:
    order = desk.engine.blotter.get(cl_ord_id)
    return order is not None and (order.request is None or order.in_doubt)


async def trade(desk: Desk, name: str) -> None:
    """Do all that is done at an executor, whatever becomes of it."""
    engine, link, cl_ord_id = desk.engine, desk.links.by_name[name], f"x-{name}"
    message = submit(cl_ord_id, at_ns=CLOCK.now_ns(), executor=name)
    for attempt in (
        lambda: link.check(message.terms, CLOCK.now_ns()),
        lambda: link.executor.quote("BTCUSDT"),
        lambda: show_link(link, engine),
        lambda: link.weaknesses,
    ):
        with suppress(BrokerdError):
            attempt()
    now_ns = CLOCK.now_ns()
    for command in (message, Replace(cl_ord_id, D(9), None, now_ns), Cancel(cl_ord_id, now_ns)):
        with suppress(BrokerdError):
            await engine.do(command)
        await until(lambda: is_answered(desk, cl_ord_id))
    order = engine.blotter.get(cl_ord_id)
    assert order is not None
    for question in (lambda: link.questions.check(order), link.poller.sync):
        with suppress(BrokerdError, TimeoutError):
            async with asyncio.timeout(0.1):
                await question()


def named(what: object) -> str:
    return getattr(what, "__name__", str(what))


DEEDS = [
    *((method, fail) for method in (*AT_ONCE, *IN_TIME, *IN_STREAM)),
    # Whoever is ended while it lets go is ended as it was told to be.
    *((method, cancel) for method in (*IN_TIME, *IN_STREAM) if method not in {"aclose", "leaving"}),
    *((method, babble) for method in (*AT_ONCE, *IN_TIME) if method != "resume"),
]


@pytest.mark.parametrize(("evil", "deed"), DEEDS, ids=named)
async def test_nothing_that_an_adapter_does_ends_more_than_its_own_link(
    tmp_path: Path, evil: str, deed: Callable[[], Any]
) -> None:
    await first_run(tmp_path)
    hostile, good = Hostile(evil, deed), ScriptedExecutor()
    for venue, cl_ord_id in ((hostile, "x-hostile"), (good, "x-sim")):
        venue.script["place"].append(Accepted(reports=(report(E.NEW, cl_ord_id),)))
    good.views.append(view(S.NEW, "x-sim"))
    with capture_logs() as lines:
        async with desk_of(tmp_path, hostile, good) as desk:
            await trade(desk, "hostile")
            await trade(desk, "sim")
            order = desk.engine.blotter.get("x-sim")
            assert order is not None
            assert order.acked_at_ns is not None
            assert desk.links.by_name["sim"].condition.state is LinkState.UP
    failed = [line for line in lines if line["event"] == "executor_failed"]
    assert {line["executor"] for line in failed} == {"hostile"}


@pytest.mark.parametrize("method", ["capabilities", "standing", "connect", "stream", "snapshot"])
async def test_an_executor_that_cannot_be_worked_with_is_down_and_says_why(
    tmp_path: Path, method: str
) -> None:
    async with desk_of(tmp_path, Hostile(method, fail), ScriptedExecutor()) as desk:
        link = desk.links.by_name["hostile"]
        await until(lambda: link.condition.state is LinkState.DOWN, timeout_s=90)
        assert "hostile failed: KeyError" in link.condition.reason
        with pytest.raises(VenueUnavailable, match="hostile failed: KeyError"):
            link.check(submit(executor="hostile").terms, CLOCK.now_ns())


async def test_rules_that_cannot_be_had_refuse_the_order_before_it_is_written(
    tmp_path: Path,
) -> None:
    async with desk_of(tmp_path, Hostile("instruments", fail), ScriptedExecutor()) as desk:
        link = desk.links.by_name["hostile"]
        with pytest.raises(VenueUnavailable) as caught:
            link.check(submit(executor="hostile").terms, CLOCK.now_ns())
        assert caught.value.reason == "executor_failed"
        assert show_link(link, desk.engine).symbols == []


async def test_how_things_stand_is_a_weakness_where_it_is_not_told(tmp_path: Path) -> None:
    async with desk_of(tmp_path, Hostile("standing", fail), ScriptedExecutor()) as desk:
        shown = show_link(desk.links.by_name["hostile"], desk.engine)
        assert any("hostile failed: KeyError in standing" in each for each in shown.weaknesses)


async def test_a_pause_that_an_executor_fails_to_keep_is_kept_for_it(tmp_path: Path) -> None:
    await first_run(tmp_path)
    hostile = Hostile("resume", fail)
    async with desk_of(tmp_path, hostile, ScriptedExecutor()) as desk:
        condition = desk.links.by_name["hostile"].condition
        assert condition.state is LinkState.DOWN
        assert "left alone" in condition.reason
        assert hostile.connected == 0


async def test_a_doubt_is_measured_by_the_last_that_was_told_of_the_clock(tmp_path: Path) -> None:
    hostile = Hostile("nothing", fail)
    hostile.stands = Standing(clock_error_s=7.0)
    hostile.script["place"].append(InDoubt(evidence="lost"))
    async with desk_of(tmp_path, hostile, ScriptedExecutor()) as desk:
        dispatch = desk.links.by_name["hostile"].dispatch
        told_ns = dispatch.final_at_ns(0)
        hostile.evil = "standing"
        assert dispatch.final_at_ns(0) == told_ns == 8 * 10**9


def test_a_fault_is_logged_once_until_the_method_works_again() -> None:
    hostile = Hostile("quote", fail)
    walled = Walled(hostile)
    with capture_logs() as lines:
        for evil in ("quote", "quote", "nothing", "quote"):
            hostile.evil = evil
            assert (walled.quote("BTCUSDT") is None) == (evil == "quote")
    assert [line["method"] for line in lines] == ["quote", "quote"]


async def test_promises_that_come_late_count_from_then_on() -> None:
    hostile = Hostile("capabilities", fail)
    walled = Walled(hostile)
    assert walled.capabilities is NO_PROMISES
    hostile.evil = "nothing"
    await walled.connect()
    assert walled.capabilities == hostile.capabilities


def test_who_promises_nothing_never_ends_a_doubt_by_silence() -> None:
    assert NO_PROMISES.final_after_s is None
    assert not NO_PROMISES.query_closed


async def test_a_cancellation_of_the_executors_own_is_a_failure_and_a_real_one_is_none() -> None:
    with pytest.raises(OutcomeUnknown, match="sim failed: CancelledError"):
        async with guarded("sim", 5):
            cancel()
    entered = asyncio.Event()

    async def wait() -> None:
        async with guarded("sim", 5):
            entered.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(wait())
        await entered.wait()
        task.cancel()
    assert task.cancelled()


def test_an_adapter_that_fails_to_make_its_executor_is_bad_configuration() -> None:
    with pytest.raises(ConfigError) as caught, building("x", "kraken"):
        fail()
    assert "its adapter kraken failed: KeyError at" in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="no such key"), building("x", "kraken"):
        raise ConfigError("no such key")
