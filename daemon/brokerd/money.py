"""
Money: exact decimals, from the wire to the disk.

Rule 1: a number from outside enters through `parse_decimal` and nowhere else.
Rule 2: arithmetic runs in `EXACT`, which raises where it would have to round; inputs are held
        to 18 digits on each side of the point, so a product of two of them always fits.
Rule 3: rounding happens in `divide`, `divide_units`, `rounded`, `floor_to` and `ceil_to`, and in
        no other file.
"""

import re
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

ZERO = Decimal(0)

DIGITS_MAX = 18
"""Digits allowed before the point, and again after it."""

STEP_MIN = Decimal(1).scaleb(-DIGITS_MAX)
"""The grid that every number lies on, whatever the venue's."""

TEXT_MAX = 64
"""Characters a number may be written with, exponent and zeros included."""

EXACT = Context(
    prec=4 * DIGITS_MAX + 8,
    rounding=ROUND_HALF_EVEN,
    traps=[DivisionByZero, Inexact, InvalidOperation, Overflow],
)
# Every number that may come in fits, so that an average never leaves the range of its parts.
_DIVISION = Context(
    prec=2 * DIGITS_MAX,
    rounding=ROUND_HALF_EVEN,
    traps=[DivisionByZero, InvalidOperation, Overflow],
)

# Ratios of the largest number to the smallest, with what is told after the point.
_ROUNDING = Context(
    prec=200, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, Overflow]
)

# Sums of very many exact products: as long as they need to be.
_COUNTED = Context(prec=200, traps=[Inexact, InvalidOperation, Overflow])

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
"""The number grammar of RFC 8259: what a JSON number may look like, a string must too."""

add = EXACT.add
subtract = EXACT.subtract
multiply = EXACT.multiply


def parse_decimal(text: str) -> Decimal:
    """
    Read one number exactly: "0.010" -> Decimal("0.01"), "1e2" -> Decimal("100").

    The result is finite and without trailing zeros, so equal numbers look alike wherever they are
    written again. Raises ValueError with a sentence that says what is wrong.
    """
    if len(text) > TEXT_MAX:
        raise ValueError(f"is longer than {TEXT_MAX} characters")
    if _NUMBER.fullmatch(text) is None:
        raise ValueError('is not a plain decimal number such as "0.01"')
    whole, _, fraction = text.partition(".")
    if "e" in text or "E" in text:
        value = Decimal(text)
        # First the size, while it is only an exponent: 1e999 written out does not fit EXACT.
        if value and value.adjusted() >= DIGITS_MAX:
            raise ValueError(_TOO_LONG)
        whole, _, fraction = digits(value).partition(".")
    fraction = fraction.rstrip("0")
    if len(whole.lstrip("-")) > DIGITS_MAX or len(fraction) > DIGITS_MAX:
        raise ValueError(_TOO_LONG)
    return Decimal(f"{whole}.{fraction}" if fraction else whole) or ZERO


_TOO_LONG = f"has more than {DIGITS_MAX} digits before or after the point"


def digits(value: Decimal) -> str:
    """Write a number in plain digits, without exponent or trailing zeros: what people read."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain(value: Decimal) -> Decimal:
    """
    Return the same number without trailing zeros or a positive exponent: 1E+2 -> 100, 0.10 -> 0.1.

    `str` still writes what is below 0.000001 as 1E-7: see `digits`.
    """
    if not value:
        return ZERO
    value = value.normalize(EXACT)
    return (
        value.quantize(Decimal(1), context=EXACT) if int(value.as_tuple().exponent) > 0 else value
    )


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Divide, half-even to 36 significant digits: the one quotient rounding (average prices, bps)."""
    return plain(_DIVISION.divide(dividend, divisor))


def units(value: Decimal, places: int) -> int:
    """Return a number as a whole count of 10^-places: (0.5, 2) -> 50. Raises where one is broken."""
    shifted = EXACT.scaleb(value, places)
    whole = shifted.to_integral_value()
    if whole != shifted:
        raise ValueError(f"{value} is no whole number of 10^-{places}")
    return int(whole)


def from_units(count: int, places: int) -> Decimal:
    """Return what `units` counted: (50, 2) -> 0.5."""
    return plain(Decimal(count).scaleb(-places, _COUNTED))


def divide_units(dividend: int, divisor: int, places: int) -> int:
    """Divide two counts of one unit: the quotient in 10^-places, a half rounded up. `divisor` > 0."""
    scale: int = 10**places
    return (2 * dividend * scale + divisor) // (2 * divisor)


def rounded(value: Decimal, places: int) -> Decimal:
    """Round to that many digits after the point, a half to even: figures for people."""
    return plain(value.quantize(Decimal(1).scaleb(-places), context=_ROUNDING))


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Say whether `value` lies on the grid of `step`; a step of 0 means there is no grid."""
    return not step or not EXACT.remainder(value, step)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round a value of 0 or more down to the grid of `step`; 0 means no grid."""
    return plain(subtract(value, EXACT.remainder(value, step))) if step else value


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Round a value of 0 or more up to the grid of `step`; 0 means no grid."""
    return value if is_multiple(value, step) else plain(add(floor_to(value, step), step))
