"""What an order may say of itself, what a venue's filters allow, and hints that are themselves valid."""

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from brokerd.errors import InvalidOrder
from brokerd.money import EXACT, ZERO, is_multiple, plain
from brokerd.terms import (
    Instrument,
    OrdType,
    Side,
    Terms,
    TimeInForce,
    check_instrument,
    check_terms,
)

D = Decimal
BTC = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=D("0.01"),
    lot=D("0.001"),
    qty_min=D("0.002"),
    qty_max=D(9000),
    notional_min=D(5),
)

TRIGGER_PRICES: dict[OrdType, dict[str, Decimal]] = {
    OrdType.MARKET: {},
    OrdType.LIMIT: {"px": D(100)},
    OrdType.STOP: {"stop_px": D(99)},
    OrdType.STOP_LIMIT: {"px": D(100), "stop_px": D(99)},
}


def price(text: str | None) -> Decimal | None:
    return None if text is None else D(text)


def terms(ord_type: OrdType = OrdType.LIMIT, **changes: Any) -> Terms:
    prices = TRIGGER_PRICES[ord_type]
    told = {"executor": "paper", "symbol": "BTCUSDT", "side": Side.BUY, "qty": D(1), **prices}
    return Terms(**{**told, "ord_type": ord_type, **changes})


@pytest.mark.parametrize("ord_type", OrdType)
def test_an_order_with_the_prices_of_its_type_and_no_other_is_well_formed(
    ord_type: OrdType,
) -> None:
    assert ord_type.has_px == ("px" in TRIGGER_PRICES[ord_type])
    assert ord_type.has_stop_px == ("stop_px" in TRIGGER_PRICES[ord_type])
    check_terms(terms(ord_type))


@pytest.mark.parametrize("field", ["px", "stop_px"])
@pytest.mark.parametrize("ord_type", OrdType)
def test_a_price_too_many_or_too_few_is_named(ord_type: OrdType, field: str) -> None:
    is_needed = field in TRIGGER_PRICES[ord_type]
    wrong = None if is_needed else D(100)
    with pytest.raises(InvalidOrder) as caught:
        check_terms(terms(ord_type, **{field: wrong}))
    assert caught.value.field == field
    assert caught.value.reason == f"{field}_{'missing' if is_needed else 'not_allowed'}"


@pytest.mark.parametrize("value", [D(0), D(-1), D("-1e-18")])
@pytest.mark.parametrize("field", ["qty", "px", "stop_px", "decision_px"])
def test_every_amount_must_be_above_zero(field: str, value: Decimal) -> None:
    with pytest.raises(InvalidOrder) as caught:
        check_terms(terms(OrdType.STOP_LIMIT, **{field: value}))
    assert (caught.value.field, caught.value.reason) == (field, "not_positive")


def test_a_decision_price_is_welcome() -> None:
    check_terms(terms(decision_px=D("99.5")))


@pytest.mark.parametrize("time_in_force", TimeInForce)
@pytest.mark.parametrize("expire_at_ns", [None, 10**18])
def test_an_expiry_time_and_gtd_go_together(
    time_in_force: TimeInForce, expire_at_ns: int | None
) -> None:
    order = terms(time_in_force=time_in_force, expire_at_ns=expire_at_ns)
    if (time_in_force is TimeInForce.GTD) == (expire_at_ns is not None):
        check_terms(order)
        return
    with pytest.raises(InvalidOrder) as caught:
        check_terms(order)
    assert (caught.value.field, caught.value.reason) == ("expire_at", "expire_at_mismatch")


@pytest.mark.parametrize(
    "time_in_force", [tif for tif in TimeInForce if tif is not TimeInForce.GTD]
)
@pytest.mark.parametrize("ord_type", OrdType)
def test_post_only_is_for_limit_orders_that_may_rest(
    ord_type: OrdType, time_in_force: TimeInForce
) -> None:
    order = terms(ord_type, time_in_force=time_in_force, post_only=True)
    if ord_type is OrdType.LIMIT and time_in_force in {TimeInForce.GTC, TimeInForce.DAY}:
        check_terms(order)
        return
    with pytest.raises(InvalidOrder) as caught:
        check_terms(order)
    assert (caught.value.field, caught.value.reason) == ("post_only", "post_only_cannot_rest")


