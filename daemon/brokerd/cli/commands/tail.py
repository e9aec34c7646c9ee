"""Follow what happens, without gap or repeat: `brokerctl tail --executor paper`."""

import time
from argparse import Namespace
from collections.abc import Iterator

from brokerd.cli.arguments import (
    Parser,
    add_what,
    count,
    group_of,
    span_s,
    utc_time,
)
from brokerd.cli.control import SILENT, Control
from brokerd.cli.errors import Exit, Refusal, Unreachable, Usage
from brokerd.cli.jsontext import Record, as_record
from brokerd.cli.terminal import GAP, Output, note, plain_text, show
from brokerd.cli.views import detail, ord_status, style_of
from brokerd.cli.wire import Connection, Lost, Silence
from brokerd.errors import Busy, Starting, Stopping

QUIET_S = 15.0
"""Silence after which the daemon is asked whether it is still there."""

NAME_CELLS = len("order_acknowledged")

WAIT_FIRST_S, WAIT_MAX_S = 0.1, 5.0

_FOR_NOW = {Busy.code, Starting.code, Stopping.code}

_EVENT_STYLES = {
    "daemon_started": "bold",
    "daemon_stopped": "bold",
    "executor_changed": "yellow",
    "order_acknowledged": "cyan",
    "order_traded": "green",
    "order_canceled": "dim",
    "order_expired": "dim",
    "order_rejected": "red",
    "order_not_found": "magenta",
    "fills_missed": "yellow",
    "request_retried": "yellow",
    "request_refused": "red",
    "request_doubted": "magenta",
    "report_disputed": "magenta",
}

LINES = 10
"""How many of the latest events come first on a terminal, as with `tail -f`."""


def add_options(parser: Parser) -> None:
    """Declare where to begin, and the filters."""
    start = parser.add_argument_group("where to begin; from now on if left out of a pipe")
    start.add_argument("-n", "--lines", type=count, metavar="N", help="N that match, at most 1000")
    start.add_argument("--after-seq", type=count, metavar="N", help="behind event N; 0 is all")
    start.add_argument(
        "--since", type=utc_time, metavar="TIME", help="RFC 3339, UTC unless it says otherwise"
    )
    start.add_argument("--last", type=span_s, metavar="15m", help="that long ago: 30s, 1h, 2d")
    add = parser.add_argument
    add_what(parser)
    add("--id", metavar="CL_ORD_ID", help="of one order")
    add("--event", action="append", metavar="NAME", help="may be repeated: order_traded, ...")


def run(control: Control, options: Namespace) -> Exit:
    """Print events as they come until interrupted; a lost connection is resumed where it broke."""
    is_at_terminal = control.out.is_terminal and not control.out.is_json
    start = _start(options, LINES if is_at_terminal else None)
    if not control.out.is_json and options.event is None:
        options.event = _of_interest()
    feed = Feed(start, _filters(options))
    wait_s = 0.0
    while True:
        seen = feed.seq
        try:
            _print(control.out, feed.read(control.connect()))
        except (Lost, Refusal, Unreachable) as away:
            control.hang_up()
            if feed.seq is None or (isinstance(away, Refusal) and away.code not in _FOR_NOW):
                raise _as_failure(away) from away
            if not wait_s or feed.seq != seen:
                note(f"brokerctl: connection lost after seq {feed.seq}: waiting for the daemon")
                wait_s = WAIT_FIRST_S
            else:
                wait_s = min(wait_s * 2, WAIT_MAX_S)
        time.sleep(wait_s)


