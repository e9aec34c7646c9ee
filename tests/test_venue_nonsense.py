"""
Whatever a venue sends, in place of what its documents show: doubt or a plain error, never a crash.

Each body is a documented one with something wrong in it: a member lost, of another type, nested
without end, cut off, or a number that is none.
"""

import json
from contextlib import suppress
from copy import deepcopy
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fixtures.alpaca import bodies as alpaca
from tests.fixtures.binance import ERRORS, EVENTS, REPLIES, cancel, change, place

from brokerd.executor import Accepted, InDoubt, NotSent, Refused, Report
from brokerd_adapters.alpaca.chains import Chains, chain
from brokerd_adapters.alpaca.reports import accepted, activity_report, updated, viewed
from brokerd_adapters.alpaca.stream import read_frame
from brokerd_adapters.alpaca.wire import (
    Activity,
    OrderBody,
    TradeUpdate,
    Unreadable,
    decode,
    decode_fault,
    decode_rows,
)
from brokerd_adapters.binance import events, orders, replies
from brokerd_adapters.binance.feed import told
from brokerd_adapters.binance.session import decode as decode_frame
from brokerd_adapters.binance.session import reply_to
from brokerd_adapters.binance.shapes import OrderShape, StreamFrame, TradeShape, read
from brokerd_adapters.ccxt import words

AT_NS = 1_700_000_000_000_000_000
DEEP: Any = "DEEP"
"""Stands for more brackets than any reader follows."""

NONSENSE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.sampled_from(
        ["NaN", "-Infinity", "1e999999", "1_000", " 1", "٣", "-0", "0", "-1", 1.5, 10**40, -1]
    ),
    st.sampled_from([[], {}, [[]], {"code": []}, DEEP]),
)


