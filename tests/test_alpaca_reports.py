"""What Alpaca's words mean: statuses, events, fills, and the chain of a replaced order."""

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.fixtures.alpaca.bodies import ROOT, activities, link, order, update

from brokerd.executor import Report
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import OrdType, Side
from brokerd_adapters.alpaca.chains import CHAIN_MAX, Chains, chain
from brokerd_adapters.alpaca.reports import (
    accepted,
    activity_report,
    exec_id,
    execution,
    updated,
    viewed,
)
from brokerd_adapters.alpaca.wire import OrderBody, Unreadable

D = Decimal
E, S = ExecType, OrdStatus

OPEN = [
    "new",
    "accepted",
    "pending_new",
    "accepted_for_bidding",
    "pending_review",
    "held",
    "stopped",
    "suspended",
    "calculated",
    "done_for_day",
    "pending_cancel",
    "pending_replace",
    "partially_filled",
    "in_orbit",
]
"""Every status after which an order may still trade, and one that no document has."""


def seen(*bodies: OrderBody) -> Chains:
    chains = Chains()
    for each in bodies:
        chains.see(each)
    return chains


def told(event: str, body: OrderBody, *others: OrderBody, **members: object) -> tuple[Report, ...]:
    return updated(update(event, body, **members), seen(*others, body))


class TestStatuses:
    @pytest.mark.parametrize("status", OPEN)
    def test_what_may_still_trade_is_open(self, status: str) -> None:
        assert viewed(chain([order(status=status)])).ord_status is S.NEW
        part = viewed(chain([order(status=status, filled_qty="4")]))
        assert (part.ord_status, part.cum_qty) == (S.PARTIALLY_FILLED, D(4))

    @pytest.mark.parametrize(
        ("status", "ord_status"),
        [
            ("filled", S.FILLED),
            ("canceled", S.CANCELED),
            ("expired", S.EXPIRED),
            ("rejected", S.REJECTED),
        ],
    )
    def test_only_a_last_word_is_one(self, status: str, ord_status: OrdStatus) -> None:
        view = viewed(chain([order(status=status)]))
        assert (view.ord_status, view.reason) == (ord_status, f"{status}_at_venue")

    def test_a_view_shows_terms_and_every_execution(self) -> None:
        view = viewed(chain([order(filled_qty="10", status="filled")]), activities())
        assert (view.side, view.ord_type, view.qty, view.px) == (
            Side.BUY,
            OrdType.LIMIT,
            D(10),
            D("150.25"),
        )
        assert [each.last_qty for each in view.executions] == [D(4), D(6)]
        assert view.cum_qty == D(10)

    @pytest.mark.parametrize(
        "odd", [{"qty": None}, {"symbol": None}, {"type": "trailing_stop"}, {"side": "sideways"}]
    )
    def test_an_order_that_none_of_ours_is_cannot_be_shown(self, odd: dict[str, object]) -> None:
        with pytest.raises(Unreadable):
            viewed(chain([order(**odd)]))

    def test_the_older_name_of_the_type_will_do(self) -> None:
        assert viewed(chain([order(type=None)])).ord_type is OrdType.LIMIT

    def test_a_reply_says_that_the_venue_has_it_or_will_not(self) -> None:
        (took,) = accepted(order(), Chains())
        assert (took.exec_type, took.venue_cl_ord_id, took.cum_qty) == (E.NEW, ROOT, D(0))
        (refused,) = accepted(order(status="rejected"), Chains())
        assert (refused.exec_type, refused.reason) == (E.REJECTED, "rejected_by_venue")


