"""
Times as text: RFC 3339 in UTC with nanoseconds, to and from integer nanoseconds since 1970.

Pure, so that rules may use it; reading a clock is `clock.py`'s business.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

NS_PER_S = 1_000_000_000
TEXT_MAX = 40
"""Characters a time may be written with."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def rfc3339(at_ns: int) -> str:
    """
    Write a time: 1767323045000000006 -> "2026-01-02T03:04:05.000000006Z".

    Always 30 characters, so that texts sort as times do. Raises ValueError outside the years 1
    to 9999.
    """
    second, fraction = divmod(at_ns, NS_PER_S)
    return f"{_second(second)}.{fraction:09d}Z"


# Many stamps share a second: its text is made once.
@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=second)).isoformat()[:19]
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999") from None


def parse_rfc3339(text: str) -> int:
    """
    Read a time with its offset and up to nine fraction digits: nanoseconds since 1970.

    Raises ValueError with a sentence that says what is wrong.
    """
    match = _RFC3339.fullmatch(text) if len(text) <= TEXT_MAX else None
    if match is None:
        raise ValueError('is not an RFC 3339 time such as "2026-01-02T03:04:05.678Z"')
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise ValueError("is not a time of the calendar") from None
    whole_s = (moment - _EPOCH) // timedelta(seconds=1) - _offset_s(*match.groups()[7:])
    return whole_s * NS_PER_S + int((match[7] or "0").ljust(9, "0"))


def _offset_s(sign: str | None, hours: str | None, minutes: str | None) -> int:
    """Return what an offset such as "+05:30" adds to UTC; "Z" has no parts and adds nothing."""
    if sign is None or hours is None or minutes is None:
        return 0
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError("has an offset beyond 23:59")
    return (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1)
