"""
What `brokerctl top` shows: answers of the daemon and what came by lately -> lines of text.

Pure but for the clock that ages are counted from. Nothing here asks anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from brokerd.cli.activity import Activity, quantile
from brokerd.cli.figures import count, span
from brokerd.cli.jsontext import Record, as_record, as_records
from brokerd.cli.plots import spark
from brokerd.cli.terminal import Column, Output, plain_text, show
from brokerd.cli.views import (
    duration,
    executor_columns,
    member,
    number,
    order_columns,
    time_member,
)

SPARK_S = 30
SPARK_ROOM = 80
"""Columns that the rates take with the shortest plots."""

EXECUTORS_MAX, DOUBTS_MAX = 6, 4
"""Rows of the two upper tables, so that orders are seen on a screen of 24 lines."""

SORTS = ("newest", "oldest", "symbol", "status")

HELP = (
    "q        quit                      enter    the story of the order (esc: back)",
    "space    pause, and go on          e        only the next executor's orders, or all",
    "up down  choose an order           s        sort by the next: newest, oldest, symbol, status",
    "+ -      look more, less often     ?        this help",
)


@dataclass
class Told:
    """What the daemon answered last, and how it answered: `away` says why it did not."""

    daemon: Record = field(default_factory=dict[str, object])
    executors: list[Record] = field(default_factory=list[Record])
    orders: list[Record] = field(default_factory=list[Record])
    story: list[str] = field(default_factory=list[str])
    answer_s: float | None = None
    calls_per_s: float | None = None
    away: str = ""


@dataclass
class View:
    """What the person at the keyboard chose. `chosen` is the order's id, not its place."""

    every_s: float = 1.0
    paused: bool = False
    helping: bool = False
    sort: str = SORTS[0]
    executor: str | None = None
    chosen: str | None = None
    story_of: str | None = None


def frame(out: Output, told: Told, view: View, activity: Activity, now_s: float) -> list[str]:
    """Return the lines of the whole screen, `now_s` being the monotonic time of `activity`."""
    lines = [*_head(out, told, view), *_rates(out, told, activity, now_s), ""]
    if view.helping:
        return [*lines, *HELP]
    if view.story_of is not None:
        return [*lines, *told.story]
    lines += out.layout(executor_columns(), told.executors[:EXECUTORS_MAX])
    doubts = doubts_of(told.executors)
    if doubts:
        title = f"in doubt: nobody knows yet whether it happened ({len(doubts)})"
        lines += ["", out.paint(title, "magenta"), *out.layout(_DOUBTS, doubts[:DOUBTS_MAX])]
    return [*lines, "", *_orders(out, told, view)]


def shown_orders(told: Told, view: View) -> list[Record]:
    """Return the orders in the order in which they stand on the screen."""
    orders = [o for o in told.orders if view.executor in {None, o.get("executor")}]
    if view.sort == "newest":
        return orders
    if view.sort == "oldest":
        return orders[::-1]
    name = "symbol" if view.sort == "symbol" else "ord_status"
    return sorted(orders, key=lambda order: str(order.get(name)))


def doubts_of(executors: Sequence[Record]) -> list[Record]:
    """Return every request in doubt with its executor, the longest first."""
    doubts = [
        {**doubt, "executor": executor.get("name")}
        for executor in executors
        for doubt in as_records(executor.get("in_doubt"))
    ]
    return sorted(doubts, key=lambda doubt: str(doubt.get("since")))


def latency(name: str, took_s: Sequence[float]) -> str:
    """Return the quantiles of times in order, with how many there are."""
    if not took_s:
        return f"{name} -"
    told = "  ".join(f"p{share} {span(quantile(took_s, share / 100))}" for share in (50, 95, 99))
    return f"{name} {told} (n {len(took_s):,})"


def _head(out: Output, told: Told, view: View) -> list[str]:
    daemon, counts = told.daemon, as_record(told.daemon.get("orders"))
    uptime = duration(number(daemon.get("uptime_s")) or 0)
    state = "paused" if view.paused else f"every {view.every_s:g} s"
    title = f"brokerd {show(daemon.get('version'))}  up {uptime}  seq {count(daemon.get('seq'))}"
    lines = [
        f"{out.paint(plain_text(title), 'bold')}  {out.paint(f'{state}  q quit  ? help', 'dim')}"
    ]
    if told.away:
        return [*lines, out.paint(plain_text(told.away), "red")]
    if daemon.get("accepts_orders") is False:
        lines.append(out.paint("it takes no new orders", "red"))
    names = {"open": "cyan", "pending": "yellow", "in_doubt": "magenta"}
    parts = [
        out.paint(
            f"{count(counts.get(name))} {name.replace('_', ' ')}", _if_any(counts, name, style)
        )
        for name, style in names.items()
    ]
    parts.append(f"{count(counts.get('submitted'))} submitted in all")
    return [*lines, f"orders   {'  '.join(parts)}"]


def _rates(out: Output, told: Told, activity: Activity, now_s: float) -> list[str]:
    names = {"submits": "order_submitted", "fills": "order_traded", "rejects": "order_rejected"}
    seconds = min(max((out.width or SPARK_ROOM) - SPARK_ROOM, 0) // len(names) + 8, SPARK_S)
    rates = [
        f"{name} {_rate(activity.per_s(event, now_s))} "
        f"{out.paint(spark(activity.by_second(event, now_s, seconds)), 'cyan')}"
        for name, event in names.items()
    ]
    acks = latency("ack", activity.ack_s(now_s))
    fills = latency("first fill", activity.first_fill_s(now_s))
    daemon = told.daemon
    socket = [
        f"{count(daemon.get('connections'))} connections",
        f"{count(daemon.get('subscribers'))} subscribers",
        f"calls {_rate(told.calls_per_s)}",
        f"answer {'-' if told.answer_s is None else span(told.answer_s)}",
    ]
    return [
        f"rates    {'  '.join(rates)}",
        f"times    {acks}   {fills}",
        f"socket   {'  '.join(socket)}",
    ]


def _orders(out: Output, told: Told, view: View) -> list[str]:
    orders = shown_orders(told, view)
    of = f" of {view.executor}" if view.executor else ""
    by = f"{view.sort} first" if view.sort in {"newest", "oldest"} else f"by {view.sort}"
    counts = as_record(told.daemon.get("orders"))
    live = sum(each for name in ("open", "pending") if isinstance(each := counts.get(name), int))
    only = f", of the newest {len(told.orders)} of {live:,}" if live > len(told.orders) else ""
    heading = out.paint(plain_text(f"live orders{of}: {len(orders)}, {by}{only}"), "dim")
    title, *rows = out.layout([Column("", _mark(view)), *order_columns()], orders)
    return [heading, title, *rows]


def _mark(view: View) -> Callable[[Record], str]:
    return lambda order: ">" if order.get("cl_ord_id") == view.chosen else ""


def _doubtful(_request: str) -> str:
    return "magenta"


_DOUBTS = [
    Column("cl_ord_id", member("cl_ord_id")),
    Column("executor", member("executor"), 2),
    Column("request", member("request"), style=_doubtful),
    Column("since", time_member("since"), 3),
    Column("leaves_qty", member("leaves_qty"), 1, right=True),
]


def _if_any(counts: Record, name: str, style: str) -> str | None:
    return style if counts.get(name) else None


def _rate(per_s: float | None) -> str:
    return "-" if per_s is None else f"{per_s:,.1f}/s"
