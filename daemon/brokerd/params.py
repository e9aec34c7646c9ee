"""
What the methods take: the shapes of params, and the sentences for what is wrong with them.

Unknown members are refused, texts and lists have a limit. What is left out does not filter; a list
or a name that is there and empty is refused, for it could be read as all or as none. Decimals stay
as they came until `read_number` has parsed them.
"""

import re
from decimal import Decimal
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from brokerd.errors import InvalidOrder, InvalidParams
from brokerd.events import Resolution
from brokerd.filters import OrderFilter
from brokerd.orders import Order
from brokerd.rpc import Number, absent, read_number, refuse_nul
from brokerd.states import OrdStatus, Status
from brokerd.stats.tally import OWN_KEYS
from brokerd.terms import (
    CL_ORD_ID_MAX,
    GROUP_KEYS_MAX,
    GROUP_TEXT_MAX,
    OrdType,
    Side,
    Terms,
    TimeInForce,
    check_terms,
)
from brokerd.times import NS_PER_S, parse_rfc3339

PAGE_MAX = 1000
WAIT_S_MAX = 60.0
TEXT_MAX = 64
REASON_MAX = 500
EXECUTOR_ID_MAX = 128
CHOICES_MAX = 32
"""Entries of a list that a parameter may be."""

_CL_ORD_ID = re.compile(rf"[!-~]{{1,{CL_ORD_ID_MAX}}}")
_SPAN = re.compile(r"([0-9]{1,6})(s|m|h|d|w)", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

GROUP_PREFIX = "group."

_TIME_NS_END = 1 << 63
"""Times are signed 64-bit nanoseconds, here and in SQLite: up to the year 2262."""

Text = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
OrderId = Annotated[str, Meta(min_length=1, max_length=CL_ORD_ID_MAX)]
ExecutorId = Annotated[str, Meta(min_length=1, max_length=EXECUTOR_ID_MAX)]
GroupKey = Annotated[str, Meta(min_length=1, max_length=GROUP_TEXT_MAX)]
GroupText = Annotated[str, Meta(max_length=GROUP_TEXT_MAX)]
Group = Annotated[dict[GroupKey, GroupText], Meta(max_length=GROUP_KEYS_MAX)]
Statuses = Annotated[list[Status], Meta(min_length=1, max_length=CHOICES_MAX)]
OrdStatuses = Annotated[list[OrdStatus], Meta(min_length=1, max_length=CHOICES_MAX)]
Events = Annotated[list[Text], Meta(min_length=1, max_length=CHOICES_MAX)]
GroupKeys = Annotated[list[GroupKey], Meta(min_length=1, max_length=GROUP_KEYS_MAX)]
Reason = Annotated[str, Meta(min_length=1, max_length=REASON_MAX)]
Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX)]


class NoParams(Struct, frozen=True, forbid_unknown_fields=True):
    """A method that takes none."""


class SubmitParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new order. Without `cl_ord_id` the daemon makes one, and a retry is another order."""

    symbol: Text
    side: Side
    ord_type: OrdType
    qty: Number
    px: Number = msgspec.field(default_factory=absent)
    stop_px: Number = msgspec.field(default_factory=absent)
    decision_px: Number = msgspec.field(default_factory=absent)
    cl_ord_id: str | None = None
    executor: Text | None = None
    time_in_force: TimeInForce | None = None
    expire_at: str | None = None
    post_only: bool = False
    group: Group = {}
    wait: Literal["journal", "venue"] = "journal"
    timeout_s: Annotated[float, Meta(ge=0, le=WAIT_S_MAX)] = 5.0

    def __post_init__(self) -> None:
        refuse_nul("group", chain(*self.group.items()))


class OrderParams(Struct, frozen=True, forbid_unknown_fields=True):
    """One order, by the bot's id."""

    cl_ord_id: OrderId


class AnyIdParams(Struct, frozen=True, forbid_unknown_fields=True):
    """One order, by the bot's id or by its name outside ("paper:123")."""

    cl_ord_id: OrderId | None = None
    executor_id: ExecutorId | None = None


class ReplaceParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Another total quantity (filled part included), another limit price, or both."""

    cl_ord_id: OrderId
    qty: Number = msgspec.field(default_factory=absent)
    px: Number = msgspec.field(default_factory=absent)


class ResolveParams(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What became of the request in doubt, and how you know. `venue_order_id` names the order at the
    venue, if you saw it there: it can be asked about by that.
    """

    cl_ord_id: OrderId
    outcome: Resolution
    reason: Reason
    venue_order_id: Text | None = None


