"""JSON whose numbers stay as they were written: what may be money never becomes a float."""

import json
from json.encoder import encode_basestring_ascii
from typing import Any, NoReturn, TypeGuard, cast

Record = dict[str, Any]
"""A JSON object."""


class Number(str):
    """A JSON number with a point or an exponent, digit for digit."""

    __slots__ = ()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_float=Number, parse_constant=_no_constant).decode


def loads(text: str) -> Any:
    """Read JSON; raise ValueError for anything else, nesting too deep to follow included."""
    try:
        return _decode(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def dumps(value: object) -> str:
    """Write one line of ASCII JSON, safe for any pipe and any terminal."""
    if type(value) is str:
        return encode_basestring_ascii(value)
    if isinstance(value, Number):
        return str(value)
    if is_record(value):
        return "{" + ",".join(f"{dumps(k)}:{dumps(member)}" for k, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, cast("list[object]", value))) + "]"
    return json.dumps(value)


def is_record(value: object) -> TypeGuard[Record]:
    """Whether a value read from JSON is an object."""
    return isinstance(value, dict)


def as_record(value: object) -> Record:
    """Return an object as it is, and anything else that an answer holds in its place as empty."""
    return value if is_record(value) else {}


def as_records(value: object) -> list[Record]:
    """Return a list's objects; what has no business in it is passed over."""
    return [item for item in as_list(value) if is_record(item)]


def as_list(value: object) -> list[object]:
    """Return a list as it is, and anything else as empty."""
    return cast("list[object]", value) if isinstance(value, list) else []
