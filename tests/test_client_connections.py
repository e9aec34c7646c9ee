"""
What both Python clients make of a connection: turned away at the door, lost, and over event loops.
"""

import asyncio
import gc
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop
from tests.daemon_process import DaemonProcess, running
from tests.scripted_daemon import ScriptedDaemon, hang_up, say

from brokerd import errors
from brokerd.client import AsyncBroker, Broker, Trade, aio, blocking

Run = Callable[[Coroutine[Any, Any, Any]], Any]

REFUSAL = {
    "jsonrpc": "2.0",
    "id": None,
    "error": {
        "code": errors.Busy.code,
        "message": "1 connections are open already",
        "data": {"reason": "busy"},
    },
}
PONG = {"pong": True}

both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@pytest.fixture(scope="module")
def full() -> Iterator[DaemonProcess]:
    """A daemon that has all the connections it takes."""
    with running(daemon={"connections_max": 1}) as daemon, daemon.bot():
        yield daemon


@pytest.fixture
def turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects finds that the daemon has refused and hung up, before it could ask."""

    def connect(_paths: list[str], _timeout_s: float) -> socket.socket:
        ours, daemons = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with daemons:
            say(daemons, REFUSAL)
        return ours

    monkeypatch.setattr(aio, "connect_first", connect)
    monkeypatch.setattr(blocking, "connect_first", connect)


def bought() -> Trade:
    return Trade(symbol="BTCUSDT", side="buy", ord_type="market", qty="0.01")


async def each_refused(bot: AsyncBroker) -> None:
    """Submit, replace and subscribe at once: the daemon is full, and says so to each."""
    told = await asyncio.gather(
        bot.submit(bought()),
        bot.replace("a", px="1"),
        anext(bot.events()),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [errors.Busy] * 3
    await bot.aclose()


@both_loops
def test_a_bot_on_either_loop_trades(run: Run) -> None:
    async def trade(path: str) -> None:
        async with AsyncBroker(path) as bot:
            events = bot.events(after_seq=0)
            filled = await bot.submit(bought(), wait="venue")
            event = await anext(events)
            while event.event != "order_traded":
                event = await anext(events)
            await events.aclose()
            assert event.cl_ord_id == filled.cl_ord_id
            assert [each.cl_ord_id for each in await bot.load()] == [filled.cl_ord_id]

    with running() as daemon:
        run(trade(str(daemon.socket_path)))


def test_a_full_daemon_is_busy(full: DaemonProcess) -> None:
    with Broker(full.socket_path, timeout_s=2) as broker:
        for _ in range(2):
            with pytest.raises(errors.Busy):
                broker.replace("a", px="1")


@both_loops
def test_a_full_daemon_is_busy_on_either_loop(full: DaemonProcess, run: Run) -> None:
    """It was told as doubt: nobody waited under the id of the refusal, which is null."""
    run(each_refused(AsyncBroker(full.socket_path, timeout_s=2)))


@pytest.mark.usefixtures("turned_away")
def test_a_refusal_counts_though_the_daemon_has_hung_up() -> None:
    """Writing failed then, and with it went the certain no that was there to be read."""
    with Broker(timeout_s=2) as broker:
        for _ in range(2):
            with pytest.raises(errors.Busy):
                broker.replace("a", px="1")


@both_loops
@pytest.mark.usefixtures("turned_away")
def test_a_refusal_counts_on_either_loop_though_the_daemon_has_hung_up(run: Run) -> None:
    run(each_refused(AsyncBroker(timeout_s=2)))


@pytest.mark.filterwarnings("ignore:unclosed (transport|resource):ResourceWarning")
@both_loops
def test_a_broker_for_asyncio_outlives_its_loop(run: Run) -> None:
    """A script that calls `asyncio.run` again and again waited ten seconds, then heard of no daemon."""
    with ScriptedDaemon({"daemon.ping": PONG}) as daemon:
        bot = AsyncBroker(daemon.path)
        for _ in range(3):
            assert run(bot.call("daemon.ping")) == PONG
        run(bot.aclose())
        gc.collect()


@both_loops
def test_a_broker_in_use_in_one_loop_is_refused_in_another(run: Run) -> None:
    async def ask(path: str) -> None:
        bot = AsyncBroker(path)
        await bot.call("daemon.ping")
        with pytest.raises(errors.InvalidRequest, match="in another event loop"):
            await asyncio.to_thread(run, bot.call("daemon.ping"))
        await bot.aclose()

    with ScriptedDaemon({"daemon.ping": PONG}) as daemon:
        run(ask(daemon.path))


@both_loops
def test_a_broker_whose_connection_is_lost_may_go_on_in_another_loop(run: Run) -> None:
    """The first loop need not be over: nothing of it is in use any more."""

    async def ask(path: str) -> None:
        bot = AsyncBroker(path, timeout_s=2)
        with pytest.raises(errors.OutcomeUnknown):
            await bot.replace("a", px="1")

        async def ask_elsewhere() -> Any:
            async with bot:
                return await bot.call("daemon.ping")

        assert await asyncio.to_thread(run, ask_elsewhere()) == PONG

    with ScriptedDaemon({"daemon.ping": PONG, "order.replace": hang_up}) as daemon:
        run(ask(daemon.path))
