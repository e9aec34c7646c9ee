"""
JSON-RPC 2.0 over lines, without I/O: bytes in, calls out; answers in, bytes out.

One message a line, UTF-8, at most LINE_BYTES_MAX with its newline; a batch holds at most BATCH_MAX
messages. The id is echoed byte for byte, so any JSON number or string a client likes is its own.
Specification: jsonrpc.org/specification.
"""

from collections.abc import Iterable
from decimal import Decimal
from itertools import takewhile
from typing import Annotated, Any, TypeVar, get_args

import msgspec
import msgspec.inspect
import msgspec.structs
from msgspec import Meta, Raw, Struct

from brokerd.errors import BrokerdError, InvalidParams, InvalidRequest, ParseError
from brokerd.money import parse_decimal
from brokerd.secrets import redact_text
from brokerd.words import suggest

LINE_BYTES_MAX = 64 * 1024
BATCH_MAX = 50
ID_BYTES_MAX = 128

NULL = b"null"

T = TypeVar("T")

Number = Annotated[
    Raw,
    Meta(
        description='A decimal, as a string ("0.01") or a JSON number; read exactly.',
        extra_json_schema={"type": ["string", "number"]},
    ),
]
"""A parameter that is a decimal: kept as it came on the wire until `read_number` parses it."""


def absent() -> Raw:
    """Return the default of an optional `Number`: the same as null."""
    return Raw(NULL)


class Call(Struct, frozen=True):
    """One request or notification; `id` is its raw JSON, None for a notification."""

    method: str
    params: Raw
    id: bytes | None


class Failure(Struct, frozen=True):
    """A message that is no valid call: the answer to give, under the id if one could be read."""

    error: BrokerdError
    id: bytes


class Received(Struct, frozen=True):
    """What one line said. A batch is answered by one line that holds all its answers."""

    messages: tuple[Call | Failure, ...]
    is_batch: bool = False


class _Envelope(Struct, frozen=True):
    """The members of a JSON-RPC request, types checked by hand so that errors can be told apart."""

    method: Any = None
    jsonrpc: Any = None
    params: Raw = msgspec.field(default_factory=lambda: Raw(b"{}"))
    id: Raw = msgspec.field(default_factory=Raw)


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_batch = msgspec.json.Decoder(list[Raw]).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode

encode = msgspec.json.Encoder(decimal_format="string").encode

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class LineBuffer:
    """
    Cuts a byte stream into lines; holds at most one unfinished line.

    `fault` is why it ends before its end: once a line passes LINE_BYTES_MAX nothing after it can be
    trusted to start where a line starts, and a last line without its newline may be half of one.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.fault: BrokerdError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived; return the lines it completed, without newlines, empty ones left out."""
        if self.fault is not None:
            return []
        if self._rest:
            data = self._rest + data
        *lines, self._rest = data.split(b"\n")
        if len(self._rest) >= LINE_BYTES_MAX or any(len(line) >= LINE_BYTES_MAX for line in lines):
            self._rest = b""
            self.fault = InvalidRequest(
                f"a line is longer than {LINE_BYTES_MAX} bytes",
                reason="line_too_long",
                hint="send one JSON-RPC message a line; split large batches",
            )
            lines = [*takewhile(lambda line: len(line) < LINE_BYTES_MAX, lines)]
        return [line for line in lines if line.strip()]

    def end(self) -> None:
        """Take the end of the stream."""
        if self._rest.strip():
            self.fault = ParseError(
                "the last line has no newline: it may not be whole",
                reason="line_unfinished",
                hint="end each message with a newline",
            )
        self._rest = b""


def receive(line: bytes) -> Received:
    """Read one line. Never raises: what cannot be read comes back as the failure to answer with."""
    try:
        # The decoder passes over what it does not need, and the id goes back as it came.
        str(line, "utf-8")
    except UnicodeDecodeError as error:
        return Received((_parse_failure(error),))
    if line.lstrip()[:1] != b"[":
        return Received((_read_message(line),))
    try:
        messages = _decode_batch(line)
    except _UNREADABLE as error:
        return Received((_parse_failure(error),))
    if not messages or len(messages) > BATCH_MAX:
        refusal = InvalidRequest(
            f"a batch holds 1 to {BATCH_MAX} messages, this one {len(messages)}",
            reason="batch_size",
        )
        return Received((Failure(refusal, NULL),))
    return Received(tuple(_read_message(bytes(message)) for message in messages), is_batch=True)


def _read_message(line: bytes) -> Call | Failure:
    try:
        envelope = _decode_envelope(line)
        call_id = bytes(envelope.id)
    except msgspec.ValidationError:
        return Failure(_not_a_request("the message is not an object"), NULL)
    except _UNREADABLE as error:
        return _parse_failure(error)
    if call_id and not _is_id(call_id):
        what = f"id must be a string or number of at most {ID_BYTES_MAX} bytes, or null"
        return Failure(_not_a_request(what, field="id"), NULL)
    if envelope.jsonrpc != "2.0":
        problem = _not_a_request('jsonrpc must be "2.0"', field="jsonrpc")
        return Failure(problem, call_id or NULL)
    if not isinstance(envelope.method, str):
        return Failure(_not_a_request("method must be a string", field="method"), call_id or NULL)
    return Call(envelope.method, envelope.params, call_id or None)


def _is_id(raw: bytes) -> bool:
    return len(raw) <= ID_BYTES_MAX and (raw == NULL or raw[:1] in b'"-0123456789')


