"""Orders of other origin: followed and never touched; an unknown order of our own kind is an alarm."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.scripted import (
    CLOCK,
    D,
    E,
    House,
    Play,
    S,
    execution,
    house,
    report,
    reported,
    submit,
    traded,
    until,
    view,
    viewed,
)

from brokerd.errors import Busy, NotCancelable
from brokerd.events import Road
from brokerd.executor import OrderView
from brokerd.ids import EXTERNAL_CHARS_MAX, Ids, external_id, is_reserved, order_id
from brokerd.messages import Cancel, Freeze, Replace, Reported, Seen
from brokerd.orders import Order
from brokerd.others import FILLS_MAX, Others

BY_HAND = "web_1"
FOLLOWED = external_id("sim", "1-other")


def other(ord_status: S = S.NEW, client_id: str | None = BY_HAND, **members: object) -> OrderView:
    """An order that somebody placed at the venue by hand."""
    return view(ord_status, "other", venue_cl_ord_id=client_id, **members)


def seen(shown: OrderView, at_ns: int = 10) -> Seen:
    return Seen("sim", shown, Road.POLL, at_ns, at_ns)


def of(exec_id: str, client_id: str | None = BY_HAND, number: object = "1-other") -> Reported:
    told = traded(exec_id, 1, venue_cl_ord_id=client_id, venue_order_id=number)
    return reported(told, at_ns=20, road=Road.POLL)


def test_an_order_of_other_origin_is_followed_from_what_the_venue_shows() -> None:
    play = Play()
    assert play.tell(seen(other())) == ["order_adopted"]
    order = play.blotter.get(FOLLOWED)
    assert order is not None
    assert (order.is_external, order.ord_status, order.request) == (True, S.NEW, None)
    assert (order.terms.qty, order.terms.px, order.terms.group) == (
        D(10),
        D(100),
        {"origin": "external"},
    )
    assert play.tell(seen(other(), 11)) == [], "once"


def test_a_type_that_ours_have_no_word_for_is_shown_by_the_venues() -> None:
    play = Play()
    play.tell(seen(other(venue_ord_type="TAKE_PROFIT_LIMIT")))
    order = play.blotter.get(FOLLOWED)
    assert order is not None
    assert order.terms.group == {"origin": "external", "venue_ord_type": "TAKE_PROFIT_LIMIT"}


def test_its_fills_are_counted_once_also_those_from_before() -> None:
    play = Play()
    assert play.tell(seen(other(S.PARTIALLY_FILLED, cum_qty=D(3)))) == [
        "order_adopted",
        "fills_missed",
        "ASK",
    ]
    fills = (execution("a", 2), execution("b", 1))
    told = viewed(other(S.PARTIALLY_FILLED, executions=fills), asked_at_ns=12, cl_ord_id=FOLLOWED)
    assert play.tell(told) == ["order_traded", "order_traded"]
    assert play.tell(of("b")) == []
    assert play.tell(of("c")) == ["order_traded"]
    order = play.blotter.get(FOLLOWED)
    assert order is not None
    assert (order.cum_qty, order.must_be_asked) == (D(4), False)


def test_no_command_touches_it() -> None:
    play = Play()
    play.tell(seen(other()))
    for command in (Cancel(FOLLOWED, 11), Replace(FOLLOWED, D(20), None, 11)):
        assert play.tell(command) == []
        assert isinstance(play.decision.reply, NotCancelable)
        assert play.decision.reply.reason == "external_order"


def test_its_client_id_may_be_given_again_by_whoever_made_it() -> None:
    """Two orders by hand under one client id are two orders: the venue's id tells them apart."""
    play = Play()
    play.tell(seen(other()))
    again = other(venue_order_id="2-other")
    assert play.tell(seen(again)) == ["order_adopted"]
    assert play.tell(of("t", number="2-other")) == ["order_traded"]
    first, second = (play.blotter.get(external_id("sim", each)) for each in ("1-other", "2-other"))
    assert first is not None
    assert second is not None
    assert (first.cum_qty, second.cum_qty) == (D(0), D(1))
    assert play.blotter.find("sim", BY_HAND, None) is None


def test_ids_that_only_the_daemon_makes_are_told_apart() -> None:
    ours = Ids("k3").next()
    assert {order_id(each) for each in (ours, f"{ours}-r7", f"{ours}_r7c")} == {ours}
    assert (order_id("a-b-c-d"), order_id(None)) == ("a-b-c-d", None)
    long = external_id("sim", "9" * 99)
    assert len(long) <= EXTERNAL_CHARS_MAX
    assert long != external_id("sim", "9" * 98)
    assert all(is_reserved(each) for each in (ours, long, FOLLOWED))
    assert not is_reserved("alice-1")


@asynccontextmanager
async def watched(directory: Path) -> AsyncGenerator[tuple[House, Others, list[str]], None]:
    async with house(directory) as home:
        alarms = list[str]()
        yield home, Others("sim", home.engine, CLOCK, alarms.append), alarms


async def test_what_is_said_of_orders_that_are_not_followed_never_reaches_the_engine(
    tmp_path: Path,
) -> None:
    """There may be hundreds a second of them, and each would be looked up in history."""
    async with watched(tmp_path) as (home, others, _):
        assert others.leaves_out(of("t").report)
        assert not others.leaves_out(of("t", client_id=None).report)
        assert not others.leaves_out(of("t", client_id="bkd-k3-1").report)
        await home.engine.settle(seen(other()))
        assert not others.leaves_out(of("t").report), "it is followed by now"
        assert (others.reports, home.engine.strangers.unknown) == (1, 0)


