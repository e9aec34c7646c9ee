"""
How settings are spoken of: what a type takes, which name was meant, what a reference table says.

Pure. Error messages and the docs draw from the same types, so neither can go stale.
"""

import re
from collections.abc import Container, Iterable
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import NODEFAULT, Struct, inspect
from msgspec.structs import FieldInfo, fields

TEXT_SHOWN_MAX = 40
_BARE = re.compile(r"[\w-]+", re.ASCII)


def describe(kind: Any) -> str:
    """Say what a type takes: "a whole number from 1 to 4096", 'one of "auto", "json"'."""
    return _describe(plain_type(inspect.type_info(kind)))


def _describe(info: inspect.Type) -> str:
    if isinstance(info, inspect.UnionType):
        named = [_describe(one) for one in info.types if not isinstance(one, inspect.NoneType)]
        return " or ".join(dict.fromkeys(named))
    if known := choices(info):
        return "one of " + ", ".join(f'"{word}"' for word in known)
    if isinstance(info, inspect.IntType | inspect.FloatType):
        word = "whole number" if isinstance(info, inspect.IntType) else "number"
        return f"a {word}{_range(info)}"
    if isinstance(info, inspect.StrType) and info.min_length:
        return "text that is not empty"
    if isinstance(info, inspect.CustomType) and issubclass(info.cls, Path):
        return "a path"
    return _WORDS.get(type(info), "text")


_WORDS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.DecimalType: "a number",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.SetType: "a list",
    inspect.FrozenSetType: "a list",
    inspect.DictType: "a table",
    inspect.StructType: "a table",
    inspect.DateTimeType: "a date and time",
    inspect.AnyType: "any value",
}


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    low, high = info.ge, info.le
    if info.gt is not None:
        return f" above {_digits(info.gt)}" + (
            "" if high is None else f" and at most {_digits(high)}"
        )
    if low is not None and high is not None:
        return f" from {_digits(low)} to {_digits(high)}"
    if low is not None:
        return f" of {_digits(low)} or more"
    return "" if high is None else f" of {_digits(high)} or less"


def _digits(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def choices(info: inspect.Type) -> list[str]:
    """Return the words a type is limited to; none if it takes any."""
    match info:
        case inspect.LiteralType(values=values):
            return [str(value) for value in values]
        case inspect.EnumType(cls=cls):
            return [str(member.value) for member in cls]
        case inspect.UnionType(types=types):
            return [choice for one in types for choice in choices(one)]
        case _:
            return []


def plain_type(info: inspect.Type) -> inspect.Type:
    """Return the type itself, without what was noted about it."""
    return plain_type(info.type) if isinstance(info, inspect.Metadata) else info


def dotted(key: Iterable[str]) -> str:
    """Write a key as TOML does: daemon.socket, executors."odd name"."""
    parts = (part[:TEXT_SHOWN_MAX] for part in key)
    return ".".join(part if _BARE.fullmatch(part) else ascii(part) for part in parts)


def reference_table(kind: type[Struct], *, without: Container[str] = ()) -> str:
    """Return a markdown table of a type's keys: name, what it takes, default, meaning."""
    rows = [
        f"| `{field.encode_name}` | {describe(field.type)} | {_default(field)} | {_meaning(field)} |"
        for field in fields(kind)
        if field.encode_name not in without
    ]
    return "\n".join(["| key | takes | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _default(field: FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not NODEFAULT else field.default_factory()
    if value is None:
        return "none"
    if isinstance(value, Path | Decimal):
        value = str(value)
    if isinstance(value, Enum):
        value = value.value
    return f"`{msgspec.json.encode(value).decode()}`"


def _meaning(field: FieldInfo) -> str:
    info = inspect.type_info(field.type)
    if not isinstance(info, inspect.Metadata):
        return ""
    noted = cast("dict[str, Any]", info.extra_json_schema or {})
    return str(noted.get("description", "")).replace("|", "\\|")