class TestEvents:
    @pytest.mark.parametrize(
        "event",
        [
            "new",
            "accepted",
            "pending_new",
            "done_for_day",
            "stopped",
            "pending_cancel",
            "pending_replace",
            "calculated",
            "suspended",
            "order_replace_rejected",
            "order_cancel_rejected",
            "restated",
            "trade_bust",
            "in_orbit",
        ],
    )
    def test_an_event_that_ends_nothing_says_the_venue_has_it(self, event: str) -> None:
        (report,) = told(event, order(filled_qty="3"))
        assert (report.exec_type, report.cum_qty) == (E.NEW, D(3))

    @pytest.mark.parametrize(
        ("event", "exec_type"),
        [("canceled", E.CANCELED), ("expired", E.EXPIRED), ("rejected", E.REJECTED)],
    )
    def test_an_end_is_a_last_word(self, event: str, exec_type: ExecType) -> None:
        (report,) = told(event, order(filled_qty="3"))
        assert (report.exec_type, report.cum_qty) == (exec_type, D(3))

    def test_the_end_of_a_link_that_was_replaced_is_not_the_orders(self) -> None:
        (report,) = told("canceled", order(replaced_by="b"))
        assert report.exec_type is E.NEW

    @pytest.mark.parametrize("qty", ["0", "-1"])
    def test_a_fill_of_nothing_is_no_answer(self, qty: str) -> None:
        with pytest.raises(Unreadable, match="a trade of"):
            execution(replace(activities()[0], qty=Decimal(qty)))

    def test_stream_and_activities_give_one_execution_one_name(self) -> None:
        first, second = activities()
        body = order(first.order_id, filled_qty="4")
        (report,) = told("partial_fill", body, price=first.price, qty=first.qty)
        polled = activity_report(first, seen(body))
        assert report.execution is not None
        assert polled.execution is not None
        assert report.execution.exec_id == polled.execution.exec_id == exec_id(first.order_id, D(4))
        assert polled.venue_cl_ord_id == ROOT
        assert exec_id(first.order_id, D("4.0")) == exec_id(first.order_id, D(4))
        assert exec_id(second.order_id, second.cum_qty) != exec_id(first.order_id, D(4))

    def test_a_fill_of_an_order_never_seen_is_told_by_the_venues_id(self) -> None:
        report = activity_report(activities()[0], Chains())
        assert (report.venue_cl_ord_id, report.symbol) == (None, "AAPL")
        assert report.venue_order_id == activities()[0].order_id

    @pytest.mark.parametrize(
        ("price", "qty"), [(None, D(4)), (D(1), None), (D(1), D(0)), (D(1), D(5))]
    )
    def test_a_fill_that_does_not_say_what_was_new_is_only_a_claim(
        self, price: Decimal | None, qty: Decimal | None
    ) -> None:
        (report,) = told("fill", order(filled_qty="4"), price=price, qty=qty)
        assert (report.exec_type, report.execution, report.cum_qty) == (E.NEW, None, D(4))


class TestChains:
    def test_fills_of_every_link_count_and_the_last_ones_rest_is_still_to_come(self) -> None:
        first = order("a", status="replaced", replaced_by="b", filled_qty="4")
        second = link("b", 1, "a", status="replaced", replaced_by="c", qty="6", filled_qty="1")
        third = link("c", 2, "b", status="new", qty="7", limit_price="151")
        view = viewed(chain([first, second, third]))
        assert (view.venue_order_id, view.venue_cl_ord_id) == ("c", ROOT)
        assert (view.cum_qty, view.qty, view.px) == (D(5), D(12), D(151))
        assert view.ord_status is S.PARTIALLY_FILLED

    def test_a_replace_on_its_way_leaves_the_order_as_it_is(self) -> None:
        first = order("a", status="pending_replace", replaced_by="b")
        stands = chain([first, link("b", 1, "a", status="pending_new", qty="20")])
        assert (stands.head.id, stands.qty, stands.is_pending) == ("a", D(10), True)

    def test_a_replace_that_was_turned_down_leaves_the_order_as_it_is(self) -> None:
        first = order("a", status="filled", filled_qty="10")
        stands = chain([first, link("b", 1, "a", status="rejected", qty="20")])
        assert (stands.head.id, stands.qty, stands.is_refused) == ("a", D(10), True)
        assert viewed(stands).ord_status is S.FILLED

    def test_a_link_in_its_place_is_the_order_whatever_becomes_of_it(self) -> None:
        first = order("a", status="replaced", replaced_by="b")
        for status in ("accepted", "rejected", "canceled"):
            stands = chain([first, link("b", 1, "a", status=status)])
            assert (stands.head.id, stands.is_refused) == ("b", False)

    def test_a_pending_cancel_is_not_over(self) -> None:
        assert chain([order(status="pending_cancel")]).is_pending
        assert not chain([order(status="new")]).is_pending

    def test_a_replace_shows_in_the_old_links_event_if_the_new_one_was_seen(self) -> None:
        first = order("a", status="replaced", replaced_by="b", filled_qty="4")
        second = link("b", 3, "a", status="accepted", qty="6", limit_price="151")
        (report,) = told("replaced", first, second)
        assert report.exec_type is E.REPLACED
        assert (report.qty, report.px, report.replace_no) == (D(10), D(151), 3)
        assert (report.venue_order_id, report.cum_qty) == ("b", D(4))
        assert told("replaced", first) == ()

    def test_a_replace_shows_in_the_new_links_event_if_the_old_one_was_seen(self) -> None:
        first = order("a", status="replaced", replaced_by="b")
        second = link("b", 1, "a", status="new", qty="6")
        (report,) = told("new", second, first)
        assert (report.exec_type, report.qty) == (E.REPLACED, D(6))
        assert told("new", second) == ()
        assert told("new", link("b", 1, "a", qty=None), first) == ()

    @pytest.mark.parametrize("event", ["accepted", "pending_new", "rejected"])
    def test_a_link_that_has_not_taken_its_place_says_nothing(self, event: str) -> None:
        assert told(event, link("b", 1, "a", status=event), order("a")) == ()

    def test_a_late_fill_of_an_old_link_counts(self) -> None:
        first = order("a", status="replaced", replaced_by="b", filled_qty="4")
        (report,) = told("partial_fill", first, price=D(150), qty=D(4))
        assert report.execution is not None
        assert report.venue_cl_ord_id == ROOT

    def test_a_fill_of_a_link_whose_past_is_not_known_makes_no_claim(self) -> None:
        second = link("b", 1, "a", qty="6", filled_qty="2")
        (report,) = told("partial_fill", second, price=D(150), qty=D(2))
        assert (report.exec_type, report.cum_qty) == (E.TRADE, None)

    def test_what_somebody_else_puts_in_our_orders_place_is_our_order(self) -> None:
        """Alpaca gives a replace from its dashboard a client id of its own making."""
        first = order("a", status="replaced", replaced_by="b", filled_qty="4")
        theirs = order("b", client_order_id="made-by-alpaca", replaces="a", qty="6", status="new")
        (report,) = told("new", theirs, first)
        assert (report.exec_type, report.venue_cl_ord_id, report.venue_order_id) == (
            E.REPLACED,
            ROOT,
            "b",
        )
        assert (report.qty, report.replace_no) == (D(10), None)
        (report,) = told("fill", theirs, first, price=D(150), qty=D(0))
        assert report.venue_cl_ord_id == ROOT
        assert viewed(chain([first, theirs])).venue_cl_ord_id == ROOT
        # Without the past, it is what its name says.
        assert told("new", theirs) == ()
        assert seen(theirs).root(theirs) == "made-by-alpaca"


