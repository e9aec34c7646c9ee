"""The trader's methods, where they meet an executor that fails."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.scripted import CLOCK, D, E, House, ScriptedExecutor, house, report, submit, traded

from brokerd.errors import InvalidOrder
from brokerd.events import RequestKind, Road
from brokerd.executor import InDoubt, LinkState
from brokerd.guard import Walled
from brokerd.ids import Ids
from brokerd.links import Links
from brokerd.messages import Answered, Replace, Reported
from brokerd.params import ReplaceParams, SubmitParams, TimedParams
from brokerd.peer import Peer
from brokerd.terms import Instrument, OrdType, Quote
from brokerd.trading import Trading


@asynccontextmanager
async def trading(
    directory: Path, venue: ScriptedExecutor
) -> AsyncGenerator[tuple[House, Trading], None]:
    executor = Walled(venue)
    async with house(directory) as home:
        link = home.link(executor)
        link.condition.state = LinkState.UP
        links = Links()
        links.add(link)
        yield home, Trading(engine=home.engine, links=links, clock=CLOCK, ids=Ids("test"))


async def test_an_executor_that_fails_to_quote_takes_orders_all_the_same(
    tmp_path: Path, peer: Peer
) -> None:
    class Blind(ScriptedExecutor):
        def quote(self, symbol: str) -> Quote | None:
            raise KeyError(symbol)

    asked = {"symbol": "BTCUSDT", "side": "buy", "ord_type": "limit", "qty": "1", "px": "100"}
    params = msgspec.json.decode(msgspec.json.encode(asked), type=SubmitParams)
    async with trading(tmp_path, Blind()) as (home, trader):
        order = await trader.submit(peer, params)
        assert home.order(order.cl_ord_id).arrival is None


async def test_a_replace_far_from_the_market_is_refused_before_it_is_written(
    tmp_path: Path, peer: Peer
) -> None:
    class Bounded(ScriptedExecutor):
        def instruments(self) -> Mapping[str, Instrument]:
            return {"BTCUSDT": Instrument("BTCUSDT", "BTC", "USDT", buy_reach=(D(0), D(2)))}

        def quote(self, symbol: str) -> Quote | None:
            return Quote(D(99), D(101), CLOCK.now_ns())

    async with trading(tmp_path, Bounded()) as (home, trader):
        await home.engine.do(submit())
        await home.engine.settle(Reported("sim", report(E.NEW), "stream", 2))
        with pytest.raises(InvalidOrder, match="too far above the market"):
            await trader.replace(peer, ReplaceParams("x", px=msgspec.Raw(b"1000")))
        shown = await trader.replace(peer, ReplaceParams("x", px=msgspec.Raw(b"102")))
        assert shown.ord_status == "pending_replace"


@pytest.mark.parametrize(("by", "canceled"), [("filled", ["filled"]), ("closed", [])])
async def test_cancel_all_goes_by_the_time_that_was_named(
    tmp_path: Path, peer: Peer, by: str, canceled: list[str]
) -> None:
    span = {"time_type": "relative", "last": "1h", "by": by}
    params = msgspec.json.decode(msgspec.json.encode({"time": span}), type=TimedParams)
    async with trading(tmp_path, ScriptedExecutor()) as (home, trader):
        for cl_ord_id in ("filled", "untouched"):
            await home.engine.do(submit(cl_ord_id, at_ns=CLOCK.now_ns()))
        fill = Reported("sim", traded("e-1", cl_ord_id="filled"), Road.STREAM, CLOCK.now_ns())
        await home.engine.settle(fill)
        assert (await trader.cancel_all(peer, params)).cl_ord_ids == canceled


async def test_a_cancel_of_all_names_what_it_cannot_reach(tmp_path: Path, peer: Peer) -> None:
    """An executor that was taken out of the configuration leaves its orders at the venue."""
    async with trading(tmp_path, ScriptedExecutor()) as (home, trader):
        await home.engine.do(submit("mine"))
        await home.engine.do(submit("left", executor="gone"))
        told = await trader.cancel_all(peer, TimedParams())
        assert (told.cl_ord_ids, told.out_of_reach) == (["mine"], ["left"])
        told = await trader.cancel_all(peer, TimedParams(executor="sim"))
        assert told.out_of_reach == []


async def test_a_replaced_stop_order_is_measured_as_the_stop_order_it_is(
    tmp_path: Path, peer: Peer
) -> None:
    class Coarse(ScriptedExecutor):
        def instruments(self) -> Mapping[str, Instrument]:
            rules = Instrument("BTCUSDT", "BTC", "USDT", lot=D("0.1"), market_lot=D(1))
            return {"BTCUSDT": rules}

    async with trading(tmp_path, Coarse()) as (home, trader):
        stop = {"ord_type": OrdType.STOP, "px": None, "stop_px": D(105), "qty": D("0.5")}
        await home.engine.do(submit(**stop))
        await home.engine.settle(Reported("sim", report(E.NEW), Road.STREAM, 2))
        shown = await trader.replace(peer, ReplaceParams("x", qty=msgspec.Raw(b"0.4")))
        assert shown.ord_status == "pending_replace"


async def test_a_cancel_of_all_reaches_a_filled_order_whose_replace_may_have_raised_it(
    tmp_path: Path, peer: Peer
) -> None:
    """Of the two that show filled, more of the one may be open."""
    async with trading(tmp_path, ScriptedExecutor()) as (home, trader):
        for cl_ord_id in ("raised", "done"):
            await home.engine.do(submit(cl_ord_id))
            await home.engine.settle(Reported("sim", report(E.NEW, cl_ord_id), "stream", 2))
        await home.engine.do(Replace("raised", D(20), None, 3))
        lost = Answered("raised", RequestKind.REPLACE, 1, InDoubt(evidence="lost"), 4)
        await home.engine.settle(lost)
        for cl_ord_id in ("raised", "done"):
            fill = traded(f"t-{cl_ord_id}", 10, cl_ord_id)
            await home.engine.settle(Reported("sim", fill, "stream", 5))
            assert home.order(cl_ord_id).is_final
        canceled = await trader.cancel_all(peer, TimedParams())
        assert canceled.cl_ord_ids == ["raised"]


@pytest.fixture
def peer() -> Peer:
    """A peer that no plain method looks at."""
    return object()  # type: ignore[return-value]


async def test_a_replace_that_the_venue_does_not_have_is_refused_before_it_is_written(
    tmp_path: Path, peer: Peer
) -> None:
    async with trading(tmp_path, ScriptedExecutor(amend="none")) as (home, trader):
        await home.engine.do(submit())
        await home.engine.settle(Reported("sim", report(E.NEW), "stream", 2))
        before = home.journal.last_seq
        with pytest.raises(InvalidOrder) as caught:
            await trader.replace(peer, ReplaceParams("x", px=msgspec.Raw(b"102")))
        assert caught.value.reason == "replace_not_supported"
        assert home.journal.last_seq == before
