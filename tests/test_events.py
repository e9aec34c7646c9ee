"""What the journal can say is read back as it was written, in this release and in every later one."""

import json
import re
from decimal import Decimal
from enum import StrEnum
from typing import Any, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import fields

from brokerd.events import (
    After,
    AnyEvent,
    Entry,
    Event,
    OrderEvent,
    OrderSubmitted,
    OrderTraded,
    decode_entry,
    encode_entry,
    event_name,
)
from brokerd.money import DIGITS_MAX, EXACT, plain

EVENTS: tuple[type[Event], ...] = get_args(AnyEvent)

GOLDEN = r"""
{"event":{"event":"daemon_started","at_ns":1,"version":"0.1.0","epoch":"k3"}}
{"event":{"event":"daemon_stopped","at_ns":1,"reason":"sigterm"}}
{"event":{"event":"executor_changed","at_ns":1,"executor":"paper","state":"up","reason":"r"}}
{"event":{"event":"executor_synced","at_ns":1,"executor":"paper","synced_ns":1}}
{"event":{"event":"executor_paused","at_ns":1,"executor":"paper","paused_until_ns":2,"reason":"r"}}
{"event":{"event":"order_submitted","at_ns":1,"cl_ord_id":"x","road":"bot","venue_cl_ord_id":"v-x","terms":{"executor":"paper","symbol":"BTCUSDT","side":"sell","ord_type":"stop_limit","qty":"0.01","px":"99.5","stop_px":"100","time_in_force":"gtd","expire_at_ns":2,"post_only":true,"group":{"user":"alice"},"decision_px":"101"},"arrival":{"bid_px":"1","ask_px":"2","at_ns":3},"quote_asset":"USDT","is_paper":true,"base_asset":"BTC"},"after":{"ord_status":"pending_new","cum_qty":"0","leaves_qty":"0.01","request":"new"}}
{"event":{"event":"order_adopted","at_ns":1,"cl_ord_id":"external-paper-7","road":"poll","venue_cl_ord_id":"by-hand","terms":{"executor":"paper","symbol":"BTCUSDT","side":"buy","ord_type":"limit","qty":"2","px":"1","stop_px":null,"time_in_force":"gtc","expire_at_ns":null,"post_only":false,"group":{"origin":"external"},"decision_px":null},"arrival":{"bid_px":"1","ask_px":"2","at_ns":3},"quote_asset":"USDT","is_paper":true,"base_asset":"BTC","venue_order_id":"7"}}
{"event":{"event":"order_acknowledged","at_ns":1,"cl_ord_id":"x","road":"reply","venue_order_id":"7","sent_at_ns":2,"sent_quote":{"bid_px":"1","ask_px":"2","at_ns":3},"venue_at_ns":3}}
{"event":{"event":"order_traded","at_ns":1,"cl_ord_id":"x","road":"stream","exec_id":"t1","last_qty":"0.01","last_px":"99.5","venue_order_id":"7","fee":"-1E-8","fee_asset":"BNB","liquidity":"maker","sent_at_ns":2,"venue_at_ns":3,"sent_quote":{"bid_px":"1","ask_px":"2","at_ns":3},"quote":{"bid_px":"1","ask_px":"2","at_ns":3}},"after":{"ord_status":"partially_filled","cum_qty":"0.01","leaves_qty":"0.02","avg_px":"99.5","request":"cancel","in_doubt":true}}
{"event":{"event":"order_replaced","at_ns":1,"cl_ord_id":"x","qty":"2","px":"3","venue_order_id":"8","replace_no":1,"venue_at_ns":3}}
{"event":{"event":"order_canceled","at_ns":1,"cl_ord_id":"x","road":"poll","evidence":"{}","reason":"r","code":"-1","venue_order_id":"7","cum_qty":"1","venue_at_ns":3,"quote":{"bid_px":"1","ask_px":"2","at_ns":3}}}
{"event":{"event":"order_expired","at_ns":1,"cl_ord_id":"x","reason":"r","code":"-1","venue_order_id":"7","cum_qty":"1","venue_at_ns":3,"quote":{"bid_px":"1","ask_px":"2","at_ns":3}}}
{"event":{"event":"order_rejected","at_ns":1,"cl_ord_id":"x","road":"query","reason":"r","code":"-1","venue_order_id":"7","cum_qty":"0","venue_at_ns":3,"quote":{"bid_px":"1","ask_px":"2","at_ns":3}}}
{"event":{"event":"cancel_requested","at_ns":1,"cl_ord_id":"x","queued":true}}
{"event":{"event":"replace_requested","at_ns":1,"cl_ord_id":"x","qty":"2","px":"3","replace_no":1}}
{"event":{"event":"request_retried","at_ns":1,"cl_ord_id":"x","request":"replace","attempt":2}}
{"event":{"event":"request_refused","at_ns":1,"cl_ord_id":"x","request":"cancel","reason":"r","code":"-2011"}}
{"event":{"event":"request_doubted","at_ns":1,"cl_ord_id":"x","request":"new","final_at_ns":9,"is_taken":true}}
{"event":{"event":"request_resolved","at_ns":1,"cl_ord_id":"x","road":"operator","request":"new","outcome":"done","by":"uid 0","reason":"r","venue_order_id":"v"}}
{"event":{"event":"executor_thawed","at_ns":1,"executor":"e","by":"uid 0","reason":"r","state":"up"}}
{"event":{"event":"order_not_found","at_ns":1,"cl_ord_id":"x"}}
{"event":{"event":"fills_missed","at_ns":1,"cl_ord_id":"x","cum_qty":"1"}}
{"event":{"event":"report_disputed","at_ns":1,"cl_ord_id":"x","exec_type":"rejected"}}
{"event":{"event":"quote_sampled","at_ns":1,"executor":"paper","symbol":"BTCUSDT","quote":{"bid_px":"1","ask_px":"2","at_ns":3}}}
"""
"""One row of each event with every field set that is not its default: on users' disks for ever."""