class TestMemory:
    def test_the_later_word_is_kept_whichever_came_first(self) -> None:
        early = order("a", updated_at="2026-01-01T00:00:00Z", status="new")
        late = order("a", updated_at="2026-01-01T00:00:01Z", status="canceled")
        filled = order("a", updated_at="2026-01-01T00:00:00Z", filled_qty="1")
        assert seen(late, early).get("a") is late
        assert seen(early, late).get("a") is late
        assert seen(late, filled).get("a") is filled
        assert seen(filled, late).get("a") is filled

    def test_it_is_bounded_and_what_is_gone_is_not_known(self) -> None:
        chains = Chains(links_max=1)
        chains.see(order("a"))
        chains.see(link("b", 1, "a"))
        assert chains.get("a") is None
        assert chains.filled_before(link("b", 1, "a")) is None

    def test_a_chain_in_a_circle_ends(self) -> None:
        chains = seen(order("a", replaces="b", filled_qty="1"), order("b", replaces="a"))
        assert chains.filled_before(order("a", replaces="b")) is None

    def test_the_link_that_holds_an_order_is_followed_as_far_as_it_is_known(self) -> None:
        first = order("a", status="replaced", replaced_by="b")
        chains = seen(first, link("b", 1, "a", status="replaced", replaced_by="c"))
        assert chains.latest("a") == "c"
        assert chains.latest("of-another") == "of-another"

    @pytest.mark.parametrize(
        ("links", "filled"), [(300, D(299)), (CHAIN_MAX, D(CHAIN_MAX - 1)), (CHAIN_MAX + 9, None)]
    )
    def test_a_long_chain_is_followed_to_its_ends_or_its_sum_is_not_told(
        self, links: int, filled: Decimal | None
    ) -> None:
        """A sum that was cut off would be taken for what the order has filled."""
        of_chain = [
            link(
                f"i{number}",
                number,
                f"i{number - 1}" if number else None,
                status="replaced" if number < links - 1 else "new",
                replaced_by=f"i{number + 1}" if number < links - 1 else None,
                filled_qty="1",
            )
            for number in range(links)
        ]
        chains = seen(*of_chain)
        assert chains.latest("i0") == f"i{links - 1}"
        assert chains.filled_before(of_chain[-1]) == filled

    def test_links_that_replace_each_other_are_not_followed_for_ever(self) -> None:
        """No venue says so, but what it says must not stop the daemon."""
        here = order("a", status="replaced", replaced_by="b")
        there = order("b", status="replaced", replaced_by="a")
        assert seen(here, there).latest("a") in {"a", "b"}