class ThawParams(Struct, frozen=True, forbid_unknown_fields=True):
    """The frozen executor, and why it may take new orders again."""

    executor: Text
    reason: Reason


class SpanParams(Struct, frozen=True, forbid_unknown_fields=True):
    """A span of time, relative (`last`) or absolute (`since`, `until`)."""

    time_type: Literal["relative", "absolute"]
    last: str | None = None
    since: str | None = None
    until: str | None = None


class TimeParams(SpanParams, frozen=True, forbid_unknown_fields=True):
    """Orders whose time `by` is in the last "15m" up to now, or from `since` to before `until`."""

    by: Literal["created", "closed", "filled"] = "created"


class FillTimeParams(SpanParams, frozen=True, forbid_unknown_fields=True):
    """Fills of the last "15m" up to now, or from `since` to before `until`: a fill has one time."""

    by: Literal["filled"] = "filled"


class Window(Struct, frozen=True):
    """A window in ns since 1970: from `since_ns`, to before `until_ns`; None is open."""

    since_ns: int | None = None
    until_ns: int | None = None
    by: Literal["created", "closed", "filled"] = "created"

    def holds(self, order: Order) -> bool:
        """Whether an order's time is inside; `filled` is its last fill."""
        if self.since_ns is None and self.until_ns is None:
            return True
        at_ns = {
            "created": order.created_at_ns,
            "closed": order.closed_at_ns,
            "filled": order.last_fill_at_ns,
        }[self.by]
        if at_ns is None:
            return False
        is_late_enough = self.since_ns is None or at_ns >= self.since_ns
        return is_late_enough and (self.until_ns is None or at_ns < self.until_ns)


class FilterParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which orders are meant; what is left out does not filter."""

    status: Status | Statuses | None = None
    ord_status: OrdStatus | OrdStatuses | None = None
    executor: Text | None = None
    symbol: Text | None = None
    side: Side | None = None
    group: Group = {}

    def __post_init__(self) -> None:
        refuse_nul("group", chain(*self.group.items()))


class TimedParams(FilterParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which orders are meant, of which time; what is left out does not filter."""

    time: TimeParams | None = None