ROWS = GOLDEN.strip().splitlines()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split('"')[5])
def test_a_row_once_written_is_read_and_written_the_same_for_ever(row: str) -> None:
    """The hash chain is over these bytes; a new field needs a default, a new meaning a new event."""
    assert encode_entry(decode_entry(row)).decode() == row


def test_every_event_and_every_field_has_its_golden_row() -> None:
    written = {row["event"]["event"]: row["event"] for row in map(json.loads, ROWS)}
    assert set(written) == {str(kind.__struct_config__.tag) for kind in EVENTS}
    common = {"event", "at_ns", "cl_ord_id", "road", "evidence", "schema_version"}
    for kind in EVENTS:
        told = set(written[str(kind.__struct_config__.tag)])
        assert {field.name for field in fields(kind)} - common <= told


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_is_named_in_the_past_tense_after_its_class(kind: type[Event]) -> None:
    name = str(kind.__struct_config__.tag)
    assert name == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    assert name.endswith(("ed", "found"))


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_is_frozen_and_says_what_it_means(kind: type[Event]) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__doc__


def test_the_name_on_disk_is_the_name_everywhere() -> None:
    assert event_name(decode_entry(ROWS[0]).event) == "daemon_started"


def test_a_default_takes_no_room_in_a_row() -> None:
    event = OrderTraded(
        at_ns=1, cl_ord_id="x", exec_id="t", last_qty=Decimal(1), last_px=Decimal(2)
    )
    assert encode_entry(Entry(event)) == (
        b'{"event":{"event":"order_traded","at_ns":1,"cl_ord_id":"x","exec_id":"t",'
        b'"last_qty":"1","last_px":"2"}}'
    )


def test_a_row_of_a_later_release_is_read_without_its_new_fields() -> None:
    """Otherwise nobody could go back a release."""
    row = ROWS[10].replace('"queued":true', '"queued":true,"mood":"sad"')
    assert encode_entry(decode_entry(row)).decode() == ROWS[10]


@pytest.mark.parametrize(
    "row", ['{"event":{"event":"order_vanished","at_ns":1}}', '{"event":{"at_ns":1}}', "{}", ""]
)
def test_a_row_that_is_no_known_event_is_an_error(row: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_entry(row)


amounts = st.integers(-(10 ** (2 * DIGITS_MAX)) + 1, 10 ** (2 * DIGITS_MAX) - 1).map(
    lambda units: plain(EXACT.scaleb(Decimal(units), -DIGITS_MAX))
)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    Decimal: amounts,
    int: st.integers(0, 2**63 - 1),
    str: st.text(),
    bool: st.booleans(),
    type(None): st.none(),
}


def values(type_: Any) -> st.SearchStrategy[Any]:
    """Return everything a field of that type may hold."""
    if type_ in SIMPLE:
        return SIMPLE[type_]
    if get_origin(type_) is dict:
        return st.dictionaries(*map(values, get_args(type_)), max_size=3)
    if get_args(type_):
        return st.one_of([values(arg) for arg in get_args(type_)])
    if issubclass(type_, StrEnum):
        return st.sampled_from(type_)
    return records(type_)


def records(kind: type[Struct]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{field.name: values(field.type) for field in fields(kind)})


@given(st.builds(Entry, st.one_of([records(kind) for kind in EVENTS]), st.none() | records(After)))
def test_every_entry_survives_the_disk_to_the_last_digit(entry: Entry) -> None:
    row = encode_entry(entry)
    assert decode_entry(row) == entry
    assert encode_entry(decode_entry(row)) == row


@given(records(OrderSubmitted) | records(OrderTraded))
def test_money_is_text_on_disk_and_a_row_is_one_line(event: OrderEvent) -> None:
    """A reader whose JSON numbers are floats loses nothing."""
    row = encode_entry(Entry(event))  # type: ignore[arg-type]

    def refuse(number: str) -> None:
        raise AssertionError(number)

    json.loads(row, parse_float=refuse)
    assert b"\n" not in row