def _not_a_request(what: str, field: str | None = None) -> InvalidRequest:
    return InvalidRequest(what, field=field, hint="see the JSON-RPC 2.0 specification, section 4")


def _parse_failure(error: Exception) -> Failure:
    why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return Failure(ParseError(f"the line is not JSON: {why}", hint="one message a line"), NULL)


def read_params(decoder: "msgspec.json.Decoder[T]", call: Call) -> T:
    """
    Decode a call's params by the method's own decoder; null is the same as left out.

    Raises InvalidParams with the field's name in `field`, where msgspec tells it.
    """
    try:
        return decoder.decode(call.params)
    except _UNREADABLE:
        # Most calls have no null to leave out: only what cannot be read pays for a closer look.
        params = _without_nulls(decoder.type, call.params)
    try:
        return decoder.decode(params)
    except _UNREADABLE as error:
        what, field = _at_fault(str(error))
        where = "" if field is None or _named_in(what) else f"{field}: "
        raise InvalidParams(
            f"params of {call.method}: {where}{what}",
            field=field,
            hint=_hint(decoder.type, field, what),
        ) from None


def _without_nulls(kind: Any, params: Raw) -> Raw:
    """Return params without the known members that are null; as they came if they are no object."""
    try:
        members = _decode_members(params)
    except _UNREADABLE:
        return params
    known = _fields_of(kind)
    return Raw(encode({k: v for k, v in members.items() if bytes(v) != NULL or k not in known}))


def _at_fault(told: str) -> tuple[str, str | None]:
    """Return what is wrong and the field it is wrong with, out of a sentence of msgspec's."""
    what, _, place = told.partition(" - at `")
    where = place.rpartition("`$")[2] if "`$" in place else place
    parts = [where.strip("`").lstrip("$."), _named_in(what)]
    return what, ".".join(part for part in parts if part) or None


def _hint(kind: Any, field: str | None, what: str) -> str:
    """Name the nearest right thing to an unknown param or word, else where the params are listed."""
    *path, last = (field or "").split(".")
    known = _fields_of(kind)
    for part in path:
        known = _fields_of(known.get(part))
    name = last.partition("[")[0]
    if "of length >= 1" in what and type(None) in get_args(known.get(name)):
        return f"name at least one, or leave {name} out"
    if "unknown field" in what:
        return suggest(name, known)
    _, quote, word = what.partition("Invalid enum value '")
    words = _words_of(known[name]) if name in known else []
    if words and (quote or "missing" in what):
        return suggest(word.rstrip("'") if quote else None, words)
    return "rpc.discover lists the params"


def _fields_of(kind: Any) -> dict[str, Any]:
    """Return the members of a Struct by name, also of one that may be left out; none of others."""
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, Struct):
            return {member.encode_name: member.type for member in msgspec.structs.fields(each)}
    return {}


def _words_of(kind: Any) -> list[str]:
    """Return the words a param may be, through unions and lists."""
    found: list[str] = []
    waiting = [msgspec.inspect.type_info(kind)]
    for info in waiting:
        match info:
            case msgspec.inspect.EnumType(cls=cls):
                found += [str(member.value) for member in cls]
            case msgspec.inspect.LiteralType(values=values):
                found += [str(value) for value in values]
            case msgspec.inspect.UnionType(types=types):
                waiting += types
            case msgspec.inspect.ListType(item_type=item):
                waiting.append(item)
            case _:
                pass
    return found


_NUMBER_HINT = "digits and at most one point: no comma, no space, no unit"


def read_number(field: str, raw: Raw) -> Decimal | None:
    """Parse an optional `Number`; None if it is absent. Raises InvalidParams naming the field."""
    text = bytes(raw)
    if text == NULL:
        return None
    try:
        # ASCII first: a string with an escape or another script's digits is no number.
        unquoted = text[1:-1] if text[:1] == b'"' else text
        return parse_decimal(unquoted.decode("ascii"))
    except ValueError as error:
        why = "is not a plain decimal number" if isinstance(error, UnicodeDecodeError) else error
        raise InvalidParams(
            f"{field} {why}", reason="not_a_decimal", field=field, hint=_NUMBER_HINT
        ) from None


def refuse_nul(field: str, texts: Iterable[str]) -> None:
    """Raise InvalidParams if a text has a NUL: SQLite's JSON functions would cut it there."""
    if any("\0" in text for text in texts):
        raise InvalidParams(
            f"{field} has a NUL character in it",
            reason="nul_character",
            field=field,
            hint="leave it out",
        )


def _named_in(what: str) -> str | None:
    """Return the field named in a sentence of msgspec's such as "Object missing required field `x`"."""
    _, quote, rest = what.partition("`")
    return rest.partition("`")[0] if quote and "field" in what else None


def answer(call_id: bytes, result: Any) -> bytes:
    """Build the response to a call that went well, without a newline."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (call_id, encode(result))


def failure(call_id: bytes, error: BrokerdError) -> bytes:
    """Build the response to a call that did not, without a newline."""
    # A venue's or an exception's words may be in it.
    told = {"code": error.code, "message": redact_text(str(error)), "data": error.data}
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (call_id, encode(told))


def notification(method: str, params: Any) -> bytes:
    """Build a notification from us to a client, without a newline."""
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def batch(answers: list[bytes]) -> bytes:
    """Join the answers to a batch's calls into one line, without a newline."""
    return b"[%b]" % b",".join(answers)
