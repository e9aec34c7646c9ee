"""What the methods take: every rule of a parameter, and the sentence for breaking it."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.scripted import D, Play

from brokerd.contract import METHODS, Method
from brokerd.errors import InvalidOrder, InvalidParams, Refused
from brokerd.params import (
    FillParams,
    FilterParams,
    ListParams,
    ReplaceParams,
    StatsParams,
    SubmitParams,
    SubscribeParams,
    TimedParams,
    TimeParams,
    Window,
    order_filter,
    read_cl_ord_id,
    read_group_by,
    read_replace,
    read_span_s,
    read_terms,
    read_time,
    read_window,
)
from brokerd.rpc import Call, read_params
from brokerd.states import Status
from brokerd.stats.tally import OWN_KEYS
from brokerd.terms import CL_ORD_ID_MAX, OrdType, Side, TimeInForce

NOW_NS = 1_760_000_000_000_000_000
LIMIT = {"symbol": "BTCUSDT", "side": "buy", "ord_type": "limit", "qty": "0.01", "px": "39400"}


def read(kind: type[Any], **members: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(members), type=kind)


def terms(**changes: object) -> Any:
    return read_terms(read(SubmitParams, **(LIMIT | changes)), "sim")


def test_terms_are_what_was_sent_exactly() -> None:
    read = terms(qty=0.01, decision_px="39399.5", group={"user": "alice"}, post_only=True)
    assert (read.executor, read.symbol, read.side, read.ord_type) == (
        "sim",
        "BTCUSDT",
        Side.BUY,
        OrdType.LIMIT,
    )
    assert (read.qty, read.px, read.stop_px, read.decision_px) == (
        D("0.01"),
        D(39400),
        None,
        D("39399.5"),
    )
    assert (read.group, read.post_only) == ({"user": "alice"}, True)


def test_a_limit_order_rests_and_a_market_order_cannot() -> None:
    assert terms().time_in_force is TimeInForce.GTC
    assert terms(ord_type="market", px=None).time_in_force is TimeInForce.IOC
    assert terms(time_in_force="fok").time_in_force is TimeInForce.FOK


def test_an_expiry_is_a_time() -> None:
    read = terms(time_in_force="gtd", expire_at="2026-01-02T00:00:00Z")
    assert read.expire_at_ns == 1_767_312_000 * 10**9
    with pytest.raises(InvalidParams) as caught:
        terms(time_in_force="gtd", expire_at="tomorrow")
    assert (caught.value.field, caught.value.reason) == ("expire_at", "bad_time")


def test_terms_without_a_quantity_or_against_themselves_are_refused() -> None:
    with pytest.raises(InvalidParams) as caught:
        terms(qty=None)
    assert caught.value.field == "qty"
    with pytest.raises(InvalidOrder):
        terms(px=None)


@pytest.mark.parametrize(
    "text", ["2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z"]
)
def test_a_time_the_journal_could_not_hold_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_time("since", text)
    assert caught.value.field == "since"
    assert read_time("since", None) is None


@pytest.mark.parametrize("member", ["since", "until"])
def test_a_bad_time_of_a_window_is_named_by_its_whole_path(member: str) -> None:
    with pytest.raises(InvalidParams, match=rf"^time\.{member} ") as caught:
        window(time_type="absolute", **{member: "yesterday"})
    assert (caught.value.field, caught.value.reason) == (f"time.{member}", "bad_time")


@pytest.mark.parametrize("cl_ord_id", ["a", "!", "~", "x" * CL_ORD_ID_MAX])
def test_an_id_is_visible_ascii(cl_ord_id: str) -> None:
    assert read_cl_ord_id(cl_ord_id) == cl_ord_id


@pytest.mark.parametrize("cl_ord_id", ["", " ", "a b", "é", "a\n", "x" * (CL_ORD_ID_MAX + 1)])
def test_any_other_id_is_refused(cl_ord_id: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_cl_ord_id(cl_ord_id)
    assert caught.value.reason == "bad_cl_ord_id"


def test_a_replace_names_what_changes() -> None:
    assert read_replace(read(ReplaceParams, cl_ord_id="x", qty="2")) == (D(2), None)
    assert read_replace(read(ReplaceParams, cl_ord_id="x", px=3)) == (None, D(3))
    for members, reason in (
        ({}, "nothing_to_replace"),
        ({"qty": "0"}, "not_positive"),
        ({"px": -1}, "not_positive"),
    ):
        with pytest.raises(Refused) as caught:
            read_replace(read(ReplaceParams, cl_ord_id="x", **members))
        assert caught.value.reason == reason


def test_a_wrong_number_is_the_same_error_in_a_replace_as_in_a_submit() -> None:
    with pytest.raises(InvalidOrder) as caught:
        read_replace(read(ReplaceParams, cl_ord_id="x", qty="0"))
    assert (caught.value.code, caught.value.field) == (105, "qty")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800), ("1w", 604_800)]
)
def test_a_span_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert read_span_s(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "1.5h", "-1h", "1 h", "1y", "1234567s", "\u0661h"])
def test_anything_else_is_no_span(text: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_span_s(text)
    assert caught.value.reason == "bad_span"


def window(**members: object) -> tuple[int | None, int | None, str]:
    found = read_window(read(TimeParams, **members), NOW_NS)
    return found.since_ns, found.until_ns, found.by


@pytest.mark.parametrize(
    ("by", "inside", "outside"),
    [
        ("created", {"created_at_ns": 15}, {"created_at_ns": 20, "last_fill_at_ns": 15}),
        ("filled", {"last_fill_at_ns": 10}, {"last_fill_at_ns": 9, "created_at_ns": 15}),
        ("closed", {"closed_at_ns": 19}, {"closed_at_ns": None, "created_at_ns": 15}),
    ],
)
def test_a_window_is_held_against_the_time_that_it_names(
    by: str, inside: dict[str, int], outside: dict[str, int]
) -> None:
    order = Play().submitted().order
    found = Window(10, 20, by)  # type: ignore[arg-type]
    assert found.holds(replace(order, **inside))
    assert not found.holds(replace(order, **outside))
    assert Window(by=by).holds(order), "no window, no matter which time"  # type: ignore[arg-type]
    assert Window(10, None).holds(replace(order, created_at_ns=10))
    assert not Window(10, None).holds(replace(order, created_at_ns=9))
    assert Window(None, 10).holds(replace(order, created_at_ns=9))


def test_a_fill_has_no_time_but_its_own() -> None:
    span = {"time_type": "relative", "last": "1h"}
    assert read(FillParams, time=span) == read(FillParams, time={**span, "by": "filled"})
    with pytest.raises(msgspec.ValidationError, match=r"time\.by"):
        read(FillParams, time={**span, "by": "closed"})


def test_a_relative_window_ends_now_and_never_starts_before_time() -> None:
    assert window(time_type="relative", last="15m", by="closed") == (
        NOW_NS - 900 * 10**9,
        None,
        "closed",
    )
    assert read_window(read(TimeParams, time_type="relative", last="1w"), 5).since_ns == 0
    assert read_window(None, NOW_NS).since_ns is None


def test_an_absolute_window_may_be_open_on_one_side() -> None:
    assert window(time_type="absolute", since="1970-01-01T00:00:01Z") == (10**9, None, "created")
    assert window(time_type="absolute", until="1970-01-01T00:00:01Z") == (None, 10**9, "created")
    both = window(time_type="absolute", since="1970-01-01T00:00:01Z", until="1970-01-01T00:00:02Z")
    assert both == (10**9, 2 * 10**9, "created")


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"time_type": "relative"}, "time.last"),
        ({"time_type": "relative", "last": "1h", "since": "1970-01-01T00:00:00Z"}, "time.since"),
        ({"time_type": "relative", "last": "1h", "until": "1970-01-01T00:00:00Z"}, "time.until"),
        ({"time_type": "absolute"}, "time.since"),
        ({"time_type": "absolute", "last": "1h"}, "time.last"),
        (
            {
                "time_type": "absolute",
                "since": "1970-01-01T00:00:01Z",
                "until": "1970-01-01T00:00:01Z",
            },
            "time.until",
        ),
    ],
)
def test_a_window_of_two_minds_is_refused(members: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        window(**members)
    assert (caught.value.field, caught.value.reason) == (field, "bad_window")


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (SubmitParams, LIMIT | {"group": {"": "x"}}),
        (SubmitParams, LIMIT | {"group": {"x": "y" * 65}}),
        (SubmitParams, LIMIT | {"group": {f"k{n}": "" for n in range(17)}}),
        (SubmitParams, LIMIT | {"symbol": "x" * 65}),
        (SubmitParams, LIMIT | {"wait": "forever"}),
        (ListParams, {"limit": 0}),
        (ListParams, {"limit": 1001}),
        (ListParams, {"status": "CANECELLED"}),
        (ListParams, {"unknown": 1}),
    ],
)
def test_every_parameter_has_a_limit(kind: type[Any], members: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(kind, **members)


@pytest.mark.parametrize("kind", [SubmitParams, FilterParams, ListParams, FillParams, StatsParams])
@pytest.mark.parametrize("group", [{"a\0b": "x"}, {"k": "v", "a": "x\0"}])
def test_a_group_with_a_nul_in_it_is_refused(kind: type[Any], group: dict[str, str]) -> None:
    """SQLite's JSON functions cut a text there: such a key would be taken for another."""
    members = LIMIT if kind is SubmitParams else {}
    with pytest.raises(InvalidParams, match="group has a NUL character in it") as error:
        read(kind, **members, group=group)
    assert (error.value.reason, error.value.field) == ("nul_character", "group")


