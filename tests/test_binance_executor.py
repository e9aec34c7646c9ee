"""The Binance executor over a real wire: both roads, replaces and their halves, clocks and limits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from msgspec.structs import replace
from tests.rawhttp import raw_server, reply
from tests.scripted import CLOCK, until

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.executor import (
    Accepted,
    CancelOrder,
    InDoubt,
    NotSent,
    OrderRef,
    PlaceOrder,
    Refused,
    ReplaceOrder,
    Report,
)
from brokerd.secrets import Secret
from brokerd.states import ExecType as E
from brokerd.states import OrdStatus as S
from brokerd.terms import OrdType, Side, Terms
from brokerd_adapters.binance import BinanceConfig, BinanceExecutor, session
from brokerd_adapters.binance import executor as executor_module
from brokerd_adapters.kit import Credential, Unsent
from brokerd_adapters.paper.markets import QuoteTick
from brokerd_adapters.venue import Step, VenueConfig, VenueServer, WireFault, WireFaults

D = Decimal
KEY, SECRET = "a-key", "a-secret"
HMAC = Credential(api_key=Secret(KEY), secret=Secret(SECRET))


@dataclass
class Desk:
    """An executor, its venue, and what its stream told."""

    venue: VenueServer
    executor: BinanceExecutor
    told: list[Report] = field(default_factory=list)
    gap: str = ""

    def befall(self, *steps: Step | WireFault) -> None:
        self.venue.gate.misbehave(WireFaults(script=steps))

    def quote(self, bid: str = "39990", ask: str = "40010", size: str = "1") -> None:
        """Move the market: it trades with what rests at or beyond the quote."""
        self.venue.on_tick(QuoteTick(0, "BTCUSDT", D(bid), D(size), D(ask), D(size)))

    def operations(self, cl_ord_id: str) -> dict[str, int]:
        return dict(self.venue.gate.log.by_client().get(cl_ord_id, {}))

    async def place(self, cl_ord_id: str = "bkd-e-1", **changes: Any) -> Any:
        return await self.executor.place(
            PlaceOrder(venue_cl_ord_id=cl_ord_id, terms=terms(**changes))
        )

    async def replace(self, ref: OrderRef, **changes: Any) -> Any:
        known: dict[str, Any] = {
            "ref": ref,
            "terms": terms(),
            "qty": D("0.01"),
            "px": D(38_000),
            "replace_no": 1,
            "request_id": "unused",
            "order_qty": D("0.01"),
            "order_px": D(39_000),
        }
        return await self.executor.replace(ReplaceOrder(**(known | changes)))

    async def until_told(self, exec_type: E) -> Report:
        def told() -> list[Report]:
            return [each for each in self.told if each.exec_type is exec_type]

        await until(lambda: bool(told()), f"{exec_type}: {self.told}")
        return told()[0]


def terms(**changes: Any) -> Terms:
    known: dict[str, Any] = {
        "executor": "binance",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "qty": D("0.01"),
        "px": D(39_000),
    }
    return Terms(**(known | changes))


def ref(number: str | None = None, cl_ord_id: str = "bkd-e-1") -> OrderRef:
    return OrderRef(symbol="BTCUSDT", venue_cl_ord_id=cl_ord_id, venue_order_id=number)


def number_of(outcome: Any) -> str:
    assert isinstance(outcome, Accepted), outcome
    assert outcome.reports[0].venue_order_id is not None
    return outcome.reports[0].venue_order_id


@asynccontextmanager
async def open_desk(
    credential: Credential = HMAC, *, self_trade_prevention: Any = "", **venue_config: Any
) -> AsyncGenerator[Desk, None]:
    """Connect without listening: what the REST road does alone."""
    config = VenueConfig(
        dialect="binance", market="none", key=KEY, secret=Secret(SECRET), **venue_config
    )
    async with VenueServer(config) as venue:
        executor = BinanceExecutor(
            "binance",
            BinanceConfig(
                credential="test",
                rest_url=venue.urls["rest"],
                ws_api_url=venue.urls["ws_api"],
                stream_url=venue.urls["streams"],
                processing_bound_s=0.2,
                query_lag_s=0.0,
                self_trade_prevention=self_trade_prevention,
            ),
            credential,
            clock=CLOCK,
        )
        desk = Desk(venue, executor)
        desk.quote()
        try:
            await executor.connect()
            yield desk
        finally:
            await executor.aclose()


@asynccontextmanager
async def listening(desk: Desk) -> AsyncGenerator[None, None]:
    """Write down what the stream tells while the block runs."""

    async def listen(reports: AsyncIterator[Report]) -> None:
        try:
            async for report in reports:
                desk.told.append(report)
        except VenueUnavailable as error:
            desk.gap = str(error)

    async with desk.executor.stream() as reports, asyncio.TaskGroup() as group:
        task = group.create_task(listen(reports))
        yield
        task.cancel()


@pytest.fixture
async def rest() -> AsyncIterator[Desk]:
    async with open_desk() as desk:
        yield desk


@pytest.fixture
async def live() -> AsyncIterator[Desk]:
    async with open_desk() as desk, listening(desk):
        yield desk


def ed25519() -> tuple[str, str]:
    """Return a private key and its public half, as PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


