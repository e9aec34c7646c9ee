"""Times: text that sorts, that is read back exactly, and that says what is wrong with it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd.clock import SET_BACK_NS_MAX, SteadyClock, SystemClock
from brokerd.times import parse_rfc3339, rfc3339

LATEST_NS = 253_402_300_800 * 10**9 - 1
"""The last nanosecond of the year 9999."""


@given(st.integers(min_value=0, max_value=LATEST_NS))
def test_every_nanosecond_is_read_back_as_it_was_written(at_ns: int) -> None:
    assert parse_rfc3339(rfc3339(at_ns)) == at_ns


@given(st.lists(st.integers(min_value=0, max_value=LATEST_NS)))
def test_texts_sort_as_times_do(times_ns: list[int]) -> None:
    assert sorted(map(rfc3339, times_ns)) == [rfc3339(at_ns) for at_ns in sorted(times_ns)]


def test_a_time_is_utc_with_nine_digits() -> None:
    assert rfc3339(1_767_323_045_000_000_006) == "2026-01-02T03:04:05.000000006Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000000000Z"
    assert rfc3339(-1) == "1969-12-31T23:59:59.999999999Z"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000000Z"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05.000000000Z"),
        ("2026-01-02 03:04:05.5Z", "2026-01-02T03:04:05.500000000Z"),
        ("2026-01-02T03:04:05.123456789+05:30", "2026-01-01T21:34:05.123456789Z"),
        ("2026-01-01T23:00:00-02:00", "2026-01-02T01:00:00.000000000Z"),
        ("2024-02-29T00:00:00+00:00", "2024-02-29T00:00:00.000000000Z"),
    ],
)
def test_offsets_and_short_fractions_are_understood(text: str, same: str) -> None:
    assert rfc3339(parse_rfc3339(text)) == same


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not an RFC 3339 time"),
        ("2026-01-02", "is not an RFC 3339 time"),
        ("2026-01-02T03:04:05", "is not an RFC 3339 time"),
        ("2026-01-02T03:04:05.1234567890Z", "is not an RFC 3339 time"),
        ("2026-01-02T03:04:05.Z", "is not an RFC 3339 time"),
        ("٢٠٢٦-01-02T03:04:05Z", "is not an RFC 3339 time"),
        ("2026-01-02T03:04:05Z\n", "is not an RFC 3339 time"),
        ("2026-01-02T03:04:05Z" * 1000, "is not an RFC 3339 time"),
        ("2026-02-29T00:00:00Z", "is not a time of the calendar"),
        ("2026-01-02T24:00:00Z", "is not a time of the calendar"),
        ("2026-01-02T03:04:05+24:00", "has an offset beyond 23:59"),
        ("2026-01-02T03:04:05+01:60", "has an offset beyond 23:59"),
    ],
)
def test_what_is_no_time_is_refused_with_a_sentence(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_rfc3339(text)


def test_a_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the years"):
        rfc3339(LATEST_NS + 1)


def test_the_system_clock_reads_the_systems_clocks() -> None:
    clock = SystemClock()
    assert time.time_ns() <= clock.now_ns() <= time.time_ns()
    assert time.monotonic_ns() <= clock.monotonic_ns() <= time.monotonic_ns()


class HandClock:
    """A clock in the test's hand: time passes on both, but the wall can also be set."""

    def __init__(self, wall_ns: int) -> None:
        self.wall_ns, self.passed_ns = wall_ns, 0

    def now_ns(self) -> int:
        return self.wall_ns

    def monotonic_ns(self) -> int:
        return self.passed_ns

    def pass_by(self, ns: int) -> None:
        self.wall_ns += ns
        self.passed_ns += ns


@pytest.mark.parametrize("step_ns", [3_600 * 10**9, -3_600 * 10**9])
def test_a_steady_clock_goes_on_when_the_hosts_clock_is_set(step_ns: int) -> None:
    hand = HandClock(wall_ns=10**18)
    clock = SteadyClock(hand)
    hand.pass_by(5)
    assert clock.now_ns() == 10**18 + 5
    hand.wall_ns += step_ns
    assert clock.now_ns() == 10**18 + 5
    assert clock.stepped_ns == step_ns
    hand.pass_by(7)
    assert (clock.now_ns(), clock.monotonic_ns()) == (10**18 + 12, 12)


@pytest.mark.parametrize(
    ("behind_ns", "caught_up_ns"),
    [(-1, 0), (0, 0), (1, 1), (SET_BACK_NS_MAX, SET_BACK_NS_MAX), (SET_BACK_NS_MAX + 1, 0)],
    ids=["later", "now", "set back", "a day back", "more than a day: that run was wrong"],
)
def test_a_run_goes_on_from_where_the_last_one_stopped(behind_ns: int, caught_up_ns: int) -> None:
    hand = HandClock(wall_ns=10**18)
    clock = SteadyClock(hand)
    clock.follow(10**18 + behind_ns)
    assert clock.now_ns() == 10**18 + caught_up_ns
