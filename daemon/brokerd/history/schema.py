"""
The tables of the read model, and how noted journal entries become their rows.

An order's row number `no` is the seq of its submit, so that it is the same after every rebuild and
breaks ties between orders of one nanosecond by who came first. What never changes of an order
(executor, symbol, group, times of birth) is written once into `order_tags`, one row a value and
newest last: any such filter is one index range in the order a page wants it. `groups` has one row
for each distinct group, with its newest order: `latest_group` walks those instead of the orders,
and `orders_group` holds what it filters by, so that it need not read the orders themselves.
`runs` is when the daemon was started: what lies across is measured by another clock.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from brokerd.events import (
    AnyEvent,
    DaemonStarted,
    Entry,
    ExecutorPaused,
    ExecutorSynced,
    OrderSubmitted,
    OrderTraded,
    QuoteSampled,
    event_name,
)
from brokerd.journal.sqlite import multi_row
from brokerd.orders import Order, Request
from brokerd.terms import Quote, Terms

SCHEMA = """
CREATE TABLE meta (journal_id TEXT, shape TEXT, applied_seq INTEGER, applied_hash BLOB);
CREATE TABLE groups (id INTEGER PRIMARY KEY, keys TEXT NOT NULL UNIQUE,
    newest_at_ns INTEGER NOT NULL, newest_no INTEGER NOT NULL);
CREATE INDEX groups_newest ON groups (newest_at_ns, newest_no);
CREATE TABLE group_tags (key TEXT, value TEXT, group_id INTEGER,
    PRIMARY KEY (key, value, group_id)) WITHOUT ROWID;