class Feed:
    """
    Events in the order of `seq`, each once, over however many connections.

    `seq` is the last one seen: where the next connection takes up. None until the daemon has said
    where we are.
    """

    def __init__(self, start: Record, params: Record) -> None:
        self.seq: int | None = start.get("after_seq")
        self._start = start
        self._params = params

    def read(self, link: Connection) -> Iterator[Record]:
        """Subscribe on a fresh connection and yield its events; it ends by raising Lost."""
        after = self._start if self.seq is None else {"after_seq": self.seq}
        call_id = link.send("events.subscribe", self._params | after)
        while True:
            message = self._next(link)
            if message.get("id") == call_id or "error" in message:
                self._begin(link.result(message, call_id))
            elif message.get("method") == "event":
                params = as_record(message.get("params"))
                if self._is_new(params):
                    yield params
            elif message.get("method") == "events.lagging":
                behind = as_record(message.get("params")).get("behind")
                note(f"brokerctl: {show(behind)} events behind: they come faster than we read")

    def _begin(self, result: object) -> None:
        """Without an `after_seq` of our own, we are where the daemon says we are."""
        seq = as_record(result).get("seq")
        if not isinstance(seq, int):
            raise Lost("the subscription was answered without a seq", sent=True)
        if self.seq is None:
            self.seq = seq

    def _is_new(self, params: Record) -> bool:
        seq = params.get("seq")
        if not isinstance(seq, int):
            raise Lost("an event without a seq", sent=True)
        if self.seq is not None and seq <= self.seq:
            return False
        self.seq = seq
        return True

    def _next(self, link: Connection) -> Record:
        """Wait for a message; nothing for long is normal, no answer to a ping is not."""
        if link.is_drained:
            print(end="", flush=True)
        try:
            return link.receive(time.monotonic() + QUIET_S)
        except Silence:
            link.send("daemon.ping", {})
            return link.receive(time.monotonic() + QUIET_S)


def _print(out: Output, events: Iterator[Record]) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    for event in events:
        if out.is_json:
            out.record(event)
            continue
        if event.get("at") and show(event["at"])[:10] != day:
            day = show(event["at"])[:10]
            print(out.paint(f"-- {plain_text(day)} --", "dim"))
        print(line(out, event))


def line(out: Output, event: Record) -> str:
    """Return an event as one short line; where the terminal is narrow, its detail is cut."""
    name, status, told = show(event.get("event")), ord_status(event), plain_text(detail(event))
    subject = event.get("cl_ord_id") or event.get("executor")
    parts = [
        (f"{show(event.get('at'))[11:23]} {show(event.get('seq')):>7}", "dim"),
        (f"{name:<{NAME_CELLS}}", _EVENT_STYLES.get(name)),
        (show(subject), None),
        (status, style_of(status)),
    ]
    shown = [(plain_text(text), style) for text, style in parts if text]
    if out.width is not None:
        room = out.width - sum(len(text) + len(GAP) for text, _ in shown)
        if len(told) > room:
            told = f"{told[: room - 3]}..." if room > 3 else ""
    return GAP.join([*(out.paint(text, style) for text, style in shown), told]).rstrip()


def _start(options: Namespace, lines: int | None) -> Record:
    """Return where to begin, as events.subscribe names it; `lines` is for who does not say."""
    since = _ago(options.last) if options.last else options.since
    named = {"last": options.lines, "after_seq": options.after_seq, "since": since}
    told = {name: value for name, value in named.items() if value is not None}
    if len(told) > 1 or (options.last and options.since):
        raise Usage("-n, --after-seq, --since and --last exclude each other")
    return told or ({} if lines is None else {"last": lines})


def _of_interest() -> list[str]:
    """Return what a person wants to see: quotes are kept for statistics, several for each fill."""
    from brokerd.events import EVENT_NAMES  # noqa: PLC0415 - a program does not wait for it

    return sorted(EVENT_NAMES - {"quote_sampled"})


def _ago(length_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - length_s))


def _filters(options: Namespace) -> Record:
    """Return the filters of events.subscribe that were given."""
    asked = {
        "status": options.status,
        "ord_status": options.ord_status,
        "executor": options.executor,
        "symbol": options.symbol,
        "side": options.side,
        "group": group_of(options),
        "cl_ord_id": options.id,
        "events": options.event,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _as_failure(away: Lost | Refusal | Unreachable) -> Refusal | Unreachable:
    if isinstance(away, Lost):
        return Unreachable(f"events.subscribe went unanswered: {away.why}", SILENT)
    return away
