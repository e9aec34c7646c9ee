"""The local venue's frame: its life, its faults on the wire, its oracle."""

import asyncio
import gc
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
import uvloop
from tests.fixtures.venue.plain import PlainDialect, place, plain_venue
from tests.scripted import until

from brokerd_adapters.venue import Step, VenueConfig, VenueServer, WireFault, WireFaults
from brokerd_adapters.venue.__main__ import main

QUOTE = {"symbol": "BTCUSDT", "bid_px": 1, "bid_qty": 1, "ask_px": 2, "ask_qty": 1}
WRONG = ({"bid_px": "NaN"}, {"ask_px": "-1"}, {"bid_qty": "0"}, {"ask_qty": "1e99999"})
HELD_S = 0.2
HELD_NS = 190_000_000
"""A wall clock is held against a steady one."""
BREAKS = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


@pytest.fixture
async def venue() -> AsyncIterator[VenueServer]:
    async with plain_venue() as venue:
        yield venue


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session:
        yield session


async def control(
    session: aiohttp.ClientSession, venue: VenueServer, word: str, body: Any = None
) -> Any:
    url = f"{venue.urls['control']}/{word}"
    if body is None:
        async with session.get(url) as response:
            return await response.json()
    async with session.post(url, data=msgspec.json.encode(body)) as response:
        return response.status, await response.text()


async def oracle(session: aiohttp.ClientSession, venue: VenueServer) -> dict[str, int]:
    """What was accepted, by name, and how many requests named each."""
    orders = (await control(session, venue, "orders"))["orders"]
    return {order["client_order_id"]: order["wire_requests"] for order in orders}


async def heard(venue: VenueServer) -> None:
    """Wait until an order was taken."""
    assert isinstance(venue.dialect, PlainDialect)
    await venue.dialect.placed.wait()


async def retried(session: aiohttp.ClientSession, venue: VenueServer, name: str) -> None:
    """Place an order as soon as the venue takes connections."""
    while True:
        try:
            await place(session, venue, name)
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.02)
        else:
            return


def scripted(*steps: Step | WireFault, **more: Any) -> WireFaults:
    return WireFaults(script=steps, **more)


