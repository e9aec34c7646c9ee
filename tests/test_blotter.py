"""The blotter: every order by any of its ids, and nothing forgotten before history has it."""

import pytest
from tests.scripted import D, E, Play, report, reported, submit, traded

from brokerd.blotter import Blotter
from brokerd.errors import JournalError
from brokerd.events import (
    DaemonStarted,
    OrderAcknowledged,
    OrderCanceled,
    OrderReplaced,
    OrderSubmitted,
    OrderTraded,
)
from brokerd.states import Status


def rows(cl_ord_id: str, *, is_settled: bool = True) -> list[object]:
    play = Play()
    play.tell(submit(cl_ord_id))
    play.tell(reported(traded(f"t-{cl_ord_id}", 4, cl_ord_id), at_ns=2))
    if is_settled:
        play.tell(reported(report(E.CANCELED, cl_ord_id), at_ns=3))
    return [change.entry.event for change in play.changes]


def book(*cl_ord_ids: str, is_settled: bool = True) -> Blotter:
    blotter, seq = Blotter(), 0
    for cl_ord_id in cl_ord_ids:
        for event in rows(cl_ord_id, is_settled=is_settled):
            seq += 1
            blotter.fold(seq, event)
    return blotter


def test_an_order_is_found_by_each_of_its_ids() -> None:
    blotter = book("x", is_settled=False)
    order = blotter.get("x")
    assert order is not None
    assert blotter.find("sim", "v-x", None) is order
    assert blotter.find("sim", None, "1-x") is order
    assert blotter.find("sim", "of-somebody", "1-x") is order
    assert blotter.find("other", None, "1-x") is None
    assert blotter.find("sim", None, None) is None
    assert blotter.get("y") is None
    assert (len(blotter), blotter.executors()) == (1, ["sim"])


def test_an_order_whose_id_a_replace_changed_is_found_by_the_old_one_too() -> None:
    blotter = book("x", is_settled=False)
    blotter.fold(3, OrderReplaced(at_ns=5, cl_ord_id="x", qty=D(9), venue_order_id="2-x"))
    for venue_order_id in ("1-x", "2-x"):
        found = blotter.find("sim", None, venue_order_id)
        assert found is not None
        assert found.venue_order_id == "2-x"
    blotter.fold(4, OrderCanceled(at_ns=6, cl_ord_id="x"))
    assert blotter.forget(0, 4) == 1
    assert blotter.find("sim", None, "1-x") is None
    assert blotter.find("sim", None, "2-x") is None


def test_the_longest_settled_are_forgotten_first_and_no_more_than_asked() -> None:
    blotter = book("a", "b", "c")
    assert blotter.forget(2, 99) == 1
    assert [order.cl_ord_id for order in blotter] == ["b", "c"]
    assert blotter.find("sim", "v-a", "1-a") is None
    assert not blotter.has_execution("a", "t-a")
    assert blotter.forget(2, 99) == 0


def test_an_id_that_a_newer_order_has_by_now_stays_its_own() -> None:
    """Some venues count their order ids by symbol, or start over."""
    blotter = book("old")
    blotter.fold(8, rows("new")[0])  # type: ignore[arg-type]
    blotter.fold(9, OrderAcknowledged(at_ns=9, cl_ord_id="new", venue_order_id="1-old"))
    assert blotter.forget(0, 99) == 1
    found = blotter.find("sim", None, "1-old")
    assert found is not None
    assert found.cl_ord_id == "new"


def test_orders_are_counted_by_status_as_they_come_change_and_go() -> None:
    blotter = book("done", "again")
    for event in rows("open", is_settled=False):
        blotter.fold(10, event)  # type: ignore[arg-type]
    assert +blotter.by_status == {Status.CANCELLED: 2, Status.OPEN: 1}
    done = blotter.get("done")
    assert done is not None
    assert blotter.forget(1, 99) == 1
    assert +blotter.by_status == {Status.CANCELLED: 1, Status.OPEN: 1}
    blotter.remember(done, ())
    assert +blotter.by_status == {Status.CANCELLED: 2, Status.OPEN: 1}


def test_what_history_does_not_have_yet_is_not_forgotten() -> None:
    blotter = book("a", "b")
    assert blotter.forget(0, durable_seq=3) == 1
    assert [order.cl_ord_id for order in blotter] == ["b"]


def test_an_unsettled_order_is_never_forgotten() -> None:
    blotter = book("a", is_settled=False)
    assert blotter.forget(0, 99) == 0
    assert blotter.get("a") is not None


def test_a_remembered_order_counts_no_execution_again() -> None:
    old = book("x")
    order = old.get("x")
    assert order is not None
    blotter = Blotter()
    blotter.remember(order, old.exec_ids("x"))
    assert blotter.get("x") == order
    assert blotter.has_execution("x", "t-x")
    assert blotter.unsettled("sim") == []
    never_filled = Play().acknowledged().order
    blotter.remember(never_filled, ())
    assert list(blotter.exec_ids("never")) == []


def test_a_late_fill_makes_an_order_unsettled_only_while_more_is_missing() -> None:
    blotter = book("x")
    blotter.fold(4, OrderTraded(at_ns=4, cl_ord_id="x", exec_id="u", last_qty=D(1), last_px=D(1)))
    assert blotter.unsettled_count("sim") == 0
    blotter.fold(5, OrderCanceled(at_ns=5, cl_ord_id="x", cum_qty=D(9)))
    assert blotter.unsettled_count("sim") == len(blotter.asking("sim")) == 1


def test_a_journal_that_contradicts_itself_is_not_folded() -> None:
    blotter = book("x")
    submitted = rows("x")[0]
    assert isinstance(submitted, OrderSubmitted)
    with pytest.raises(JournalError, match="row 4 submits x a second time"):
        blotter.fold(4, submitted)
    with pytest.raises(JournalError, match="row 4 is about y, which was never submitted"):
        blotter.fold(4, OrderAcknowledged(at_ns=1, cl_ord_id="y", venue_order_id="1"))


def test_a_row_about_no_order_leaves_no_order() -> None:
    blotter = Blotter()
    assert blotter.fold(1, DaemonStarted(at_ns=1, version="0", epoch="e")) is None
    assert len(blotter) == 0
