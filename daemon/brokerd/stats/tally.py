"""
Samples added up. Addition is exact and in no order, so that a tally of tallies is the tally of all.

A distribution counts its values by bucket: each value for itself (`exactly`), or values within
0.4 % of each other together (`coarsely`), so that it stays small however many are added.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import add
from typing import TypeVar

from msgspec import Struct

from brokerd.stats.sample import PLACE, SUMS, Key, Sample

K = TypeVar("K", int, str)

MANTISSA_BITS = 7
"""Leading bits of a value that tell its bucket: a bucket is 1/128 of its values wide at most."""

Bucket = Callable[[int], int]


def exactly(value: int) -> int:
    """Return a value as its own bucket."""
    return value


def coarsely(value: int) -> int:
    """Return the middle of the bucket that a value falls in: at most 0.4 % away from it."""
    size = -value if value < 0 else value
    cut = size.bit_length() - MANTISSA_BITS - 1
    if cut <= 0:
        return value
    middle = ((size >> cut) << cut) + (1 << (cut - 1))
    return -middle if value < 0 else middle


OWN_KEYS = ("executor", "symbol", "side", "ord_type")
"""What orders may be grouped by beside the keys of their group."""


class Tally(Struct, gc=False, array_like=True):
    """Sums by PLACE, how often each value of a spread and each word occurred, fees by asset."""

    sums: list[int]
    spreads: dict[str, dict[int, int]]
    words: dict[str, int]
    fees: dict[str, int]

    def sum(self, name: str) -> int:
        """Return one sum."""
        return self.sums[PLACE[name]]

    def spread(self, name: str) -> dict[int, int]:
        """Return one distribution: how often each value."""
        return self.spreads.get(name, {})


def empty() -> Tally:
    """Return the tally of no order."""
    return Tally([0] * len(SUMS), {}, {}, {})


def count(tally: Tally, sample: Sample, bucket: Bucket) -> None:
    """Add one order."""
    tally.sums = list(map(add, tally.sums, sample.sums))
    for name, value in sample.values:
        spread = tally.spreads.setdefault(name, {})
        place = bucket(value)
        spread[place] = spread.get(place, 0) + 1
    for word in sample.words:
        tally.words[word] = tally.words.get(word, 0) + 1
    _add(tally.fees, sample.fees)


def merge(tally: Tally, other: Tally) -> None:
    """Add another tally."""
    tally.sums = list(map(add, tally.sums, other.sums))
    for name, spread in other.spreads.items():
        _add(tally.spreads.setdefault(name, {}), spread)
    _add(tally.words, other.words)
    _add(tally.fees, other.fees)


class Table:
    """
    Tallies by group: `rows[is_paper, values of group_by][quote asset]`.

    `is_exact` says whether distributions hold each value for itself.
    """

    def __init__(self, group_by: Sequence[str], *, is_exact: bool = True) -> None:
        self.group_by = tuple(group_by)
        self.is_exact = is_exact
        self.rows: dict[tuple[bool, tuple[str | None, ...]], dict[str, Tally]] = {}
        self._bucket = exactly if is_exact else coarsely

    def count(self, sample: Sample) -> None:
        """Add one order to its row."""
        count(self._place(sample.key), sample, self._bucket)

    def merge(self, key: Key, tally: Tally) -> None:
        """Add the tally of orders that have one key."""
        merge(self._place(key), tally)

    def _place(self, key: Key) -> Tally:
        row = (key.is_paper, tuple(_value(key, name) for name in self.group_by))
        return self.rows.setdefault(row, {}).setdefault(key.quote_asset, empty())


def _value(key: Key, name: str) -> str | None:
    """Return what an order has by a name: one of ours, or the key of a group."""
    if name in OWN_KEYS:
        value: str = getattr(key, name)
        return value
    return key.group.get(name.removeprefix("group."))


def _add(counts: dict[K, int], more: Mapping[K, int]) -> None:
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number
