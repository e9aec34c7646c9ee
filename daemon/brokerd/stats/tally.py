"""
Samples added up. Addition is exact and in no order, so that a tally of tallies is the tally of all.

A distribution counts its values by bucket: each value for itself (`exactly`), or values within
0.4 % of each other together (`coarsely`), so that it stays small however many are added.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import add
from typing import TypeVar

from msgspec import Struct

from brokerd.stats.sample import PLACE, SPREAD_AT, SPREADS, SUMS, Key, Sample

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
    """Sums by PLACE, how often each value of a spread (by SPREAD_AT) and each word occurred, fees."""

    sums: list[int]
    spreads: list[dict[int, int]]
    words: dict[str, int]
    fees: dict[str, int]

    def sum(self, name: str) -> int:
        """Return one sum."""
        return self.sums[PLACE[name]]

    def spread(self, name: str) -> dict[int, int]:
        """Return one distribution: how often each value."""
        return self.spreads[SPREAD_AT[name]]


def empty() -> Tally:
    """Return the tally of no order."""
    return Tally([0] * len(SUMS), [{} for _ in SPREADS], {}, {})


def count(tally: Tally, sample: Sample, bucket: Bucket) -> None:
    """Add one order."""
    tally.sums = list(map(add, tally.sums, sample.sums))
    for at, value in sample.values:
        spread, place = tally.spreads[at], bucket(value)
        spread[place] = spread.get(place, 0) + 1
    for word in sample.words:
        tally.words[word] = tally.words.get(word, 0) + 1
    _add(tally.fees, sample.fees)


def count_all(tally: Tally, samples: Sequence[Sample], bucket: Bucket) -> None:
    """Add many orders: the same as one by one, in half the time."""
    tally.sums = list(map(sum, zip(tally.sums, *[each.sums for each in samples], strict=True)))
    values = Counter(chain.from_iterable([each.values for each in samples]))
    for (at, value), number in values.items():
        spread, place = tally.spreads[at], bucket(value)
        spread[place] = spread.get(place, 0) + number
    _add(tally.words, Counter(chain.from_iterable([each.words for each in samples])))
    for each in samples:
        _add(tally.fees, each.fees)


def merge(tally: Tally, other: Tally) -> None:
    """Add another tally."""
    tally.sums = list(map(add, tally.sums, other.sums))
    for spread, more in zip(tally.spreads, other.spreads, strict=True):
        _add(spread, more)
    _add(tally.words, other.words)
    _add(tally.fees, other.fees)


Row = tuple[bool, tuple[str | None, ...]]
"""What a row of a table is of: whether it is paper, and the values of what was grouped by."""


class Table:
    """
    Tallies by group: `rows[is_paper, values of group_by][quote asset]`.

    `is_exact` says whether distributions hold each value for itself. `rows_left_out` are known only
    by how many there are, and how many orders they have.
    """

    def __init__(self, group_by: Sequence[str], *, is_exact: bool = True) -> None:
        self.group_by = tuple(group_by)
        self._names = [(name in OWN_KEYS, name.removeprefix("group.")) for name in group_by]
        self.is_exact = is_exact
        self.rows: dict[Row, dict[str, Tally]] = {}
        self.rows_left_out = 0
        self.orders_left_out = 0
        self.bucket = exactly if is_exact else coarsely

    @property
    def orders(self) -> int:
        """How many orders there are in all."""
        told = (tally.sum("orders") for row in self.rows.values() for tally in row.values())
        return sum(told) + self.orders_left_out

    def row_of(self, key: Key) -> Row:
        """Return the row that an order belongs to."""
        group = key.group
        values = [getattr(key, name) if own else group.get(name) for own, name in self._names]
        return key.is_paper, tuple(values)

    def count(self, sample: Sample) -> None:
        """Add one order to its row."""
        count(self.tally_of(sample.key), sample, self.bucket)

    def tally_of(self, key: Key) -> Tally:
        """Return the tally that an order is counted in."""
        return self._place(self.row_of(key), key.quote_asset)

    def merge(self, row: Row, quote_asset: str, tally: Tally) -> None:
        """Add orders of one row and quote asset."""
        merge(self._place(row, quote_asset), tally)

    def _place(self, row: Row, quote_asset: str) -> Tally:
        by_asset = self.rows.get(row)
        if by_asset is None:
            by_asset = self.rows[row] = {}
        tally = by_asset.get(quote_asset)
        if tally is None:
            tally = by_asset[quote_asset] = empty()
        return tally


def largest_first(orders: Mapping[Row, int]) -> list[Row]:
    """Return rows in the order they are shown in, by how many orders each has."""
    return sorted(orders, key=lambda row: (-orders[row], str(row)))


def _add(counts: dict[K, int], more: Mapping[K, int]) -> None:
    if not counts:
        counts.update(more)
        return
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number