def _is_over(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


class TestHttpFaults:
    async def test_a_lost_request_breaks_the_connection_and_does_nothing(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(WireFault.LOSE_REQUEST))
        with pytest.raises(BREAKS):
            await place(session, venue, "a")
        assert await oracle(session, venue) == {}
        requests = await control(session, venue, "requests")
        assert requests["by_client_order_id"] == {"a": {"place": 1}}
        assert requests["requests"][0]["fault"] == "lose_request"

    async def test_a_lost_reply_breaks_the_connection_after_it_was_done(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(WireFault.LOSE_REPLY))
        with pytest.raises(BREAKS):
            await place(session, venue, "a")
        assert await oracle(session, venue) == {"a": 1}

    async def test_with_silence_what_is_lost_is_just_never_answered(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(WireFault.LOSE_REPLY, lost="silence"))
        async with asyncio.TaskGroup() as tasks:
            reply = tasks.create_task(place(session, venue, "a"))
            await heard(venue)
            assert await oracle(session, venue) == {"a": 1}
            await asyncio.wait({reply}, timeout=0.05)
            assert not reply.done()
            reply.cancel()

    async def test_a_held_request_is_carried_out_though_its_sender_is_gone(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(Step(fault=WireFault.HOLD, delay_s=HELD_S)))
        async with asyncio.TaskGroup() as tasks:
            reply = tasks.create_task(place(session, venue, "a"))
            await until(lambda: bool([*venue.gate.log.latest()]))
            reply.cancel()
        await heard(venue)
        (asked,), (order,) = venue.gate.log.latest(), venue.exchange.ever
        assert order.created_at_ns - asked.at_ns >= HELD_NS

    async def test_late_is_done_at_once_and_answered_later(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(Step(fault=WireFault.LATE, delay_s=HELD_S)))
        assert (await place(session, venue, "a"))[0] == 200
        (order,) = venue.exchange.ever
        assert venue.clock.now_ns() - order.created_at_ns >= HELD_NS

    @pytest.mark.parametrize(("fault", "is_done"), [("unavailable", False), ("fail", True)])
    async def test_a_status_that_says_no_may_lie(
        self, venue: VenueServer, session: aiohttp.ClientSession, fault: str, is_done: bool
    ) -> None:
        venue.gate.misbehave(scripted(Step(fault=WireFault(fault), status=504)))
        assert (await place(session, venue, "a"))[0] == 504
        assert bool(venue.exchange.ever) is is_done

    async def test_a_garbled_answer_is_html_and_a_torn_one_breaks_off(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(WireFault.GARBLE, WireFault.TRUNCATE))
        assert (await place(session, venue, "a"))[1].startswith(b"<html>")
        with pytest.raises(aiohttp.ClientPayloadError):
            await place(session, venue, "b")
        assert await oracle(session, venue) == {"a": 1, "b": 1}

    async def test_down_refuses_connections_and_then_listens_on_the_same_port(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(Step(fault=WireFault.DOWN, down_s=600)))
        with pytest.raises(BREAKS):
            await place(session, venue, "a")
        with pytest.raises(aiohttp.ClientConnectorError):
            await place(session, venue, "b")
        venue.come_back()
        await retried(session, venue, "c")
        assert list(await oracle(session, venue)) == ["c"]

    async def test_an_outage_ends_by_itself_and_nobody_else_gets_the_port_meanwhile(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        address = urlsplit(venue.urls["rest"])
        venue.go_down(0.05)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind((address.hostname, address.port))
        await retried(session, venue, "a")
        assert list(await oracle(session, venue)) == ["a"]

    async def test_who_is_let_in_as_the_venue_goes_down_is_let_go_of(
        self, venue: VenueServer
    ) -> None:
        """Else their sockets are left open, as an unraisable warning shows in some later test."""
        address, loop = urlsplit(venue.urls["rest"]), asyncio.get_running_loop()
        came = [socket.create_connection((address.hostname, address.port)) for _ in range(3)]
        is_down = asyncio.Event()
        # A timer that is due comes in one turn with what the sockets say, and behind it.
        loop.call_later(0, lambda: (venue.go_down(600), is_down.set()))
        await is_down.wait()
        for each in came:
            each.settimeout(0)
            await until(lambda each=each: _is_over(each), "it is let go of")  # type: ignore[misc]
            each.close()
        gc.collect()

    async def test_forget_loses_every_order_but_not_the_oracles_memory(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        await place(session, venue, "a")
        venue.gate.misbehave(scripted(WireFault.FORGET))
        await place(session, venue, "b")
        assert [order.client_order_id for order in venue.exchange.open_orders()] == ["b"]
        assert await oracle(session, venue) == {"a": 1, "b": 1}
        assert isinstance(venue.dialect, PlainDialect)
        assert venue.dialect.heard == ["placed a", "settled", "forgot", "placed b", "settled"]


class TestOnUvloop:
    def test_connections_break_on_the_loop_that_the_program_runs_on(self) -> None:
        """Transports differ from loop to loop; a break that only some can do is none."""

        async def scenario() -> None:
            async with plain_venue() as venue, aiohttp.ClientSession() as session:
                for fault in (WireFault.LOSE_REQUEST, WireFault.LOSE_REPLY, WireFault.DOWN):
                    venue.gate.misbehave(scripted(Step(fault=fault, down_s=0)))
                    with pytest.raises(BREAKS):
                        await place(session, venue, fault)
                await heard(venue)
                venue.switchboard.cut_all()
                venue.gate.misbehave(scripted(WireFault.TRUNCATE))
                with pytest.raises(aiohttp.ClientPayloadError):
                    await retried(session, venue, "torn")
                venue.gate.misbehave(scripted(WireFault.LOSE_REPLY))
                async with session.ws_connect(venue.urls["ws_api"]) as frames:
                    await frames.send_str("framed")
                    message = await frames.receive(timeout=30)
                    assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(scenario())


class TestPlan:
    async def test_a_step_waits_for_its_operation(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(Step(fault=WireFault.UNAVAILABLE, on="count")))
        assert (await place(session, venue, "a"))[0] == 200
        async with session.get(venue.urls["rest"] + "/count") as response:
            assert response.status == 503

    async def test_rates_are_for_commands_and_lose_answer_for_questions(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(
            WireFaults(unavailable=1, terms=Step(fault=WireFault.NONE, status=429))
        )
        assert (await place(session, venue, "a"))[0] == 429
        async with session.get(venue.urls["rest"] + "/count") as response:
            assert await response.json() == {"open": 0}
        venue.gate.misbehave(WireFaults(lose_answer=1))
        assert (await place(session, venue, "a"))[0] == 200
        with pytest.raises(BREAKS):
            await session.get(venue.urls["rest"] + "/count")

    async def test_the_same_plan_gives_the_same_faults(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        async def fates(start: int) -> list[int]:
            venue.gate.misbehave(WireFaults(seed=7, unavailable=0.5))
            return [(await place(session, venue, f"{start}-{n}"))[0] for n in range(12)]

        first = await fates(1)
        assert set(first) == {200, 503}
        assert await fates(2) == first


class TestFrames:
    async def test_a_silent_loss_is_passed_over_and_the_next_frame_is_answered(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(WireFault.LOSE_REQUEST, WireFault.LOSE_REPLY, lost="silence"))
        async with session.ws_connect(venue.urls["ws_api"]) as frames:
            for name in "abc":
                await frames.send_str(name)
            assert await frames.receive_json() == {"placed": "c"}
        assert await oracle(session, venue) == {"b": 1, "c": 1}

    async def test_a_late_answer_lets_others_pass(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(Step(fault=WireFault.LATE, delay_s=0.1)))
        async with session.ws_connect(venue.urls["ws_api"]) as frames:
            await frames.send_str("a")
            await frames.send_str("b")
            assert await frames.receive_json() == {"placed": "b"}
            assert await frames.receive_json() == {"placed": "a"}

    async def test_a_torn_frame_is_half_an_answer(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(WireFault.TRUNCATE))
        async with session.ws_connect(venue.urls["ws_api"]) as frames:
            await frames.send_str("a")
            assert await frames.receive_str() == '{"place'

    async def test_a_break_ends_the_connection(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(scripted(WireFault.LOSE_REPLY))
        async with session.ws_connect(venue.urls["ws_api"]) as frames:
            await frames.send_str("a")
            message = await frames.receive()
            assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}

    @pytest.mark.parametrize(
        ("rates", "heard"),
        [
            ({"repeat_report": 1}, ["placed a", "placed a", "placed b", "placed b"]),
            ({"reorder_report": 1}, ["placed b", "placed a"]),
            ({"drop_report": 1}, []),
        ],
    )
    async def test_stream_frames_are_repeated_reordered_and_dropped(
        self,
        venue: VenueServer,
        session: aiohttp.ClientSession,
        rates: dict[str, float],
        heard: list[str],
    ) -> None:
        venue.gate.misbehave(WireFaults(**rates))
        async with session.ws_connect(venue.urls["rest"] + "/stream") as stream:
            assert await stream.receive_str() == "welcome"
            await place(session, venue, "a")
            await place(session, venue, "b")
            venue.gate.misbehave(None)
            await place(session, venue, "end")
            got: list[str] = []
            while (frame := await stream.receive_str()) != "placed end":
                got.append(frame)
        assert got == heard

    async def test_drop_stream_breaks_the_stream_and_not_the_command(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        venue.gate.misbehave(WireFaults(drop_stream=1))
        async with session.ws_connect(venue.urls["rest"] + "/stream") as stream:
            await stream.receive_str()
            assert (await place(session, venue, "a"))[0] == 200
            message = await stream.receive()
            assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


class TestControl:
    async def test_orders_tell_terms_executions_and_requests_by_operation(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        await place(session, venue, "a")
        await place(session, venue, "a")
        quote = {
            "symbol": "BTCUSDT",
            "bid_px": "29000",
            "bid_qty": "1",
            "ask_px": "29999",
            "ask_qty": "0.004",
        }
        assert (await control(session, venue, "market", {"quotes": [quote]}))[0] == 200
        (order,) = (await control(session, venue, "orders"))["orders"]
        assert (order["ord_status"], order["cum_qty"]) == ("partially_filled", "0.004")
        assert [(e["last_qty"], e["last_px"]) for e in order["executions"]] == [("0.004", "30000")]
        assert order["wire_requests_by_operation"] == {"place": 2}
        assert (order["symbol"], order["side"], order["ord_type"]) == ("BTCUSDT", "buy", "limit")
        assert (order["qty"], order["px"], order["stop_px"]) == ("0.01", "30000", None)
        assert (order["time_in_force"], order["post_only"]) == ("gtc", False)
        assert not {"terms", "executor", "group", "decision_px"} & order.keys()

    async def test_a_plan_is_posted_read_back_and_ended(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        plan = {"seed": 3, "script": ["late", {"fault": "unavailable", "on": "place"}]}
        assert (await control(session, venue, "faults", plan))[0] == 200
        ruling = await control(session, venue, "faults")
        assert (ruling["seed"], ruling["script"][0], ruling["script"][1]["on"]) == (
            3,
            "late",
            "place",
        )
        async with session.post(f"{venue.urls['control']}/faults") as response:
            assert response.status == 200
        assert await control(session, venue, "faults") is None

    @pytest.mark.parametrize(
        ("word", "body"),
        [
            ("faults", {"lose_requests": 1}),
            ("faults", {"late": 2}),
            ("market", {"trades": [{"symbol": "NO", "px": 1, "qty": 1, "buyer_is_maker": True}]}),
            *(("market", {"quotes": [QUOTE | wrong]}) for wrong in WRONG),
            ("clock", {}),
        ],
    )
    async def test_what_it_cannot_read_is_a_400_that_says_why(
        self, venue: VenueServer, session: aiohttp.ClientSession, word: str, body: Any
    ) -> None:
        status, text = await control(session, venue, word, body)
        assert status == 400
        assert text

    async def test_the_clock_is_skewed_on_command(
        self, venue: VenueServer, session: aiohttp.ClientSession
    ) -> None:
        before_ns = venue.clock.now_ns()
        await control(session, venue, "clock", {"skew_s": -60})
        assert venue.clock.now_ns() < before_ns


class TestProgram:
    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "brokerd_adapters.venue", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_it_prints_its_addresses_and_stops_on_sigterm_with_0(self) -> None:
        with self.start("--dialect", "binance") as program:
            assert program.stdout
            urls = json.loads(program.stdout.readline())
            assert {"rest", "ws_api", "streams", "control"} <= urls.keys()
            assert urls["control"] == urls["rest"] + "/control"
            program.send_signal(signal.SIGTERM)
            assert program.wait(60) == 0

    def test_a_recording_that_is_not_there_is_78(self, tmp_path: Path) -> None:
        options = ("--market", "replay", "--trades", str(tmp_path / "no"), "--quotes", "no")
        with self.start("--dialect", "binance", *options) as program:
            assert program.wait(60) == 78
            assert program.stderr
            assert "is not there" in program.stderr.read()

    def test_a_replay_without_its_recording_says_which_options_name_it(self) -> None:
        with self.start("--dialect", "binance", "--market", "replay", "--quotes", "q") as program:
            assert program.wait(60) == 2
            assert program.stderr
            assert "needs --trades FILE and --quotes FILE" in program.stderr.read()

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            (("--port", "99999"), "99999 is not from 0 to 65535"),
            (("--speed", "0"), "0 is not above 0"),
            (("--speed", "nan"), "nan is not above 0"),
        ],
    )
    def test_what_it_cannot_be_started_with_is_usage(
        self, options: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["--dialect", "binance", *options])
        assert ended.value.code == 2
        assert why in capsys.readouterr().err

    async def test_a_recording_lists_the_symbol_it_has(self, tmp_path: Path) -> None:
        trades, quotes = tmp_path / "trades.csv", tmp_path / "quotes.csv"
        trades.write_text("ts_ms,trade_id,px,qty,buyer_is_maker\n")
        quotes.write_text("ts_ms,bid_px,bid_qty,ask_px,ask_qty\n1,99,1,101,1\n")
        config = VenueConfig(
            dialect="binance", market="replay", trades=str(trades), quotes=str(quotes)
        )
        async with VenueServer(config) as venue:
            assert list(venue.exchange.instruments) == ["BTCUSDT"]
            quote = venue.exchange.quote("BTCUSDT")
            assert quote is not None
            assert quote.ask_px == 101

    async def test_the_same_seed_makes_the_same_market(self) -> None:
        async def first_quote(seed: int) -> Any:
            # So slow that the first quotes are all there is.
            config = VenueConfig(dialect="binance", seed=seed, speed=1e-6)
            async with VenueServer(config) as venue:
                quote = venue.exchange.quote("BTCUSDT")
                assert quote is not None
                return quote.bid_px, quote.ask_px

        assert await first_quote(7) == await first_quote(7)
        assert await first_quote(7) != await first_quote(8)

    async def test_a_bad_row_late_in_a_recording_ends_it(self, tmp_path: Path) -> None:
        trades, quotes = tmp_path / "trades.csv", tmp_path / "quotes.csv"
        trades.write_text("ts_ms,trade_id,px,qty,buyer_is_maker\n2,1,x,1,true\n")
        quotes.write_text("ts_ms,bid_px,bid_qty,ask_px,ask_qty\n1,99,1,101,1\n")
        options = ("--market", "replay", "--trades", str(trades), "--quotes", str(quotes))
        with self.start("--dialect", "binance", *options) as program:
            assert program.wait(60) == 78
            assert program.stderr
            assert "line 2: px 'x'" in program.stderr.read()
