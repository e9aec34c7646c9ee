"""
Logs: structlog in front, a thread that writes behind, and nothing in between that could block.

    with configure_logs(config.daemon.log_format, config.daemon.log_level) as drain:
        log = structlog.get_logger().bind(executor="paper")
        log.info("executor_changed", state="up")

Bind a logger once, where it is needed often: an unbound one is put together again at each call.
Values are taken as they are if they cannot change, and copied if they can.
"""

import logging
import os
import sys
from collections.abc import Generator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any, Literal

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from brokerd import events
from brokerd.blotter import Change
from brokerd.clock import SystemClock
from brokerd.logs.drain import BYTES_MAX, LINES_MAX, LogDrain
from brokerd.logs.lines import (
    LINE_BYTES_MAX,
    Line,
    LoggedRow,
    Render,
    console_line,
    describe_exception,
    journald_line,
    json_line,
    plain_value,
)
from brokerd.secrets import redact

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

_LINE_BYTES = 512
"""What a line takes beside its texts, about."""

_SCALARS = {int, bool, float, type(None), Decimal}

# warning = it will heal by itself, error = somebody must look; everything else just happened.
_LEVELS: dict[type[events.Event], int] = {
    events.QuoteSampled: logging.DEBUG,
    events.ExecutorSynced: logging.DEBUG,
    events.ExecutorPaused: logging.WARNING,
    events.RequestRetried: logging.WARNING,
    events.RequestDoubted: logging.WARNING,
    events.OrderNotFound: logging.WARNING,
    events.FillsMissed: logging.WARNING,
    events.ReportDisputed: logging.ERROR,
}
_LEVEL_NAMES = {level: logging.getLevelName(level).lower() for level in (10, 20, 30, 40)}
_LINK_LEVELS = {"down": logging.WARNING, "frozen": logging.ERROR}


@contextmanager
def configure_logs(
    log_format: LogFormat = "auto",
    level: LogLevel = "info",
    stream_fd: int = 2,
    *,
    environ: Mapping[str, str] = os.environ,
    lines_max: int = LINES_MAX,
    bytes_max: int = BYTES_MAX,
) -> Generator[LogDrain]:
    """
    Send every log line of the process to `stream_fd` for as long as the block lasts.

    "auto" is console on a terminal and JSON elsewhere. Yields the drain, whose `dropped` counts
    the lines that were lost. The libraries' own warnings come along as `library_warned`.
    """
    render = _choose_render(log_format, stream_fd, environ)
    drain = LogDrain(stream_fd, render, lines_max=lines_max, bytes_max=bytes_max)
    bridge = _Bridge(logging.WARNING)
    structlog.configure(
        processors=[_hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: drain,
        # A cached logger would outlive this block.
        cache_logger_on_first_use=False,
    )
    drain.start()
    logging.getLogger().addHandler(bridge)
    logging.captureWarnings(True)  # noqa: FBT003  # its parameter has no other name
    try:
        yield drain
    finally:
        logging.captureWarnings(False)  # noqa: FBT003  # see above
        logging.getLogger().removeHandler(bridge)
        structlog.reset_defaults()
        drain.close()


class EventLog:
    """
    Logs rows of the journal, each under its event's name: its fields, `seq`, the order after it.

    It goes round structlog: there are several lines for every order, and the journal has rendered
    them already.
    """

    def __init__(self, drain: LogDrain, level: LogLevel) -> None:
        self._drain = drain
        self._least = logging.getLevelNamesMapping()[level.upper()]

    def __call__(self, changes: Sequence[Change], bodies: Sequence[bytes]) -> None:
        """Queue a line for each change; never waits."""
        now_ns = _CLOCK.now_ns()
        for change, body in zip(changes, bodies, strict=True):
            level = level_of(change.entry.event)
            if level >= self._least:
                row = LoggedRow(change.seq, change.entry, body)
                self._drain.put((now_ns, _LEVEL_NAMES[level], row), _LINE_BYTES + len(body))


def level_of(event: events.Event) -> int:
    """Return how much an event wants to be seen, as a level of the standard library."""
    if type(event) is events.ExecutorChanged:
        return _LINK_LEVELS.get(event.state, logging.INFO)
    return _LEVELS.get(type(event), logging.INFO)


def _choose_render(log_format: LogFormat, fd: int, environ: Mapping[str, str]) -> Render:
    is_terminal = os.isatty(fd)
    if log_format == "console" or (log_format == "auto" and is_terminal):
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        return partial(console_line, colour=is_terminal and not plain)
    return journald_line if _is_journald(fd, environ) else json_line


def _is_journald(fd: int, environ: Mapping[str, str]) -> bool:
    """Say whether the stream is journald's: children inherit the variable, not always the stream."""
    found = os.fstat(fd)
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


_CLOCK = SystemClock()


def _hand_over(_: WrappedLogger, level: str, values: EventDict) -> tuple[tuple[Line, int], Any]:
    """Stamp the line, freeze its values and weigh them: structlog's only processor."""
    if "exc_info" in values:
        _describe(values)
    size = _LINE_BYTES
    for key, value in values.items():
        if isinstance(value, str):
            if len(value) > LINE_BYTES_MAX:
                values[key] = value = value[:LINE_BYTES_MAX]  # noqa: PLW2901  # what is weighed is what waits
            size += len(value)
        elif type(value) not in _SCALARS:
            values[key] = _frozen(value)
            size += len(msgspec.json.encode(values[key]))
    return ((_CLOCK.now_ns(), level, values), size), {}


def _frozen(value: Any) -> Any:
    """Copy a value that could change before it is written, and keep only the start of a huge one."""
    try:
        value = redact(msgspec.to_builtins(value, str_keys=True, enc_hook=plain_value))
        text = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        return f"[unwritable: {type(error).__name__}]"
    return value if len(text) <= LINE_BYTES_MAX else text[:LINE_BYTES_MAX].decode(errors="replace")


def _describe(values: MutableMapping[str, Any]) -> None:
    """Put `exception` in the place of `exc_info`, now: a traceback still grows while it travels."""
    given: Any = values.pop("exc_info")
    error = sys.exc_info()[1] if given else None
    if isinstance(given, BaseException):
        error = given
    if isinstance(error, BaseException):
        values["exception"] = describe_exception(error)


class _Bridge(logging.Handler):
    """Brings in what libraries say through the standard library's `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        log: FilteringBoundLogger = structlog.get_logger()
        values: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            values["exc_info"] = record.exc_info[1]
        log.log(min(record.levelno // 10 * 10, logging.CRITICAL), "library_warned", **values)
