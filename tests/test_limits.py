"""Limits: what is not known to be over counts in full, and a refusal writes nothing."""

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.scripted import (
    CLOCK,
    LIMIT,
    D,
    E,
    K,
    Play,
    S,
    answered,
    house,
    report,
    reported,
    submit,
    traded,
    viewed,
)

from brokerd.errors import NotCancelable, RefusedByLimits
from brokerd.executor import InDoubt
from brokerd.limits import (
    NOTHING,
    Exposure,
    Limits,
    exposure_of,
    new_order_refused,
    price_of,
    replace_refused,
)
from brokerd.messages import Cancel, Replace
from brokerd.stats.marks import QUOTE_AGE_NS_MAX
from brokerd.terms import OrdType, Quote, Side

QUOTE = Quote(D(99), D(101), 1)
MARKET = replace(LIMIT, ord_type=OrdType.MARKET, px=None)


def counted(play: Play) -> tuple[int, Decimal]:
    return tuple(exposure_of(play.order))


def test_an_order_counts_its_open_rest_until_it_is_over() -> None:
    play = Play().submitted()
    assert counted(play) == (1, D(1000))
    play.tell(reported(traded("t", 4), at_ns=3))
    assert counted(play) == (1, D(600))
    play.tell(reported(report(E.CANCELED), at_ns=4))
    assert counted(play) == (0, D(0))
    assert exposure_of(None) == NOTHING


def test_an_order_in_doubt_counts_in_full_until_its_absence_is_proved() -> None:
    play = Play().submitted()
    play.tell(answered(InDoubt(evidence="lost"), at_ns=2, final_at_ns=100))
    assert counted(play) == (1, D(1000))
    play.tell(viewed(None, asked_at_ns=100))
    assert counted(play) == (1, D(1000)), "one answer proves nothing"
    play.tell(viewed(None, asked_at_ns=110))
    assert (play.order.ord_status, counted(play)) == (S.REJECTED, (0, D(0)))


def test_a_cancel_in_doubt_frees_nothing() -> None:
    play = Play().acknowledged()
    play.cancel(5)
    play.tell(answered(InDoubt(evidence="lost"), at_ns=6, request=K.CANCEL))
    assert counted(play) == (1, D(1000))


@pytest.mark.parametrize(("qty", "px", "notional"), [(20, 90, 2000), (5, 300, 3000), (5, 50, 1000)])
def test_a_replace_without_an_outcome_counts_at_the_larger_of_both(
    qty: int, px: int, notional: int
) -> None:
    play = Play().acknowledged()
    play.replace(5, qty=qty, px=px)
    assert counted(play) == (1, D(notional))


def test_a_market_order_counts_at_the_price_it_met_and_an_external_one_not_at_all() -> None:
    play = Play().submitted(ord_type=OrdType.MARKET, px=None)
    assert counted(play) == (1, D(0)), "nothing is known of its price"
    priced = replace(play.order, arrival=QUOTE)
    assert exposure_of(priced) == Exposure(1, D(1010))
    assert exposure_of(replace(priced, is_external=True)) == NOTHING


def test_what_a_unit_costs_at_the_most() -> None:
    assert price_of(LIMIT, None) == D(100)
    assert price_of(replace(MARKET, stop_px=D(7)), QUOTE) == D(7)
    assert price_of(MARKET, QUOTE) == D(101)
    assert price_of(replace(MARKET, side=Side.SELL), QUOTE) == D(99)
    assert price_of(MARKET, None) is None


@pytest.mark.parametrize(
    ("limits", "now", "reason"),
    [
        (Limits(), Exposure(10**6, D(10**9)), None),
        (Limits(open_orders_max=2), Exposure(1, D(0)), None),
        (Limits(open_orders_max=2), Exposure(2, D(0)), "open_orders_max"),
        (Limits(order_notional_max=D(1000)), NOTHING, None),
        (Limits(order_notional_max=D(999)), NOTHING, "order_notional_max"),
        (Limits(open_notional_max=D(3000)), Exposure(9, D(2000)), None),
        (Limits(open_notional_max=D(3000)), Exposure(9, D(2001)), "open_notional_max"),
    ],
)
def test_a_new_order_is_refused_beyond_a_limit_and_not_at_it(
    limits: Limits, now: Exposure, reason: str | None
) -> None:
    refused = new_order_refused(limits, now, LIMIT, None)
    assert (refused.reason if refused else None) == reason
    if refused is not None:
        assert refused.code == 103
        assert f"executors.sim.limits.{reason}" in str(refused)


def test_an_order_without_any_price_cannot_be_held_against_a_notional() -> None:
    refused = new_order_refused(Limits(order_notional_max=D(1)), NOTHING, MARKET, None)
    assert refused is not None
    assert refused.reason == "no_price"
    assert new_order_refused(Limits(open_orders_max=1), NOTHING, MARKET, None) is None
    full = new_order_refused(Limits(open_orders_max=1), Exposure(1, D(0)), MARKET, None)
    assert full is not None


