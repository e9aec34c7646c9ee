"""
A request's parameters, whichever road they came by: texts by name, read on demand.

Pure. What cannot be read is refused with the code and words of errors.md.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

import msgspec

from brokerd.money import parse_decimal
from brokerd_adapters.venue.binance.errors import bad_request, missing

_DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_CLIENT_ID = r"^[a-zA-Z0-9-_]{1,36}$"
_INTEGER = r"^[0-9]{1,20}$"
_PATTERNS = {pattern: re.compile(pattern, re.ASCII) for pattern in (_DECIMAL, _INTEGER, _CLIENT_ID)}
_DIGITS_MAX = 8

_T = TypeVar("_T")


class _TooPreciseError(ValueError):
    """More digits after the point than the venue knows."""


@lru_cache(4_096)
def _read_decimal(text: str) -> Decimal:
    """Read a number of the venue's grammar; the same few prices come again and again."""
    if _PATTERNS[_DECIMAL].fullmatch(text) is None:
        raise ValueError(text)
    value = parse_decimal(text)
    if int(value.as_tuple().exponent) < -_DIGITS_MAX:
        raise _TooPreciseError(text)
    return value


class Params:
    """The parameters of one request; `stamp` writes times in the unit the client asked for."""

    __slots__ = ("texts", "unit_ns")

    def __init__(self, texts: Mapping[str, str], unit_ns: int = 1_000_000) -> None:
        self.texts = texts
        self.unit_ns = unit_ns

    def stamp(self, at_ns: int) -> int:
        """Return a time in the client's unit."""
        return at_ns // self.unit_ns

    def text(self, name: str) -> str | None:
        """Return a parameter as it was sent, None if it was not."""
        return self.texts.get(name)

    def need(self, name: str) -> str:
        """Return a parameter that must be there."""
        text = self.texts.get(name)
        if not text:
            raise missing(name)
        return text

    def decimal(self, name: str) -> Decimal | None:
        """Return a number of at most eight digits after the point, None if it was not sent."""
        text = self.texts.get(name)
        if text is None:
            return None
        try:
            return _read_decimal(text)
        except _TooPreciseError:
            raise bad_request(-1111, f"Parameter '{name}' has too much precision.") from None
        except ValueError:
            self._check(name, text, _DECIMAL)
            raise bad_request(-1130, f"Data sent for parameter '{name}' is not valid.") from None

    def need_decimal(self, name: str) -> Decimal:
        """Return a number that must be there."""
        value = self.decimal(name)
        if value is None:
            raise missing(name)
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number of 0 or more, None if it was not sent."""
        text = self.texts.get(name)
        if text is None:
            return None
        self._check(name, text, _INTEGER)
        return int(text)

    def client_id(self, name: str) -> str | None:
        """Return a client order id, None if it was not sent."""
        text = self.texts.get(name)
        if text is not None:
            self._check(name, text, _CLIENT_ID)
        return text

    def choice(self, name: str, words: Mapping[str, _T], code: int, msg: str) -> _T:
        """Return what a word stands for; an unknown one is refused as `code` and `msg`."""
        text = self.need(name)
        if text not in words:
            raise bad_request(code, msg)
        return words[text]

    def word(self, name: str, words: Iterable[str], default: str) -> str:
        """Return one of several words, `default` if none was sent."""
        text = self.texts.get(name, default)
        if text not in words:
            raise bad_request(-1130, f"Data sent for parameter '{name}' is not valid.")
        return text

    def list_of(self, name: str) -> list[str] | None:
        """Return a JSON list of texts, None if it was not sent."""
        text = self.texts.get(name)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=list[str])
        except msgspec.DecodeError:
            raise bad_request(-1135, f"JSON sent for parameter '{name}' is not valid") from None

    def _check(self, name: str, text: str, pattern: str) -> None:
        if _PATTERNS[pattern].fullmatch(text) is None:
            raise bad_request(
                -1100,
                f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.",
            )
