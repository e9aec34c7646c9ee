"""Events over the socket: no gap and no repeat, wherever a bot resumes and however it reads."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.daemon_process import (
    Bot,
    DaemonProcess,
    HungUp,
    Message,
    Told,
    exported,
    limit,
    market,
    request,
    running,
)
from tests.journal_rows import both

from brokerd.events import DaemonStopped, Entry
from brokerd.feed import Feed
from brokerd.lookback import first_position, seq_before_last
from brokerd.methods import Methods
from brokerd.params import SubscribeParams
from brokerd.rpc import BATCH_MAX
from brokerd.subscriptions import LAG_MAX


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running() as daemon:
        with daemon.bot() as bot:
            for no in range(20):
                bot.call("order.submit", **limit(cl_ord_id=f"early-{no}"))
        yield daemon


@pytest.fixture
def bot(daemon: DaemonProcess) -> Iterator[Bot]:
    with daemon.bot() as bot:
        yield bot


@contextmanager
def orders_flowing(daemon: DaemonProcess) -> Iterator[None]:
    """Submit, fill and cancel orders for as long as the block lasts."""
    is_over = threading.Event()

    def flow() -> None:
        with daemon.bot() as bot:
            while not is_over.is_set():
                bot.call("order.submit", **market())
                resting = bot.call("order.submit", **limit(), wait="venue")
                bot.call("order.cancel", cl_ord_id=resting["cl_ord_id"])

    threads = [threading.Thread(target=flow) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def told(bot: Bot, count: int) -> list[Message]:
    return [bot.next_event()["params"] for _ in range(count)]


def read_to(bot: Bot, seq: int) -> list[Message]:
    """Read events up to and with one row of the journal."""
    events: list[Message] = []
    while not events or events[-1]["seq"] < seq:
        message = bot.next_event()
        if message["method"] == "event":
            events.append(message["params"])
    return events


def shown(row: Message) -> Message:
    """What of an exported row a subscriber must be told: ids, quantities, what the order was after."""
    event, after = row["event"], row.get("after") or {}
    kept = ("event", "cl_ord_id", "exec_id", "last_qty", "last_px", "venue_order_id", "reason")
    return {
        "seq": row["seq"],
        **{name: event[name] for name in kept if name in event},
        **{name: after[name] for name in ("ord_status", "cum_qty", "leaves_qty") if name in after},
    }


def test_events_are_the_journals_rows(daemon: DaemonProcess, bot: Bot) -> None:
    bot.call("order.submit", **market(), wait="venue")
    rows = exported(daemon.journal)
    assert bot.call("events.subscribe", after_seq=0) == {"seq": 0}
    events = read_to(bot, rows[-1]["seq"])
    assert [event["seq"] for event in events] == list(range(1, len(rows) + 1))
    for event, row in zip(events, rows, strict=True):
        expected = shown(row)
        assert {name: event[name] for name in expected} == expected


def test_a_bot_resumes_at_any_seq_without_gap_or_repeat_while_orders_flow(
    daemon: DaemonProcess, bot: Bot
) -> None:
    with orders_flowing(daemon):
        for after_seq in (0, 1, 7, 19, bot.call("daemon.info")["seq"]):
            with daemon.bot() as resuming:
                assert resuming.call("events.subscribe", after_seq=after_seq)["seq"] == after_seq
                seqs = [event["seq"] for event in told(resuming, 200)]
            assert seqs == list(range(after_seq + 1, after_seq + 201))


def test_a_bot_that_was_killed_in_mid_stream_resumes_where_it_was(daemon: DaemonProcess) -> None:
    events: list[Message] = []
    with orders_flowing(daemon):
        after_seq = 0
        for count in (3, 50, 1, 120):
            with daemon.bot() as bot:
                bot.call("events.subscribe", after_seq=after_seq)
                events += told(bot, count)
                after_seq = events[-1]["seq"]
    assert [event["seq"] for event in events] == list(range(1, 175))


def test_without_after_seq_only_what_is_new_is_told(bot: Bot) -> None:
    seq = bot.call("daemon.info")["seq"]
    begin = bot.call("events.subscribe")["seq"]
    assert begin >= seq
    order = bot.call("order.submit", **limit())
    events = told(bot, 1)
    while events[-1].get("cl_ord_id") != order["cl_ord_id"]:
        events += told(bot, 1)  # of orders before it, which are not done yet
    assert events[-1]["event"] == "order_submitted"
    assert [event["seq"] for event in events] == list(range(begin + 1, begin + 1 + len(events)))


async def test_a_bot_may_go_on_from_an_answer_whose_event_is_not_published_yet(
    tmp_path: Path,
) -> None:
    """Answers are said at the commit; the events follow a moment later."""
    async with both(tmp_path) as (journal, _):
        feed = Feed(journal)
        await journal.append(1, [Entry(DaemonStopped(at_ns=1, reason="r"))])
        assert feed.last_seq == 0

        async def all_of_them(_: Entry) -> bool:
            return True

        for params in (SubscribeParams(after_seq=1), SubscribeParams()):
            assert await first_position(feed, params, all_of_them) == 1


def test_a_seq_ahead_of_the_journal_is_refused(bot: Bot) -> None:
    seq = bot.call("daemon.info")["seq"]
    with pytest.raises(Told) as refused:
        bot.call("events.subscribe", after_seq=seq + 1_000_000)
    assert refused.value.code == -32602
    assert refused.value.data["reason"] == "after_seq_ahead"


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ({"cl_ord_id": "f-1"}, {"f-1"}),
        ({"symbol": "ETHUSDT"}, {"f-2"}),
        ({"group": {"desk": "a"}}, {"f-1", "f-2"}),
        ({"group": {"desk": "a"}, "symbol": "BTCUSDT"}, {"f-1"}),
        ({"side": "buy"}, {"f-1", "f-2", "f-3"}),
        ({"side": "sell"}, set()),
        ({"executor": "paper", "side": "buy"}, {"f-1", "f-2", "f-3"}),
        ({"group": {"desk": "nobody"}}, set()),
    ],
)
def test_a_filter_lets_by_what_it_names_and_nothing_else(wanted: Any, meant: set[str]) -> None:
    with running() as daemon, daemon.bot() as bot:
        bot.call("events.subscribe", **wanted)
        bot.call("order.submit", **limit(cl_ord_id="f-1", group={"desk": "a", "x": "y"}))
        bot.call(
            "order.submit",
            **limit(cl_ord_id="f-2", symbol="ETHUSDT", px="1000", group={"desk": "a"}),
        )
        bot.call("order.submit", **limit(cl_ord_id="f-3", group={"desk": "b"}), wait="venue")
        seq = bot.call("daemon.info")["seq"]
        # Both a live subscription and one that reads the journal again.
        with daemon.bot() as again, daemon.bot() as whole:
            again.call("events.subscribe", after_seq=0, **wanted)
            whole.call("events.subscribe", after_seq=0)
            rows = [each for each in read_to(whole, seq) if each.get("cl_ord_id") in meant]
            assert told(again, len(rows)) == rows
            assert told(bot, len(rows)) == rows
            again.call("daemon.ping")
            assert again.events == bot.events == []


def test_a_filter_by_event_lets_by_those_events(daemon: DaemonProcess, bot: Bot) -> None:
    bot.call("events.subscribe", events=["order_canceled", "order_traded"])
    order = bot.call("order.submit", **limit(), wait="venue")
    bot.call("order.cancel", cl_ord_id=order["cl_ord_id"])
    (event,) = told(bot, 1)
    assert (event["event"], event["cl_ord_id"]) == ("order_canceled", order["cl_ord_id"])


def test_a_filter_by_executor_lets_by_its_orders_and_what_happens_to_its_link() -> None:
    with running() as daemon, daemon.bot() as bot:
        bot.call("order.submit", **limit(cl_ord_id="l-1"), wait="venue")
        bot.call("events.subscribe", after_seq=0, executor="paper")
        events = read_to(bot, bot.call("daemon.info")["seq"])
        whole = exported(daemon.journal)
    assert {event["event"] for event in events} == {
        *("executor_changed", "executor_synced", "order_submitted", "order_acknowledged")
    }
    assert [event["seq"] for event in events] == [row["seq"] for row in whole[1:]]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ({"status": "CANCELLED"}, ["order_canceled"]),
        ({"status": ["OPEN"]}, ["order_acknowledged", "cancel_requested"]),
        ({"status": ["PENDING", "CANCELLED"]}, ["order_submitted", "order_canceled"]),
        ({"ord_status": "pending_cancel"}, ["cancel_requested"]),
        ({"ord_status": ["filled", "rejected"]}, []),
    ],
)
def test_a_filter_by_status_goes_by_what_the_order_is_after_the_event(
    wanted: Any, meant: list[str]
) -> None:
    with running() as daemon, daemon.bot() as bot:
        bot.call("order.submit", **limit(cl_ord_id="s-1"), wait="venue")
        bot.call("order.cancel", cl_ord_id="s-1")
        last_seq = daemon.call("daemon.info")["seq"]
        with daemon.bot() as whole:
            whole.call("events.subscribe", after_seq=0, cl_ord_id="s-1")
            while told(whole, 1)[0]["event"] != "order_canceled":
                pass
        bot.call("events.subscribe", after_seq=0, **wanted)
        assert [event["event"] for event in told(bot, len(meant))] == meant
        assert last_seq


def test_the_last_so_many_are_those_that_the_filters_let_by_and_then_it_goes_on(
    daemon: DaemonProcess, bot: Bot
) -> None:
    for no in range(3):
        bot.call("order.submit", **limit(cl_ord_id=f"last-{no}", group={"of": "last"}))
        bot.call("order.submit", **limit(cl_ord_id=f"between-{no}"))
    wanted = {"group": {"of": "last"}, "events": ["order_submitted"]}
    bot.call("events.subscribe", last=2, **wanted)
    bot.call("order.submit", **limit(cl_ord_id="last-3", group={"of": "last"}))
    assert [event["cl_ord_id"] for event in told(bot, 3)] == ["last-1", "last-2", "last-3"]


def test_the_last_so_many_of_fewer_are_all_of_them(daemon: DaemonProcess, bot: Bot) -> None:
    assert bot.call("events.subscribe", last=1000, events=["daemon_started"]) == {"seq": 0}
    assert told(bot, 1)[0]["seq"] == 1


def test_the_last_none_is_from_now_on(daemon: DaemonProcess, bot: Bot) -> None:
    seq = bot.call("daemon.info")["seq"]
    assert bot.call("events.subscribe", last=0)["seq"] >= seq


def test_a_subscription_may_begin_at_a_time(daemon: DaemonProcess, bot: Bot) -> None:
    bot.call("events.subscribe", after_seq=0)
    for event in told(bot, 20):
        with daemon.bot() as since:
            first_seq = since.call("events.subscribe", since=event["at"])["seq"] + 1
            (first,) = told(since, 1)
        assert first["seq"] == first_seq <= event["seq"]
        assert first["at"] == event["at"]
    assert daemon.call("events.subscribe", since="2000-01-01T00:00:00Z") == {"seq": 0}
    end = daemon.call("daemon.info")["seq"]
    assert daemon.call("events.subscribe", since="2200-01-01T00:00:00Z")["seq"] >= end


def test_no_number_of_looks_back_at_once_gets_more_subscriptions(bot: Bot) -> None:
    asked = [bot.ask("events.subscribe", last=5, events=["daemon_started"]) for _ in range(20)]
    answers = {}
    while len(answers) < len(asked):
        message = bot.receive()
        if "id" in message:
            answers[message["id"]] = message
    assert sum("result" in answer for answer in answers.values()) == 8


def test_the_last_so_many_are_looked_for_no_further_back_than_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a filter that lets nothing by, else all of a long journal would be read."""
    monkeypatch.setattr("brokerd.lookback.LOOKBACK_EVENTS_MAX", 700)
    read: list[tuple[int, int]] = []

    class Endless:
        last_seq = 5000

        async def read(self, after_seq: int, limit: int) -> list[tuple[int, str]]:
            read.append((after_seq, limit))
            return [(after_seq + no, "") for no in range(1, limit + 1)]

    async def is_wanted(_: str) -> bool:
        return False

    feed: Any = Endless()
    assert asyncio.run(seq_before_last(feed, 10, is_wanted)) == 4300  # type: ignore[arg-type]
    assert read == [(4500, 500), (4300, 200)]


