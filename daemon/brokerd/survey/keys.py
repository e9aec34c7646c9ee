"""The terms that tell orders apart: each set of them has a number, and can be found by one of them."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from brokerd.stats.sample import Key

NAMES_MAX = 16
"""Of so many group keys, the first that were seen, blocks may tell orders apart."""

VALUES_MAX = 1_000
"""And only while they have no more values than this."""

CACHED_MAX = 50_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Key).decode


class Keys:
    """The keys of a survey: numbers for them, and which dimensions of them have few values."""

    def __init__(self, own: sqlite3.Connection) -> None:
        self._own = own
        self._ids: dict[str, int] = {}
        self._keys: dict[int, Key] = {}
        rows = own.execute("SELECT name FROM names ORDER BY no").fetchall()
        self._values = {name: self._values_of(name) for (name,) in rows}

    @property
    def few(self) -> tuple[str, ...]:
        """Return the group dimensions that blocks tell orders apart by: once out, out for ever."""
        return tuple(name for name, values in self._values.items() if len(values) <= VALUES_MAX)

    def are_few(self, dims: tuple[str, ...]) -> bool:
        """Whether blocks tell orders apart by all these, or no order has what they do not know."""
        many = {dim for dim in dims if dim.startswith("group.")} - set(self.few)
        return not many or not any(self._is_known(dim) for dim in many)

    def id_of(self, key: Key) -> int:
        """Return the number of a key, a new one if it was never seen."""
        text = _encode(key).decode()
        found = self._ids.get(text)
        if found is None:
            row = self._own.execute("SELECT id FROM keys WHERE key = ?", (text,)).fetchone()
            found = self._ids[text] = row[0] if row else self._add(key, text)
            _bound(self._ids)
        return found

    def get(self, key_id: int) -> Key:
        """Return the key of a number."""
        key = self._keys.get(key_id)
        if key is None:
            sql = "SELECT key FROM keys WHERE id = ?"
            key = _decode(self._own.execute(sql, (key_id,)).fetchone()[0])
            _bound(self._keys)
            self._keys[key_id] = key
        return key

    def count(self, more: Mapping[int, int]) -> None:
        """Count orders that are new, by their keys."""
        self._own.executemany(
            "UPDATE keys SET orders = orders + ? WHERE id = ?",
            [(orders, key_id) for key_id, orders in more.items()],
        )

    def counted(self, terms: Mapping[str, str]) -> dict[int, int]:
        """Return how many orders have each of the keys that have all these terms."""
        sql, params = "SELECT id, orders FROM keys", list[Any]()
        if terms:
            chosen, params = tagged(terms)
            sql += f" WHERE id IN ({chosen})"
        return dict(self._own.execute(sql, params).fetchall())

    def _add(self, key: Key, text: str) -> int:
        cursor = self._own.execute("INSERT INTO keys (orders, key) VALUES (0, ?)", (text,))
        key_id = cursor.lastrowid or 0
        group = {f"group.{name}": value for name, value in key.group.items()}
        tags = {"executor": key.executor, "symbol": key.symbol, "side": key.side} | group
        rows = [(name, value, key_id) for name, value in tags.items()]
        self._own.executemany("INSERT INTO key_tags VALUES (?,?,?)", rows)
        for name, value in group.items():
            self._note(name, value)
        return key_id

    def _note(self, name: str, value: str) -> None:
        values = self._values.get(name)
        if values is None:
            if len(self._values) >= NAMES_MAX:
                return
            self._own.execute("INSERT INTO names (name) VALUES (?)", (name,))
            values = self._values[name] = set()
        if len(values) <= VALUES_MAX:
            values.add(value)

    def _values_of(self, name: str) -> set[str]:
        sql = "SELECT DISTINCT value FROM key_tags WHERE name = ? LIMIT ?"
        return {value for (value,) in self._own.execute(sql, (name, VALUES_MAX + 1))}

    def _is_known(self, name: str) -> bool:
        sql = "SELECT 1 FROM key_tags WHERE name = ? LIMIT 1"
        return self._own.execute(sql, (name,)).fetchone() is not None


def tagged(terms: Mapping[str, str]) -> tuple[str, list[Any]]:
    """Return the query for the numbers of keys that have all these terms, at least one."""
    each = "SELECT key FROM key_tags WHERE name = ? AND value = ?"
    return " INTERSECT ".join([each] * len(terms)), [
        part for item in terms.items() for part in item
    ]


def _bound(cache: dict[Any, Any]) -> None:
    if len(cache) >= CACHED_MAX:
        cache.clear()
