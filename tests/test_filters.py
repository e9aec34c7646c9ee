"""Which orders are meant, the ids we make, and the words we suggest."""

import re

import pytest
from tests.scripted import LIMIT, Play

from brokerd.filters import OrderFilter, matches, matches_status, matches_terms
from brokerd.ids import Ids, new_epoch
from brokerd.states import OrdStatus, Status
from brokerd.terms import Side
from brokerd.words import suggest

ALL = {
    "status": frozenset({Status.PENDING}),
    "ord_status": frozenset({OrdStatus.PENDING_NEW}),
    "executor": "sim",
    "symbol": "BTCUSDT",
    "side": Side.BUY,
    "group": {"user": "alice"},
}
OTHER = {
    "status": frozenset({Status.OPEN, Status.CLOSED}),
    "ord_status": frozenset({OrdStatus.NEW}),
    "executor": "other",
    "symbol": "ETHUSDT",
    "side": Side.SELL,
    "group": {"user": "alice", "strategy": "mm"},
}


def test_an_empty_filter_means_every_order() -> None:
    order = Play().submitted(group={"user": "alice"}).order
    assert matches(OrderFilter(), order)
    assert matches(OrderFilter(**ALL), order)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(OTHER))
def test_every_member_that_is_set_must_match(name: str) -> None:
    order = Play().submitted(group={"user": "alice"}).order
    assert not matches(OrderFilter(**ALL | {name: OTHER[name]}), order)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ord_status", "coarse"),
    [("pending_new", Status.PENDING), ("filled", Status.CLOSED), ("pending_cancel", Status.OPEN)],
)
def test_a_status_as_an_event_tells_it_matches_the_coarse_and_the_fine_one(
    ord_status: str, coarse: Status
) -> None:
    for status in Status:
        wanted = OrderFilter(status=frozenset({status}))
        assert matches_status(wanted, ord_status) is (status is coarse)
    assert matches_status(OrderFilter(), ord_status)
    assert matches_status(OrderFilter(ord_status=frozenset({OrdStatus(ord_status)})), ord_status)
    assert not matches_status(OrderFilter(ord_status=frozenset({OrdStatus.EXPIRED})), ord_status)


def test_terms_match_whatever_the_status() -> None:
    wanted = OrderFilter(status=frozenset({Status.CLOSED}), symbol="BTCUSDT")
    assert matches_terms(wanted, LIMIT)


def test_an_order_is_meant_by_the_status_that_bots_see() -> None:
    play = Play().acknowledged()
    play.cancel(3)
    assert matches(OrderFilter(ord_status=frozenset({OrdStatus.PENDING_CANCEL})), play.order)
    assert not matches(OrderFilter(ord_status=frozenset({OrdStatus.NEW})), play.order)


def test_no_id_is_made_twice_and_every_venue_can_take_it() -> None:
    ids = Ids("0123456789")
    made = [ids.next() for _ in range(2_000)]
    assert len(set(made)) == 2_000
    assert made[0] == "bkd-0123456789-1"
    assert all(re.fullmatch(r"[a-z0-9-]{1,32}", each) for each in made)
    assert all(Ids.are_like(each) for each in made)
    assert not Ids.are_like("bkdx-1")


def test_two_runs_have_two_epochs() -> None:
    epochs = {new_epoch() for _ in range(100)}
    assert len(epochs) == 100
    assert all(re.fullmatch(r"[0-9a-z]{10}", epoch) for epoch in epochs)


def test_a_word_is_suggested_as_it_is_spelt_or_all_are_named() -> None:
    assert suggest("LIMT", ["limit", "market"]) == 'did you mean "limit"?'
    assert suggest("btcusd", ["BTCUSDT", "ETHUSDT"]) == 'did you mean "BTCUSDT"?'
    assert suggest("FILLED", ["OPEN", "CANCELLED"]) == "known are CANCELLED, OPEN"
    assert suggest("zzz", ["b", "a"]) == "known are a, b"
    assert suggest(None, []) == "known are none"
    assert suggest("zzz", [f"{n:03}" for n in range(99)]).endswith("028, 029 and 69 more")