# The two roads


async def test_an_ed25519_key_logs_on_once_and_trades_on_either_road() -> None:
    private, public = ed25519()
    credential = Credential(api_key=Secret(KEY), private_key=Secret(private))
    async with open_desk(credential, public_key=public) as desk:
        number_of(await desk.place("bkd-e-1"))
        async with listening(desk):
            number_of(await desk.place("bkd-e-2"))
            await desk.until_told(E.NEW)
    operations = [request.call.operation for request in desk.venue.gate.log.latest()]
    assert operations.count("session_logon") == 1


@pytest.mark.parametrize("fault", [WireFault.LOSE_REPLY, WireFault.LOSE_REQUEST])
async def test_no_verb_is_sent_twice_when_its_reply_is_lost(rest: Desk, fault: WireFault) -> None:
    """aiohttp by itself sends GET, PUT and DELETE again; a connection that was kept is its excuse."""
    number = number_of(await rest.place(qty=D("0.02")))
    rest.befall(fault, fault, fault)
    placed = await rest.place("bkd-e-2")
    amended = await rest.replace(ref(number), px=D(39_000), order_qty=D("0.02"))
    canceled = await rest.executor.cancel(CancelOrder(ref=ref(number)))
    for outcome in (placed, amended, canceled):
        assert isinstance(outcome, InDoubt), outcome
        assert outcome.signed_at_ns is not None
    commands = [each.call for each in rest.venue.gate.log.latest() if each.call.is_command]
    assert [each.operation for each in commands] == ["place", "place", "amend", "cancel"]


async def test_a_command_whose_road_is_cut_is_not_sent_on_the_other(live: Desk) -> None:
    live.befall(WireFault.LOSE_REPLY)
    outcome = await live.place()
    assert isinstance(outcome, InDoubt)
    assert live.operations("bkd-e-1") == {"place": 1}