class ListParams(TimedParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A page of orders, newest first; `latest_group` keeps only the newest of each group.

    `group_by` says which keys make a group then; all of them, if it is left out. A key that is named
    like a term of the order (`symbol`) is asked for as `group.<key>`.
    """

    group_by: GroupKey | GroupKeys | None = None
    latest_group: bool = False
    limit: Limit = 100
    cursor: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_nul("group_by", several(self.group_by))


class FillParams(FilterParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A page of fills, newest first; a status is what their order is now."""

    cl_ord_id: OrderId | None = None
    time: FillTimeParams | None = None
    limit: Limit = 100
    cursor: str | None = None


class StatsParams(TimedParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Whose figures, and by what: `executor`, `symbol`, `side`, `ord_type`, or any key of `group`.

    A group key that is named like one of those is asked for as `group.<key>`. Without `group_by`
    there is one row for live orders and one for paper.
    """

    group_by: GroupKey | GroupKeys | None = None
    limit: Limit = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_nul("group_by", several(self.group_by))


class SubscribeParams(FilterParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Events from now on, or from one place in the past: after `after_seq` (0: all), since a time, or
    the `last` so many that the filters let by. A status is what the order was after the event.
    """

    after_seq: Annotated[int, Meta(ge=0)] | None = None
    since: str | None = None
    last: Annotated[int, Meta(ge=0, le=PAGE_MAX)] | None = None
    cl_ord_id: OrderId | None = None
    events: Events | None = None

    @property
    def looks_back(self) -> bool:
        """Whether the journal must be searched for where to begin."""
        return self.last is not None or self.since is not None


def order_filter(params: FilterParams) -> OrderFilter:
    """Return which orders a method's filters mean."""
    return OrderFilter(
        status=frozenset(several(params.status)),
        ord_status=frozenset(several(params.ord_status)),
        executor=params.executor,
        symbol=params.symbol,
        side=params.side,
        group=params.group,
    )


def several(one_or_more: Any) -> Any:
    """Return what a parameter gives one or more of as a tuple, empty if it was left out."""
    if one_or_more is None:
        return ()
    return (one_or_more,) if isinstance(one_or_more, str) else tuple(one_or_more)


def read_terms(params: SubmitParams, executor: str) -> Terms:
    """Return a submit's terms, checked as far as they can be without knowing the venue."""
    qty = read_number("qty", params.qty)
    if qty is None:
        raise InvalidParams("qty is missing", field="qty")
    terms = Terms(
        executor=executor,
        symbol=params.symbol,
        side=params.side,
        ord_type=params.ord_type,
        qty=qty,
        px=read_number("px", params.px),
        stop_px=read_number("stop_px", params.stop_px),
        time_in_force=params.time_in_force or _default_time_in_force(params.ord_type),
        expire_at_ns=read_time("expire_at", params.expire_at),
        post_only=params.post_only,
        group=params.group,
        decision_px=read_number("decision_px", params.decision_px),
    )
    check_terms(terms)
    return terms


def _default_time_in_force(ord_type: OrdType) -> TimeInForce:
    """Return gtc, but ioc for a market order: nothing of it can rest."""
    return TimeInForce.IOC if ord_type is OrdType.MARKET else TimeInForce.GTC


def read_group_by(params: ListParams) -> tuple[str, ...]:
    """Return the keys that make a group; raise InvalidParams if no group is asked for."""
    keys: tuple[str, ...] = several(params.group_by)
    if keys and not params.latest_group:
        raise InvalidParams(
            "group_by says what latest_group goes by, and does nothing without it",
            reason="group_by_alone",
            field="group_by",
            hint="latest_group",
        )
    for key in keys:
        if key in OWN_KEYS:
            raise InvalidParams(
                f"{key} is no key of `group`: the latest of each {key} is not kept",
                reason="not_a_group_key",
                field="group_by",
                hint=f"filter by {key}, or say group.{key} for a key of that name",
            )
    return tuple(key.removeprefix(GROUP_PREFIX) for key in keys)


def read_cl_ord_id(cl_ord_id: str) -> str:
    """Return a bot's own id, or raise InvalidParams if it cannot be one."""
    if _CL_ORD_ID.fullmatch(cl_ord_id) is None:
        raise InvalidParams(
            f"cl_ord_id is 1 to {CL_ORD_ID_MAX} visible ASCII characters",
            reason="bad_cl_ord_id",
            field="cl_ord_id",
        )
    return cl_ord_id


def read_replace(params: ReplaceParams) -> tuple[Decimal | None, Decimal | None]:
    """Return the quantity and price of a replace, at least one of them."""
    qty, px = read_number("qty", params.qty), read_number("px", params.px)
    if qty is None and px is None:
        raise InvalidParams("a replace names qty, px or both", reason="nothing_to_replace")
    for field, value in (("qty", qty), ("px", px)):
        if value is not None and value <= 0:
            raise InvalidOrder(f"{field} must be above 0", reason="not_positive", field=field)
    return qty, px


def read_time(field: str, text: str | None) -> int | None:
    """Return a time in ns, None if there is none; raise InvalidParams naming the field."""
    if text is None:
        return None
    try:
        parsed_ns = parse_rfc3339(text)
        if 0 <= parsed_ns < _TIME_NS_END:
            return parsed_ns
        why = "is outside the years 1970 to 2261"
    except ValueError as error:
        why = str(error)
    raise InvalidParams(
        f"{field} {why}", reason="bad_time", field=field, hint="2026-01-31T12:00:00Z"
    )


def read_window(params: TimeParams | FillTimeParams | None, now_ns: int) -> Window:
    """Return the window that `time` means at `now_ns`."""
    if params is None:
        return Window()
    if params.time_type == "relative":
        _refuse_unless(params.last is not None, "last", "a relative window needs last, as in 15m")
        _refuse_unless(params.since is None, "since", "since belongs to an absolute window")
        _refuse_unless(params.until is None, "until", "until belongs to an absolute window")
        from_ns = max(now_ns - read_span_s(params.last or "") * NS_PER_S, 0)
        return Window(from_ns, None, params.by)
    _refuse_unless(params.last is None, "last", "last belongs to a relative window")
    since_ns = read_time("time.since", params.since)
    until_ns = read_time("time.until", params.until)
    is_there = since_ns is not None or until_ns is not None
    _refuse_unless(is_there, "since", "an absolute window needs since, until or both")
    is_forward = since_ns is None or until_ns is None or since_ns < until_ns
    _refuse_unless(is_forward, "until", "until must be after since")
    return Window(since_ns, until_ns, params.by)


def read_span_s(text: str) -> int:
    """Return a span such as "90s", "15m", "1h", "1d" or "2w" in seconds."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise InvalidParams(
            f"{text!r} is no span of time",
            reason="bad_span",
            field="time.last",
            hint="a whole number and one of s, m, h, d, w, as in 15m",
        )
    return int(match[1]) * _UNIT_S[match[2]]


def _refuse_unless(is_right: bool, field: str, sentence: str) -> None:  # noqa: FBT001
    if not is_right:
        raise InvalidParams(sentence, reason="bad_window", field=f"time.{field}")
