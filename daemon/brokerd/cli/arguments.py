"""
The command line: options every command takes, the filters lists share, and the types of values.

A line is read in two steps, the command's name first, so that only its own module is loaded.
"""

from argparse import (
    REMAINDER,
    SUPPRESS,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Sequence
from typing import Any, NoReturn

from brokerd import __version__
from brokerd.cli.errors import Usage
from brokerd.cli.jsontext import dumps

COMMANDS = {
    "submit": "send a new order",
    "cancel": "cancel orders by id",
    "cancel-all": "cancel every order that matches",
    "replace": "change an order's quantity or limit price",
    "resolve": "say what became of a request in doubt that no venue will tell of",
    "orders": "list orders",
    "order": "show one order",
    "explain": "tell what happened to an order, and how we know",
    "fills": "list executions",
    "stats": "measure executions: slippage, times, fills, by any group",
    "report": "write an execution report as one HTML page",
    "tail": "follow what happens, without gap or repeat",
    "top": "watch orders, rates, times, doubts and executors at once",
    "status": "show the daemon",
    "executors": "show the ways to the venues",
    "thaw": "let a frozen executor take new orders again",
    "doctor": "check the host, the daemon and its journal",
    "journal": "verify or export the journal",
    "call": "call any method of the daemon",
}

STATUSES = ("PENDING", "OPEN", "CLOSED", "CANCELLED")
ORD_STATUSES = (
    "pending_new",
    "new",
    "partially_filled",
    "filled",
    "canceled",
    "rejected",
    "expired",
    "pending_cancel",
    "pending_replace",
)
SIDES = ("buy", "sell")
TIME_BY = ("created", "closed", "filled")

_STATUS_HELP = f"{', '.join(STATUSES)}; may be repeated"
_ORD_STATUS_HELP = f"as FIX has it: {', '.join(ORD_STATUSES)}; may be repeated"

TIMEOUT_S = 10.0

_TIME_BY_HELP = "the time that --last, --since and --until mean; created if left out"
_GROUP_HELP = "with that value of a group key; may be repeated: all must hold"
_SOCKET_HELP = (
    "where the daemon listens; else $BROKERD_SOCKET, /run/brokerd/brokerd.sock, ./var/brokerd.sock"
)
_OUTPUT_HELP = "a table for a person, JSON lines for a program; a table at a terminal if left out"
_NO_COLOR_HELP = "as does a non-empty $NO_COLOR"
_TIMEOUT_HELP = f"seconds to wait for an answer, {TIMEOUT_S:g} if left out"

STATUSES_TOLD = """\
exit status: 0 done, 1 the daemon or the venue said no, 2 usage, 3 daemon not reachable,
4 outcome unknown (what to run to find out is printed), 5 a check failed, 6 not permitted"""


class Parser(ArgumentParser):
    """An ArgumentParser whose errors are ours: one line, exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Raise Usage with what argparse found and where the help is."""
        raise Usage(message.removeprefix("argument command: "), f"see: {self.prog} --help")


def main_parser() -> Parser:
    """Return the parser of the options before the command, and of its name."""
    parser = Parser(
        prog="brokerctl",
        usage="brokerctl [OPTIONS] COMMAND ...",
        description="Ask and tell the broker daemon.",
        epilog=_overview(),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_global(parser)
    parser.set_defaults(socket=None, output=None, no_color=False, timeout=TIMEOUT_S)
    parser.add_argument("--version", action="version", version=f"brokerctl {__version__}")
    parser.add_argument("command", nargs="?", type=_command, help=SUPPRESS)
    parser.add_argument("rest", nargs=REMAINDER, help=SUPPRESS)
    return parser


def sentence(command: str) -> str:
    """Return what a command does as a sentence: "Write an execution report as one HTML page."."""
    return f"{COMMANDS[command][0].upper()}{COMMANDS[command][1:]}."


def command_parser(command: str) -> Parser:
    """Return a command's parser; global options may stand behind the command as well."""
    parser = Parser(
        prog=f"brokerctl {command}",
        description=sentence(command),
        allow_abbrev=False,
    )
    add_global(parser.add_argument_group("everywhere"))
    return parser


def add_order_filters(parser: Parser) -> None:
    """Declare the filters of order.list; `filters` turns them into parameters."""
    add_filters(parser)
    metavar = "|".join(TIME_BY)
    parser.add_argument("--time-by", type=one_of(*TIME_BY), metavar=metavar, help=_TIME_BY_HELP)


def add_filters(parser: Parser) -> None:
    """Declare the filters that orders and fills have in common."""
    add_what(parser)
    add = parser.add_argument
    add("--last", metavar="1h", help="since that long ago: 30s, 15m, 1h, 2d, 1w")
    add("--since", type=utc_time, metavar="TIME", help="RFC 3339, UTC unless it says otherwise")
    add("--until", type=utc_time, metavar="TIME", help="up to then, itself left out")


def add_what(parser: Parser) -> None:
    """Declare the filters by what an order is, whenever it was."""
    add = parser.add_argument
    fine = one_of(*ORD_STATUSES)
    coarse = one_of(*STATUSES, elsewhere=("--ord-status", ORD_STATUSES))
    add("--status", type=coarse, action="append", metavar="STATUS", help=_STATUS_HELP)
    add("--ord-status", type=fine, action="append", metavar="STATUS", help=_ORD_STATUS_HELP)
    add("--executor", metavar="NAME", help="of one executor")
    add("--symbol", metavar="SYMBOL", help="of one symbol, as its venue names it: BTCUSDT")
    add("--side", type=one_of(*SIDES), metavar="|".join(SIDES), help="of one side")
    add("--group", type=pair, action="append", metavar="KEY=VALUE", help=_GROUP_HELP)


def filters(options: Namespace) -> dict[str, Any]:
    """Return the filter parameters that were given."""
    return {
        "status": _one_or_many(options.status),
        "ord_status": _one_or_many(options.ord_status),
        "executor": options.executor,
        "symbol": options.symbol,
        "side": options.side,
        "group": group_of(options),
        "time": _time(options),
    }


def group_of(options: Namespace) -> dict[str, str] | None:
    """Return the --group pairs as one object."""
    return dict(options.group) if options.group else None


def _time(options: Namespace) -> dict[str, str] | None:
    by = {"by": options.time_by} if getattr(options, "time_by", None) else {}
    if options.last is not None and (options.since or options.until):
        raise Usage("--last and --since/--until exclude each other")
    if options.last is not None:  # an empty one is the daemon's to refuse, and not all of time
        return {"time_type": "relative", "last": options.last, **by}
    if options.since or options.until:
        bounds = {"since": options.since, "until": options.until}
        told = {name: bound for name, bound in bounds.items() if bound}
        return {"time_type": "absolute", **told, **by}
    if by:
        raise Usage("--time-by needs --last, --since or --until")
    return None


def _one_or_many(values: list[str] | None) -> list[str] | str | None:
    return values[0] if values and len(values) == 1 else values


class one_of:  # noqa: N801 - read as a type: one_of("buy", "sell")
    """
    A type that takes one of its `names` in either case, and knows the nearest.

    `elsewhere` is another option and the names that belong there.
    """

    def __init__(self, *names: str, elsewhere: tuple[str, Sequence[str]] | None = None) -> None:
        self.names = names
        self._elsewhere = elsewhere
        self._by_lower = {name.lower(): name for name in names}

    def __call__(self, text: str) -> str:
        """Return the name as it is spelled, or raise argparse's error."""
        name = self._by_lower.get(text.lower())
        if name is None:
            option, theirs = self._elsewhere or ("", ())
            if text.lower() in theirs and not _nearest(text, self.names):
                raise ArgumentTypeError(
                    f"{dumps(text)} is none of these: say {option} {text.lower()}"
                )
            raise ArgumentTypeError(_unknown(text, self.names))
        return name


def pair(text: str) -> tuple[str, str]:
    """Read KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def utc_time(text: str) -> str:
    """Return an RFC 3339 time; a time without an offset is UTC, a date alone is its midnight."""
    from brokerd.times import parse_rfc3339  # noqa: PLC0415 - only who names a time pays for it

    for whole in (text, f"{text}Z", f"{text}T00:00:00Z"):
        try:
            parse_rfc3339(whole)
        except ValueError:
            continue
        return whole
    raise ArgumentTypeError(f"{text!r} is not a time such as 2026-01-31T09:30:00Z")


def span_s(text: str) -> int:
    """Read a length of time such as 15m, in seconds; the daemon reads the same."""
    from brokerd.errors import InvalidParams  # noqa: PLC0415 - only who names a span pays for it
    from brokerd.params import read_span_s  # noqa: PLC0415 - see above

    try:
        return read_span_s(text)
    except InvalidParams as error:
        raise ArgumentTypeError(f"{error.what}: {error.hint}") from error


def seconds(text: str) -> float:
    """Read a number of seconds above 0, at most a day."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def count(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def add_global(parser: Any) -> None:
    """Declare what may stand before a command and behind it."""
    add = parser.add_argument
    forms = {"type": one_of("table", "json"), "metavar": "table|json", "help": _OUTPUT_HELP}
    add("--socket", default=SUPPRESS, metavar="PATH", help=_SOCKET_HELP)
    add("-o", "--output", default=SUPPRESS, **forms)
    add("--no-color", action="store_true", default=SUPPRESS, help=_NO_COLOR_HELP)
    add("--timeout", type=seconds, default=SUPPRESS, metavar="S", help=_TIMEOUT_HELP)


def _command(text: str) -> str:
    if text not in COMMANDS:
        raise ArgumentTypeError(_unknown(text, tuple(COMMANDS), "command"))
    return text


def _unknown(text: str, names: Sequence[str], what: str = "") -> str:
    """Say that there is no such name, and which is the nearest."""
    near = _nearest(text, names)
    no = f"there is no {what} {dumps(text)}" if what else f"{dumps(text)} is not one of them"
    return f"{no}: did you mean {near}?" if near else f"{no}: {', '.join(names)}"


def _nearest(text: str, names: Sequence[str]) -> str:
    """Return the name that was probably meant; "" if none is near."""
    import difflib  # noqa: PLC0415 - only a mistake pays for it

    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(text.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(["commands (brokerctl COMMAND --help tells more):", *lines, "", STATUSES_TOLD])