@pytest.mark.parametrize(
    ("limits", "qty", "px", "reason"),
    [
        (Limits(open_orders_max=1, open_notional_max=D(1000)), 9, None, None),
        (Limits(open_orders_max=1, open_notional_max=D(1500)), 15, None, None),
        (Limits(open_notional_max=D(1500)), 16, None, "open_notional_max"),
        (Limits(open_notional_max=D(1500)), None, 151, "open_notional_max"),
        (Limits(order_notional_max=D(1500)), 10, 151, "order_notional_max"),
    ],
)
def test_a_replace_is_refused_when_it_asks_for_more_than_a_limit(
    limits: Limits, qty: int | None, px: int | None, reason: str | None
) -> None:
    order = Play().acknowledged().order
    wanted = (None if each is None else D(each) for each in (qty, px))
    refused = replace_refused(limits, exposure_of(order), order, *wanted)
    assert (refused.reason if refused else None) == reason


@pytest.mark.parametrize("key", ["order_notional_max", "open_notional_max"])
def test_a_limit_that_nothing_could_be_below_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} must be above 0"):
        Limits(**{key: D(0)})


async def test_submits_of_one_batch_cannot_pass_a_limit_together(tmp_path: Path) -> None:
    """Whatever waits is decided in one go, each on top of those before it."""
    async with house(tmp_path) as home:
        home.engine.limit("sim", Limits(open_orders_max=2))
        told: list[object] = []

        def heard(result: object) -> object:
            told.append(result)
            return lambda: None

        for number in range(4):
            home.engine.post(submit(f"o{number}", CLOCK.now_ns()), heard)
        last = await home.engine.settle(submit("o1", CLOCK.now_ns()))
        assert last is not None
        assert [isinstance(each, RefusedByLimits) for each in told] == [False, False, True, True]
        assert home.engine.blotter.exposures["sim"] == Exposure(2, D(2000))
        assert home.journal.last_seq == 2, "a refusal writes nothing"


async def test_a_market_order_is_held_against_a_fresh_quote_alone(tmp_path: Path) -> None:
    """What a symbol cost before an outage is no price to bound an order by."""
    async with house(tmp_path) as home:
        home.engine.limit("sim", Limits(order_notional_max=D(2000)))
        market = replace(submit("y", QUOTE.at_ns + QUOTE_AGE_NS_MAX), terms=MARKET, arrival=QUOTE)
        with pytest.raises(RefusedByLimits) as caught:
            await home.engine.do(replace(market, at_ns=market.at_ns + 1))
        assert caught.value.reason == "no_price"
        await home.engine.do(market)


async def test_what_ends_makes_room_and_a_repeat_is_never_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.engine.limit("sim", Limits(open_orders_max=1))
        await home.engine.do(submit())
        assert await home.engine.do(submit()) == home.order()
        with pytest.raises(RefusedByLimits):
            await home.engine.do(submit("y"))
        await home.engine.settle(reported(report(E.CANCELED), at_ns=9))
        await home.engine.do(submit("y"))


async def test_an_order_in_doubt_holds_its_room(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.engine.limit("sim", Limits(open_orders_max=1))
        await home.engine.do(submit())
        await home.engine.settle(answered(InDoubt(evidence="lost"), at_ns=2))
        with pytest.raises(RefusedByLimits):
            await home.engine.do(submit("y"))


async def test_a_replace_is_held_to_the_limits_and_a_cancel_never(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.engine.limit("sim", Limits(open_notional_max=D(1000)))
        await home.engine.do(submit())
        await home.engine.settle(reported(report(E.NEW), at_ns=2))
        with pytest.raises(RefusedByLimits):
            await home.engine.do(Replace("x", D(11), None, 3))
        await home.engine.do(Replace("x", D(9), None, 3))
        await home.engine.settle(reported(report(E.REPLACED, qty=D(9), px=D(100)), at_ns=4))
        await home.engine.do(Cancel("x", 5))


async def test_a_replace_of_an_order_that_is_over_is_told_so_whatever_the_limits(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as home:
        home.engine.limit("sim", Limits(open_notional_max=D(1000)))
        await home.engine.do(submit("a"))
        await home.engine.settle(reported(report(E.CANCELED, "a"), at_ns=2))
        with pytest.raises(NotCancelable) as caught:
            await home.engine.do(Replace("a", D(20), None, 3))
        assert caught.value.reason == "already_canceled"


async def test_an_executor_without_limits_is_not_weighed(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        await home.engine.settle(reported(report(E.NEW), at_ns=2))
        await home.engine.do(Replace("x", D(10**9), None, 3))
        assert home.engine.blotter.exposures == {}
