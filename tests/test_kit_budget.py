"""The queue before a venue's limits: who goes first, who is told to come again, and who shares it."""

import asyncio
import gc

import pytest
from tests.scripted import until

from brokerd.clock import SystemClock
from brokerd.secrets import Secret
from brokerd_adapters.kit import Budget, Priority, Unsent, Window, key_mark, shared_budget
from brokerd_adapters.kit.budget import PATIENCE_S, PAUSE_S_MAX, WAITING_MAX

S = 10**9
P = Priority
ONE = {"weight": 1}


class Wrist:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.wall_ns = 1_700_000_040 * S
        self.monotonic = 7 * S

    def now_ns(self) -> int:
        return self.wall_ns

    def monotonic_ns(self) -> int:
        return self.monotonic


def window(limit: int, interval_s: float = 60.0, **changes: bool) -> Window:
    return Window(
        name="weight_1m",
        counts="weight",
        limit=limit,
        interval_ns=int(interval_s * S),
        margin_ns=0,
        **changes,
    )


def budget_of(limit: int, clock: Wrist | None = None) -> Budget:
    budget = Budget(clock or Wrist())
    budget.configure([window(limit)])
    return budget


async def test_within_the_budget_nobody_waits() -> None:
    budget = budget_of(10)
    for _ in range(10):
        async with budget.spend(ONE, P.CANCEL, patience_s=0):
            pass
    assert budget.left == {"weight_1m": 0}


async def test_who_would_wait_too_long_is_told_when_to_come_again() -> None:
    budget = budget_of(1)
    async with budget.spend(ONE, P.CANCEL):
        pass
    with pytest.raises(Unsent, match="budget is used up") as caught:
        async with budget.spend(ONE, P.CANCEL):
            pass
    assert caught.value.reason == "rate_budget"
    # The clock stands at 14 s past the minute, Unix time.
    assert caught.value.extra["retry_after_s"] == 60 - 1_700_000_040 % 60
    assert budget._waiting == []


async def test_who_can_wait_gets_a_turn_when_there_is_room() -> None:
    budget = Budget(SystemClock())
    budget.configure([window(1, 0.02, is_rolling=True)])
    turns = 0
    for _ in range(4):
        async with budget.spend(ONE, P.CANCEL, patience_s=30):
            turns += 1
    assert turns == 4


async def test_cancels_go_before_orders_before_questions() -> None:
    clock = Wrist()
    budget = budget_of(1, clock)
    order: list[P] = []

    async def one(priority: P) -> None:
        async with budget.spend(ONE, priority, patience_s=100):
            order.append(priority)

    async with budget.spend(ONE, P.CANCEL):
        pass
    async with asyncio.TaskGroup() as group:
        for priority in (P.QUESTION, P.ORDER, P.CANCEL, P.ORDER):
            group.create_task(one(priority))
        await asyncio.sleep(0)
        for minute in range(1, 5):
            clock.monotonic += 60 * S
            budget._serve()
            await until(lambda n=minute: len(order) >= n)  # type: ignore[misc]
    assert order == [P.CANCEL, P.ORDER, P.ORDER, P.QUESTION]


async def test_who_waits_for_another_window_holds_nobody_back() -> None:
    budget = budget_of(100)
    budget.configure([Window(name="orders", counts="orders", limit=1, interval_ns=86_400 * S)])
    passed = asyncio.Event()

    async def order() -> None:
        async with budget.spend({"orders": 1}, P.ORDER, patience_s=100_000):
            passed.set()

    async with budget.spend({"orders": 1}, P.ORDER):
        pass
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(order())
        await asyncio.sleep(0)
        async with budget.spend(ONE, P.QUESTION, patience_s=0):
            pass
        assert not passed.is_set()
        waiting.cancel()


async def test_who_gives_up_leaves_no_charge() -> None:
    clock = Wrist()
    budget = budget_of(1, clock)
    async with budget.spend(ONE, P.CANCEL):
        pass

    async def wait() -> None:
        async with budget.spend(ONE, P.CANCEL, patience_s=100):
            pytest.fail("it was canceled")

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(wait())
        await asyncio.sleep(0)
        clock.monotonic += 60 * S
        # The turn comes and the waiter is canceled before it hears of it.
        budget._serve()
        assert budget.left == {"weight_1m": 0}
        waiting.cancel()
    assert budget.left == {"weight_1m": 1}


async def test_a_refund_passes_over_who_has_just_given_up() -> None:
    clock = Wrist()
    budget = budget_of(2, clock)

    async def wait() -> None:
        async with budget.spend({"weight": 2}, P.CANCEL, patience_s=100):
            pytest.fail("it was canceled")

    async with asyncio.TaskGroup() as group, budget.spend(ONE, P.CANCEL) as charge:
        waiting = group.create_task(wait())
        await asyncio.sleep(0)
        # Its turn is canceled with it; it leaves the queue when it runs next.
        waiting.cancel()
        budget.refund(charge)
    assert budget.left == {"weight_1m": 2}
    async with budget.spend(ONE, P.CANCEL) as charge:
        budget.observe("weight_1m", 1, charge)
    assert budget.left == {"weight_1m": 1}, "nothing seems to be under way"


async def test_patience_ends() -> None:
    budget = Budget(SystemClock())
    budget.configure([window(1, 30, is_rolling=True)])
    async with budget.spend(ONE, P.CANCEL):
        pass
    waits_s = [0.0]
    with pytest.raises(Unsent) as caught:
        # The window opens only after this patience.
        async with budget.spend(ONE, P.CANCEL, patience_s=0.01):
            pass
    waits_s.append(caught.value.extra["retry_after_s"])
    assert 0 < waits_s[1] < 60


