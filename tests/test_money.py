"""Money is exact: what is read is what was written, and what cannot be exact is refused."""

from decimal import Decimal, DivisionByZero, Inexact
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brokerd.money import (
    DIGITS_MAX,
    EXACT,
    STEP_MIN,
    TEXT_MAX,
    ZERO,
    add,
    ceil_to,
    divide,
    floor_to,
    is_multiple,
    multiply,
    parse_decimal,
    plain,
    subtract,
    units,
)

SIZE_MAX = 10 ** (2 * DIGITS_MAX) - 1
"""Every digit a number may have, before and after the point."""


def scaled(digits: int) -> Decimal:
    return plain(EXACT.scaleb(Decimal(digits), -DIGITS_MAX))


numbers = st.integers(-SIZE_MAX, SIZE_MAX).map(scaled)
amounts = st.integers(0, SIZE_MAX).map(scaled)
steps = st.integers(1, SIZE_MAX).map(scaled)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0e999", "0"),
        ("0.000e-999", "0"),
        ("0.010", "0.01"),
        ("-12.50", "-12.5"),
        ("1e2", "100"),
        ("1E+2", "100"),
        ("25e-1", "2.5"),
        ("1e-18", "0.000000000000000001"),
        ("0.0000000000000000010", "0.000000000000000001"),
        ("100e-20", "0.000000000000000001"),
        ("1e17", "100000000000000000"),
        ("999999999999999999.999999999999999999", "999999999999999999.999999999999999999"),
        ("1." + "0" * (TEXT_MAX - 2), "1"),
    ],
)
def test_a_plain_number_is_read_exactly(text: str, value: str) -> None:
    parsed = parse_decimal(text)
    assert f"{parsed:f}" == value
    assert parsed.as_tuple() == plain(Decimal(value)).as_tuple()


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "-", ".", "e5", "nan", "NaN", "sNaN", "-NaN123", "inf", "Infinity", "-Infinity"),
        *(" 1", "1 ", "1\n", "\t1", "1 000", "1_000", "1,000", "1,5", "1'000"),
        *("+1", "--1", "+-1", "1-", "01", "00", "-01", ".5", "1.", "1..2", "1.2.3", "-.5"),
        *("0x10", "0b1", "1e", "1e+", "1e1.5", "1e1e1", "1ee1", "1f", "1d", "1/2", "1%", "$1"),
        *("1e1000", "1e999999", "1e-999999", "true", "null", '"1"', "1;--", "1\x00"),
        *("\u0661", "1\u0660", "\uff11", "\u0967", "\u00b2", "\u2212" + "1", "\u00bd", "1\u00a0"),
    ],
)
def test_what_json_would_not_call_a_number_is_refused(text: str) -> None:
    """Decimal() itself would take 1_000, " 1", NaN and Arabic digits."""
    with pytest.raises(ValueError, match="plain decimal number"):
        parse_decimal(text)


@pytest.mark.parametrize(
    "text",
    [
        *("1e18", "1e79", "1e80", "1e999", "-1e999", "12345e14", "1000000000000000000"),
        *("1e-19", "1e-999", "0.0000000000000000001", "123e-21", "5.0000000000000000001"),
    ],
)
def test_a_number_with_too_many_digits_is_refused(text: str) -> None:
    """1e999 once raised InvalidOperation, which no caller expects, when it was written out."""
    with pytest.raises(ValueError, match="more than 18 digits"):
        parse_decimal(text)


@pytest.mark.parametrize("text", ["1" * 65, "0." + "0" * 63, "9" * 1_000_000, " " * 65])
def test_a_long_text_is_refused_before_it_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="longer than 64"):
        parse_decimal(text)


@given(numbers)
def test_every_number_of_18_and_18_digits_survives_being_written_and_read(number: Decimal) -> None:
    for text in (str(number), f"{number:f}"):
        assert parse_decimal(text).as_tuple() == number.as_tuple()


@given(st.text(max_size=70))
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    try:
        number = parse_decimal(text)
    except ValueError:
        return
    assert number == Decimal(text)


@given(numbers, st.integers(0, 20))
def test_equal_numbers_look_alike(number: Decimal, zeros: int) -> None:
    """Two spellings of one number would make two hashes, two journal rows, two orders."""
    sign, digits, exponent = number.as_tuple()
    longer = Decimal((sign, (*digits, *(0,) * zeros), int(exponent) - zeros))
    assert plain(longer).as_tuple() == number.as_tuple()


@given(amounts, steps)
def test_floor_and_ceil_are_the_grid_points_on_both_sides(value: Decimal, step: Decimal) -> None:
    below, above = floor_to(value, step), ceil_to(value, step)
    assert below <= value <= above
    assert is_multiple(below, step)
    assert is_multiple(above, step)
    assert subtract(above, below) == (ZERO if is_multiple(value, step) else step)


@given(amounts)
def test_a_step_of_zero_is_no_grid(value: Decimal) -> None:
    assert is_multiple(value, ZERO)
    assert floor_to(value, ZERO) == ceil_to(value, ZERO) == value


@given(numbers)
def test_every_number_lies_on_the_smallest_grid(number: Decimal) -> None:
    assert is_multiple(number, STEP_MIN)


@given(numbers, numbers)
def test_sums_and_products_are_exact(a: Decimal, b: Decimal) -> None:
    """Compared with fractions, which have no precision to run out of."""
    assert Fraction(add(a, b)) == Fraction(a) + Fraction(b)
    assert Fraction(subtract(a, b)) == Fraction(a) - Fraction(b)
    assert Fraction(multiply(a, b)) == Fraction(a) * Fraction(b)


def test_a_sum_that_does_not_fit_raises_instead_of_rounding() -> None:
    with pytest.raises(Inexact):
        add(Decimal("1e60"), Decimal("1e-30"))


@given(numbers, steps)
def test_a_quotient_is_off_by_half_of_its_36th_digit_at_most(
    dividend: Decimal, divisor: Decimal
) -> None:
    quotient = divide(dividend, divisor)
    half = Fraction(10) ** (quotient.adjusted() - 2 * DIGITS_MAX + 1) / 2
    assert abs(Fraction(quotient) - Fraction(dividend) / Fraction(divisor)) <= half


@given(numbers)
@example(scaled(SIZE_MAX))
def test_dividing_by_one_changes_nothing(number: Decimal) -> None:
    assert divide(number, Decimal(1)).as_tuple() == number.as_tuple()


def test_a_quotient_by_zero_raises() -> None:
    with pytest.raises(DivisionByZero):
        divide(Decimal(1), ZERO)


def test_a_number_is_counted_in_whole_units_or_not_at_all() -> None:
    assert units(Decimal("0.5"), 2) == 50
    assert units(Decimal(3), 0) == 3
    with pytest.raises(ValueError, match=r"0\.005 is no whole number of 10\^-2"):
        units(Decimal("0.005"), 2)
