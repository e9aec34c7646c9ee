"""How long to wait before trying again, and when to stop."""

import pytest
from structlog.testing import capture_logs
from tests.scripted import E, report

from brokerd import retries
from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.executor import Report
from brokerd.retries import (
    DELAY_S_MAX,
    FIRST_DELAY_S,
    HEALTHY_AFTER_S,
    ask_again,
    delay_s,
    failures,
)


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brokerd.retries.backoff.full_jitter", lambda ceiling_s: ceiling_s)


def test_waits_double_up_to_a_ceiling(no_jitter: None) -> None:
    assert [delay_s(attempt) for attempt in range(3)] == [
        FIRST_DELAY_S,
        2 * FIRST_DELAY_S,
        4 * FIRST_DELAY_S,
    ]
    assert delay_s(1_000_000) == DELAY_S_MAX


def test_jitter_spreads_waits_below_the_ceiling() -> None:
    waits = {delay_s(5) for _ in range(50)}
    assert len(waits) > 40
    assert all(0 <= wait <= FIRST_DELAY_S * 32 for wait in waits)


def test_retry_after_is_a_floor_that_jitter_never_shortens() -> None:
    assert all(delay_s(0, 7.5) == 7.5 for _ in range(20))
    assert delay_s(50, 0.0) <= DELAY_S_MAX


def test_a_connection_that_lasted_was_no_failure() -> None:
    assert failures(3, HEALTHY_AFTER_S - 1) == 4
    assert failures(3, HEALTHY_AFTER_S) == 0


class Venue:
    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked = 0

    async def answer(self) -> Report:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return report(E.NEW)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    asked: list[float | None] = []

    def no_wait(_attempt: int, retry_after_s: float | None = None) -> float:
        asked.append(retry_after_s)
        return 0.0

    monkeypatch.setattr(retries, "delay_s", no_wait)
    return asked


async def test_a_question_is_put_again_until_there_is_an_answer(
    at_once: list[float | None],
) -> None:
    venue = Venue(VenueUnavailable("down", retry_after_s=3.0), OutcomeUnknown("lost"))
    with capture_logs() as told_lines:
        told = await ask_again(venue.answer, what="q", tries_max=5, time_s_max=60)
    assert told.exec_type is E.NEW
    assert (venue.asked, at_once) == (3, [3.0, None])
    assert [(line["event"], line["what"], line["why"]) for line in told_lines] == [
        ("question_repeated", "q", "down"),
        ("question_repeated", "q", "lost"),
    ]


async def test_the_last_error_is_raised_after_so_many_tries(at_once: list[float | None]) -> None:
    venue = Venue(*[VenueUnavailable(f"down {n}") for n in range(9)])
    with pytest.raises(VenueUnavailable, match="down 2"):
        await ask_again(venue.answer, what="q", tries_max=3, time_s_max=60)
    assert venue.asked == 3


async def test_a_bug_is_not_asked_again(at_once: list[float | None]) -> None:
    venue = Venue(KeyError("x"))
    with pytest.raises(KeyError):
        await ask_again(venue.answer, what="q", tries_max=3, time_s_max=60)
    assert venue.asked == 1


async def test_a_venue_that_wants_to_be_left_alone_for_longer_is_not_asked_too_soon() -> None:
    venue = Venue(VenueUnavailable("busy", retry_after_s=30.0))
    with pytest.raises(VenueUnavailable, match="busy"):
        await ask_again(venue.answer, what="q", tries_max=3, time_s_max=0.001)
    assert venue.asked == 1
