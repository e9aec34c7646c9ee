"""Every question to the read model answers what a filter over the whole journal would."""

import asyncio
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journal_rows import (
    T0_NS,
    Story,
    acknowledged,
    both,
    canceled,
    rejected,
    submit,
    traded,
)
from tests.laws import examples

from brokerd.history.model import SqliteHistory
from brokerd.history.query import FillQuery, OrderQuery
from brokerd.history.read import Fill
from brokerd.orders import Order
from brokerd.states import OrdStatus, Status
from brokerd.terms import Side

USERS = st.sampled_from(["alice", "bob", 'o"hara', "é", ""])
GROUPS = st.dictionaries(st.sampled_from(["user", "st.rat", '"']), USERS, max_size=2)
TIMES = st.integers(T0_NS, T0_NS + 8)
SYMBOLS = st.sampled_from(["BTCUSDT", "ETHUSDT"])
EXECUTORS = st.sampled_from(["paper", "binance"])

ORDERS = st.lists(
    st.fixed_dictionaries(
        {
            "at_ns": TIMES,
            "executor": EXECUTORS,
            "symbol": SYMBOLS,
            "side": st.sampled_from(Side),
            "group": GROUPS,
            "fate": st.lists(
                st.tuples(st.sampled_from(["ack", "fill", "cancel", "reject"]), TIMES), max_size=3
            ),
        }
    ),
    max_size=12,
)
MAYBE_TIME = st.none() | TIMES
STATUSES = st.lists(st.sampled_from(Status), max_size=3, unique=True).map(tuple)
ORD_STATUSES = st.lists(st.sampled_from(OrdStatus), max_size=3).map(tuple)
ORDER_QUERIES = st.builds(
    OrderQuery,
    status=STATUSES,
    ord_status=ORD_STATUSES,
    executor=st.none() | EXECUTORS,
    symbol=st.none() | SYMBOLS,
    side=st.none() | st.sampled_from(Side),
    group=st.just({}) | GROUPS,
    group_by=st.lists(
        st.sampled_from(["user", "st.rat", '"', "none"]), max_size=2, unique=True
    ).map(tuple),
    latest_group=st.booleans(),
    by=st.sampled_from(["created", "closed", "filled"]),
    since_ns=MAYBE_TIME,
    until_ns=MAYBE_TIME,
    limit=st.integers(1, 5),
)
FILL_QUERIES = st.builds(
    FillQuery,
    cl_ord_id=st.none() | st.sampled_from(["bot-1", "bot-2", "bot-99"]),
    status=STATUSES,
    ord_status=ORD_STATUSES,
    executor=st.none() | EXECUTORS,
    symbol=st.none() | SYMBOLS,
    side=st.none() | st.sampled_from(Side),
    group=st.just({}) | GROUPS,
    since_ns=MAYBE_TIME,
    until_ns=MAYBE_TIME,
    limit=st.integers(1, 5),
)


def tell_all(specs: list[dict[str, Any]]) -> Story:
    """All submits first, then the fates in turn, so that orders change long after they began."""
    story = Story()
    for no, spec in enumerate(specs, 1):
        terms = {key: spec[key] for key in ("executor", "symbol", "side", "group")}
        story.tell(submit(no, spec["at_ns"], **terms))
    for turn in range(3):
        for no, spec in enumerate(specs, 1):
            if len(spec["fate"]) > turn:
                tell_one(story, no, *spec["fate"][turn])
    return story


def tell_one(story: Story, no: int, fate: str, at_ns: int) -> None:
    order = story.orders[f"bot-{no}"]
    if fate == "ack":
        story.tell(acknowledged(no, at_ns))
    elif fate == "fill":
        story.tell(traded(no, f"x{len(story.noted)}", at_ns=at_ns))
    elif not order.is_final:
        story.tell(canceled(no, at_ns) if fate == "cancel" else rejected(no, at_ns))