CREATE TABLE orders (no INTEGER PRIMARY KEY, cl_ord_id TEXT NOT NULL UNIQUE,
    venue_cl_ord_id TEXT NOT NULL, executor TEXT NOT NULL, symbol TEXT NOT NULL,
    side TEXT NOT NULL, group_id INTEGER NOT NULL, created_at_ns INTEGER NOT NULL,
    closed_at_ns INTEGER, last_fill_at_ns INTEGER, status TEXT NOT NULL,
    ord_status TEXT NOT NULL, live INTEGER NOT NULL, seq INTEGER NOT NULL, seqs TEXT NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX orders_created ON orders (created_at_ns);
CREATE INDEX orders_closed ON orders (closed_at_ns) WHERE closed_at_ns IS NOT NULL;
CREATE INDEX orders_filled ON orders (last_fill_at_ns) WHERE last_fill_at_ns IS NOT NULL;
CREATE INDEX orders_status ON orders (ord_status, created_at_ns);
CREATE INDEX orders_group ON orders
    (group_id, created_at_ns, status, ord_status, executor, symbol, side);
CREATE INDEX orders_live ON orders (no) WHERE live = 1;
CREATE INDEX orders_seq ON orders (seq);
CREATE INDEX orders_venue_cl_ord_id ON orders (venue_cl_ord_id);
CREATE TABLE order_tags (key TEXT, value TEXT, created_at_ns INTEGER, no INTEGER,
    PRIMARY KEY (key, value, created_at_ns, no)) WITHOUT ROWID;
CREATE TABLE venue_ids (executor TEXT, venue_order_id TEXT, no INTEGER,
    PRIMARY KEY (executor, venue_order_id, no)) WITHOUT ROWID;
CREATE TABLE fills (seq INTEGER PRIMARY KEY, order_no INTEGER NOT NULL, at_ns INTEGER NOT NULL,
    exec_id TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX fills_order ON fills (order_no);
CREATE INDEX fills_at ON fills (at_ns);
CREATE TABLE marks (executor TEXT, event TEXT, body BLOB NOT NULL,
    PRIMARY KEY (executor, event)) WITHOUT ROWID;
CREATE TABLE quotes (seq INTEGER PRIMARY KEY, executor TEXT NOT NULL, symbol TEXT NOT NULL,
    at_ns INTEGER NOT NULL, bid_px TEXT NOT NULL, ask_px TEXT NOT NULL);
CREATE INDEX quotes_at ON quotes (executor, symbol, at_ns);
CREATE TABLE runs (seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL);
CREATE INDEX runs_at ON runs (at_ns);
CREATE TABLE counts (executor TEXT, status TEXT, ord_status TEXT, orders INTEGER NOT NULL,
    PRIMARY KEY (executor, status, ord_status)) WITHOUT ROWID;
"""

SHAPE = sha256(
    repr((SCHEMA, [kind.__struct_fields__ for kind in (Order, Request, Terms, Quote)])).encode()
).hexdigest()
"""What the tables and the stored orders look like: a file of another shape is rebuilt, not read."""

encode = msgspec.json.Encoder(decimal_format="string").encode
encode_keys = msgspec.json.Encoder(order="deterministic").encode
decode_order = msgspec.json.Decoder(Order).decode
decode_mark = msgspec.json.Decoder(ExecutorSynced | ExecutorPaused).decode
decode_fill = msgspec.json.Decoder(OrderTraded).decode

MARKS = (ExecutorSynced, ExecutorPaused)
"""Of these events the last of each executor is kept: what a start goes on from."""

ROWS_MAX = 64
"""Orders written by one statement: about a millisecond of encoding between two awaits."""

Statement = tuple[str, list[Any]]

_ORDER = "(?,?,?,?,?,?,(SELECT id FROM groups WHERE keys = ?),?,?,?,?,?,?,?,?,?)"
_ORDER_CHANGED = (
    " ON CONFLICT (cl_ord_id) DO UPDATE SET closed_at_ns = excluded.closed_at_ns,"
    " last_fill_at_ns = excluded.last_fill_at_ns, status = excluded.status,"
    " ord_status = excluded.ord_status, live = excluded.live, seq = excluded.seq,"
    " seqs = orders.seqs || excluded.seqs, body = excluded.body"
)
_GROUP_CHANGED = (
    " ON CONFLICT (keys) DO UPDATE SET newest_at_ns = excluded.newest_at_ns,"
    " newest_no = excluded.newest_no WHERE (excluded.newest_at_ns, excluded.newest_no)"
    " > (newest_at_ns, newest_no)"
)
_GROUP_TAG = "(?,?,(SELECT id FROM groups WHERE keys = ?))"
_VENUE_ID = "(?,?,(SELECT no FROM orders WHERE cl_ord_id = ?))"
_FILL = "(?,(SELECT no FROM orders WHERE cl_ord_id = ?),?,?,?)"
_COUNT_CHANGED = " ON CONFLICT DO UPDATE SET orders = orders + excluded.orders"


class Change:
    """What the entries since the last flush made of one order; `no` is None if it is known already."""

    __slots__ = ("no", "order", "seqs", "venue_order_ids")

    def __init__(self, no: int | None) -> None:
        self.no = no
        self.order: Order = None  # type: ignore[assignment] # set by `note` at once
        self.seqs = ""
        self.venue_order_ids: tuple[str, ...] = ()


class Batch:
    """Entries noted since the last flush, folded to the newest state of each order."""

    def __init__(self) -> None:
        self.last_seq = 0
        self.changes: dict[str, Change] = {}
        self.fills: list[tuple[int, OrderTraded]] = []
        self.marks: dict[tuple[str, str], ExecutorSynced | ExecutorPaused] = {}
        self.quotes: list[tuple[int, QuoteSampled]] = []
        self.runs: list[tuple[int, int]] = []

    def note(self, seq: int, entry: Entry, order: Order | None) -> None:
        """Take in one journal row and the order after it. On the engine's path: no encoding here."""
        self.last_seq = seq
        event = entry.event
        if order is None:
            self._note_other(seq, event)
            return
        change = self.changes.get(order.cl_ord_id)
        if change is None:
            change = Change(seq if isinstance(event, OrderSubmitted) else None)
            self.changes[order.cl_ord_id] = change
        change.order = order
        change.seqs += f",{seq}"
        venue_order_id = order.venue_order_id
        if venue_order_id is not None and venue_order_id not in change.venue_order_ids:
            change.venue_order_ids += (venue_order_id,)
        if isinstance(event, OrderTraded):
            self.fills.append((seq, event))

    def _note_other(self, seq: int, event: AnyEvent) -> None:
        """Take in what is about no order."""
        if isinstance(event, MARKS):
            self.marks[event.executor, event_name(event)] = event
        elif isinstance(event, QuoteSampled):
            self.quotes.append((seq, event))
        elif isinstance(event, DaemonStarted):
            self.runs.append((seq, event.at_ns))

    def pieces(self) -> Iterator[list[Change]]:
        """Yield the changed orders, new ones in order of submit, in pieces of one statement."""
        changes = list(self.changes.values())
        for at in range(0, len(changes), ROWS_MAX):
            yield changes[at : at + ROWS_MAX]

    def mark_statements(self) -> Iterator[Statement]:
        """Yield the statement that keeps the last marks, if there are any."""
        if self.marks:
            rows = [(*key, encode(event)) for key, event in self.marks.items()]
            yield _insert("INSERT OR REPLACE INTO marks", "(?,?,?)", rows)

    def run_statements(self) -> Iterator[Statement]:
        """Yield the statements that add when runs of the daemon began: as a rule of one, or none."""
        for at in range(0, len(self.runs), ROWS_MAX):
            yield _insert("INSERT INTO runs", "(?,?)", self.runs[at : at + ROWS_MAX])

    def fill_statements(self) -> Iterator[Statement]:
        """Yield the statements that add the fills; their orders are there by then."""
        for at in range(0, len(self.fills), ROWS_MAX):
            rows = [
                (seq, fill.cl_ord_id, fill.at_ns, fill.exec_id, encode(fill))
                for seq, fill in self.fills[at : at + ROWS_MAX]
            ]
            yield _insert("INSERT INTO fills", _FILL, rows)

    def quote_statements(self) -> Iterator[Statement]:
        """Yield the statements that add the quotes on record."""
        for at in range(0, len(self.quotes), ROWS_MAX):
            rows = [
                (
                    seq,
                    each.executor,
                    each.symbol,
                    each.at_ns,
                    str(each.quote.bid_px),
                    str(each.quote.ask_px),
                )
                for seq, each in self.quotes[at : at + ROWS_MAX]
            ]
            yield _insert("INSERT INTO quotes", "(?,?,?,?,?,?)", rows)


def statements(piece: Sequence[Change]) -> Iterator[Statement]:
    """Yield the statements that bring one piece of changed orders up to date, but for `counts`."""
    new = [(change, change.no) for change in piece if change.no is not None]
    if new:
        yield from _group_statements(new)
    yield _insert("INSERT INTO orders", _ORDER, map(_order_row, piece), _ORDER_CHANGED)
    tags = [
        (key, value, change.order.created_at_ns, no)
        for change, no in new
        for key, value in tags_of(change.order.terms)
    ]
    if tags:
        yield _insert("INSERT INTO order_tags", "(?,?,?,?)", tags)
    names = [
        (change.order.terms.executor, name, change.order.cl_ord_id)
        for change in piece
        for name in change.venue_order_ids
    ]
    if names:
        yield _insert("INSERT OR IGNORE INTO venue_ids", _VENUE_ID, names)


def _group_statements(new: Sequence[tuple[Change, int]]) -> Iterator[Statement]:
    newest: dict[str, tuple[str, int, int]] = {}
    tags: dict[tuple[str, str, str], None] = {}
    for change, no in new:
        group = change.order.terms.group
        keys = encode_keys(group).decode()
        row = (keys, change.order.created_at_ns, no)
        newest[keys] = max(row, newest.get(keys, row))
        tags |= {(key, value, keys): None for key, value in group.items()}
    columns = "INSERT INTO groups (keys, newest_at_ns, newest_no)"
    yield _insert(columns, "(?,?,?)", newest.values(), _GROUP_CHANGED)
    if tags:
        yield _insert("INSERT OR IGNORE INTO group_tags", _GROUP_TAG, tags)


def tags_of(terms: Terms) -> list[tuple[str, str]]:
    """Return what an order can be found by and never changes, as (key, value)."""
    group = [(group_tag(key), value) for key, value in terms.group.items()]
    return [("executor", terms.executor), ("symbol", terms.symbol), *group]


def group_tag(key: str) -> str:
    """Return the tag key of a group key, apart from our own words."""
    return f"group.{key}"


def count_statement(before: Iterable[Any], piece: Sequence[Change]) -> Statement:
    """
    Return the statement that takes a piece's orders from their places in `counts` to the new ones.

    `before`: rows (executor, status, ord_status, orders), where those known already are counted.
    """
    moved = Counter[tuple[str, str, str]]()
    for change in piece:
        order = change.order
        moved[order.terms.executor, order.status.value, order.shown_status.value] += 1
    for executor, status, ord_status, orders in before:
        moved[executor, status, ord_status] -= orders
    rows = [(*place, orders) for place, orders in moved.items()]
    return _insert("INSERT INTO counts", "(?,?,?,?)", rows, _COUNT_CHANGED)


def _order_row(change: Change) -> tuple[Any, ...]:
    order = change.order
    terms = order.terms
    return (
        change.no,
        order.cl_ord_id,
        order.venue_cl_ord_id,
        terms.executor,
        terms.symbol,
        terms.side.value,
        encode_keys(terms.group).decode(),
        order.created_at_ns,
        order.closed_at_ns,
        order.last_fill_at_ns,
        order.status.value,
        order.shown_status.value,
        not order.is_settled,
        order.seq,
        change.seqs,
        encode(order),
    )


def _insert(head: str, row: str, rows: Iterable[tuple[Any, ...]], tail: str = "") -> Statement:
    values = list(rows)
    return multi_row(head, row, len(values), tail), [value for each in values for value in each]