async def test_what_costs_more_than_the_window_is_refused_at_once() -> None:
    budget = budget_of(10)
    with pytest.raises(Unsent):
        async with budget.spend({"weight": 11}, P.CANCEL):
            pass


async def test_the_queue_is_bounded() -> None:
    budget = budget_of(1)

    async def wait() -> None:
        async with budget.spend(ONE, P.CANCEL, patience_s=10_000):
            pass

    async with budget.spend(ONE, P.CANCEL):
        pass
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(wait()) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(Unsent, match="wait for budget") as caught:
            await wait()
        assert caught.value.extra["retry_after_s"] == PATIENCE_S
        for each in waiting:
            each.cancel()


async def test_a_pause_holds_everything_and_is_told() -> None:
    budget = budget_of(100)
    budget.pause(30.0, "429 Too Many Requests")
    with pytest.raises(Unsent, match="asked for a pause: 429") as caught:
        async with budget.spend(ONE, P.CANCEL):
            pass
    assert caught.value.extra["retry_after_s"] == 30
    paused = budget.paused(ONE)
    assert paused is not None
    assert paused.reason == "429 Too Many Requests"


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, 31_536_000.0])
async def test_no_answer_can_ask_for_a_pause_beyond_the_longest_ban(seconds: float) -> None:
    budget = budget_of(100)
    budget.pause(seconds, "418")
    paused = budget.paused(ONE)
    assert paused is not None
    assert paused.until_ns == Wrist().now_ns() + int(PAUSE_S_MAX * S)


async def test_who_waits_for_room_is_not_told_of_anothers_pause() -> None:
    budget = budget_of(1)
    budget.pause(3_600, "the other key's 429", counts="other")
    async with budget.spend(ONE, P.CANCEL):
        pass
    with pytest.raises(Unsent, match="the rate budget is used up"):
        async with budget.spend(ONE, P.CANCEL):
            pass


async def test_a_pause_of_an_earlier_run_goes_on() -> None:
    clock = Wrist()
    budget = budget_of(100, clock)
    budget.pause_until(clock.now_ns() + 5 * S, "418")
    with pytest.raises(Unsent) as caught:
        async with budget.spend(ONE, P.CANCEL):
            pass
    assert caught.value.extra["retry_after_s"] == 5


@pytest.mark.parametrize("ahead_s", [3_600, -3_600])
async def test_a_pause_is_told_and_taken_by_our_own_wall_clock(ahead_s: int) -> None:
    clock = Wrist()
    budget = budget_of(100, clock)
    budget.align(clock.now_ns() + ahead_s * S)
    budget.pause_until(clock.now_ns() + 120 * S, "418")
    with pytest.raises(Unsent) as caught:
        async with budget.spend(ONE, P.CANCEL):
            pass
    assert caught.value.extra["retry_after_s"] == 120
    paused = budget.paused(ONE)
    assert paused is not None
    assert paused.until_ns == clock.now_ns() + 120 * S
    # Our wall clock is set: what is left of the pause stays.
    clock.wall_ns += 7_200 * S
    paused = budget.paused(ONE)
    assert paused is not None
    assert paused.until_ns == clock.now_ns() + 120 * S


@pytest.mark.parametrize("ahead_s", [3_600, -3_600])
async def test_a_pause_lasts_as_long_however_the_venues_clock_turns_out_to_stand(
    ahead_s: int,
) -> None:
    clock = Wrist()
    budget = budget_of(100, clock)
    budget.pause_until(clock.now_ns() + 120 * S, "418")
    budget.align(clock.now_ns() + ahead_s * S)
    paused = budget.paused(ONE)
    assert paused is not None
    assert paused.until_ns == clock.now_ns() + 120 * S
    clock.monotonic += 121 * S
    assert budget.paused(ONE) is None


async def test_a_refund_lets_the_next_pass_and_the_venues_count_does_not() -> None:
    budget = budget_of(2)
    async with budget.spend(ONE, P.CANCEL) as charge:
        budget.refund(charge)
    assert budget.left == {"weight_1m": 2}
    async with budget.spend(ONE, P.CANCEL) as charge:
        budget.observe("weight_1m", 2, charge)
    assert budget.left == {"weight_1m": 0}


async def test_windows_follow_the_venues_clock_and_not_a_wall_clock_that_is_set() -> None:
    clock = Wrist()
    budget = budget_of(1, clock)
    async with budget.spend(ONE, P.CANCEL):
        pass
    clock.wall_ns += 3_600 * S
    assert budget.left == {"weight_1m": 0}
    budget.align(budget.now_ns() + 60 * S)
    assert budget.left == {"weight_1m": 1}


async def test_one_venue_has_one_budget_while_somebody_holds_it() -> None:
    clock = SystemClock()
    mine = shared_budget("https://a.example", clock)
    assert shared_budget("https://a.example", clock) is mine
    assert shared_budget("https://b.example", clock) is not mine
    mine.configure([window(5)])
    del mine
    gc.collect()
    assert shared_budget("https://a.example", clock).left == {}


def test_a_keys_mark_tells_keys_apart_and_not_what_they_are() -> None:
    one, other = key_mark(Secret("key one")), key_mark(Secret("key two"))
    assert one != other
    assert one == key_mark(Secret("key one"))
    assert "key" not in one