@pytest.mark.parametrize("kind", [ListParams, StatsParams])
@pytest.mark.parametrize("keys", ["a\0b", ["k", "\0"]])
def test_a_key_to_group_by_has_no_nul_either(kind: type[Any], keys: object) -> None:
    with pytest.raises(InvalidParams) as error:
        read(kind, group_by=keys)
    assert (error.value.reason, error.value.field) == ("nul_character", "group_by")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (None, frozenset()),
        ("OPEN", frozenset({Status.OPEN})),
        (["OPEN", "CLOSED"], frozenset({Status.OPEN, Status.CLOSED})),
    ],
)
def test_a_filter_names_no_status_one_or_several(asked: object, meant: frozenset[Status]) -> None:
    params = read(FilterParams, **({} if asked is None else {"status": asked}))
    assert order_filter(params).status == meant


LISTS = [
    (method, member.name)
    for method in METHODS
    for member in msgspec.structs.fields(method.params)
    if "list[" in str(member.type)
]


@pytest.mark.parametrize(("method", "name"), LISTS, ids=lambda each: getattr(each, "name", each))
def test_no_list_is_taken_empty(method: Method, name: str) -> None:
    """One reader takes none for all, the next for none: a cancel of "none" must not be one of all."""
    call = Call(method.name, msgspec.Raw(msgspec.json.encode({name: []})), None)
    with pytest.raises(InvalidParams, match="length >= 1") as caught:
        read_params(msgspec.json.Decoder(method.params), call)
    assert caught.value.field == name
    assert caught.value.hint == f"name at least one, or leave {name} out"