def test_a_subscription_begins_in_one_place(bot: Bot) -> None:
    with pytest.raises(Told) as refused:
        bot.call("events.subscribe", after_seq=1, last=5)
    assert refused.value.message == "after_seq and last exclude each other"
    assert refused.value.data["field"] == "last"


def test_in_a_batch_too_the_answer_comes_before_the_events(bot: Bot) -> None:
    bot.send([request(1, "events.subscribe", after_seq=0), request(2, "daemon.ping")])
    assert [each["id"] for each in bot.receive()] == [1, 2]
    assert bot.receive()["params"]["seq"] == 1
    bot.send([request(3, "events.subscribe", after_seq=0), request(4, "events.unsubscribe")])
    while not isinstance(told := bot.receive(), list):
        assert told["method"] == "event"
    assert told[1]["result"] == {"ended": 2}
    assert bot.call("daemon.ping")["pong"]


def test_other_answers_between_a_batch_and_its_answer_let_no_event_by(bot: Bot) -> None:
    """The batch waits for the venue; the lines after it are answered meanwhile."""
    lines = [request(no, "daemon.ping") for no in (3, 4, 5)]
    submit = request(2, "order.submit", **market(), wait="venue")
    bot.send([request(1, "events.subscribe", after_seq=0), submit])
    for line in lines:
        bot.send(line)
    told = [bot.receive() for _ in range(5)]
    first_event = next(no for no, each in enumerate(told) if "method" in each)
    assert any(isinstance(each, list) for each in told[:first_event])


