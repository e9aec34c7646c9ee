"""The stream of a venue that is asked: what changed is told, what is done is left alone."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from tests.scripted import E, S, execution, view

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.executor import OrderRef, OrderView, Report
from brokerd_adapters.kit import Unsent, Watch
from brokerd_adapters.kit.watch import ASKED_MAX, EXPECTED_MAX

D = Decimal


class Venue:
    """What the venue has, and what it was asked."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderView] = {}
        self.asked: list[str] = []
        self.failures: list[Exception] = []

    def show(self, shown: OrderView) -> None:
        self.orders[shown.venue_order_id] = shown

    async def open_orders(self) -> tuple[OrderView, ...]:
        if self.failures:
            raise self.failures.pop(0)
        return tuple(
            each for each in self.orders.values() if each.ord_status in {S.NEW, S.PARTIALLY_FILLED}
        )

    async def order(self, ref: OrderRef) -> OrderView | None:
        assert ref.venue_order_id is not None
        self.asked.append(ref.venue_order_id)
        return self.orders.get(ref.venue_order_id)


def ref(cl_ord_id: str = "x") -> OrderRef:
    return OrderRef(
        symbol="BTCUSDT", venue_cl_ord_id=f"v-{cl_ord_id}", venue_order_id=f"1-{cl_ord_id}"
    )


async def told(reports: AsyncIterator[Report], count: int) -> list[tuple[E, str | None]]:
    return [
        (each.exec_type, each.venue_order_id)
        for each in [await anext(reports) for _ in range(count)]
    ]


async def test_an_order_is_told_once_and_each_fill_when_it_comes() -> None:
    venue = Venue()
    watch = Watch(venue, poll_s=0.001)
    reports = watch.reports()
    venue.show(view())
    assert await told(reports, 1) == [(E.NEW, "1-x")]
    assert venue.asked == []
    venue.show(view(S.PARTIALLY_FILLED, executions=(execution("e1", 4),)))
    assert await told(reports, 2) == [(E.NEW, "1-x"), (E.TRADE, "1-x")]
    assert venue.asked == ["1-x"]
    venue.show(view(S.CANCELED, executions=(execution("e1", 4),)))
    assert await told(reports, 2) == [(E.TRADE, "1-x"), (E.CANCELED, "1-x")]
    venue.show(view(cl_ord_id="y"))
    assert await told(reports, 1) == [(E.NEW, "1-y")]
    # What is done is not asked for again.
    assert venue.asked == ["1-x", "1-x"]


async def test_an_order_that_never_was_among_the_open_ones_is_asked_for_if_it_is_expected() -> None:
    venue = Venue()
    watch = Watch(venue, poll_s=0.001)
    watch.expect(ref())
    venue.show(view(S.FILLED, executions=(execution("e1", 10),)))
    assert await told(watch.reports(), 2) == [(E.NEW, "1-x"), (E.TRADE, "1-x")]


async def test_a_look_does_not_wait_for_the_next_round() -> None:
    venue = Venue()
    watch = Watch(venue, poll_s=4.0)
    reports = watch.reports()
    venue.show(view())
    await anext(reports)
    venue.show(view(cl_ord_id="y"))
    watch.look()
    assert await told(reports, 1) == [(E.NEW, "1-y")]


async def test_an_order_the_venue_has_forgotten_is_not_asked_for_for_ever() -> None:
    """The daemon's own polls go on about it, at their own pace."""
    venue = Venue()
    watch = Watch(venue, poll_s=0.0001)
    watch.expect(ref())
    rounds = 0

    async def open_orders() -> tuple[OrderView, ...]:
        nonlocal rounds
        rounds += 1
        if rounds > 2 * ASKED_MAX:
            venue.show(view(cl_ord_id="last"))
        return await Venue.open_orders(venue)

    venue.open_orders = open_orders  # type: ignore[method-assign]
    await anext(watch.reports())
    assert venue.asked == ["1-x"] * ASKED_MAX


async def test_fills_that_trail_behind_the_end_are_asked_for_until_they_are_there() -> None:
    venue = Venue()
    watch = Watch(venue, poll_s=0.001)
    watch.expect(ref())
    venue.show(view(S.FILLED, cum_qty=D(10)))
    reports = watch.reports()
    assert await told(reports, 1) == [(E.NEW, "1-x")]
    venue.show(view(S.FILLED, executions=(execution("e1", 10),)))
    assert await told(reports, 2) == [(E.NEW, "1-x"), (E.TRADE, "1-x")]


async def test_a_question_without_an_answer_ends_the_stream() -> None:
    for failure in (OutcomeUnknown("lost"), VenueUnavailable("down"), Unsent("refused")):
        venue = Venue()
        venue.failures.append(failure)
        with pytest.raises(type(failure)):
            await anext(Watch(venue, poll_s=0.001).reports())


async def test_a_budget_that_is_used_up_is_waited_for() -> None:
    """Nothing was missed: the next round sees what this one would have seen."""
    venue = Venue()
    venue.failures.append(Unsent("used up", reason="rate_budget", retry_after_s=0.001))
    venue.show(view())
    assert await told(Watch(venue, poll_s=0.001).reports(), 1) == [(E.NEW, "1-x")]


async def test_a_budget_that_does_not_say_how_long_is_waited_for_too() -> None:
    venue = Venue()
    venue.failures.append(Unsent("used up", reason="rate_budget"))
    venue.show(view())
    assert await told(Watch(venue, poll_s=0.001).reports(), 1) == [(E.NEW, "1-x")]


async def test_what_is_expected_is_bounded() -> None:
    watch = Watch(Venue(), poll_s=1.0)
    for number in range(EXPECTED_MAX + 5):
        watch.expect(ref(str(number)))
    assert len(watch._expected) == EXPECTED_MAX
    assert "1-0" not in watch._expected