async def test_an_execution_of_theirs_counts_once_however_often_polls_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brokerd.others.FILLS_MAX", 2)
    async with watched(tmp_path) as (_, others, _alarms):
        for _ in range(3):
            assert await others.sort_out([of("a"), of("b")]) == []
        assert others.fills == 2
        assert await others.sort_out([of("c")]) == []
        assert others.fills == 2, "and the memory of them is bounded"
    assert FILLS_MAX > 2


async def test_a_fill_of_an_order_that_left_memory_and_was_renamed_is_found_by_a_poll(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path) as (home, others, _):
        await home.engine.do(submit())
        await home.engine.settle(reported(report(E.NEW), at_ns=2))
        await home.engine.settle(reported(report(E.CANCELED), at_ns=3))
        await home.history.flush()
        assert home.engine.blotter.forget(0, 99) == 1
        late = of("late", client_id="renamed-by-the-cancel", number="1-x")
        assert await others.sort_out([late]) == [late]
        await home.engine.settle(late)
        assert home.order().cum_qty == D(1)
        assert others.fills == 0


async def test_while_history_is_behind_nothing_is_taken_for_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path) as (home, others, alarms):

        async def behind(**_: object) -> None:
            raise Busy("history is behind")

        monkeypatch.setattr(home.history, "find", behind)
        late = of("late")
        assert await others.sort_out([late]) == [late]
        await others.make_out(other(), 10)
        await others.make_out(other(client_id="bkd-k3-1"), 10)
        assert (len(home.engine.blotter), alarms) == (0, [])


async def test_open_orders_are_made_out(tmp_path: Path) -> None:
    async with watched(tmp_path) as (home, others, alarms):
        await others.make_out(other(), 10)
        await until(lambda: home.engine.blotter.get(FOLLOWED) is not None)
        await others.make_out(other(client_id="bkd-k3-1", venue_order_id="7"), 10)
        (why,) = alarms
        assert "bkd-k3-1" in why


async def test_an_order_from_long_ago_that_is_shown_open_is_brought_back_and_disputed(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path) as (home, others, _):
        await home.engine.settle(seen(other()))
        canceled = report(E.CANCELED, venue_cl_ord_id=None, venue_order_id="1-other")
        await home.engine.settle(reported(canceled, at_ns=20))
        await home.history.flush()
        assert home.engine.blotter.forget(0, 99) == 1
        await others.make_out(other(), 30)
        await until(lambda: home.engine.blotter.get(FOLLOWED) is not None)
        await until(lambda: home.order(FOLLOWED).disputed)


async def test_an_order_without_a_client_id_is_not_taken_for_anothers_while_ours_is_awaited(
    tmp_path: Path,
) -> None:
    """It may be the very one whose acknowledgement was lost."""
    async with watched(tmp_path) as (home, others, _):
        await home.engine.do(submit())
        nameless = other(client_id=None)
        await others.make_out(nameless, 10)
        await home.engine.settle(reported(report(E.NEW), at_ns=11))
        assert home.engine.blotter.get(FOLLOWED) is None
        await others.make_out(nameless, 12)
        await until(lambda: home.engine.blotter.get(FOLLOWED) is not None)


async def test_a_report_under_an_id_of_our_kind_that_no_row_knows_freezes_its_executor(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path) as (home, _, _alarms):
        await home.engine.tell(of("t", client_id="bkd-elsewhere-9"))
        await until(lambda: home.engine.strangers.unknown == 1)
        (freeze,) = home.actions
        assert isinstance(freeze, Freeze)
        assert (freeze.executor, "bkd-elsewhere-9" in freeze.reason) == ("sim", True)


async def test_our_order_shown_by_another_executor_of_the_account_is_known(tmp_path: Path) -> None:
    async with watched(tmp_path) as (home, _, _alarms):
        own = replace(submit(), venue_cl_ord_id="bkd-k3-1")
        await home.engine.do(own)
        named = replace(report(E.CANCELED), venue_cl_ord_id="bkd-k3-1", venue_order_id="7")
        await home.engine.settle(reported(named, at_ns=3))
        await home.history.flush()
        home.engine.blotter.forget(0, 99)
        await home.engine.tell(Reported("twin", named, Road.STREAM, 4))
        await until(lambda: home.engine.blotter.get("x") is not None)
        assert [a for a in home.actions if isinstance(a, Freeze)] == []


async def test_a_fill_under_a_former_name_of_anothers_order_is_counted_once_and_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History knows every name the order had, memory only the present one."""
    async with house(tmp_path) as home:
        await home.engine.settle(seen(other()))
        followed, asked = home.engine.blotter.get(FOLLOWED), list[object]()

        async def known(**names: str | None) -> Order | None:
            asked.append(names["venue_order_id"])
            return followed

        monkeypatch.setattr(home.engine.recall, "known", known)
        await home.engine.tell(of("t", client_id=None, number="1-before"))
        await until(lambda: home.order(FOLLOWED).cum_qty == D(1))
        assert asked == ["1-before"]
