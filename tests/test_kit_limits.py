"""A venue's limits as an account: never optimistic, cancels always find room, recovery is paced."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd_adapters.kit.limits import NEVER_NS, RECOVERY_NS, Limits, Pause, Priority, Window

S = 10**9
MINUTE = 60 * S
P = Priority
T0 = 1_700_000_000 * S // MINUTE * MINUTE
"""The beginning of a minute."""


def window(limit: int = 10, *, rolling: bool = False, **changes: object) -> Window:
    given_ = {"name": "w", "counts": "weight", "limit": limit, "interval_ns": MINUTE}
    return Window(**{**given_, "is_rolling": rolling, "margin_ns": 0, **changes})  # type: ignore[arg-type]


def spend(limits: Limits, amount: int, now_ns: int, priority: P = P.CANCEL) -> int:
    """Charge it if it may be sent; return the wait."""
    cost = {"weight": amount}
    wait_ns = limits.wait_ns(cost, priority, now_ns)
    if not wait_ns:
        limits.charge(cost, now_ns)
    return wait_ns


@pytest.mark.parametrize("rolling", [False, True])
def test_a_full_window_takes_no_more_and_says_for_how_long(rolling: bool) -> None:
    limits = Limits([window(10, rolling=rolling)])
    assert spend(limits, 10, T0 + S) == 0
    wait_ns = spend(limits, 1, T0 + 2 * S)
    assert 0 < wait_ns <= MINUTE + 2 * S
    assert spend(limits, 1, T0 + 2 * S + wait_ns - 1) > 0
    assert spend(limits, 1, T0 + 2 * S + wait_ns) == 0


def test_an_aligned_window_opens_with_the_venues_minute() -> None:
    limits = Limits([window(10)])
    spend(limits, 10, T0 + 59 * S)
    assert spend(limits, 1, T0 + 59 * S) == S
    assert spend(limits, 10, T0 + 60 * S) == 0


def test_near_an_edge_a_request_counts_in_both_windows() -> None:
    """The venue may have counted it in either."""
    limits = Limits([window(10, margin_ns=S)])
    assert spend(limits, 10, T0 + MINUTE - S // 2) == 0
    assert spend(limits, 1, T0 + MINUTE + 2 * S) > 0
    assert spend(limits, 1, T0 + 2 * MINUTE + S) == 0


def test_a_full_window_is_not_over_before_the_venues_clock_says_so_for_sure() -> None:
    limits = Limits([window(10, margin_ns=S)])
    spend(limits, 10, T0 + 30 * S)
    assert spend(limits, 1, T0 + MINUTE) == S
    assert spend(limits, 1, T0 + MINUTE + S) == 0


def test_every_window_that_counts_it_must_have_room() -> None:
    limits = Limits(
        [
            window(100),
            window(3, name="orders_10s", counts="orders", interval_ns=10 * S),
            window(5, name="orders_1m", counts="orders"),
        ]
    )
    cost = {"weight": 1, "orders": 1}
    for _ in range(3):
        assert limits.wait_ns(cost, P.CANCEL, T0) == 0
        limits.charge(cost, T0)
    assert limits.wait_ns(cost, P.CANCEL, T0) == 10 * S
    assert limits.wait_ns({"weight": 1}, P.CANCEL, T0) == 0
    for _ in range(2):
        limits.charge(cost, T0 + 10 * S)
    assert limits.wait_ns(cost, P.CANCEL, T0 + 10 * S) == 50 * S
    assert limits.left(T0 + 10 * S) == {"w": 95, "orders_10s": 1, "orders_1m": 0}


def test_orders_leave_a_tenth_to_cancels_and_questions_a_quarter_to_both() -> None:
    limits = Limits([window(100)])
    asked = sum(not spend(limits, 1, T0, P.QUESTION) for _ in range(100))
    placed = sum(not spend(limits, 1, T0, P.ORDER) for _ in range(100))
    canceled = sum(not spend(limits, 1, T0, P.CANCEL) for _ in range(100))
    assert (asked, placed, canceled) == (75, 15, 10)


def test_what_is_dearer_than_its_share_has_the_window_to_itself() -> None:
    """Else it could never be sent: Binance asks 80 for all open orders."""
    limits = Limits([window(100)])
    assert spend(limits, 80, T0, P.QUESTION) == 0
    assert spend(limits, 80, T0 + 1, P.QUESTION) > 0
    assert spend(limits, 80, T0 + MINUTE, P.QUESTION) == 0


def test_what_is_dearer_than_the_window_is_never_sent() -> None:
    limits = Limits([window(10)])
    assert limits.wait_ns({"weight": 11}, P.CANCEL, T0) == NEVER_NS


@pytest.mark.parametrize("rolling", [False, True])
def test_the_venues_count_raises_ours(rolling: bool) -> None:
    """Somebody else uses the same address."""
    limits = Limits([window(100, rolling=rolling)])
    cost = {"weight": 1}
    limits.charge(cost, T0)
    limits.observe("w", 60, cost=cost, charged_ns=T0, now_ns=T0 + S)
    assert limits.left(T0 + S) == {"w": 40}
    limits.observe("w", 7, cost=cost, charged_ns=T0, now_ns=T0 + S)
    assert limits.left(T0 + S) == {"w": 40}


def test_the_venues_count_may_not_have_what_is_under_way() -> None:
    limits = Limits([window(100)])
    mine, other = {"weight": 1}, {"weight": 5}
    limits.charge(mine, T0)
    limits.charge(other, T0)
    limits.observe("w", 60, cost=mine, charged_ns=T0, now_ns=T0)
    assert limits.left(T0) == {"w": 35}
    limits.settle(other)
    limits.observe("w", 66, cost=mine, charged_ns=T0, now_ns=T0)
    assert limits.left(T0) == {"w": 34}


def test_a_count_told_across_an_edge_is_of_the_window_that_is_over() -> None:
    """Else the last count of a busy minute would close the whole next one."""
    limits = Limits([window(100, margin_ns=S)])
    cost = {"weight": 1}
    limits.charge(cost, T0 + MINUTE - 2 * S)
    limits.observe("w", 99, cost=cost, charged_ns=T0 + MINUTE - 2 * S, now_ns=T0 + MINUTE + 2 * S)
    assert limits.left(T0 + MINUTE + 2 * S) == {"w": 100}


def test_a_count_of_a_window_nobody_knows_is_left_alone() -> None:
    limits = Limits([window()])
    limits.observe("another", 9, cost={}, charged_ns=T0, now_ns=T0)
    assert limits.left(T0) == {"w": 10}


@pytest.mark.parametrize("rolling", [False, True])
def test_a_refund_takes_back_what_was_charged(rolling: bool) -> None:
    limits = Limits([window(10, rolling=rolling)])
    limits.charge({"weight": 4}, T0)
    limits.refund({"weight": 3}, T0)
    assert limits.left(T0) == {"w": 9}
    limits.refund({"weight": 99}, T0)
    assert limits.left(T0) == {"w": 10}


def test_a_refund_does_not_go_below_what_the_venue_said() -> None:
    limits = Limits([window(10)])
    limits.charge({"weight": 1}, T0)
    limits.observe("w", 6, cost={"weight": 1}, charged_ns=T0, now_ns=T0)
    limits.refund({"weight": 1}, T0)
    assert limits.left(T0) == {"w": 4}


def test_a_refund_of_a_window_that_is_over_changes_nothing() -> None:
    limits = Limits([window(10)])
    limits.charge({"weight": 4}, T0)
    limits.charge({"weight": 4}, T0 + MINUTE)
    limits.refund({"weight": 4}, T0)
    assert limits.left(T0 + MINUTE) == {"w": 6}


def test_a_changed_limit_keeps_the_count() -> None:
    limits = Limits([window(10)])
    spend(limits, 8, T0)
    limits.configure([window(20)])
    assert limits.left(T0) == {"w": 12}
    limits.configure([window(5)])
    assert limits.left(T0) == {"w": 0}
    limits.configure([window(5, interval_ns=S)])
    assert limits.left(T0) == {"w": 5}


def test_in_a_pause_not_even_a_cancel_is_sent() -> None:
    limits = Limits([window(1000)])
    limits.pause(Pause(T0 + 5 * S, "418"))
    limits.pause(Pause(T0 + 3 * S, "429"))
    assert limits.wait_ns({"weight": 1}, P.CANCEL, T0) == 5 * S
    assert limits.paused({"weight": 1}, T0) == Pause(T0 + 5 * S, "418")
    assert limits.paused({"weight": 1}, T0 + 5 * S) is None
    assert limits.wait_ns({"weight": 1}, P.CANCEL, T0 + 5 * S) == 0


def test_a_pause_of_orders_lets_cancels_and_questions_pass() -> None:
    """Also while its windows are in use: it may last until the end of the venue's day."""
    limits = Limits([window(1000)])
    limits.pause(Pause(T0 + 5 * S, "-1015", counts="orders"))
    assert spend(limits, 1, T0) == 0
    assert limits.wait_ns({"weight": 1, "orders": 1}, P.ORDER, T0) == 5 * S
    assert limits.wait_ns({"weight": 1}, P.CANCEL, T0) == 0
    assert limits.wait_ns({"weight": 1}, P.QUESTION, T0) == 0
    assert limits.paused({"weight": 1}, T0) is None
    assert limits.paused({"orders": 1}, T0) == Pause(T0 + 5 * S, "-1015", counts="orders")