def test_a_buy_costs_when_prices_rise_and_a_sell_when_they_fall() -> None:
    assert {side: side.sign for side in Side} == {Side.BUY: 1, Side.SELL: -1}


@pytest.mark.parametrize(
    ("qty", "prices", "field", "reason", "hint"),
    [
        ("1", ("100.005", None), "px", "not_on_tick", "nearest valid: 100.00 or 100.01"),
        ("1", ("0.004", None), "px", "not_on_tick", "nearest valid: 0.01"),
        ("1", ("100", "99.999"), "stop_px", "not_on_tick", "nearest valid: 99.99 or 100.00"),
        ("0.0525", ("100", None), "qty", "not_on_lot", "nearest valid: 0.052 or 0.053"),
        ("0.0025", ("100", None), "qty", "not_on_lot", "nearest valid: 0.050"),
        ("0.0005", (None, None), "qty", "not_on_lot", "nearest valid: 0.002"),
        ("9000.5001", (None, None), "qty", "not_on_lot", "nearest valid: 9000"),
        ("0.001", (None, None), "qty", "below_minimum_qty", "nearest valid: 0.002"),
        ("9000.001", ("100", None), "qty", "above_maximum_qty", "nearest valid: 9000"),
        ("0.049", ("100", None), "qty", "below_minimum_notional", "nearest valid: 0.050"),
        ("0.1", ("0.0001", None), "px", "not_on_tick", "nearest valid: 0.01"),
        ("0.016", ("300", None), "qty", "below_minimum_notional", "nearest valid: 0.017"),
    ],
)
def test_a_broken_filter_is_told_with_the_nearest_valid_values(
    qty: str, prices: tuple[str | None, str | None], field: str, reason: str, hint: str
) -> None:
    """0.017 BTC at 300 is the first lot above a notional of 5."""
    with pytest.raises(InvalidOrder) as caught:
        check_instrument(BTC, D(qty), *map(price, prices))
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert numbers_in(caught.value.hint) == numbers_in(hint)


@pytest.mark.parametrize(
    ("qty", "px"), [("0.002", None), ("9000", None), ("0.05", "100"), ("9000", "0.01")]
)
def test_an_order_on_the_edge_of_every_filter_passes(qty: str, px: str | None) -> None:
    check_instrument(BTC, D(qty), price(px), None)


@pytest.mark.parametrize(
    ("qty", "prices", "field", "reason", "hint"),
    [
        ("1", ("0.49", None), "px", "below_minimum_px", "nearest valid: 0.50"),
        ("1", ("1000.01", None), "px", "above_maximum_px", "nearest valid: 1000"),
        ("1", ("100", "1000.01"), "stop_px", "above_maximum_px", "nearest valid: 1000"),
        ("500.001", ("100", None), "qty", "above_maximum_notional", "nearest valid: 500"),
        ("0.015", (None, None), "qty", "not_on_lot", "nearest valid: 0.02"),
        ("0.01", (None, None), "qty", "below_minimum_qty", "nearest valid: 0.02"),
        ("101", (None, None), "qty", "above_maximum_qty", "nearest valid: 100"),
    ],
)
def test_bounds_of_px_and_notional_and_of_market_orders_are_told_likewise(
    qty: str, prices: tuple[str | None, str | None], field: str, reason: str, hint: str
) -> None:
    strict = msgspec.structs.replace(
        BTC,
        px_min=D("0.5"),
        px_max=D(1000),
        notional_max=D(50_000),
        market_lot=D("0.01"),
        market_qty_min=D("0.02"),
        market_qty_max=D(100),
    )
    with pytest.raises(InvalidOrder) as caught:
        check_instrument(strict, D(qty), *map(price, prices))
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert numbers_in(caught.value.hint) == numbers_in(hint)


def test_a_sleeping_stop_is_no_market_order() -> None:
    strict = msgspec.structs.replace(BTC, market_qty_max=D(1))
    check_instrument(strict, D(2), None, D(100))


def test_a_venue_without_filters_takes_anything() -> None:
    free = Instrument(symbol="X", base="X", quote="Y")
    check_instrument(free, D("1e-18"), D("123456789.123456789"), D("1e-18"))


