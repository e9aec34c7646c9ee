"""The whole daemon at a local Alpaca, in another process: what the venue did is what brokerd says."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
from tests.daemon_process import DaemonProcess, Message, Told

from brokerd.secrets import Secret
from brokerd_adapters.paper.markets import QuoteTick
from brokerd_adapters.venue import Step, VenueConfig, VenueServer, WireFault, WireFaults
from brokerd_adapters.venue.alpaca import AlpacaDialect
from brokerd_adapters.venue.alpaca.desk import Desk

D = Decimal
CANARY = "alpaca-daemon-canary"
SYMBOL = "BTC/USD"


class Place:
    """A venue in this loop, a daemon in a process of its own."""

    def __init__(self, venue: VenueServer, daemon: DaemonProcess) -> None:
        self.venue, self.daemon = venue, daemon

    @property
    def desk(self) -> Desk:
        assert isinstance(self.venue.dialect, AlpacaDialect)
        return self.venue.dialect.desk

    async def call(self, method: str, **params: Any) -> Any:
        return await asyncio.to_thread(self.daemon.call, method, **params)

    async def submit(self, cl_ord_id: str, px: str = "39000", qty: str = "1") -> Message:
        return await self.call(
            "order.submit",
            cl_ord_id=cl_ord_id,
            symbol=SYMBOL,
            side="buy",
            ord_type="limit",
            qty=qty,
            px=px,
        )

    async def shown(self, cl_ord_id: str, is_so: Callable[[Message], bool]) -> Message:
        """Ask for an order until it is as it should be."""
        order: Message = {}
        async with asyncio.timeout(30):
            while not order or not is_so(order):
                order = await self.call("order.get", cl_ord_id=cl_ord_id)
                await asyncio.sleep(0.02)
        return order

    def quote(self, bid: str, ask: str, size: str = "100") -> None:
        self.venue.on_tick(QuoteTick(0, SYMBOL, D(bid), D(size), D(ask), D(size)))

    async def start(self) -> None:
        await asyncio.to_thread(self.daemon.start)


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    config = VenueConfig(dialect="alpaca", market="none", secret=Secret(CANARY))
    async with VenueServer(config) as venue:
        executor = {
            "adapter": "alpaca",
            "base_url": venue.urls["rest"],
            "symbols": [SYMBOL],
            "requests_per_minute": 10_000,
        }
        with DaemonProcess() as daemon:
            keys = {"credentials_dir": str(daemon.home), "poll_floor_s": 1.0}
            daemon.configure(keys, executor)
            credential = daemon.home / "alpaca"
            credential.write_text(f'api_key = "{venue.config.key}"\nsecret = "{CANARY}"\n')
            credential.chmod(0o600)
            at = Place(venue, daemon)
            at.quote("39990", "40010")
            await at.start()
            yield at
            assert CANARY not in daemon.log.read_text()
            assert CANARY.encode() not in daemon.journal.read_bytes()


def is_settled(order: Message) -> bool:
    return order["status"] in {"CLOSED", "CANCELLED"} and not order["in_doubt"]


async def test_a_whole_life_with_a_kill_in_the_middle_of_a_replace() -> None:
    async with place() as at:
        await at.submit("x", qty="10")
        await at.shown("x", lambda order: order["status"] == "OPEN")
        at.quote("38000", "39000", size="4")
        await at.shown("x", lambda order: D(order["cum_qty"]) == 4)
        at.desk.hold()
        await at.call("order.replace", cl_ord_id="x", qty="12", px="38500")
        order = await at.shown("x", lambda order: order["in_doubt"])
        assert order["ord_status"] == "pending_replace"
        at.daemon.signal(signal.SIGKILL)
        at.daemon.wait()
        at.desk.work()
        at.quote("38000", "38500", size="1")
        await at.start()
        order = await at.shown("x", lambda order: not order["in_doubt"])
        assert (D(order["qty"]), D(order["px"]), D(order["cum_qty"])) == (D(12), D(38500), D(5))
        await at.call("order.cancel", cl_ord_id="x")
        order = await at.shown("x", is_settled)
        assert (order["status"], D(order["cum_qty"])) == ("CANCELLED", D(5))
        (venues,) = at.venue.exchange.ever
        assert (venues.cum_qty, len(venues.executions)) == (D(5), 2)


async def test_a_replace_turned_down_later_leaves_the_order_as_it_was() -> None:
    async with place() as at:
        await at.submit("x")
        await at.shown("x", lambda order: order["status"] == "OPEN")
        await at.call("order.replace", cl_ord_id="x", qty="9000", px="39000")
        order = await at.shown("x", lambda order: order["ord_status"] == "new")
        assert (D(order["qty"]), order["in_doubt"]) == (D(1), False)
        told = (await at.call("order.explain", cl_ord_id="x"))["transitions"]
        refused = next(each for each in told if each["event"] == "request_refused")
        assert refused["reason"] == "refused_by_venue"


async def test_a_cancel_that_was_lost_is_sent_again_until_the_order_is_canceled() -> None:
    async with place() as at:
        await at.submit("x")
        await at.shown("x", lambda order: order["status"] == "OPEN")
        lost = Step(fault=WireFault.LOSE_REQUEST, on="cancel")
        at.venue.gate.misbehave(WireFaults(script=(lost,)))
        await at.call("order.cancel", cl_ord_id="x")
        order = await at.shown("x", is_settled)
        assert order["status"] == "CANCELLED"


@pytest.mark.parametrize("seed", [1, 2])
async def test_in_a_storm_nothing_is_lost_and_nothing_done_twice(seed: int) -> None:
    """
    Replies are lost, late, garbled or lies; events repeat, cross, vanish. Requests all arrive: of
    one that did not, Alpaca never says so.
    """
    chance = random.Random(seed)
    async with place() as at:
        at.venue.gate.misbehave(
            WireFaults(
                seed=seed,
                terms=Step(fault=WireFault.NONE, delay_s=0.05),
                lose_reply=0.1,
                late=0.1,
                hold=0.05,
                fail=0.1,
                garble=0.1,
                truncate=0.1,
                lose_answer=0.05,
                repeat_report=0.2,
                reorder_report=0.2,
                drop_report=0.2,
                drop_stream=0.01,
            )
        )
        names = [f"o{number}" for number in range(12)]
        for name in names:
            await at.submit(name, px=str(chance.randint(38_500, 39_500)))
        for step in range(40):
            await asyncio.sleep(0.01)
            ask = chance.randint(38_400, 39_600)
            at.quote(str(ask - 10), str(ask), size=str(chance.choice(["0.25", "0.5", "1"])))
            if step % 4 == 0:
                await _meddle(at, chance.choice(names), chance)
        at.venue.gate.misbehave(None)
        orders = {name: await at.shown(name, lambda order: not order["in_doubt"]) for name in names}
        for name, order in orders.items():
            if order["status"] == "OPEN":
                with suppress(Told):
                    await at.call("order.cancel", cl_ord_id=name)
        assert len(at.venue.exchange.ever) == len(names), "one order each"
        for name in names:
            order = await at.shown(name, is_settled)
            link = at.desk.entity(order["executor_id"].removeprefix("alpaca:"))
            assert link is not None
            venues = link.order
            assert not venues.is_open
            assert D(order["cum_qty"]) == venues.cum_qty, name
            told = (await at.call("order.explain", cl_ord_id=name))["transitions"]
            fills = [each for each in told if each["event"] == "order_traded"]
            assert len(fills) == len(venues.executions), name


async def _meddle(at: Place, name: str, chance: random.Random) -> None:
    """Ask for a replace or a cancel; whether it may be now is not the point."""
    with suppress(Told):
        if chance.random() < 0.6:
            px = str(chance.randint(38_500, 39_500))
            await at.call("order.replace", cl_ord_id=name, qty="2", px=px)
        else:
            await at.call("order.cancel", cl_ord_id=name)


SAID = {"cl_ord_id": "x", "outcome": "not_executed", "reason": "not on the venue's page"}


async def said(at: Place) -> Message:
    """Say it; return the order, or why a person is not believed."""
    try:
        return await at.call("order.resolve", **SAID)
    except Told as told:
        return told.data


async def test_a_person_ends_a_doubt_and_a_fill_that_proves_them_wrong_counts() -> None:
    """Requests never expire here, and the venue answers no question: nothing else can end it."""
    async with place() as at:
        mute = WireFaults(script=(WireFault.LOSE_REPLY,), lose_answer=1.0, drop_report=1.0)
        at.venue.gate.misbehave(mute)
        await at.submit("x")
        await at.shown("x", lambda order: order["in_doubt"])
        order = await said(at)
        assert order["reason"] == "may_still_arrive"
        async with asyncio.timeout(40):
            while order["reason"] == "may_still_arrive":
                await asyncio.sleep(0.5)
                order = await said(at)
        assert (order["status"], order["ord_status"], order["in_doubt"]) == (
            "CLOSED",
            "rejected",
            False,
        )
        at.daemon.signal(signal.SIGKILL)
        at.daemon.wait()
        at.venue.gate.misbehave(WireFaults())
        await at.start()
        told = (await at.call("order.explain", cl_ord_id="x"))["transitions"]
        word = next(each for each in told if each["event"] == "request_resolved")
        assert word["by"].startswith("uid ")
        assert (word["outcome"], word["reason"]) == (SAID["outcome"], SAID["reason"])
        assert word["road"] == "operator"
        at.quote("38000", "39000")
        order = await at.shown("x", lambda order: D(order["cum_qty"]) == 1)
        assert (order["status"], order["ord_status"]) == ("CLOSED", "filled")
        assert (await said(at))["reason"] == "not_in_doubt"
