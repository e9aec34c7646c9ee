"""What each of the client's methods asks of the daemon, and how its answer is read. No I/O."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

import msgspec
from msgspec import Struct

from brokerd.client.protocol import Request
from brokerd.client.trade import Number, Order, Trade, decode_order, exact, terms
from brokerd.errors import InvalidParams
from brokerd.money import digits
from brokerd.words import suggest

PAGE = 1000
STATUSES = ("PENDING", "OPEN", "CLOSED", "CANCELLED")
LOOK_S = 60.0
"""How much longer than usual the daemon may take that looks at everything at a venue first."""

OUTCOMES = ("executed", "not_executed", "done")
TIME_TYPES = ("relative", "absolute")
TIMES_BY = ("created", "closed", "filled")


class Filters(TypedDict, total=False):
    """Which orders; what is left out does not filter."""

    status: str | Sequence[str]
    ord_status: str | Sequence[str]
    executor: str
    symbol: str
    side: str
    group: dict[str, str]
    time: dict[str, str]


class Page(Struct, frozen=True):
    """Orders, newest first, and the cursor of the next page."""

    orders: list[Order]
    next_cursor: str | None


read_page = msgspec.json.Decoder(Page).decode
read_any = msgspec.json.Decoder(dict[str, Any]).decode


class Settings:
    """What a broker stamps on submits and filters loads by."""

    def __init__(self, executor: str | None) -> None:
        self.executor = executor
        self.group: dict[str, str] = {}
        self.time: dict[str, str] = {}
        self.latest_group = False

    def set_group(self, group: Mapping[str, object]) -> None:
        """Replace the group; every value must be text."""
        told: dict[str, str] = {}
        for key, value in group.items():
            if not isinstance(value, str):
                raise InvalidParams(
                    f"group key {key} is a {type(value).__name__}", field=f"group.{key}",
                    hint="group values are text",
                )  # fmt: skip
            told[key] = value
        self.group = told

    def set_time(
        self,
        time_type: str | None,
        *,
        latest_group: bool,
        last: str | None,
        since: datetime | str | None,
        until: datetime | str | None,
        by: str,
    ) -> None:
        """Replace the window; None as time_type means all of time."""
        _check_word("by", by, TIMES_BY)
        if time_type is None:
            unused = {"last": last, "since": since, "until": until}
            for field, value in unused.items():
                if value is not None:
                    raise InvalidParams(
                        f"{field} needs a time_type", field="time_type",
                        hint=f"known are {', '.join(TIME_TYPES)}",
                    )  # fmt: skip
            self.time = {}
        else:
            _check_word("time_type", time_type, TIME_TYPES)
            told = {
                "last": last,
                "since": _moment("since", since),
                "until": _moment("until", until),
            }
            self.time = {"time_type": time_type, "by": by}
            self.time |= {field: value for field, value in told.items() if value is not None}
        self.latest_group = latest_group

    def filters(self, given: Filters) -> dict[str, Any]:
        """Return the filters of a question: what is given, else what is set."""
        return ({"time": self.time} if self.time else {}) | self.whose(given)

    def whose(self, given: Filters) -> dict[str, Any]:
        """Return the filters without the window that is set: whose orders, and what is given."""
        for status in _several(given.get("status")):
            _check_word("status", status, STATUSES)
        told: dict[str, Any] = {"group": {**self.group, **given.get("group", {})}}
        if self.executor is not None:
            told["executor"] = self.executor
        return {**told, **{name: value for name, value in given.items() if name != "group"}}


def submit(
    settings: Settings, trade: Trade, *, wait: str, timeout_s: float | None
) -> Request[Order]:
    """Ask for a new order; a trade that was submitted before finds its order."""
    trade.stamp(settings.group, settings.executor)
    params: dict[str, Any] = {**terms(trade), "wait": wait}
    if timeout_s is not None:
        params["timeout_s"] = timeout_s
    return Request("order.submit", params, decode_order, changes=True, cl_ord_id=trade.cl_ord_id)


def cancel(trade: Trade) -> Request[Order]:
    """Ask for a cancel."""
    params = {"cl_ord_id": _id(trade)}
    return Request("order.cancel", params, decode_order, changes=True, cl_ord_id=trade.cl_ord_id)


def cancel_all(settings: Settings, given: Filters) -> Request[dict[str, Any]]:
    """
    Ask for a cancel of every working order that matches.

    The window of the loads is not meant: an order is not to go on working because it is old.
    """
    return Request("order.cancel_all", settings.whose(given), read_any, changes=True)


def replace(trade: Trade, qty: Number | None, px: Number | None) -> Request[Order]:
    """
    Ask for another total quantity or limit price.

    Not repeated by itself: where the first one arrived, a second would find it under way.
    """
    params = {"cl_ord_id": _id(trade)}
    for name, value in (("qty", qty), ("px", px)):
        if value is not None:
            params[name] = digits(exact(name, value))
    return Request(
        "order.replace", params, decode_order,
        changes=True, repeats=False, cl_ord_id=trade.cl_ord_id,
    )  # fmt: skip


def resolve(trade: Trade, outcome: str, reason: str, venue_order_id: str | None) -> Request[Order]:
    """Say what became of a request in doubt. Not repeated by itself: it may be refused the second time."""
    _check_word("outcome", outcome, OUTCOMES)
    params = {"cl_ord_id": _id(trade), "outcome": outcome, "reason": reason}
    if venue_order_id is not None:
        params["venue_order_id"] = venue_order_id
    return Request(
        "order.resolve", params, decode_order,
        changes=True, repeats=False, cl_ord_id=trade.cl_ord_id,
    )  # fmt: skip


def thaw(executor: str, reason: str) -> Request[dict[str, Any]]:
    """Let a frozen executor take new orders again."""
    params = {"executor": executor, "reason": reason}
    return Request("executor.thaw", params, read_any, changes=True, repeats=False)


def check(trade: Trade) -> Request[Order]:
    """Ask the venue."""
    if trade.cl_ord_id is not None:
        return Request("order.check", {"cl_ord_id": trade.cl_ord_id}, decode_order)
    return Request("order.check", {"executor_id": trade.executor_id}, decode_order)


def page(
    settings: Settings, group_by: Sequence[str], cursor: str | None, given: Filters
) -> Request[Page]:
    """Ask for a page of orders."""
    params = {
        **settings.filters(given),
        "latest_group": settings.latest_group,
        "limit": PAGE,
        "cursor": cursor,
    }
    if group_by:
        params["group_by"] = [group_by] if isinstance(group_by, str) else list(group_by)
    return Request("order.list", params, read_page)


def stats(settings: Settings, group_by: Sequence[str], given: Filters) -> Request[dict[str, Any]]:
    """Ask for execution statistics."""
    keys = [group_by] if isinstance(group_by, str) else list(group_by)
    return Request("stats.get", {**settings.filters(given), "group_by": keys}, read_any)


def subscribe(after_seq: int | None, wanted: dict[str, Any]) -> Request[dict[str, Any]]:
    """Ask for events, from `after_seq` on or from now on."""
    position = {} if after_seq is None else {"after_seq": after_seq}
    return Request("events.subscribe", {**wanted, **position}, read_any)


def anything(method: str, params: dict[str, Any]) -> Request[Any]:
    """Call a method by its name; nothing is known of it, so that it is not repeated by itself."""
    changes = method == "executor.thaw" or (
        method.startswith("order.") and method not in _QUESTIONS
    )
    return Request(method, params, msgspec.json.decode, changes=changes, repeats=not changes)


_QUESTIONS = frozenset({"order.get", "order.check", "order.list", "order.explain"})


def _id(trade: Trade) -> str:
    if trade.cl_ord_id is None:
        raise InvalidParams(
            "the trade was never submitted", reason="one_id_needed", field="cl_ord_id"
        )
    return trade.cl_ord_id


def _several(words: str | Sequence[str] | None) -> Sequence[str]:
    return [words] if isinstance(words, str) else words or ()


def _check_word(field: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise InvalidParams(
            f"there is no {field} {word!r}", reason=f"unknown_{field}", field=field,
            hint=suggest(word, known),
        )  # fmt: skip


def _moment(field: str, moment: datetime | str | None) -> str | None:
    if not isinstance(moment, datetime):
        return moment
    if moment.tzinfo is None:
        raise InvalidParams(
            f"{field} has no time zone", field=field, hint="datetime.now(UTC), for example"
        )
    return moment.isoformat()