async def test_a_command_that_could_not_leave_takes_the_other_road(
    live: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = live.executor._roads.session
    assert road is not None

    async def no_room(*_: object, **__: object) -> Any:
        raise Unsent("1024 requests wait for replies")

    monkeypatch.setattr(road._socket, "request", no_room)
    assert isinstance(await live.place(), Accepted)
    assert live.operations("bkd-e-1") == {"place": 1}


async def test_without_a_stream_orders_go_over_rest(rest: Desk) -> None:
    assert isinstance(await rest.place(), Accepted)


async def test_a_server_that_will_shut_down_takes_no_more_orders_and_ends_the_stream(
    live: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "RETIRED_S", 0.05)
    road = live.executor._roads.session
    assert road is not None
    for connection in live.venue.switchboard._connections:
        connection.send(b'{"event":{"e":"serverShutdown","E":1770123456789}}')
    await until(lambda: not road.is_open, "the road closes")
    assert isinstance(await live.place(), Accepted), "over REST"
    await until(lambda: bool(live.gap), "a gap")
    assert "shut" in live.gap


async def test_a_connection_is_renewed_before_its_day_is_over(
    rest: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "RETIRED_S", 0.01)
    monkeypatch.setattr(session.Session.__init__, "__kwdefaults__", {"life_s": 0.05})
    async with listening(rest):
        await until(lambda: bool(rest.gap), "a gap")
    assert "renewed" in rest.gap


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b'{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}', "ended"),
        (b'{"subscriptionId":0,"event":{"e":"executionReport"}}', "cannot be read"),
        (b'{"id":null,"status":401,"error":{"code":-2015,"msg":"Invalid API-key"}}', "-2015"),
        (b"<html>Bad Gateway</html>", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"id":"1","status":200,"result":', "cannot be read"),
    ],
)
async def test_what_makes_the_stream_doubtful_ends_it(live: Desk, frame: bytes, why: str) -> None:
    for connection in live.venue.switchboard._connections:
        connection._opcode = connection._opcode.__class__.BINARY
        connection.send(frame)
    await until(lambda: bool(live.gap), "a gap")
    assert why in live.gap


@pytest.mark.parametrize(
    "frame",
    [
        b'{"id":"999","status":200,"result":{}}',
        b'{"subscriptionId":0,"event":{"e":"balanceUpdate","a":"BTC"}}',
        b'{"subscriptionId":0,"event":{"e":"ofTomorrow"}}',
    ],
)
async def test_what_is_about_no_order_of_ours_passes_by(live: Desk, frame: bytes) -> None:
    for connection in live.venue.switchboard._connections:
        connection.send(frame)
    number_of(await live.place())
    await live.until_told(E.NEW)
    assert live.gap == ""


async def test_a_key_that_the_venue_does_not_know_gets_no_stream() -> None:
    wrong = Credential(api_key=Secret(KEY), secret=Secret("another"))
    async with open_desk(wrong) as desk:
        with pytest.raises(VenueUnavailable, match="-1022"):
            async with desk.executor.stream():
                pass
        assert isinstance(await desk.place(), Refused)


# Replaces


async def test_a_smaller_quantity_keeps_the_order_its_number_and_its_id(live: Desk) -> None:
    number = number_of(await live.place(qty=D("0.02")))
    outcome = await live.replace(ref(number), px=D(39_000), order_qty=D("0.02"))
    assert isinstance(outcome, Accepted)
    (report,) = outcome.reports
    assert (report.exec_type, report.qty, report.replace_no) == (E.REPLACED, D("0.01"), 1)
    assert report.venue_order_id == number
    view = await live.executor.query(ref())
    assert view is not None
    assert (view.venue_cl_ord_id, view.qty) == ("bkd-e-1", D("0.01"))
    assert (await live.until_told(E.REPLACED)).venue_order_id == number


async def test_a_new_price_is_another_order_under_the_same_name(live: Desk) -> None:
    """Its stream tells one replacement, and no cancel of the order that lives on."""
    number = number_of(await live.place())
    outcome = await live.replace(ref(number))
    assert isinstance(outcome, Accepted)
    replaced = await live.until_told(E.REPLACED)
    assert replaced.venue_order_id == outcome.reports[0].venue_order_id != number
    assert (replaced.venue_cl_ord_id, replaced.px, replaced.replace_no) == (
        "bkd-e-1",
        D(38_000),
        1,
    )
    assert isinstance(await live.executor.cancel(CancelOrder(ref=ref(number))), Accepted)
    await live.until_told(E.CANCELED)
    assert [each.exec_type for each in live.told] == [E.NEW, E.REPLACED, E.CANCELED]
    view = await live.executor.query(ref(number))
    assert view is not None
    assert (view.venue_order_id, view.ord_status) == (replaced.venue_order_id, S.CANCELED)