def test_after_a_pause_a_window_opens_little_by_little_but_for_cancels() -> None:
    limits = Limits([window(1000)])
    limits.pause(Pause(T0, "429"))
    sent = [_orders_until_refused(limits, T0 + n * RECOVERY_NS // 10) for n in range(11)]
    assert sent[0] == 1
    assert all(80 <= count <= 91 for count in sent[1:])
    assert sum(sent) == 900
    assert spend(limits, 100, T0 + RECOVERY_NS, P.CANCEL) == 0


def test_the_wait_of_a_paced_order_is_when_its_turn_comes() -> None:
    limits = Limits([window(1000)])
    limits.pause(Pause(T0, "429"))
    assert spend(limits, 1, T0, P.ORDER) == 0
    wait_ns = spend(limits, 1, T0, P.ORDER)
    assert spend(limits, 1, T0 + wait_ns - 1, P.ORDER) > 0
    assert spend(limits, 1, T0 + wait_ns, P.ORDER) == 0


def _orders_until_refused(limits: Limits, now_ns: int) -> int:
    count = 0
    while not spend(limits, 1, now_ns, P.ORDER):
        count += 1
    return count


# Laws. The venue counts what arrives, at any moment between the sending and `margin_ns` later, by a
# clock that is off ours by up to `margin_ns`; it must never count more than its limit.

steps = st.lists(
    st.tuples(
        st.integers(0, 20 * S),  # how long after the one before
        st.integers(1, 5),  # what it costs
        st.sampled_from(P),
        st.floats(-1, 1),  # where within the margin the venue counts it
    ),
    max_size=120,
)


@given(steps, st.booleans(), st.integers(5, 20), st.integers(0, 3 * S))
def test_the_venue_never_counts_more_than_its_limit(
    todo: list[tuple[int, int, P, float]], rolling: bool, limit: int, margin_ns: int
) -> None:
    limits = Limits([window(limit, rolling=rolling, margin_ns=margin_ns)])
    arrivals: list[tuple[int, int]] = []
    now_ns = T0
    for later_ns, amount, priority, where in todo:
        now_ns += later_ns
        if spend(limits, amount, now_ns, priority) == 0:
            arrivals.append((now_ns + int(where * margin_ns), amount))
    for counted in _venue_counts(sorted(arrivals), rolling):
        assert counted <= limit


def _venue_counts(arrivals: list[tuple[int, int]], rolling: bool) -> Iterator[int]:
    for at_ns, _ in arrivals:
        since_ns = at_ns - MINUTE + 1 if rolling else at_ns // MINUTE * MINUTE
        until_ns = at_ns if rolling else since_ns + MINUTE - 1
        yield sum(amount for then, amount in arrivals if since_ns <= then <= until_ns)


@given(steps, st.booleans(), st.integers(5, 20))
def test_a_wait_is_never_too_long_by_more_than_the_grain_and_always_ends(
    todo: list[tuple[int, int, P, float]], rolling: bool, limit: int
) -> None:
    limits = Limits([window(limit, rolling=rolling)])
    now_ns = T0
    for later_ns, amount, priority, _ in todo:
        now_ns += later_ns
        wait_ns = spend(limits, amount, now_ns, priority)
        if wait_ns:
            assert limits.wait_ns({"weight": amount}, priority, now_ns + wait_ns - 1) > 0
            assert limits.wait_ns({"weight": amount}, priority, now_ns + wait_ns) == 0


@given(steps, st.booleans())
def test_whatever_orders_and_questions_do_a_cancel_passes(
    todo: list[tuple[int, int, P, float]], rolling: bool
) -> None:
    limits = Limits([window(50, rolling=rolling)])
    now_ns = T0
    for later_ns, amount, priority, _ in todo:
        now_ns += later_ns
        spend(limits, amount, now_ns, max(priority, P.ORDER))
        assert limits.wait_ns({"weight": 5}, P.CANCEL, now_ns) == 0


@given(steps, st.booleans(), st.integers(0, 40))
def test_an_observation_never_gives_room(
    todo: list[tuple[int, int, P, float]], rolling: bool, told: int
) -> None:
    limits = Limits([window(30, rolling=rolling)])
    now_ns = T0
    for later_ns, amount, priority, _ in todo:
        now_ns += later_ns
        spend(limits, amount, now_ns, priority)
        before = limits.left(now_ns)["w"]
        limits.observe("w", told, cost={"weight": amount}, charged_ns=now_ns, now_ns=now_ns)
        assert limits.left(now_ns)["w"] <= before


def test_what_a_window_does_not_count_leaves_it_alone() -> None:
    limits = Limits([window(10)])
    limits.charge({"orders": 3}, T0)
    assert limits.left(T0) == {"w": 10}


def test_parts_of_a_rolling_window_that_are_old_do_not_lengthen_a_wait() -> None:
    limits = Limits([window(10, rolling=True)])
    limits.charge({"weight": 4}, T0)
    limits.charge({"weight": 8}, T0 + 50 * S)
    now_ns = T0 + 65 * S
    assert limits.left(now_ns) == {"w": 2}
    assert 45 * S < limits.wait_ns({"weight": 3}, P.CANCEL, now_ns) < 48 * S
