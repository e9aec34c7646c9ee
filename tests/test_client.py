"""
The Python client against a real daemon: the design's own words, and what happens when one is lost.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.daemon_process import DaemonProcess, running
from tests.scripted_daemon import ScriptedDaemon, hang_up

from brokerd import errors
from brokerd.client import AsyncBroker, Broker, Fill, Trade
from brokerd.client.protocol import DaemonUnreachable
from brokerd.client.trade import Order
from brokerd.views import ShownFill, ShownOrder

FUTURE = {"time_type": "absolute", "since": "2100-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running() as daemon:
        yield daemon


@pytest.fixture
def broker(daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    monkeypatch.setenv("BROKERD_SOCKET", str(daemon.socket_path))
    with Broker() as broker:
        yield broker


def resting(**terms: str) -> Trade:
    return Trade(symbol="BTCUSDT", side="buy", ord_type="limit", qty="0.01", px="20000", **terms)


def test_the_design_submits(broker: Broker) -> None:
    broker.group_settings(user="alice", strategy="mm")
    trade = Trade(symbol="BTCUSDT", side="buy", ord_type="limit", qty="0.01", px="20000")
    broker.submit(trade)
    assert trade.status == "PENDING" or trade.is_trade
    assert (trade.group, trade.qty) == ({"user": "alice", "strategy": "mm"}, Decimal("0.01"))


def test_the_design_loads_and_checks(broker: Broker) -> None:
    broker.group_settings(user="bob", strategy="mm")
    mine = resting()
    broker.submit(mine, wait="venue")
    broker.time_settings(time_type="relative", latest_group=True, last="1h")
    loaded = broker.load(status="OPEN")
    for trade in loaded:
        broker.check_trade(trade)
    assert [trade.cl_ord_id for trade in loaded] == [mine.cl_ord_id]
    assert loaded[0].is_trade
    assert loaded[0].executor_id == mine.executor_id


def test_the_design_loads_open_closed_pending_and_cancelled(broker: Broker) -> None:
    broker.group_settings(user="carol")
    filled = Trade(symbol="BTCUSDT", side="buy", ord_type="market", qty="0.01")
    broker.submit(filled, wait="venue")
    opened, cancelled = resting(), resting()
    for trade in (opened, cancelled):
        broker.submit(trade, wait="venue")
    broker.cancel(cancelled)
    for event in broker.events(after_seq=0, cl_ord_id=cancelled.cl_ord_id):
        if event.event == "order_canceled":
            break
    broker.time_settings()
    ids = {status: [each.cl_ord_id for each in broker.load(status=status)]
           for status in ("OPEN", "CLOSED", "PENDING", "CANCELLED")}  # fmt: skip
    assert ids == {
        "OPEN": [opened.cl_ord_id],
        "CLOSED": [filled.cl_ord_id],
        "PENDING": [],
        "CANCELLED": [cancelled.cl_ord_id],
    }
    assert {each.status for each in broker.load(status=["OPEN", "CLOSED"])} == {"OPEN", "CLOSED"}


def test_a_check_records_what_the_venue_knows_and_updates_the_trade(broker: Broker) -> None:
    """The trade was loaded before its order was canceled: the check brings it up to date."""
    trade = resting()
    broker.submit(trade, wait="venue")
    (stale,) = [each for each in broker.load(status="OPEN") if each.cl_ord_id == trade.cl_ord_id]
    broker.cancel(trade)
    for event in broker.events(after_seq=trade.seq, cl_ord_id=trade.cl_ord_id):
        if event.event == "order_canceled":
            break
    assert stale.status == "OPEN"
    assert broker.check_trade(stale) is stale
    assert (stale.status, stale.ord_status) == ("CANCELLED", "canceled")


def test_a_trade_without_an_executor_id_is_not_checked(broker: Broker) -> None:
    trade = resting()
    assert not trade.is_trade
    assert broker.check_trade(trade) is trade
    assert trade.status is None


def test_a_trade_submitted_again_is_one_order(broker: Broker) -> None:
    broker.group_settings(user="dan")
    trade = resting()
    broker.submit(trade)
    broker.group_settings(user="dan", strategy="other")
    broker.submit(trade)
    broker.group_settings(user="dan")
    assert len(broker.load()) == 1


def test_a_replace_and_a_cancel_all(broker: Broker) -> None:
    broker.group_settings(user="eve")
    trade = resting()
    broker.submit(trade, wait="venue")
    broker.replace(trade, px="21000")
    for event in broker.events(after_seq=trade.seq, cl_ord_id=trade.cl_ord_id):
        if event.event == "order_replaced":
            break
    assert broker.check_trade(trade).px == Decimal(21000)
    assert broker.cancel_all() == [trade.cl_ord_id]


def test_a_cancel_of_all_means_old_orders_too(broker: Broker) -> None:
    """The window of the loads is none of its business: nothing is left working for its age."""
    broker.group_settings(user="gina")
    trade = resting()
    broker.submit(trade, wait="venue")
    broker.time_settings("absolute", since="2100-01-01T00:00:00Z")
    assert broker.load() == []
    other = resting(group={"user": "hugo"})
    broker.submit(other, wait="venue")
    assert broker.cancel_all() == [trade.cl_ord_id], "whose orders are meant stays"
    assert broker.cancel_all(group={"user": "hugo"}, time=FUTURE) == []


def test_a_cancel_of_all_warns_of_what_it_could_not_reach() -> None:
    told = {"requested": 1, "cl_ord_ids": ["a"], "out_of_reach": ["b"]}
    with (
        ScriptedDaemon({"order.cancel_all": told}) as daemon,
        Broker(daemon.path) as broker,
        pytest.warns(RuntimeWarning, match="not configured any more: b"),
    ):
        assert broker.cancel_all() == ["a"]


@pytest.mark.parametrize("terms", [{"qty": "0"}, {"px": "0"}, {"stop_px": "0"}])
def test_a_zero_is_told_as_it_was_given(broker: Broker, terms: dict[str, str]) -> None:
    told = {"symbol": "BTCUSDT", "side": "buy", "ord_type": "market", "qty": "0.01"}
    with pytest.raises(errors.InvalidOrder) as error:
        broker.submit(Trade(**{**told, **terms}))
    assert error.value.field == next(iter(terms))


def test_keys_of_a_group_that_nobody_asked_for_are_refused(broker: Broker) -> None:
    broker.time_settings()
    with pytest.raises(errors.InvalidParams, match="latest_group") as error:
        broker.load(group_by="nosuch")
    assert (error.value.field, error.value.hint) == ("group_by", "latest_group")


def test_statistics_come_by_group(broker: Broker) -> None:
    broker.group_settings(user="fay")
    broker.submit(Trade(symbol="BTCUSDT", side="buy", ord_type="market", qty="0.01"), wait="venue")
    told = broker.stats("symbol")
    assert [row["group"] for row in told["rows"]] == [{"symbol": "BTCUSDT"}]
    assert told["rows"][0]["orders"] == 1


@pytest.mark.parametrize(
    ("attempt", "field", "word"),
    [
        (lambda broker: broker.load(status="CANECELLED"), "status", "CANCELLED"),
        (lambda broker: broker.load(status="CANCELED"), "status", "CANCELLED"),
        (lambda broker: broker.time_settings("relativ", last="1h"), "time_type", "relative"),
        (lambda broker: broker.time_settings("relative", last="1h", by="fill"), "by", "filled"),
        (lambda broker: broker.load(symbl="BTCUSDT"), "symbl", "symbol"),
        (lambda broker: broker.load(ord_status="canceld"), "ord_status", "canceled"),
    ],
)
def test_a_wrong_word_is_told_the_right_one(
    broker: Broker, attempt: object, field: str, word: str
) -> None:
    with pytest.raises(errors.InvalidParams) as error:
        attempt(broker)  # type: ignore[operator]
    assert error.value.field == field
    assert f'did you mean "{word}"?' in str(error.value)


def test_errors_have_the_names_of_the_taxonomy(broker: Broker) -> None:
    with pytest.raises(errors.InvalidOrder) as error:
        broker.submit(Trade(symbol="BTCUSD", side="buy", ord_type="market", qty=1))
    assert (error.value.reason, error.value.field) == ("unknown_symbol", "symbol")
    unknown = resting(cl_ord_id="nobody")
    with pytest.raises(errors.UnknownOrder):
        broker.cancel(unknown)


def test_a_float_is_refused_before_it_can_be_wrong() -> None:
    with pytest.raises(errors.InvalidParams, match=r'qty="0\.1"'):
        Trade(symbol="BTCUSDT", side="buy", ord_type="market", qty=0.1)  # type: ignore[arg-type]


def test_a_time_without_a_zone_is_refused(broker: Broker) -> None:
    with pytest.raises(errors.InvalidParams, match="time zone"):
        broker.time_settings("absolute", since=datetime(2026, 1, 1))  # noqa: DTZ001 - the very fault
    broker.time_settings("absolute", since=datetime(2026, 1, 1, tzinfo=UTC))
    assert isinstance(broker.load(limit=1), list)


def test_where_no_daemon_is_nothing_happened(tmp_path: Path) -> None:
    broker = Broker(str(tmp_path / "none"), timeout_s=0.05)
    with pytest.raises(DaemonUnreachable, match="brokerd run"):
        broker.submit(resting())


def test_an_unanswered_submit_is_repeated_under_its_own_id(tmp_path: Path) -> None:
    """The first daemon takes the line and dies; the second is asked for the same order."""
    with ScriptedDaemon({"order.submit": hang_up}) as daemon:
        broker = Broker(daemon.path, timeout_s=0.2)
        trade = resting()
        with pytest.raises(errors.OutcomeUnknown) as error:
            broker.submit(trade)
        asked = [params["cl_ord_id"] for params in daemon.params("order.submit")]
    assert len(asked) > 1
    assert set(asked) == {trade.cl_ord_id} == {error.value.extra["cl_ord_id"]}


def test_a_broker_finds_the_daemon_again_after_a_restart() -> None:
    with running() as daemon, Broker(str(daemon.socket_path)) as broker:
        trade = resting()
        broker.submit(trade, wait="venue")
        daemon.kill()
        daemon.start()
        assert [each.cl_ord_id for each in broker.load()] == [trade.cl_ord_id]


def test_events_go_on_over_a_restart_of_the_daemon() -> None:
    """No gap, no repeat: the sequence is whole though the daemon was killed under it."""
    with running() as daemon, Broker(str(daemon.socket_path)) as broker:
        events = broker.events(after_seq=0)
        seqs = [next(events).seq for _ in range(2)]
        broker.submit(resting(), wait="venue")
        daemon.kill()
        daemon.start()
        trade = resting()
        broker.submit(trade, wait="venue")
        for event in events:
            seqs.append(event.seq)
            if event.cl_ord_id == trade.cl_ord_id and event.event == "order_acknowledged":
                break
    assert seqs == list(range(1, seqs[-1] + 1))


async def test_async_calls_run_side_by_side(daemon: DaemonProcess) -> None:
    async with AsyncBroker(str(daemon.socket_path)) as broker:
        broker.group_settings(user="gil")
        trades = [resting() for _ in range(20)]
        async with asyncio.TaskGroup() as group:
            for trade in trades:
                group.create_task(broker.submit(trade, wait="venue"))
        broker.time_settings("relative", last="1h")
        loaded = await broker.load(status="OPEN")
        assert {each.cl_ord_id for each in loaded} == {each.cl_ord_id for each in trades}
        await broker.check_trade(loaded[0])
        await broker.replace(loaded[0], qty="0.02")
        await broker.cancel(loaded[1])
        assert len(await broker.cancel_all()) >= 18
        assert (await broker.stats())["rows"][0]["orders"] == 20
        assert (await broker.call("daemon.ping"))["pong"]
        with pytest.raises(errors.InvalidParams):
            await broker.load(status="CANECELLED")


async def test_async_events_go_on_over_a_restart_of_the_daemon() -> None:
    with running() as daemon:
        async with AsyncBroker(str(daemon.socket_path)) as broker:
            events = broker.events(after_seq=0)
            seqs = [(await anext(events)).seq for _ in range(2)]
            await broker.submit(resting(), wait="venue")
            daemon.kill()
            daemon.start()
            trade = resting()
            await broker.submit(trade, wait="venue")
            async for event in events:
                seqs.append(event.seq)
                if event.cl_ord_id == trade.cl_ord_id and event.event == "order_acknowledged":
                    break
            await events.aclose()
    assert seqs == list(range(1, seqs[-1] + 1))


async def test_async_silence_ends_where_it_is_asked_to(daemon: DaemonProcess) -> None:
    broker = AsyncBroker(str(daemon.socket_path))
    assert [event async for event in broker.events(idle_s=0.01, cl_ord_id="nobody")] == []


async def test_async_where_no_daemon_is_nothing_happened(tmp_path: Path) -> None:
    broker = AsyncBroker(str(tmp_path / "none"), timeout_s=0.05)
    with pytest.raises(DaemonUnreachable):
        await broker.submit(resting())


async def test_async_an_unanswered_submit_is_repeated_under_its_own_id() -> None:
    with ScriptedDaemon({"order.submit": hang_up}) as daemon:
        broker, trade = AsyncBroker(daemon.path, timeout_s=0.2), resting()
        with pytest.raises(errors.OutcomeUnknown):
            await broker.submit(trade)
        asked = [params["cl_ord_id"] for params in daemon.params("order.submit")]
    assert len(asked) > 1
    assert set(asked) == {trade.cl_ord_id}


def test_the_blocking_client_loads_nothing_heavy() -> None:
    heavy = {"asyncio", "aiohttp", "aiosqlite", "structlog", "sqlite3", "uvloop"}
    check = f"import sys, brokerd.client; sys.exit(' '.join({heavy!r} & set(sys.modules)) or None)"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bot_killed_a_hundred_times_sees_every_event_once(tmp_path: Path) -> None:
    """SIGKILL in the middle of the stream, while orders go on: no gap and no repeat over lives."""
    record = tmp_path / "record"
    with running() as daemon, Broker(str(daemon.socket_path)) as broker:
        command = ["-m", "tests.killed_bot", str(daemon.socket_path), "100", "7", str(record)]
        with subprocess.Popen([sys.executable, *command]) as bot:
            while bot.poll() is None:
                broker.submit(Trade(symbol="BTCUSDT", side="buy", ord_type="market", qty="0.01"))
    assert bot.returncode == 0
    seqs = [int(line) for line in record.read_text().splitlines()]
    assert len(seqs) > 1_000
    assert seqs == list(range(1, seqs[-1] + 1))


def test_a_person_says_what_became_of_a_doubt_and_thaws_an_executor(broker: Broker) -> None:
    """Where there is neither doubt nor frost, both say so."""
    trade = resting()
    broker.submit(trade, wait="venue")
    with pytest.raises(errors.NotResolvable) as certain:
        broker.resolve(trade, "not_executed", reason="looked")
    assert certain.value.reason == "not_in_doubt"
    with pytest.raises(errors.InvalidParams, match="no outcome 'executd'") as misspelt:
        broker.resolve(trade, "executd", reason="looked")
    assert "executed" in str(misspelt.value.hint)
    with pytest.raises(errors.NotFrozen):
        broker.thaw("paper", reason="looked")


async def test_so_does_the_client_for_asyncio(broker: Broker) -> None:
    trade = resting()
    broker.submit(trade, wait="venue")
    async with AsyncBroker() as other:
        with pytest.raises(errors.NotResolvable):
            await other.resolve(trade, "executed", reason="looked", venue_order_id="17")
        with pytest.raises(errors.NotFrozen):
            await other.thaw("paper", reason="looked")


def test_a_fill_says_all_that_the_daemon_shows_of_one() -> None:
    assert Fill.__struct_fields__ == ShownFill.__struct_fields__


def test_a_trade_says_all_that_the_daemon_shows_of_an_order() -> None:
    shown = ShownOrder.__struct_fields__
    assert {*Order.__struct_fields__} == {*shown}
    assert {*shown} <= {*vars(resting())}


def test_a_bare_cl_ord_id_will_do_for_a_trade(broker: Broker) -> None:
    cl_ord_id = broker.submit(resting(), wait="venue").cl_ord_id
    assert cl_ord_id is not None
    assert broker.replace(cl_ord_id, px="20001").cl_ord_id == cl_ord_id
    assert broker.check_trade(cl_ord_id).is_trade
    canceled = broker.cancel(cl_ord_id)
    assert (canceled.cl_ord_id, canceled.symbol) == (cl_ord_id, "BTCUSDT")
    with pytest.raises(errors.UnknownOrder):
        broker.cancel("nobody's")


def test_fills_are_those_of_a_trade_or_of_all_that_match(broker: Broker) -> None:
    broker.group_settings(user="filled")
    trades = [
        Trade(symbol="BTCUSDT", side=s, ord_type="market", qty="0.01") for s in ("buy", "sell")
    ]
    for trade in trades:
        broker.submit(trade, wait="venue")
    (bought,) = broker.fills(trades[0])
    assert (bought.cl_ord_id, bought.last_qty) == (trades[0].cl_ord_id, Decimal("0.01"))
    broker.time_settings("relative", last="1h")
    assert len(broker.fills()) == 2
    assert broker.fills(status="CLOSED", limit=1) == broker.fills()[:1]
    assert broker.fills(status="CANCELLED") == []
    assert broker.fills(time=FUTURE) == []


async def test_the_fills_of_a_trade_are_all_of_them_whatever_is_set(
    broker: Broker, daemon: DaemonProcess
) -> None:
    """A bot that looked at its own hour and group was told that a trade outside had no fills."""
    trade = Trade(symbol="BTCUSDT", side="buy", ord_type="market", qty="0.01")
    broker.submit(trade, wait="venue")
    async with AsyncBroker(daemon.socket_path, executor="elsewhere") as bot:
        for settings in (broker, bot):
            settings.group_settings(user="somebody-else")
            settings.time_settings(**FUTURE)
        (fill,) = broker.fills(trade)
        assert fill.cl_ord_id == trade.cl_ord_id
        assert await bot.fills(fill.cl_ord_id) == [fill]
        assert await bot.fills(trade, time=FUTURE) == broker.fills(trade, side="sell") == []
        assert broker.fills() == []


async def test_so_it_will_with_asyncio(broker: Broker, daemon: DaemonProcess) -> None:
    cl_ord_id = broker.submit(resting(), wait="venue").cl_ord_id
    assert cl_ord_id is not None
    async with AsyncBroker(daemon.socket_path) as bot:
        assert (await bot.check_trade(cl_ord_id)).is_trade
        assert (await bot.cancel(cl_ord_id)).cl_ord_id == cl_ord_id
        assert await bot.fills(cl_ord_id) == []


SLIPS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a dict is submitted": (lambda b: b.submit({"symbol": "BTCUSDT"}), "takes a Trade, not a dict"),
    "nothing is canceled": (lambda b: b.cancel(None), "its cl_ord_id, not a NoneType"),
    "several are canceled": (lambda b: b.cancel(["a", "b"]), "its cl_ord_id, not a list"),
    "nothing is checked": (lambda b: b.check_trade(None), "its cl_ord_id, not a NoneType"),
    "a group that is text": (lambda _: resting(group="mm"), "group is a str"),
    "a filter that is text": (lambda b: b.load(group="mm"), "group is a str"),
    "a number in a group": (lambda _: resting(group={"n": 1}), "group key n is a int"),
    "a number for a status": (lambda b: b.load(status=5), "status is a int"),
    "no status at all": (lambda b: b.cancel_all(status=[]), "leave status out"),
    "a limit that is text": (lambda b: b.load(limit="10"), "limit is '10'"),
    "a limit below none": (lambda b: b.load(limit=-1), "limit is -1"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_the_pen_is_told_in_words(broker: Broker, slip: str) -> None:
    do, told = SLIPS[slip]
    with pytest.raises(errors.InvalidParams, match=told):
        do(broker)


def test_statuses_may_come_from_a_generator_and_the_socket_from_pathlib(
    broker: Broker, daemon: DaemonProcess
) -> None:
    mine = broker.submit(resting(), wait="venue")
    with Broker(Path(daemon.socket_path)) as other:
        found = other.load(status=(each for each in ("OPEN", "PENDING")))  # type: ignore[arg-type]
    assert mine.cl_ord_id in {trade.cl_ord_id for trade in found}
