"""
Log lines: what was logged -> one line of JSON, or one for a person's eyes.

Pure. The first three members of every line are ts (RFC 3339), ts_ns and level, then the event's
name and its values; what looks like a secret is blanked, in a journal entry before it was written;
an entry's own fields stand beside what it left of its order. A line always comes out, whatever was
logged.
"""

import re
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, cast, get_args

import msgspec
from msgspec import Struct

from brokerd.events import After, AnyEvent, Entry, event_name
from brokerd.secrets import REDACTED, Secret, redact_members
from brokerd.times import rfc3339

LINE_BYTES_MAX = 32 * 1024
"""journald splits lines above 48 KiB, which would leave two halves of a JSON document."""

FRAMES_MAX = 12
CAUSES_MAX = 4
TEXT_MAX = 1024

SEVERITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Our levels as syslog(3) counts them."""


class LoggedRow(Struct, frozen=True):
    """A row of the journal to be logged, with the body it was written with."""

    seq: int
    entry: Entry
    body: bytes


Line = tuple[int, str, MutableMapping[str, Any] | LoggedRow]
"""Wall clock (ns), level, and what was logged, its `event` included."""

Render = Callable[[Line], bytes]

_ENCODER = msgspec.json.Encoder(decimal_format="string")

_HEAD = ("ts", "ts_ns", "level")
_PLAIN = re.compile(r"[\w.:/+@#-]+")
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}


def json_line(line: Line) -> bytes:
    """Render one line of JSON, its newline included, at most `LINE_BYTES_MAX` long."""
    try:
        rendered = _row(line) or _ENCODER.encode(told(line))
        if len(rendered) >= LINE_BYTES_MAX:
            rendered = _ENCODER.encode(_cut(line))
    except Exception as error:  # noqa: BLE001  # a value that cannot be written must not cost the line
        rendered = msgspec.json.encode(_unwritable(line, error))
    return rendered + b"\n"


_SPLIT = b'},"after":{'
_BODY_HEAD = len(b'{"event":{')

_SAYS_TWICE = {
    type_ for type_ in get_args(AnyEvent) if {*After.__struct_fields__} & {*type_.__struct_fields__}
}
"""Events with a field of the same name as what they left: these are taken apart in `told`."""


def _row(line: Line) -> bytes | None:
    """
    Splice a journal row's body into a line: it is rendered already, and lies flat but for the
    two braces between the event and what it left. None for what must be rendered.
    """
    ts_ns, level, row = line
    if type(row) is not LoggedRow or type(row.entry.event) in _SAYS_TWICE:
        return None
    event, _, after = row.body[_BODY_HEAD:].rpartition(_SPLIT)
    members = event + b"," + after[:-1] if event else row.body[_BODY_HEAD:-1]
    head = b'{"ts":"%b","ts_ns":%d,"level":"%b","seq":%d,'
    return head % (rfc3339(ts_ns).encode(), ts_ns, level.encode(), row.seq) + members


def journald_line(line: Line) -> bytes:
    """Render JSON behind the "<3>" that lets `journalctl -p err` find it (sd-daemon(3))."""
    return b"<%d>%s" % (SEVERITY.get(line[1], 6), json_line(line))


def console_line(line: Line, *, colour: bool) -> bytes:
    """Render for a terminal: time, level, event, then key=value; an exception on lines below."""
    values: dict[str, Any] = msgspec.json.decode(json_line(line))
    time, level, event = values["ts"][11:26], values["level"], values["event"]
    exception: dict[str, Any] | None = values.pop("exception", None)
    head = f"{time} {level:<8} {event}"
    if colour:
        head = f"\x1b[2m{time}\x1b[0m \x1b[{_COLOURS.get(level, '0')}m{level:<8}\x1b[0m \x1b[1m{event}\x1b[0m"
    shown = [f"{k}={_shown(v)}" for k, v in values.items() if k not in {*_HEAD, "event"}]
    below = _exception_text(exception) if exception else []
    return ("\n".join([" ".join([head, *shown]), *below]) + "\n").encode()


def told(line: Line) -> dict[str, Any]:
    """Return the members of a line in order, with secrets blanked."""
    ts_ns, level, values = line
    members: dict[str, Any] = {"ts": rfc3339(ts_ns), "ts_ns": ts_ns, "level": level}
    if isinstance(values, LoggedRow):
        members |= {"event": event_name(values.entry.event), "seq": values.seq}
        return redact_members(members | _entry_members(values.entry))
    members["event"] = values.get("event", "")
    for key, value in values.items():
        if key != "event":
            members[f"{key}_" if key in _HEAD else key] = value
    return redact_members(members)


def _entry_members(entry: Entry) -> dict[str, Any]:
    """Put an event's fields beside the order's state after it; `cum_qty` is ours, not the venue's."""
    members: dict[str, Any] = msgspec.to_builtins(entry.event)
    del members["event"]
    if entry.after is not None:
        if "cum_qty" in members:
            members["venue_cum_qty"] = members.pop("cum_qty")
        after: dict[str, Any] = msgspec.to_builtins(entry.after)
        members = {**after, **members}
    return members