async def test_an_order_with_fills_is_not_put_in_anothers_place(live: Desk) -> None:
    """One more fill on the way would come on top of the new quantity."""
    number = number_of(await live.place(qty=D("0.02")))
    live.quote(bid="38980", ask="39000", size="0.01")
    await live.until_told(E.TRADE)
    outcome = await live.replace(ref(number), qty=D("0.03"), order_qty=D("0.02"))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "order_has_fills"
    view = await live.executor.query(ref(number))
    assert view is not None
    assert (view.ord_status, view.cum_qty) == (S.PARTIALLY_FILLED, D("0.01"))


async def test_a_replace_that_only_canceled_says_that_the_order_is_gone(live: Desk) -> None:
    """A post-only order at a price that would trade: the cancel is done, the new one refused."""
    number = number_of(await live.place(post_only=True))
    outcome = await live.replace(ref(number), terms=terms(post_only=True), px=D(41_000))
    assert isinstance(outcome, Accepted)
    (report,) = outcome.reports
    assert (report.exec_type, report.venue_order_id) == (E.CANCELED, number)
    assert report.reason == "replacement_refused_would_trade"
    snapshot = await live.executor.snapshot(CLOCK.now_ns())
    assert snapshot.orders == ()


async def test_a_replace_whose_answer_was_lost_is_found_by_the_order_it_replaced() -> None:
    """By an executor that knows no more than the old number: the venue's own names tell."""
    async with open_desk() as desk:
        number = number_of(await desk.place())
        desk.befall(WireFault.LOSE_REPLY)
        assert isinstance(await desk.replace(ref(number)), InDoubt)
        desk.befall()
        view = await desk.executor.query(ref(number))
    assert view is not None
    assert (view.px, view.ord_status, view.venue_cl_ord_id) == (D(38_000), S.NEW, "bkd-e-1")
    assert view.venue_order_id != number


async def test_a_replacement_that_may_still_come_is_waited_for() -> None:
    """An order canceled for a replacement is not done before that could have shown."""
    async with open_desk() as desk:
        number = number_of(await desk.place(post_only=True))
        await desk.replace(ref(number), terms=terms(post_only=True), px=D(41_000))
        desk.executor._questions._settle_ms = 60_000
        with pytest.raises(OutcomeUnknown, match="does not show yet"):
            await desk.executor.query(ref(number))
        desk.executor._questions._settle_ms = -60_000
        view = await desk.executor.query(ref(number))
    assert view is not None
    assert view.ord_status is S.CANCELED


async def test_a_canceled_order_keeps_its_id(live: Desk) -> None:
    number = number_of(await live.place())
    await live.executor.cancel(CancelOrder(ref=ref(number)))
    view = await live.executor.query(ref())
    assert view is not None
    assert (view.venue_cl_ord_id, view.ord_status) == ("bkd-e-1", S.CANCELED)


async def test_an_order_that_meets_ones_own_expires_as_configured() -> None:
    """On both roads: the reply says it, and the stream."""
    async with open_desk(self_trade_prevention="expire_taker") as desk, listening(desk):
        number_of(await desk.place(px=D(40_000)))
        outcome = await desk.place("bkd-e-2", side=Side.SELL, px=D(40_000))
        assert isinstance(outcome, Accepted)
        assert [each.exec_type for each in outcome.reports] == [E.NEW, E.EXPIRED]
        assert outcome.reports[1].reason == "self_trade_prevention"
        told = await desk.until_told(E.EXPIRED)
        assert (told.venue_cl_ord_id, told.reason) == ("bkd-e-2", "self_trade_prevention")
        view = await desk.executor.query(ref(cl_ord_id="bkd-e-2"))
    assert view is not None
    assert (view.ord_status, view.cum_qty) == (S.EXPIRED, 0)


# Questions


QUESTIONS = ("query", "snapshot", "balances")


@pytest.mark.parametrize("fault", [WireFault.GARBLE, WireFault.TRUNCATE, WireFault.LOSE_REPLY])
@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_question_without_a_whole_answer_raises(
    rest: Desk, question: str, fault: WireFault
) -> None:
    """Else it would look like "no such order" or "nothing open"."""
    number = number_of(await rest.place())
    rest.befall(Step(fault=fault, on="question"))
    ask = {
        "query": lambda: rest.executor.query(ref(number)),
        "snapshot": lambda: rest.executor.snapshot(0),
        "balances": rest.executor.balances,
    }[question]
    with pytest.raises((OutcomeUnknown, VenueUnavailable)):
        await ask()


