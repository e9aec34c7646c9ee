"""The market is on record where statistics need it: at the send, at the end, and after each fill."""

from decimal import Decimal

from tests.daemon_process import exported, running

from brokerd.client import Broker
from brokerd.client.trade import Event, Trade
from brokerd.stats.marks import (
    HORIZONS,
    S_NS,
    SETTLED_AFTER_NS,
    Mids,
    dues_ns,
    is_fresh,
    marks,
    spans,
)
from brokerd.terms import Quote
from brokerd.times import parse_rfc3339


def test_dues_near_each_other_share_a_moment_that_is_never_early() -> None:
    filled = [17 * S_NS + 23, 17 * S_NS + 99_000_000]
    first, second = (dues_ns(at_ns) for at_ns in filled)
    assert first == second
    for due_ns, horizon in zip(first, HORIZONS, strict=True):
        assert due_ns % horizon.grid_ns == 0
        for at_ns in filled:
            assert 0 <= due_ns - at_ns - horizon.after_ns < horizon.grid_ns < horizon.grace_ns


def test_a_mark_is_the_first_quote_in_its_grace_and_else_missing() -> None:
    seen = Mids([S_NS - 1, S_NS + 100_000_000, 5 * S_NS + 1_000_000_001], [10, 11, 12])
    assert marks(0, seen) == (11, None, None, None, None)
    assert marks(1, seen)[:2] == (11, 12)


def test_quotes_are_looked_for_after_each_fill_and_between_none() -> None:
    day_ns, after_ns = 86_400 * S_NS, SETTLED_AFTER_NS
    filled = [day_ns, after_ns, 0, after_ns + 1, day_ns]
    assert spans(filled) == [(0, 2 * after_ns + 1), (day_ns, day_ns + after_ns)]
    assert spans([]) == []


def test_a_quote_of_an_empty_book_is_no_benchmark() -> None:
    for bid, ask, expected in ((1, 2, True), (0, 2, False), (1, 0, False), (-2, -1, False)):
        assert is_fresh(Quote(Decimal(bid), Decimal(ask), 0), S_NS) is expected


def test_the_market_is_on_record_at_send_at_the_end_and_one_second_after_fills() -> None:
    with running() as daemon, Broker(str(daemon.socket_path)) as broker:
        events = broker.events()
        trades = [
            Trade(symbol="BTCUSDT", side="buy", ord_type="market", qty="0.01") for _ in range(3)
        ]
        for trade in trades:
            broker.submit(trade, wait="venue")
        resting = Trade(symbol="BTCUSDT", side="buy", ord_type="limit", qty="0.01", px="20000")
        broker.submit(resting, wait="venue")
        broker.cancel(resting)
        told: list[Event] = []
        for event in events:
            told.append(event)
            if event.event == "quote_sampled":
                break
        assert daemon.stop() == 0
        rows = [row["event"] for row in exported(daemon.journal)]
    fills = [row for row in rows if row["event"] == "order_traded"]
    assert all(float(fill["quote"]["bid_px"]) > 0 for fill in fills)
    acknowledged = [row for row in rows if "sent_quote" in row]
    assert {row["cl_ord_id"] for row in acknowledged} >= {each.cl_ord_id for each in trades}
    (canceled,) = [row for row in rows if row["event"] == "order_canceled"]
    assert float(canceled["quote"]["ask_px"]) > float(canceled["quote"]["bid_px"])
    sampled_ns, filled_ns = parse_rfc3339(told[-1].at), fills[0]["at_ns"]
    assert sampled_ns - filled_ns >= S_NS
    moments = {due_ns for fill in fills for due_ns in dues_ns(fill["at_ns"])}
    count = sum(row["event"] == "quote_sampled" for row in rows)
    assert 0 < count <= len(moments), "fills that are due together share a quote"