def places(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every member of a body."""
    members: list[tuple[Any, Any]] = []
    if isinstance(body, dict):
        members = list(body.items())
    elif isinstance(body, list):
        members = list(enumerate(body))
    return [path] * bool(path) + [
        way for key, each in members for way in places(each, (*path, key))
    ]


@st.composite
def spoilt(draw: st.DrawFn, sound: Any) -> bytes:
    """Draw a body that is wrong in up to three places, and perhaps cut off."""
    body = deepcopy(sound)
    for _ in range(draw(st.integers(0, 3))):
        ways = places(body)
        if not ways:
            break
        *parents, last = draw(st.sampled_from(ways))
        holder = body
        for key in parents:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = deepcopy(draw(NONSENSE))  # a later draw may spoil it again
    text = json.dumps(body).replace(f'"{DEEP}"', "[" * 5_000 + "]" * 5_000).encode()
    if draw(st.integers(0, 9)) == 0:
        text = text[: draw(st.integers(0, len(text)))]
    return (
        draw(st.sampled_from([b"", b"<html>", b"\xff\xfe"]))
        if draw(st.integers(0, 19)) == 0
        else text
    )


BINANCE_REPLIES = st.sampled_from(sorted(REPLIES)).flatmap(lambda name: spoilt(REPLIES[name]))
BINANCE_ERRORS = st.sampled_from(sorted(ERRORS)).flatmap(
    lambda name: st.tuples(st.just(ERRORS[name]["status"]), spoilt(ERRORS[name]["body"]))
)
BINANCE_EVENTS = st.sampled_from(sorted(EVENTS)).flatmap(lambda name: spoilt(EVENTS[name]))
ALPACA_ORDERS = st.sampled_from(["order", "order_mleg", "order_notional"]).flatmap(
    lambda name: spoilt(json.loads(alpaca.body(name)))
)


def judged(answer: replies.Answer) -> list[Any]:
    return [
        replies.placed(place(), answer, AT_NS),
        replies.canceled(cancel(), answer, AT_NS),
        replies.amended(change(), answer, AT_NS),
        replies.replaced(change(), answer, AT_NS),
    ]


@given(st.one_of(BINANCE_REPLIES.map(lambda body: (200, body)), BINANCE_ERRORS))
def test_every_answer_of_binances_has_an_outcome(told: tuple[int, bytes]) -> None:
    status, body = told
    for outcome in judged(replies.from_http(status, body, retry_after="7")):
        assert isinstance(outcome, Accepted | Refused | NotSent | InDoubt)
        if 200 <= status < 300:
            assert isinstance(outcome, Accepted | InDoubt), "no good answer is a refusal"


@given(BINANCE_EVENTS)
def test_every_frame_of_binances_is_read_or_ends_the_stream(frame: bytes) -> None:
    with suppress(ValueError, events.StreamEnded, events.ShutdownAnnounced):
        envelope = decode_frame(frame)
        reply_to(envelope)
        if envelope.is_event:
            assert all(isinstance(each, Report) for each in events.reports(envelope.event))


@given(BINANCE_REPLIES)
def test_every_answer_to_a_question_of_binances_is_read_or_none(body: bytes) -> None:
    for kind, use in (
        (OrderShape, lambda shape: orders.view(shape, ())),
        (TradeShape, orders.traded),
    ):
        try:
            use(read(kind, body))  # type: ignore[no-untyped-call]
        except ValueError:
            continue


@given(
    spoilt(
        {
            "stream": "btcusdt@bookTicker",
            "data": {"s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"},
        }
    )
)
def test_every_market_frame_is_read_or_ends_the_feed(frame: bytes) -> None:
    with suppress(ValueError):
        told(read(StreamFrame, frame))


@given(ALPACA_ORDERS)
def test_every_order_of_alpacas_is_read_or_unreadable(body: bytes) -> None:
    with suppress(Unreadable):
        order = decode(body, OrderBody)
        chains = Chains()
        chains.see(order)
        accepted(order, chains)
        viewed(chain([order]))


@given(spoilt(json.loads(alpaca.body("trade_update_fill"))))
def test_every_frame_of_alpacas_is_read_or_ends_the_stream(frame: bytes) -> None:
    try:
        message = read_frame(frame)
    except Unreadable:
        return
    if isinstance(message, TradeUpdate):
        chains = Chains()
        chains.see(message.order)
        for each in updated(message, chains):
            assert each.execution is None or each.execution.last_qty > 0


@given(spoilt(json.loads(alpaca.body("activities"))), spoilt({"code": 40010001, "message": "no"}))
def test_every_list_and_every_refusal_of_alpacas_is_read_or_unreadable(
    body: bytes, refusal: bytes
) -> None:
    decode_fault(refusal)
    with suppress(Unreadable):
        for each in decode_rows(body, Activity)[0]:
            activity_report(each, Chains())


CCXT_ORDER = {
    "id": "17", "clientOrderId": "ours", "timestamp": 1_700_000_000_000, "symbol": "A/B",
    "status": "open", "type": "limit", "side": "buy", "price": "1", "amount": "2", "filled": "1",
}  # fmt: skip
CCXT_TRADE = {
    "id": "1", "order": "17", "timestamp": 1_700_000_000_000, "symbol": "A/B", "price": "1",
    "amount": "1", "takerOrMaker": "maker", "fee": {"cost": "0.1", "currency": "B"},
}  # fmt: skip


@given(spoilt(CCXT_ORDER), spoilt(CCXT_TRADE))
def test_every_dict_of_ccxts_is_read_or_unreadable(order: bytes, trade: bytes) -> None:
    for body, use in ((order, words.view), (trade, words.trade_report)):
        try:
            record = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            try:
                use(record)
            except words.UNREADABLE:
                continue


@pytest.mark.parametrize("qty", ["0", "-1"])
def test_a_trade_of_nothing_is_none_at_any_venue(qty: str) -> None:
    fill = decode(alpaca.body("activities"), list[Activity])[0]
    with pytest.raises(Unreadable, match="a trade of"):
        activity_report(replace(fill, qty=Decimal(qty)), Chains())
    with pytest.raises(ValueError, match="a trade of"):
        words.trade_report(CCXT_TRADE | {"amount": qty})


@pytest.mark.parametrize("status", ["NEW", "FILLED", "MELTED", ""])
def test_a_cancel_that_does_not_say_canceled_is_doubt(status: str) -> None:
    body = json.dumps(REPLIES["cancel"] | {"status": status}).encode()
    assert isinstance(replies.canceled(cancel(), replies.from_http(200, body), AT_NS), InDoubt)