async def test_no_such_order_from_a_server_that_failed_proves_nothing(rest: Desk) -> None:
    gone = Step(fault=WireFault.UNAVAILABLE, on="question", status=400, code=-2013, message="none")
    rest.befall(gone, replace(gone, status=503))
    assert await rest.executor.query(ref()) is None
    with pytest.raises(VenueUnavailable):
        await rest.executor.query(ref())


async def test_executions_are_found_by_order_and_by_symbol_under_one_name(rest: Desk) -> None:
    outcome = await rest.place(px=D(41_000))
    assert isinstance(outcome, Accepted)
    told = {each.execution.exec_id for each in outcome.reports if each.execution}
    view = await rest.executor.query(ref())
    snapshot = await rest.executor.snapshot(CLOCK.now_ns() - 3_600 * 10**9)
    assert view is not None
    assert told
    assert {each.exec_id for each in view.executions} == told
    assert {each.execution.exec_id for each in snapshot.executions if each.execution} == told


async def test_a_snapshot_reaches_back_a_week_and_says_so(rest: Desk) -> None:
    snapshot = await rest.executor.snapshot(0)
    back_s = (snapshot.began_ns - snapshot.since_ns) / 1e9
    assert back_s == rest.executor.capabilities.executions_back_s


async def test_pages_of_executions_are_read_to_the_end(
    rest: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brokerd_adapters.binance.requests.TRADES_PAGE", 3)
    monkeypatch.setattr("brokerd_adapters.binance.questions.TRADES_PAGE", 3)
    for number in range(5):
        rest.venue.clock.skew_s += 0.001
        rest.quote(size="0.01")
        await rest.place(f"bkd-e-{number}", px=D(41_000))
    number_of(await rest.place("bkd-e-9", px=D(41_000), qty=D("0.05"), post_only=False))
    for _ in range(5):
        # No three of them in one millisecond.
        rest.venue.clock.skew_s += 0.001
        rest.quote(size="0.01")
    snapshot = await rest.executor.snapshot(CLOCK.now_ns() - 3_600 * 10**9)
    view = await rest.executor.query(ref(cl_ord_id="bkd-e-9"))
    assert view is not None
    ids = [each.execution.exec_id for each in snapshot.executions if each.execution]
    assert len(ids) == len(set(ids)) == 5 + len(view.executions)
    assert sum(each.last_qty for each in view.executions) == view.cum_qty


# Clocks, limits, pauses


async def test_a_clock_that_is_off_is_measured_again_and_nothing_was_done(live: Desk) -> None:
    live.venue.clock.skew_s = 30.0
    outcome = await live.place()
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "clock_off"

    async def placed() -> bool:
        return isinstance(await live.place(), Accepted)

    for _ in range(100):
        if await placed():
            break
        await asyncio.sleep(0.02)
    assert live.executor.standing().clock_offset_s == pytest.approx(30, abs=5)


async def test_the_clock_and_the_rules_are_kept_current_over_an_outage(
    rest: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may live for a day: rules of yesterday would refuse what is valid today."""
    monkeypatch.setattr(executor_module, "RULES_S", 0.0)
    monkeypatch.setattr(executor_module, "delay_s", lambda *_: 0.01)

    def asked(operation: str) -> int:
        log = rest.venue.gate.log.latest()
        return sum(1 for each in log if each.call.operation == operation)

    rest.befall(*(Step(fault=WireFault.LOSE_REPLY, on="question") for _ in range(3)))
    rest.executor._roads.clock_is_off.set()
    rest.executor._offset.forget()
    before = asked("exchangeInfo")
    await until(lambda: asked("exchangeInfo") > before, "the rules")
    assert rest.executor.standing().clock_offset_s is not None
    assert isinstance(await rest.place(), Accepted)


@pytest.mark.parametrize(("status", "code"), [(429, -1003), (418, -1003)])
async def test_a_venue_that_wants_to_be_left_alone_is_left_alone(
    live: Desk, status: int, code: int
) -> None:
    number = number_of(await live.place())
    live.befall(
        Step(fault=WireFault.UNAVAILABLE, status=status, code=code, message="no", retry_after_s=30)
    )
    outcome = await live.place("bkd-e-2")
    assert isinstance(outcome, NotSent)
    assert outcome.retry_after_s == pytest.approx(30, abs=10)
    asked = len(list(live.venue.gate.log.latest()))
    again = await live.place("bkd-e-3")
    assert isinstance(again, NotSent)
    with pytest.raises(VenueUnavailable):
        await live.executor.query(ref(number))
    assert len(list(live.venue.gate.log.latest())) == asked, "nothing more was sent"
    standing = live.executor.standing()
    assert standing.paused_until_ns is not None
    assert standing.pause_reason == f"the venue said {status}"


async def test_too_many_orders_hold_up_orders_and_let_cancels_pass(live: Desk) -> None:
    number = number_of(await live.place())
    live.befall(
        Step(
            fault=WireFault.UNAVAILABLE,
            status=429,
            code=-1015,
            message="Too many new orders.",
            retry_after_s=30,
        )
    )
    assert isinstance(await live.place("bkd-e-2"), NotSent)
    assert isinstance(await live.place("bkd-e-3"), NotSent)
    assert live.operations("bkd-e-3") == {}
    assert (await live.executor.query(ref(number))) is not None
    assert isinstance(await live.executor.cancel(CancelOrder(ref=ref(number))), Accepted)
    # Else a restart would keep everything waiting: what is journalled holds for all requests.
    assert live.executor.standing().paused_until_ns is None


async def test_what_is_left_of_the_limits_is_told_without_the_keys_mark(rest: Desk) -> None:
    await rest.place()
    left = rest.executor.standing().budget_left
    assert {"weight_1m", "orders_10s", "orders_1d", "raw_5m"} <= set(left)


async def test_market_quotes_come_and_vanish_with_their_stream(rest: Desk) -> None:
    """A quote from before a gap is not a quote."""
    assert rest.executor.quote("NOSUCH") is None
    rest.executor.quote("BTCUSDT")
    await until(lambda: rest.executor.quote("BTCUSDT") is not None, "asked once subscribed")
    rest.quote(bid="39980", ask="40000")
    await until(lambda: _bid(rest) == D(39_980), "told by the stream")
    rest.venue.go_down(0.3)
    await until(lambda: rest.executor.quote("BTCUSDT") is None, "gone")
    await until(lambda: _bid(rest) == D(39_980), "back")


def _bid(desk: Desk) -> Decimal | None:
    quote = desk.executor.quote("BTCUSDT")
    return quote.bid_px if quote else None


@pytest.mark.parametrize("key", ["rest_url", "ws_api_url", "stream_url"])
def test_a_key_never_goes_over_the_network_in_the_clear(key: str) -> None:
    scheme = "http" if key == "rest_url" else "ws"
    with pytest.raises(ValueError, match=key):
        BinanceConfig(credential="k", **{key: f"{scheme}://venue.example"})
    assert BinanceConfig(credential="k", **{key: f"{scheme}://127.0.0.1:1"})
    assert BinanceConfig(credential="k", **{key: f"{scheme}s://venue.example"})


async def test_a_key_that_the_venue_quotes_is_not_told_on() -> None:
    said = b'{"code":-2015,"msg":"Invalid API-key key-canary"}'
    key = Credential(api_key=Secret("key-canary"), secret=Secret(SECRET))
    async with raw_server(reply(401, said)) as server:
        config = BinanceConfig(
            credential="k", rest_url=server.url, ws_api_url=server.url, stream_url=server.url
        )
        executor = BinanceExecutor("binance", config, key, clock=CLOCK)
        try:
            with pytest.raises(VenueUnavailable, match=r"Invalid API-key .redacted."):
                await executor.connect()
        finally:
            await executor.aclose()
