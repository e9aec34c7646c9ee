"""The venue's clock as seen from here: bounds that hold, and a refusal when they are too wide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd.errors import OutcomeUnknown
from brokerd_adapters.kit import ClockOffset, Unsent
from brokerd_adapters.kit.clock_offset import DRIFT_PPM, Estimate, Probe, estimate

MS = 1_000_000
S = 1_000 * MS


class TwoClocks:
    """Our clocks; `monotonic_ns` moves when it is told to."""

    def __init__(self) -> None:
        self.at_ns = 5 * S
        self.wall_minus_monotonic_ns = 1_000_000 * S

    def now_ns(self) -> int:
        return self.at_ns + self.wall_minus_monotonic_ns

    def monotonic_ns(self) -> int:
        return self.at_ns


@given(
    st.integers(-(10**15), 10**18),
    st.lists(
        st.tuples(st.integers(0, 500 * MS), st.integers(0, 500 * MS), st.integers(0, 10 * S)),
        min_size=1,
        max_size=9,
    ),
)
def test_the_true_offset_is_always_within_the_error(
    offset_ns: int, ways: list[tuple[int, int, int]]
) -> None:
    """However long the ways there and back are, and with the venue's time cut to milliseconds."""
    probes: list[Probe] = []
    now_ns = 0
    for there_ns, back_ns, pause_ns in ways:
        asked_ns = now_ns + pause_ns
        venue_ns = (asked_ns + there_ns + offset_ns) // MS * MS
        now_ns = asked_ns + there_ns + back_ns
        probes.append(Probe(asked_ns, now_ns, venue_ns))
    found = estimate(probes)
    assert abs(found.offset_ns - offset_ns) <= found.error_ns
    worst_ns = max(there_ns + back_ns for there_ns, back_ns, _ in ways)
    assert found.error_ns <= worst_ns + MS


def test_one_slow_probe_does_not_spoil_the_others() -> None:
    quick = [Probe(n * S, n * S + 2 * MS, n * S + 100 * MS) for n in range(4)]
    slow = Probe(9 * S, 9 * S + 800 * MS, 9 * S + 890 * MS)
    found = estimate([*quick, slow])
    assert abs(found.offset_ns - 99 * MS) < 2 * MS
    assert found.error_ns <= 3 * MS


def test_probes_that_contradict_each_other_are_a_wide_error() -> None:
    """A clock was set while we asked."""
    found = estimate([Probe(0, MS, 100 * MS), Probe(S, S + MS, S + 900 * MS)])
    assert found.error_ns >= 800 * MS


def test_the_error_grows_with_age() -> None:
    found = Estimate(0, MS, 0)
    assert found.error_at(1_000 * S) == MS + 1_000 * S * DRIFT_PPM // 1_000_000


async def test_the_venues_time_is_given_and_shown() -> None:
    clock = TwoClocks()
    offset = ClockOffset(clock, error_s_max=0.5)
    assert (offset.offset_s, offset.error_s) == (None, None)

    async def ask() -> int:
        clock.at_ns += 10 * MS
        answer_ns = clock.now_ns() + 250 * MS
        clock.at_ns += 10 * MS
        return answer_ns

    await offset.measure(ask)
    assert offset.offset_s == pytest.approx(0.2505)
    assert offset.error_s == pytest.approx(0.0105)
    assert offset.venue_ns() == clock.now_ns() + 250 * MS + MS // 2


async def test_a_step_of_our_wall_clock_does_not_move_the_venues_time() -> None:
    clock = TwoClocks()
    offset = ClockOffset(clock, error_s_max=0.5)

    async def ask() -> int:
        return 2_000_000 * S

    await offset.measure(ask)
    before_ns = offset.venue_ns()
    clock.wall_minus_monotonic_ns += 3_600 * S
    assert offset.venue_ns() == before_ns


async def test_it_refuses_to_sign_before_it_was_measured_and_when_it_is_too_old() -> None:
    clock = TwoClocks()
    offset = ClockOffset(clock, error_s_max=0.5)
    with pytest.raises(Unsent) as caught:
        offset.venue_ns()
    assert caught.value.reason == "clock_uncertain"

    async def ask() -> int:
        return clock.now_ns()

    await offset.measure(ask)
    offset.venue_ns()
    clock.at_ns += 3 * 3_600 * S
    with pytest.raises(Unsent, match=r"known to 2\.1") as caught:
        offset.venue_ns()
    assert caught.value.reason == "clock_uncertain"


async def test_it_refuses_to_sign_after_the_venue_said_it_is_wrong() -> None:
    clock = TwoClocks()
    offset = ClockOffset(clock, error_s_max=0.5)

    async def ask() -> int:
        return clock.now_ns()

    await offset.measure(ask)
    offset.forget()
    with pytest.raises(Unsent):
        offset.venue_ns()


async def test_a_failed_measurement_leaves_the_one_before() -> None:
    clock = TwoClocks()
    offset = ClockOffset(clock, error_s_max=0.5)

    async def ask() -> int:
        return clock.now_ns()

    async def lost() -> int:
        raise OutcomeUnknown("lost")

    await offset.measure(ask)
    with pytest.raises(OutcomeUnknown):
        await offset.measure(lost)
    offset.venue_ns()


async def test_it_is_worn_long_before_it_refuses() -> None:
    clock = TwoClocks()
    offset = ClockOffset(clock, error_s_max=0.5)
    assert offset.is_worn

    async def ask() -> int:
        return clock.now_ns()

    await offset.measure(ask)
    assert not offset.is_worn
    clock.at_ns += 1_500 * S
    assert offset.is_worn
    offset.venue_ns()