def test_a_subscription_to_an_executor_that_never_was_is_refused(bot: Bot) -> None:
    with pytest.raises(Told) as refused:
        bot.call("events.subscribe", executor="papr")
    assert refused.value.data["hint"] == 'did you mean "paper"?'
    assert bot.call("events.subscribe", executor="paper")["seq"] > 0


def test_after_unsubscribe_nothing_comes(daemon: DaemonProcess, bot: Bot) -> None:
    for _ in range(8):
        bot.call("events.subscribe")
    with pytest.raises(Told) as refused:
        bot.call("events.subscribe")
    assert refused.value.data["reason"] == "too_many_subscriptions"
    assert bot.call("events.unsubscribe") == {"ended": 8}
    bot.events.clear()
    daemon.call("order.submit", **limit())
    bot.call("daemon.ping")
    assert bot.events == []
    bot.call("events.subscribe")


def test_a_bot_that_falls_behind_is_told_once_and_misses_nothing() -> None:
    with running(daemon={"stall_s": 60, "in_flight_max": 1024}) as daemon, daemon.bot() as slow:
        slow.call("events.subscribe", after_seq=0)
        with daemon.bot() as bot:
            while bot.call("daemon.info")["seq"] < 2.5 * LAG_MAX:
                for _ in range(20):
                    bot.send([request(no, "order.submit", **limit()) for no in range(BATCH_MAX)])
                for _ in range(20):
                    bot.receive()
            last_seq = bot.call("daemon.info")["seq"]
        expected_seq, lags = 1, 0
        while expected_seq <= last_seq:
            message = slow.receive()
            if message["method"] == "events.lagging":
                lags += 1
                assert message["params"]["seq"] == expected_seq - 1
                assert message["params"]["behind"] > LAG_MAX
                continue
            assert message["params"]["seq"] == expected_seq
            expected_seq += 1
        assert lags == 1


def test_the_end_of_the_daemon_ends_the_stream_after_its_last_row() -> None:
    with running() as daemon, daemon.bot() as bot:
        bot.call("events.subscribe", after_seq=0)
        assert daemon.stop() == 0
        events: list[Message] = []
        with suppress(HungUp):
            while True:
                events.append(bot.next_event()["params"])
        assert [event["seq"] for event in events] == [
            row["seq"] for row in exported(daemon.journal)
        ]
        assert events[-1]["event"] == "daemon_stopped"


async def test_a_subscription_that_ends_by_itself_leaves_its_place_to_another() -> None:
    class Failing:
        seq = 7

        async def run(self, _peer: object) -> None:
            raise KeyError("a bug")

    class Peer:
        def __init__(self) -> None:
            self.subscriptions: dict[str, object] = {"first": object(), "second": object()}
            self.told: list[bytes] = []

        async def send(self, line: bytes) -> None:
            self.told.append(line)

    peer, methods = Peer(), Methods.__new__(Methods)
    methods.subscribers = 1
    await methods._run(Failing(), peer, "first")  # type: ignore[arg-type]
    assert b"events.ended" in peer.told[0]
    assert [*peer.subscriptions] == ["second"]
