"""
Questions to the read model, and the SQL that answers them a page at a time.

Pages are newest first and follow on from a key (time, no), not from an offset: orders that are
added or change meanwhile neither repeat nor push anything off a page. A question is driven by the
index range with the fewest orders in it; everything else is checked on each row it gives.
"""

# ruff: noqa: S608 - only words of our own are pasted into SQL, every value is a parameter

import base64
import binascii
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from brokerd.errors import InvalidParams
from brokerd.history.schema import group_tag
from brokerd.journal.sqlite import placeholders
from brokerd.states import OrdStatus, Status
from brokerd.terms import Side

T = TypeVar("T")

_HAS_TAG = (
    "EXISTS (SELECT 1 FROM order_tags x WHERE x.key = ? AND x.value = ?"
    " AND x.created_at_ns = {names}.created_at_ns AND x.no = {names}.no)"
)
LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
CURSOR_CHARS_MAX = 200
NEVER_NS = (1 << 63) - 1

Key = tuple[int, int]
"""Where a page ends: a time in ns, and the row number that breaks its ties."""

TIME_COLUMNS = {"created": "created_at_ns", "closed": "closed_at_ns", "filled": "last_fill_at_ns"}

SHOWN_AS: dict[Status, frozenset[OrdStatus]] = {
    Status.PENDING: frozenset(
        {OrdStatus.PENDING_NEW, OrdStatus.PENDING_CANCEL, OrdStatus.PENDING_REPLACE}
    ),
    Status.OPEN: frozenset(
        {
            OrdStatus.NEW,
            OrdStatus.PARTIALLY_FILLED,
            OrdStatus.PENDING_CANCEL,
            OrdStatus.PENDING_REPLACE,
        }
    ),
    Status.CLOSED: frozenset({OrdStatus.FILLED, OrdStatus.REJECTED, OrdStatus.EXPIRED}),
    Status.CANCELLED: frozenset({OrdStatus.CANCELED}),
}
"""The shown ord_status an order of a coarse status may have."""


class OrderQuery(Struct, frozen=True, kw_only=True):
    """
    Which orders: all that are given must hold; several statuses mean any of them, none any at all.

    `since_ns` <= the time named by `by` < `until_ns`; `filled` is the last fill. With
    `latest_group` only the order created last in each distinct combination of the values of
    `group_by` (of all its group keys if that is empty), among those that match, and pages run by
    time of creation.
    """

    status: tuple[Status, ...] = ()
    ord_status: tuple[OrdStatus, ...] = ()
    executor: str | None = None
    symbol: str | None = None
    side: Side | None = None
    group: dict[str, str] = {}
    group_by: tuple[str, ...] = ()
    latest_group: bool = False
    by: Literal["created", "closed", "filled"] = "created"
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int = LIMIT_DEFAULT
    cursor: str | None = None


class FillQuery(Struct, frozen=True, kw_only=True):
    """Which fills: of which orders as they are now, and since_ns <= at_ns < until_ns, newest first."""

    cl_ord_id: str | None = None
    status: tuple[Status, ...] = ()
    ord_status: tuple[OrdStatus, ...] = ()
    executor: str | None = None
    symbol: str | None = None
    side: Side | None = None
    group: dict[str, str] = {}
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int = LIMIT_DEFAULT
    cursor: str | None = None


class Page(Struct, Generic[T], frozen=True):
    """One page, and the cursor that asks for the next; None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class Driver(Struct, frozen=True):
    """
    An index range to walk: its tables, and its condition.

    `names` is the table that tells created_at_ns and no first: what can be checked there spares
    the order's own row.
    """

    source: str
    where: str = "1"
    params: tuple[Any, ...] = ()
    names: str = "o"


class Where:
    """Conditions and their parameters, in step."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.params: list[Any] = []

    def add(self, text: str, *params: Any) -> None:
        """Add one condition."""
        self.texts.append(text)
        self.params += params

    def __str__(self) -> str:
        return " AND ".join(self.texts) or "1"


def statuses(query: OrderQuery | FillQuery) -> frozenset[OrdStatus]:
    """Return every shown ord_status that can match, all of them if none is asked for."""
    wanted = frozenset(OrdStatus)
    if query.status:
        wanted &= frozenset[OrdStatus]().union(*(SHOWN_AS[each] for each in query.status))
    if query.ord_status:
        wanted &= frozenset(query.ord_status)
    return wanted


def group_driver(query: OrderQuery | FillQuery) -> Driver:
    """Return the range of the orders whose group has all the pairs asked for, group by group."""
    each = "SELECT group_id FROM group_tags WHERE key = ? AND value = ?"
    ids = " INTERSECT ".join([each] * len(query.group))
    params = tuple(text for pair in query.group.items() for text in pair)
    return Driver("orders o INDEXED BY orders_group", f"o.group_id IN ({ids})", params)


def tags(query: OrderQuery | FillQuery) -> list[tuple[str, str]]:
    """Return the (key, value) tags that a query asks for, first what tells more orders apart."""
    found = [(group_tag(key), value) for key, value in query.group.items()]
    own = [("symbol", query.symbol), ("executor", query.executor)]
    return found + [(key, value) for key, value in own if value is not None]