def is_any(value: object, wanted: object) -> bool:
    """Whether a value is the wanted one, or one of several; no wish lets all by."""
    if isinstance(wanted, tuple):
        return not wanted or value in wanted
    return wanted is None or value == wanted


def has_status(order: Order, query: OrderQuery | FillQuery) -> bool:
    return is_any(order.status, query.status) and is_any(order.shown_status, query.ord_status)


def is_within(at_ns: int | None, query: OrderQuery | FillQuery) -> bool:
    since_ns = query.since_ns if query.since_ns is not None else -1
    until_ns = query.until_ns if query.until_ns is not None else T0_NS * 2
    return at_ns is not None and since_ns <= at_ns < until_ns


def has_terms(order: Order, query: OrderQuery | FillQuery) -> bool:
    terms = order.terms
    return (
        all(
            is_any(getattr(terms, key), getattr(query, key))
            for key in ("executor", "symbol", "side")
        )
        and query.group.items() <= terms.group.items()
    )


def expected_orders(story: Story, query: OrderQuery) -> list[Order]:
    """The same question, asked of every order in turn."""
    born = {order.cl_ord_id: no for no, order in enumerate(story.orders.values())}

    def time(order: Order, by: str) -> int | None:
        times = {
            "created": order.created_at_ns,
            "closed": order.closed_at_ns,
            "filled": order.last_fill_at_ns,
        }
        return times[by]

    found = [
        order
        for order in story.orders.values()
        if has_terms(order, query)
        and has_status(order, query)
        and is_within(time(order, query.by), query)
    ]
    by = "created" if query.latest_group else query.by
    found.sort(key=lambda order: (time(order, by), born[order.cl_ord_id]), reverse=True)
    if not query.latest_group:
        return found
    newest: dict[object, Order] = {}
    for order in found:
        group = order.terms.group
        key = tuple(map(group.get, query.group_by)) if query.group_by else frozenset(group.items())
        newest.setdefault(key, order)
    return list(newest.values())


def expected_fills(story: Story, query: FillQuery) -> list[int]:
    found = [
        (entry.event.at_ns, seq)
        for seq, entry, order in story.noted
        if order is not None
        and entry.event.__struct_config__.tag == "order_traded"
        and has_terms(order, query)
        and has_status(story.orders[order.cl_ord_id], query)
        and is_any(order.cl_ord_id, query.cl_ord_id)
        and is_within(entry.event.at_ns, query)
    ]
    return [seq for _, seq in sorted(found, reverse=True)]


async def all_pages(ask: Any, query: Any) -> list[Any]:
    from msgspec.structs import replace

    items: list[Any] = []
    while True:
        page = await ask(query)
        assert len(page.items) <= query.limit
        items += page.items
        if page.next_cursor is None:
            return items
        assert len(page.items) == query.limit
        query = replace(query, cursor=page.next_cursor)


async def told(directory: Path, story: Story, ask: Any) -> None:
    async with both(directory) as (journal, history):
        for at in range(0, len(story.noted), 7):
            piece = story.noted[at : at + 7]
            await journal.append(at + 1, [entry for _, entry, _ in piece])
            for note in piece:
                history.note(*note)
            await history.flush()
        await ask(history)