def test_the_lists_that_choose_orders_are_among_them() -> None:
    named = {(method.name, name) for method, name in LISTS}
    listing = ("order.cancel_all", "order.list", "fill.list", "stats.get", "events.subscribe")
    assert {(each, name) for each in listing for name in ("status", "ord_status")} <= named
    assert ("events.subscribe", "events") in named


@pytest.mark.parametrize("name", ["executor", "symbol"])
def test_an_empty_name_is_refused_rather_than_matched_by_nothing(name: str) -> None:
    """It is mostly a shell's variable that was not set, and "nothing to cancel" a wrong comfort."""
    call = Call("order.cancel_all", msgspec.Raw(msgspec.json.encode({name: ""})), None)
    with pytest.raises(InvalidParams) as caught:
        read_params(msgspec.json.Decoder(TimedParams), call)
    assert (caught.value.field, caught.value.hint) == (
        name,
        f"name at least one, or leave {name} out",
    )


def test_a_subscription_looks_back_if_it_says_how_far() -> None:
    assert not read(SubscribeParams).looks_back
    assert read(SubscribeParams, last=5).looks_back
    assert read(SubscribeParams, since="2026-01-31T12:00:00Z").looks_back


def test_what_makes_a_group_is_named_with_latest_group_only() -> None:
    asked = read(ListParams, group_by="strategy", latest_group=True)
    assert read_group_by(asked) == ("strategy",)
    assert read_group_by(read(ListParams)) == ()
    with pytest.raises(InvalidParams) as caught:
        read_group_by(read(ListParams, group_by=["strategy", "user"]))
    assert (caught.value.reason, caught.value.field) == ("group_by_alone", "group_by")


@pytest.mark.parametrize("term", OWN_KEYS)
def test_the_latest_of_each_symbol_is_refused_rather_than_answered_by_one_order(term: str) -> None:
    """No group has such a key, mostly, so all orders would be one group: a wrong answer."""
    with pytest.raises(InvalidParams) as caught:
        read_group_by(read(ListParams, group_by=["strategy", term], latest_group=True))
    assert (caught.value.reason, caught.value.field) == ("not_a_group_key", "group_by")
    keys = ["strategy", f"group.{term}"]
    asked = read(ListParams, group_by=keys, latest_group=True)
    assert read_group_by(asked) == ("strategy", term)