def plain_value(value: Any) -> Any:
    """Say a value of a foreign type in text: msgspec's `enc_hook`."""
    if isinstance(value, Secret):
        return REDACTED
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"[:TEXT_MAX]
    return repr(value)[:TEXT_MAX]


def describe_exception(error: BaseException, depth: int = CAUSES_MAX) -> dict[str, Any]:
    """Return type, message and the innermost frames, without locals; causes and groups likewise."""
    described: dict[str, Any] = {
        "type": type(error).__name__,
        "message": str(error)[:TEXT_MAX],
        "frames": _frames(error.__traceback__),
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth:
        described["cause"] = describe_exception(cause, depth - 1)
    if isinstance(error, BaseExceptionGroup) and depth:
        group = cast("BaseExceptionGroup[BaseException]", error)
        members = group.exceptions[:CAUSES_MAX]
        described["errors"] = [describe_exception(one, depth - 1) for one in members]
    return described


def _frames(traceback: TracebackType | None) -> list[str]:
    frames: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = "/".join(Path(code.co_filename).parts[-2:])
        frames.append(f"{place}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return frames[-FRAMES_MAX:]


def _exception_text(exception: dict[str, Any], indent: str = "    ") -> list[str]:
    lines = [f"{indent}{_printable(frame)}" for frame in exception.get("frames", [])]
    lines.append(f"{indent}{exception.get('type')}: {_printable(str(exception.get('message')))}")
    nested = [*filter(None, [exception.get("cause")]), *exception.get("errors", [])]
    for inner in nested:
        lines.append(f"{indent}from")
        lines += _exception_text(inner, indent + "    ")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else f'"{_printable(value)}"'
    return _printable(msgspec.json.encode(value).decode())


def _printable(text: str) -> str:
    """Escape whatever could move a terminal's cursor or colour it."""
    return text if text.isprintable() else "".join(_escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def _cut(line: Line) -> dict[str, Any]:
    """Keep what fits of an oversized line: scalars, and the beginning of each text, till it is full."""
    members: dict[str, Any] = {"cut": True}
    room = LINE_BYTES_MAX // 2
    for key, value in told(line).items():
        text = value if isinstance(value, str) else _ENCODER.encode(value).decode()
        short = text[: TEXT_MAX // 8]
        # A character is at most six bytes in JSON.
        room -= 6 * (len(key) + len(short)) if key not in {*_HEAD, "event"} else 0
        if room > 0:
            members[key] = value if len(text) == len(short) else short
    return members


def _unwritable(line: Line, error: Exception) -> dict[str, Any]:
    ts_ns, level, values = line
    event = event_name(values.entry.event) if isinstance(values, LoggedRow) else values.get("event")
    event = str(event).encode("ascii", "backslashreplace").decode()
    head = {"ts": rfc3339(ts_ns), "ts_ns": ts_ns, "level": level, "event": event[:TEXT_MAX]}
    return {**head, "unwritable": type(error).__name__}