@settings(max_examples=examples(40))
@given(
    ORDERS,
    st.lists(ORDER_QUERIES, min_size=8, max_size=8),
    st.sampled_from([1, 5_000]),
    st.sampled_from([-1, 2, 5_000]),
    st.sampled_from([0, 2, 200]),
)
def test_a_list_of_orders_is_a_filter_over_all_of_them(
    specs: list[dict[str, Any]],
    queries: list[OrderQuery],
    sort_max: int,
    few_max: int,
    values_max: int,
) -> None:
    """Whatever index is walked; with a small bound of one road the other is taken."""
    story = tell_all(specs)

    async def ask(history: SqliteHistory) -> None:
        for query in queries:
            assert await all_pages(history.list_orders, query) == expected_orders(story, query)

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        patch.setattr("brokerd.history.read.SORT_MAX", sort_max)
        patch.setattr("brokerd.history.latest.FEW_MAX", few_max)
        patch.setattr("brokerd.history.latest.VALUES_MAX", values_max)
        patch.setattr("brokerd.history.latest.LOOK_MAX", 1 + values_max // 2)
        patch.setattr("brokerd.history.latest.WALK_STEP", 1 + sort_max // 2)
        asyncio.run(told(Path(place), story, ask))


@settings(max_examples=examples(25))
@given(ORDERS, st.lists(FILL_QUERIES, min_size=5, max_size=5), st.sampled_from([1, 5_000]))
def test_a_list_of_fills_is_a_filter_over_all_of_them(
    specs: list[dict[str, Any]], queries: list[FillQuery], sort_max: int
) -> None:
    story = tell_all(specs)

    async def ask(history: SqliteHistory) -> None:
        for query in queries:
            fills: list[Fill] = await all_pages(history.list_fills, query)
            assert [fill.seq for fill in fills] == expected_fills(story, query)
            for fill in fills:
                assert fill.event == story.noted[fill.seq - 1][1].event
                terms = story.orders[fill.event.cl_ord_id].terms
                assert (fill.executor, fill.symbol, fill.side) == (
                    terms.executor,
                    terms.symbol,
                    terms.side,
                )

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        patch.setattr("brokerd.history.read.SORT_MAX", sort_max)
        asyncio.run(told(Path(place), story, ask))


async def test_orders_of_one_nanosecond_come_latest_submit_first(tmp_path: Path) -> None:
    story = Story()
    for no in range(1, 6):
        story.tell(submit(no, T0_NS))

    async def ask(history: SqliteHistory) -> None:
        orders = await all_pages(history.list_orders, OrderQuery(limit=2))
        assert [order.cl_ord_id for order in orders] == [
            "bot-5",
            "bot-4",
            "bot-3",
            "bot-2",
            "bot-1",
        ]
        assert all(one.seq > two.seq for one, two in pairwise(orders))

    await told(tmp_path, story, ask)


async def test_the_latest_of_a_group_is_the_latest_of_those_that_match(tmp_path: Path) -> None:
    """Not "the latest, if it matches": a canceled newest order does not hide the open one before."""
    story = Story()
    for no, user in enumerate(["alice", "bob", "alice", "bob", "alice"], 1):
        story.tell(submit(no, group={"user": user, "strategy": f"s{no % 2}"}))
        story.tell(acknowledged(no))
    story.tell(canceled(5))

    async def ask(history: SqliteHistory) -> None:
        query = OrderQuery(status=(Status.OPEN,), latest_group=True, group_by=("user",))
        orders = await all_pages(history.list_orders, query)
        assert [order.cl_ord_id for order in orders] == ["bot-4", "bot-3"]

    await told(tmp_path, story, ask)


@pytest.mark.parametrize("last", [{}, {"pair": "p300"}, {"strategy": "s1"}])
async def test_the_latest_by_a_key_of_few_values_reads_no_more_groups_than_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: dict[str, str]
) -> None:
    """300 groups of three strategies, perhaps one of none: only what is told leaves the database."""
    monkeypatch.setattr("brokerd.history.latest.FEW_MAX", -1)
    story = Story()
    for no in range(1, 301):
        story.tell(submit(no, T0_NS + no, group={"pair": f"p{no}", "strategy": f"s{no % 3}"}))
    story.tell(submit(301, T0_NS + 301, group=last))
    rows: list[Any] = []

    async def ask(history: SqliteHistory) -> None:
        fetched = history._fetched

        async def counted(*what: Any) -> list[Any]:
            found = await fetched(*what)
            rows.extend(found)
            return found

        monkeypatch.setattr(history, "_fetched", counted)
        query = OrderQuery(latest_group=True, group_by=("strategy",))
        page = await history.list_orders(query)
        assert list(page.items) == expected_orders(story, query)

    await told(tmp_path, story, ask)
    assert len(rows) <= 20
