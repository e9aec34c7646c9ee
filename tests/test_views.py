"""Orders, fills and events as bots see them."""

import msgspec
from msgspec.structs import replace
from tests.scripted import D, E, Play, S, report, reported, submit, traded

from brokerd.events import DaemonStarted, Entry, RequestKind
from brokerd.history.read import Fill
from brokerd.messages import Cancel
from brokerd.rpc import encode
from brokerd.terms import OrdType, Quote, Side
from brokerd.views import show_entry, show_fill, show_order

ZERO = "1970-01-01T00:00:00.00000000"


def test_a_new_order_is_shown_with_what_is_known_and_null_for_the_rest() -> None:
    play = Play()
    play.tell(replace(submit(group={"user": "alice"}), arrival=Quote(D(99), D(101), 3)))
    shown = show_order(play.order)
    assert (shown.status, shown.ord_status) == ("PENDING", "pending_new")
    assert (shown.request, shown.in_doubt) == (RequestKind.NEW, False)
    assert (shown.executor_id, shown.avg_px, shown.reason, shown.closed_at) == (None,) * 4
    assert (shown.qty, shown.leaves_qty, shown.px) == ("10", "10", "100")
    assert shown.created_at == f"{ZERO}1Z"
    assert shown.arrival is not None
    assert (shown.arrival.bid_px, shown.arrival.ask_px, shown.arrival.at) == (
        "99",
        "101",
        f"{ZERO}3Z",
    )
    assert shown.group == {"user": "alice"}


def test_a_done_order_is_shown_with_its_fills_its_times_and_its_reason() -> None:
    play = Play()
    play.tell(submit(time_in_force="gtd", expire_at_ns=9))
    play.tell(reported(traded("t", 4), at_ns=2))
    play.tell(Cancel("x", 3))
    assert show_order(play.order).ord_status is S.PENDING_CANCEL
    play.tell(reported(report(E.CANCELED, reason="by user"), at_ns=4))
    shown = show_order(play.order)
    assert (shown.status, shown.ord_status, shown.reason) == ("CANCELLED", "canceled", "by user")
    assert (shown.executor_id, shown.cum_qty, shown.leaves_qty, shown.avg_px) == (
        "sim:1-x",
        "4",
        "0",
        "100",
    )
    assert (shown.first_fill_at, shown.closed_at, shown.expire_at) == (
        f"{ZERO}2Z",
        f"{ZERO}4Z",
        f"{ZERO}9Z",
    )
    assert (shown.request, shown.arrival, shown.sent_at) == (None, None, None)
    assert shown.fees == {"BNB": "0.1"}


def test_decimals_are_told_as_text() -> None:
    told = msgspec.json.decode(encode(show_order(Play().submitted().order)))
    assert (told["qty"], told["px"], told["cum_qty"]) == ("10", "100", "0")


def test_a_fill_is_shown_whole() -> None:
    play = Play().acknowledged()
    play.tell(reported(traded("t", 4), at_ns=3))
    event = replace(play.news[0].entry.event, venue_at_ns=2)
    shown = show_fill(Fill(seq=3, executor="sim", symbol="BTCUSDT", side=Side.SELL, event=event))
    assert (shown.seq, shown.at, shown.venue_at) == (3, f"{ZERO}3Z", f"{ZERO}2Z")
    assert (shown.exec_id, shown.last_qty, shown.last_px, shown.fee, shown.fee_asset) == (
        "t",
        "4",
        "100",
        "0.1",
        "BNB",
    )
    assert (shown.cl_ord_id, shown.executor, shown.symbol, shown.side) == (
        "x",
        "sim",
        "BTCUSDT",
        "sell",
    )


def entries(play: Play) -> list[dict[str, object]]:
    return [show_entry(change.seq, change.entry) for change in play.news]


def test_a_submit_lays_its_terms_flat_and_says_what_the_order_was_then() -> None:
    play = Play()
    play.tell(
        replace(submit(ord_type=OrdType.STOP, px=None, stop_px=D(90)), arrival=Quote(D(1), D(2), 3))
    )
    (told,) = entries(play)
    assert (told["seq"], told["event"], told["at"]) == (1, "order_submitted", f"{ZERO}1Z")
    assert (told["symbol"], told["stop_px"], told["ord_status"]) == (
        "BTCUSDT",
        "90",
        "pending_new",
    )
    assert "px" not in told, "what is not there is left out"
    assert "terms" not in told
    assert told["arrival"].at == f"{ZERO}3Z"  # type: ignore[attr-defined]


def test_a_trade_tells_its_own_members_and_the_sums_after_it() -> None:
    play = Play().acknowledged()
    play.tell(reported(traded("t", 4), at_ns=3))
    (told,) = entries(play)
    assert (told["last_qty"], told["cum_qty"], told["leaves_qty"]) == ("4", "4", "6")
    assert told["road"] == "stream"


def test_what_a_venue_claims_to_have_filled_does_not_hide_behind_what_we_counted() -> None:
    play = Play().acknowledged()
    play.tell(reported(report(E.NEW, cum_qty=D(4)), at_ns=3))
    (told,) = entries(play)
    assert (told["event"], told["venue_cum_qty"], told["cum_qty"]) == ("fills_missed", "4", "0")


def test_an_event_about_no_order_tells_only_itself() -> None:
    event = DaemonStarted(at_ns=1, version="0.1.0", epoch="e")
    assert show_entry(7, Entry(event)) == {
        "seq": 7,
        "event": "daemon_started",
        "at": f"{ZERO}1Z",
        "version": "0.1.0",
        "epoch": "e",
        "schema_version": 1,
    }