def order_conditions(query: OrderQuery | FillQuery) -> Where:
    """Return what an order `o` must fulfil, window and group left out."""
    where = Where()
    for column in ("executor", "symbol", "side"):
        if (value := getattr(query, column)) is not None:
            where.add(f"o.{column} = ?", value)
    if query.status:
        where.add(f"o.status IN {placeholders(len(query.status))}", *query.status)
    if query.ord_status:
        where.add(f"o.ord_status IN {placeholders(len(query.ord_status))}", *query.ord_status)
    return where


def add_window(where: Where, column: str, query: OrderQuery | FillQuery) -> None:
    """Add since_ns <= column < until_ns."""
    if query.since_ns is not None:
        where.add(f"{column} >= ?", query.since_ns)
    if query.until_ns is not None:
        where.add(f"{column} < ?", query.until_ns)


def add_group(where: Where, query: OrderQuery | FillQuery, names: str) -> None:
    """Add the pairs of a group; `names` is the table that tells created_at_ns and no."""
    for key, value in query.group.items():
        where.add(_HAS_TAG.format(names=names), group_tag(key), value)


def add_known(where: Where, query: OrderQuery, names: str) -> None:
    """
    Add what indexes can tell of an order, beside its own row.

    That row lies somewhere in a large file: it is read only of what matches, not of what does not.
    """
    for tag in tags(query):
        where.add(_HAS_TAG.format(names=names), *tag)
    if query.status or query.ord_status:
        wanted = sorted(statuses(query))
        where.add(
            "EXISTS (SELECT 1 FROM orders s INDEXED BY orders_status"
            f" WHERE s.ord_status IN {placeholders(len(wanted))}"
            f" AND s.created_at_ns = {names}.created_at_ns AND s.no = {names}.no)",
            *wanted,
        )


def order_page(
    query: OrderQuery, drivers: list[Driver], after: Key | None
) -> tuple[str, list[Any]]:
    """Return the SQL of a page: rows (body, time, no), one more than the limit."""
    column, pieces, params = TIME_COLUMNS[query.by], list[str](), list[Any]()
    for driver in drivers:
        owner = driver.names if query.by == "created" else "o"
        time, no = f"{owner}.{column}", f"{owner}.no"
        where = order_conditions(query)
        if driver.names == "o":
            add_group(where, query, "o")
        else:
            add_known(where, query, driver.names)
        where.add(f"{time} IS NOT NULL")
        add_window(where, time, query)
        if after is not None:
            where.add(f"{time} <= ? AND ({time}, {no}) < (?, ?)", after[0], *after)
        pieces.append(
            f"SELECT o.body AS body, {time} AS at_ns, {no} AS no FROM {driver.source}"
            f" WHERE {driver.where} AND {where} ORDER BY {time} DESC, {no} DESC LIMIT ?"
        )
        params += (*driver.params, *where.params, query.limit + 1)
    if len(pieces) == 1:
        return pieces[0], params
    union = " UNION ALL ".join(f"SELECT * FROM ({piece})" for piece in pieces)
    return f"{union} ORDER BY at_ns DESC, no DESC LIMIT ?", [*params, query.limit + 1]


def fill_page(query: FillQuery, driver: Driver, after: Key | None) -> tuple[str, list[Any]]:
    """Return the SQL of a page: rows (body, executor, symbol, side, at_ns, seq), one too many."""
    where = order_conditions(query)
    add_group(where, query, driver.names)
    if query.cl_ord_id is not None:
        where.add("o.cl_ord_id = ?", query.cl_ord_id)
    add_window(where, "f.at_ns", query)
    if after is not None:
        where.add("f.at_ns <= ? AND (f.at_ns, f.seq) < (?, ?)", after[0], *after)
    sql = (
        f"SELECT f.body, o.executor, o.symbol, o.side, f.at_ns, f.seq FROM {driver.source}"
        f" WHERE {driver.where} AND {where} ORDER BY f.at_ns DESC, f.seq DESC LIMIT ?"
    )
    return sql, [*driver.params, *where.params, query.limit + 1]


def check_limit(limit: int) -> None:
    """Raise InvalidParams for a page of nothing, or of more than LIMIT_MAX."""
    if not 0 < limit <= LIMIT_MAX:
        raise InvalidParams(
            f"limit must be 1 to {LIMIT_MAX}", reason="limit_out_of_range", field="limit"
        )


def encode_cursor(by: str, key: Key) -> str:
    """Return the opaque text that asks for what follows `key`."""
    return base64.urlsafe_b64encode(msgspec.json.encode((by, *key))).decode().rstrip("=")


def decode_cursor(by: str, cursor: str | None) -> Key | None:
    """Return the key in a cursor; InvalidParams if it is none of ours or of another question."""
    if cursor is None:
        return None
    try:
        padded = cursor[:CURSOR_CHARS_MAX].encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        told, at_ns, no = msgspec.json.decode(raw, type=tuple[str, int, int])
    except (ValueError, binascii.Error) as error:
        raise _bad_cursor() from error
    if told != by or not (-NEVER_NS <= at_ns <= NEVER_NS and 0 <= no <= NEVER_NS):
        raise _bad_cursor()
    return at_ns, no


def _bad_cursor() -> InvalidParams:
    return InvalidParams(
        "cursor is not one that this question gave",
        reason="bad_cursor",
        field="cursor",
        hint="send next_cursor as it came, with the same filters, or none",
    )
