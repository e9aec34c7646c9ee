"""
Cells: the tallies of orders that agree in some dimensions. Pure.

Dimensions are our own terms (`executor`, `symbol`, `side`, `ord_type`), the keys of groups
(`group.<key>`), `ord_status`, and `is_filled`. Paper and live, and quote assets, are always apart.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from zlib import compress, decompress

import msgspec

from brokerd.stats.sample import Key
from brokerd.stats.tally import OWN_KEYS, Row, Tally, empty, merge
from brokerd.survey.question import FILLED, Question, dim_of

Dims = tuple[str, ...]
Place = tuple[bool, str, tuple[str | None, ...]]
"""Whether it is paper, the quote asset, and the value of each dimension: null where there is none."""

Cells = dict[Place, Tally]

FAST = 1
"""How hard cells are compressed: they get five times smaller as it is."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[bool, str, tuple[str | None, ...], Tally]]).decode
_decode_dims = msgspec.json.Decoder(Dims).decode


def encode_cells(cells: Mapping[Place, Tally]) -> bytes:
    """Return cells as they are kept."""
    return compress(_encode([(*place, tally) for place, tally in cells.items()]), FAST)


def decode_cells(body: bytes) -> Cells:
    """Return cells that were kept."""
    return {
        (paper, asset, values): tally for paper, asset, values, tally in _decode(decompress(body))
    }


def name_of(dims: Dims) -> str:
    """Return what cells by some dimensions are named."""
    return _encode(dims).decode()


def named(name: str) -> Dims:
    """Return the dimensions of a name."""
    return _decode_dims(name)


def place_of(key: Key, ord_status: str, *, is_filled: bool, dims: Dims) -> Place:
    """Return the cell that an order belongs to."""
    own = {"ord_status": ord_status, "is_filled": FILLED if is_filled else None}
    own |= {name: getattr(key, name) for name in OWN_KEYS}
    values = tuple(
        own[dim] if dim in own else key.group.get(dim.removeprefix("group.")) for dim in dims
    )
    return key.is_paper, key.quote_asset, values


def project(cells: Mapping[Place, Tally], dims: Dims, onto: Dims) -> Cells:
    """Add up cells that differ only in dimensions that `onto` lacks; what `dims` lack has no value."""
    if dims == onto:
        return dict(cells)
    return added(zip(_projected(cells, dims, onto), cells.values(), strict=True))


def count_places(cells: Iterable[Place], dims: Dims, onto: Dims) -> int:
    """Return how many cells `project` would make."""
    return len(set(_projected(cells, dims, onto)))


def _projected(places: Iterable[Place], dims: Dims, onto: Dims) -> Iterator[Place]:
    kept = [dims.index(dim) if dim in dims else None for dim in onto]
    for paper, asset, values in places:
        yield paper, asset, tuple([None if at is None else values[at] for at in kept])


def added(parts: Iterable[tuple[Place, Tally]]) -> Cells:
    """Add up the cells of one place."""
    cells: Cells = {}
    for place, tally in parts:
        cell = cells.get(place)
        if cell is None:
            cell = cells[place] = empty()
        merge(cell, tally)
    return cells


def picked(
    cells: Mapping[Place, Tally], dims: Dims, question: Question
) -> Iterator[tuple[Row, str, Tally]]:
    """Yield the row, the quote asset and the tally of each cell that is meant."""
    at = {dim: place for place, dim in enumerate(dims)}
    conditions: list[tuple[int | None, Any]] = [
        (at.get(dim), values) for dim, values in question.conditions.items()
    ]
    shown = [at.get(dim_of(name)) for name in question.group_by]
    for (paper, asset, values), tally in cells.items():
        if all((None if i is None else values[i]) in meant for i, meant in conditions):
            row = tuple([None if i is None else values[i] for i in shown])
            yield (paper, row), asset, tally