def test_numbers_are_told_without_exponents() -> None:
    fine = msgspec.structs.replace(BTC, lot=D("1e-8"), qty_min=D("1e-8"), notional_min=ZERO)
    with pytest.raises(InvalidOrder) as caught:
        check_instrument(fine, D("1.5e-8"), None, None)
    assert str(caught.value) == (
        "qty 0.000000015 is not a multiple of the lot size 0.00000001"
        " (nearest valid: 0.00000001 or 0.00000002)"
    )


def test_filters_that_nothing_passes_are_told_as_such() -> None:
    """At 0.01 the minimum notional needs more than the maximum quantity."""
    tight = msgspec.structs.replace(BTC, qty_max=D(100))
    with pytest.raises(InvalidOrder, match="no value is valid: the least is 500, the most 100"):
        check_instrument(tight, D(1), D("0.01"), None)


def numbers_in(hint: str | None) -> list[Decimal]:
    return [D(text) for text in re.findall(r"[0-9][0-9.]*", hint or "")]


def scaled(digits: int, places: int) -> Decimal:
    return plain(EXACT.scaleb(D(digits), -places))


steps = st.just(ZERO) | st.builds(scaled, st.integers(1, 10**6), st.integers(0, 18))
amounts = st.builds(scaled, st.integers(1, 10**18), st.integers(0, 18))
instruments = st.builds(
    Instrument,
    symbol=st.just("X"),
    base=st.just("X"),
    quote=st.just("Y"),
    tick=steps,
    lot=steps,
    qty_min=st.just(ZERO) | amounts,
    qty_max=st.just(ZERO) | amounts,
    notional_min=st.just(ZERO) | amounts,
    notional_max=st.just(ZERO) | amounts,
    px_min=st.just(ZERO) | amounts,
    px_max=st.just(ZERO) | amounts,
    market_qty_min=st.just(ZERO) | amounts,
    market_qty_max=st.just(ZERO) | amounts,
)


@given(instruments, amounts, st.none() | amounts, st.none() | amounts)
@example(Instrument("X", "X", "Y", notional_min=D(10)), D(1), D(3), None)
@example(Instrument("X", "X", "Y", lot=D("0.01"), qty_min=D("0.015")), D("0.01"), None, None)
@example(Instrument("X", "X", "Y", lot=D("0.3"), qty_max=D(1)), D("0.95"), None, None)
@example(Instrument("X", "X", "Y", lot=D(1), notional_min=D(10)), D("1.5"), D(3), None)
def test_every_hint_is_itself_valid(
    instrument: Instrument, qty: Decimal, px: Decimal | None, stop_px: Decimal | None
) -> None:
    """The examples are hints that were once refused when they were followed."""
    try:
        check_instrument(instrument, qty, px, stop_px)
    except InvalidOrder as error:
        field, hint = error.field, error.hint
    else:
        return
    assert field is not None
    assert hint is not None
    assume(not hint.startswith("no value is valid"))
    hinted = numbers_in(hint)
    assert 1 <= len(hinted) <= 2
    for value in hinted:
        assert value > 0
        if field == "qty":
            check_instrument(instrument, value, px, stop_px)
        else:
            assert is_multiple(value, instrument.tick)
            assert instrument.px_min <= value <= (instrument.px_max or value)


@given(
    lot=st.integers(1, 7),
    qty_min=st.integers(0, 20),
    qty_max=st.integers(0, 30),
    notional_min=st.integers(0, 60),
    px=st.integers(1, 5),
    halves=st.integers(1, 80),
)
def test_the_hint_is_what_trying_every_quantity_finds(
    *, lot: int, qty_min: int, qty_max: int, notional_min: int, px: int, halves: int
) -> None:
    bounds = {"qty_min": D(qty_min), "qty_max": D(qty_max), "notional_min": D(notional_min)}
    instrument = Instrument("X", "X", "Y", lot=D(lot), **bounds)
    most = qty_max or 100
    valid = [n for n in range(lot, most + 1, lot) if n >= qty_min and n * px >= notional_min]
    asked = D(halves) / 2
    if asked in valid:
        check_instrument(instrument, asked, D(px), None)
        return
    with pytest.raises(InvalidOrder) as caught:
        check_instrument(instrument, asked, D(px), None)
    below, above = [n for n in valid if n < asked][-1:], [n for n in valid if n > asked][:1]
    if valid:
        assert numbers_in(caught.value.hint) == [D(n) for n in below + above]
    else:
        assert "no value is valid" in str(caught.value)
