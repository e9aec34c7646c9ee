"""The seeds: whatever the network, the venue, the disk and the clock do, the promises hold."""

import asyncio
import math
import random

import pytest
from tests.simulation import faults
from tests.simulation.__main__ import told
from tests.simulation.disk import Disk
from tests.simulation.farm import live_some
from tests.simulation.loop import BusyLoop, Time, VirtualLoop
from tests.simulation.mutants import MUTANTS, applied
from tests.simulation.oracle import Oracle
from tests.simulation.pinned import pinned_seeds
from tests.simulation.story import Story
from tests.simulation.world import SETTLED_AFTER_S, World, live, stage

from brokerd.events import DaemonStopped, Entry, OrderEvent, encode_entry, event_name

SEEDS = 200
PIECES = 20


@pytest.mark.parametrize("piece", range(PIECES))
def test_no_seed_breaks_a_promise(piece: int) -> None:
    """Every seed whose number is `piece` modulo 20: the workers share them."""
    lived = live_some(range(piece, SEEDS, PIECES))
    failures = [each.failure for each in lived if each.failure is not None]
    assert not failures, "\n".join(map(told, failures))


@pytest.mark.parametrize("seed", pinned_seeds())
def test_a_seed_that_failed_once_does_not_fail_again(seed: int) -> None:
    (lived,) = live_some([seed])
    assert lived.failure is None, told(lived.failure)


def test_the_same_seed_is_the_same_run_byte_for_byte() -> None:
    def lived(seed: int) -> tuple[list[bytes], int, float]:
        world = World(seed)
        world.run()
        return [row.body for row in world.disk.rows], world.runs, world.time.now_s

    with stage():
        assert lived(17) == lived(17)
        assert lived(17) != lived(18)


def test_a_seed_is_watched_to_the_bound_unless_all_has_settled_and_nothing_more_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lasted_s() -> float:
        world = World(17)
        assert world.run() is None
        return world.time.now_s

    with stage():
        early_s = lasted_s()
        monkeypatch.setattr(Oracle, "has_settled", lambda _: False)
        to_the_bound_s = lasted_s()
        monkeypatch.undo()
        monkeypatch.setattr(Story, "newest_s", math.inf)
        assert lasted_s() == to_the_bound_s
    assert early_s < to_the_bound_s - SETTLED_AFTER_S / 2


def test_the_seeds_see_everything_that_the_journal_can_say_of_an_order_and_every_fault() -> None:
    """A simulator in which nothing goes wrong would find nothing."""
    seen: set[str] = set()
    runs = 0
    drawn: set[str] = set()
    with stage():
        for seed in range(40):
            world = World(seed)
            drawn |= {
                name for name in faults.HEALED.__struct_fields__ if getattr(world.faults, name)
            }
            assert world.run() is None
            runs += world.runs
            seen |= {event_name(row.entry.event) for row in world.disk.rows}
    of_orders = {event_name_of(kind) for kind in OrderEvent.__subclasses__()}
    # A venue never contradicts itself here, and there is nobody to end a doubt; and the bases
    # of events are none.
    assert of_orders - seen <= {"report_disputed", "request_resolved", "order_done"}
    assert drawn == set(faults.HEALED.__struct_fields__)
    assert runs >= 40 * 1.5


def event_name_of(kind: type[OrderEvent]) -> str:
    return str(kind.__struct_config__.tag)


def test_a_seed_that_fails_tells_its_story_and_the_command_that_repeats_it() -> None:
    mutant = next(each for each in MUTANTS if each.name == "send before journal")
    with stage(), applied(mutant):
        failure = live(0).failure
    assert failure is not None
    story = told(failure)
    assert "again: make simulate SEEDS=1 FROM=0" in story
    assert "seed 0: journal before send: new leaves 1 times, and is on record 0 times" in story
    assert "run 1 starts" in story


def test_time_jumps_to_what_comes_next_and_stops_where_it_was_told_to() -> None:
    time, seen = Time(), list[float]()
    loop = VirtualLoop(time, on_kill=lambda: None, on_error=pytest.fail)
    time.loop = loop
    start_s = time.now_s

    async def sleeper() -> None:
        await asyncio.sleep(3600)
        seen.append(loop.time() - start_s)
        await asyncio.sleep(3600)
        seen.append(loop.time() - start_s)

    asyncio._set_running_loop(loop)
    try:
        task = loop.create_task(sleeper())
        time.run(start_s + 5000)
        assert seen == [3600]
        loop.end()
        assert task.cancelled()
    finally:
        asyncio._set_running_loop(None)
    time.run(start_s + 9000)
    assert seen == [3600]


def test_a_daemon_that_works_without_end_and_without_time_is_told_a_busy_loop() -> None:
    time = Time()
    loop = VirtualLoop(time, on_kill=lambda: None, on_error=pytest.fail)
    time.loop = loop

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(BusyLoop):
        time.run(time.now_s + 1)


@pytest.mark.parametrize("luck", range(8))
def test_a_crash_loses_nothing_that_was_synced_and_no_half_of_what_was_not(luck: int) -> None:
    disk = Disk(random.Random(luck), on_rows=lambda rows: None)
    body = encode_entry(Entry(DaemonStopped(at_ns=1, reason="test")))
    disk.write([body])
    disk.sync()
    disk.write([body, body])
    lost = disk.crash()
    assert (len(disk.rows), lost) in {(1, 2), (3, 0)}
    assert disk.synced == len(disk.rows)
