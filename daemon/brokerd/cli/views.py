"""How orders, fills, executors and events look: columns by importance, times, ages, one-liners."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from brokerd.cli.jsontext import Record, as_list, as_record, is_record
from brokerd.cli.terminal import Column, show

_STYLES = {
    "PENDING": "yellow",
    "OPEN": "cyan",
    "CLOSED": "green",
    "CANCELLED": "dim",
    "buy": "green",
    "sell": "red",
    "up": "green",
    "starting": "yellow",
    "syncing": "yellow",
    "down": "red",
    "frozen": "red",
    "pending_new": "yellow",
    "new": "cyan",
    "partially_filled": "cyan",
    "filled": "green",
    "canceled": "dim",
    "expired": "dim",
    "rejected": "red",
    "pending_cancel": "yellow",
    "pending_replace": "yellow",
}

_ABOUT_ENVELOPE = frozenset({"seq", "event", "at", "road", "evidence", "cl_ord_id"})
_ABOUT_STATE = frozenset({"ord_status", "cum_qty", "leaves_qty", "avg_px", "request", "in_doubt"})


def style_of(word: str) -> str | None:
    """Return the colour of a status word; doubt outshines every status."""
    return "magenta" if word.endswith("?") else _STYLES.get(word)


def ord_status(record: Record) -> str:
    """Return the FIX status, with a `?` while a request for the order is in doubt."""
    return f"{show(record.get('ord_status'))}{'?' if record.get('in_doubt') else ''}"


def member(name: str) -> Callable[[Record], str]:
    """Return a cell that shows a member as it is."""
    return lambda record: show(record.get(name))


def time_member(name: str) -> Callable[[Record], str]:
    """Return a cell that shows a member as a time of day."""
    return lambda record: clock(record.get(name))


def order_columns(group_by: Sequence[str] = ()) -> list[Column]:
    """Return the columns of an order list, led by the groups it is listed by."""
    now_s = time.time()

    def age_of(order: Record) -> str:
        return age(order.get("created_at"), now_s)

    return [
        *(Column(key, _group_member(key), 3) for key in group_by),
        Column("cl_ord_id", member("cl_ord_id")),
        Column("executor", member("executor"), 7),
        Column("symbol", member("symbol"), 1),
        Column("side", member("side"), 1, style=style_of),
        Column("type", member("ord_type"), 8),
        Column("qty", member("qty"), 2, right=True),
        Column("px", member("px"), 4, right=True),
        Column("status", member("status"), 9, style=style_of),
        Column("ord_status", ord_status, style=style_of),
        Column("cum_qty", member("cum_qty"), 3, right=True),
        Column("avg_px", member("avg_px"), 5, right=True),
        Column("age", age_of, 10, right=True),
    ]


def fill_columns() -> list[Column]:
    """Return the columns of a list of executions."""
    return [
        Column("at", time_member("at"), 4),
        Column("cl_ord_id", member("cl_ord_id")),
        Column("executor", member("executor"), 7),
        Column("symbol", member("symbol"), 1),
        Column("side", member("side"), 1, style=style_of),
        Column("last_qty", member("last_qty"), right=True),
        Column("last_px", member("last_px"), right=True),
        Column("fee", member("fee"), 5, right=True),
        Column("asset", member("fee_asset"), 6),
        Column("liquidity", member("liquidity"), 8),
        Column("exec_id", member("exec_id"), 9),
    ]


def executor_columns() -> list[Column]:
    """Return the columns of the list of executors."""
    return [
        Column("name", member("name")),
        Column("adapter", member("adapter"), 4),
        Column("state", member("state"), style=style_of),
        Column("since", time_member("since"), 5),
        Column("unsettled", member("orders_unsettled"), 3, right=True),
        Column("in_doubt", _doubt_count, 1, right=True),
        Column("clock_offset_s", member("clock_offset_s"), 3, right=True),
        Column("budget_left", member("budget_left"), 6, right=True),
        Column("paused_until", time_member("paused_until"), 7),
        Column("reason", member("reason"), 2),
    ]


def _group_member(key: str) -> Callable[[Record], str]:
    return lambda record: show(as_record(record.get("group")).get(key))


def number(value: object) -> float | None:
    """Return a measurement (seconds, a count) to judge or round; never for money."""
    try:
        return float(str(value))
    except ValueError:
        return None


def _doubt_count(executor: Record) -> str:
    return show(executor.get("in_doubt_count", len(as_list(executor.get("in_doubt")))))


def clock(at: object) -> str:
    """Return an RFC 3339 time to the millisecond: "2026-01-31 09:30:00.123"; UTC, like all times."""
    return str(at)[:23].replace("T", " ").rstrip("Z") if at else ""


def age(at: object, now_s: float) -> str:
    """Return how long ago an RFC 3339 time was: 45s, 12m, 3h05m, 2d04h."""
    try:
        return duration(now_s - datetime.fromisoformat(str(at)).timestamp())
    except ValueError:
        return ""


def duration(length_s: float) -> str:
    """Return a length of time in its two leading units."""
    minutes, rest_s = divmod(max(int(length_s), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m" if minutes else f"{rest_s}s"


def terms(order: Record) -> str:
    """Return what was asked for in a line: "buy 0.01 BTCUSDT limit 39400"."""
    told = [order.get(name) for name in ("side", "qty", "symbol", "ord_type", "px")]
    text = " ".join(show(value) for value in told if value is not None)
    return f"{text} stop {show(order['stop_px'])}" if order.get("stop_px") else text


def detail(event: Record) -> str:
    """Return what an event says of its own, times aside: an order's terms, a fill, a reason."""
    if "last_qty" in event:
        fee = f" fee {show(event['fee'])} {show(event.get('fee_asset'))}" if "fee" in event else ""
        return f"{show(event['last_qty'])} @ {show(event.get('last_px'))}{fee}"
    if "side" in event:
        return terms(event)
    of_request = {"request"} if str(event.get("event")).startswith("request_") else set[str]()
    skipped = (_ABOUT_ENVELOPE | _ABOUT_STATE) - of_request
    own = {name: v for name, v in event.items() if name not in skipped and name[-3:] != "_at"}
    told = {name: value for name, value in own.items() if value not in (None, "", {}, False)}
    return show({name: _shown(value) for name, value in told.items()})


def _shown(value: object) -> object:
    """Return a quote as bid/ask, in a line that has its own time; anything else as it is."""
    if is_record(value) and "bid_px" in value:
        return f"{show(value['bid_px'])}/{show(value.get('ask_px'))}"
    return value
