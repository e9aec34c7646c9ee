"""
Settings: a TOML table -> a frozen Struct, with every problem told at once and in the user's words.

A type's fields carry their own ranges and meanings (`Annotated[float, Meta(ge=1, description=...)]`):
they are checked here, and the reference tables in the docs are made from them.
"""

import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct, inspect
from msgspec.structs import FieldInfo, fields

from brokerd.config.wording import TEXT_SHOWN_MAX, choices, describe, dotted, plain_type
from brokerd.errors import ConfigError
from brokerd.money import parse_decimal
from brokerd.secrets import Secret, is_secret_key
from brokerd.words import suggest

T = TypeVar("T", bound=Struct)

Key = tuple[str, ...]
"""Where a value stands: ("daemon", "socket") is daemon.socket."""

FILE_BYTES_MAX = 1024 * 1024


class Problem(Struct, frozen=True):
    """
    Something wrong at one key, as the rest of a sentence that begins with the key.

    Without a key it is the whole sentence.
    """

    key: Key
    what: str


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, numbers exactly; raise ConfigError if that cannot be done."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise ConfigError(f"{path}: {why}", hint="check the path and its permissions") from None
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: is larger than {FILE_BYTES_MAX} bytes", hint="is it this file?")
    try:
        return parse_toml(content.decode())
    except UnicodeDecodeError as error:
        why = f"byte {error.start + 1} is not UTF-8"
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError as error:
        why = str(error)
    raise ConfigError(
        f"{path}: not readable as TOML: {why}", hint='text stands in quotes, as in name = "value"'
    )


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML with numbers as exact Decimals; raise ValueError with the line it fails at."""
    return tomllib.loads(text, parse_float=_number)


def _number(text: str) -> Decimal:
    try:
        return parse_decimal(text.replace("_", "").removeprefix("+"))
    except ValueError as error:
        raise ValueError(f"{text[:TEXT_SHOWN_MAX]} {error}") from None


def decode(kind: type[T], table: Mapping[str, Any], key: Key) -> tuple[T | None, list[Problem]]:
    """Read a table into `kind`; what is returned is the value, or else everything that is wrong."""
    problems = _check(kind, table, key)
    if problems:
        return None, problems
    try:
        return _convert(table, kind), []
    except msgspec.ValidationError as error:
        # All fields are well by themselves: this is what `__post_init__` says of them together.
        return None, [Problem(key, f"is refused: {str(error).split(' - at `')[0]}")]


def config_error(
    source: str, problems: Sequence[Problem], origins: Mapping[Key, str]
) -> ConfigError:
    """Return the error that tells all problems, a line each; `origins` as in `Config`."""
    lines = [_sentence(source, problem, origins) for problem in problems]
    return ConfigError("\n".join(lines), problems=lines)


def _sentence(source: str, problem: Problem, origins: Mapping[Key, str]) -> str:
    """Name the file, or the variable the value came from, then the key, then what is wrong."""
    if not problem.key:
        return f"{source}: {problem.what}"
    variable = origins.get(problem.key)
    return f"{f'${variable}' if variable else source}: {dotted(problem.key)} {problem.what}"


def _check(kind: type[Struct], table: Mapping[str, Any], key: Key) -> list[Problem]:
    known = {field.encode_name: field for field in fields(kind)}
    problems = [
        Problem((*key, name), f"is not a known key; {suggest(name, known)}")
        for name in table
        if name not in known
    ]
    for name, field in known.items():
        if name in table:
            problems += _check_field(field, table[name], (*key, name))
        elif field.required:
            problems.append(Problem((*key, name), f"is missing: it must be {describe(field.type)}"))
    return problems


def _check_field(field: FieldInfo, value: Any, key: Key) -> list[Problem]:
    inner = _struct_of(plain_type(inspect.type_info(field.type)))
    if inner is not None and isinstance(value, dict):
        return _check(inner, cast("dict[str, Any]", value), key)
    try:
        _convert(value, field.type)
    except msgspec.ValidationError as error:
        said, _, where = str(error).partition(" - at `$")
        if where:
            return [Problem(key, f"is wrong at {where.rstrip('`')}: {said.lower()}")]
        return [Problem(key, f"must be {describe(field.type)}, not {_shown(value, field)}")]
    except ValueError as error:
        return [Problem(key, str(error))]
    return []


def _shown(value: Any, field: FieldInfo) -> str:
    """Say what stands there: numbers and misspelt choices as they are, any other text not at all."""
    info = plain_type(inspect.type_info(field.type))
    if is_secret_key(field.name) or _is_secret(info):
        return "what it is"
    if isinstance(value, str):
        known = choices(info)
        if not known or len(value) > TEXT_SHOWN_MAX:
            return "this text" if value else "empty text"
        return f'"{value}"; {suggest(value, known)}' if value else "empty text"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | Decimal):
        return str(value)[:TEXT_SHOWN_MAX]
    return _KINDS.get(type(cast("object", value)), "a date or time")


_KINDS: dict[type, str] = {dict: "a table", list: "a list"}


def _struct_of(info: inspect.Type) -> type[Struct] | None:
    """Return the Struct behind a table's type, also behind `Struct | None`."""
    if isinstance(info, inspect.UnionType):
        inner = [one for one in info.types if not isinstance(one, inspect.NoneType)]
        return _struct_of(plain_type(inner[0])) if len(inner) == 1 else None
    return info.cls if isinstance(info, inspect.StructType) else None


def _is_secret(info: inspect.Type) -> bool:
    if isinstance(info, inspect.UnionType):
        return any(_is_secret(one) for one in info.types)
    return isinstance(info, inspect.CustomType) and info.cls is Secret


def _convert(value: Any, kind: Any) -> Any:
    """Convert as msgspec does, but numbers written as text by money's rules: no "NaN", no "1_0"."""
    return msgspec.convert(_exact(inspect.type_info(kind), value), kind, dec_hook=_foreign)


def _exact(info: inspect.Type, value: Any) -> Any:
    info = plain_type(info)
    if isinstance(info, inspect.UnionType):
        for one in info.types:
            value = _exact(one, value)
        return value
    if isinstance(info, inspect.DecimalType) and isinstance(value, str):
        return parse_decimal(value)
    if isinstance(info, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
        return [_exact(info.item_type, item) for item in cast("Sequence[Any]", value)]
    if isinstance(info, inspect.DictType | inspect.StructType) and isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {name: _exact(_member(info, name), member) for name, member in members.items()}
    return value


def _member(info: inspect.DictType | inspect.StructType, name: str) -> inspect.Type:
    if isinstance(info, inspect.DictType):
        return info.value_type
    types = {field.encode_name: field.type for field in info.fields}
    return types.get(name, inspect.AnyType())


def _foreign(kind: type, value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError("must be text that is not empty")
    if kind in {Path, Secret}:
        return kind(value)
    raise NotImplementedError(kind)
