"""Bad answers to good questions: no answer at all, and never something else."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from tests.fixtures.binance import REPLIES, ref
from tests.scripted import CLOCK

from brokerd.clock import SystemClock
from brokerd.errors import OutcomeUnknown
from brokerd_adapters.binance.questions import LOOK_NS_MAX, LOOK_SYMBOLS_MAX, Questions
from brokerd_adapters.binance.requests import Call
from brokerd_adapters.kit import ClockOffset

ORDER = REPLIES["order"] | {"symbol": "BTCUSDT", "orderId": 9}


class Script:
    """A venue that answers each question in turn with what stands here, by method."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {name: list(bodies) for name, bodies in answers.items()}
        self.asked: list[Call] = []

    async def ask(self, call: Call) -> Raw | None:
        self.asked.append(call)
        body = self.answers[call.method.replace(".", "_")].pop(0)
        if body is None or isinstance(body, Raw):
            return body
        return Raw(body if isinstance(body, bytes) else msgspec.json.encode(body))


async def questions(script: Script) -> Questions:
    offset = ClockOffset(CLOCK, error_s_max=1)

    async def now() -> int:
        return CLOCK.now_ns()

    await offset.measure(now)
    return Questions(script, offset, CLOCK, settle_s=0)  # type: ignore[arg-type]


GARBAGE = [
    b"",
    b"{",
    b"<html>Bad Gateway</html>",
    b'"text"',
    b"12",
    b"\xff\xfe",
    b"[" * 50_000,
    b'{"symbol":"BTCUSDT"}',
    b'[{"symbol":1}]',
    b'{"symbol":"BTCUSDT","orderId":[]}',
]
ASKS: list[Callable[[Questions], Awaitable[Any]]] = [
    lambda asked: asked.order(ref(venue_order_id="BTCUSDT-9")),
    lambda asked: asked.order(ref()),
    lambda asked: asked.snapshot(CLOCK.now_ns(), {"BTCUSDT"}),
    lambda asked: asked.venue_ns(),
    lambda asked: asked.book_tickers(("BTCUSDT",)),
]


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: body[:16])
@pytest.mark.parametrize("ask", ASKS)
async def test_an_answer_that_cannot_be_read_is_none(
    ask: Callable[[Questions], Awaitable[Any]], body: bytes
) -> None:
    methods = ("order_status", "openOrders_status", "time", "ticker_book")
    asked = await questions(Script(**{method: [body] for method in methods}))
    with pytest.raises(OutcomeUnknown):
        await ask(asked)


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "ETHUSDT"},
        {"orderId": 10},
        {"status": "MELTED"},
        {"executedQty": "NaN"},
        {"origQty": "1e99"},
        {"side": "LEFT"},
    ],
)
async def test_an_order_that_is_another_or_makes_no_sense_is_no_answer(
    changes: dict[str, Any],
) -> None:
    body = ORDER | {"executedQty": "0"} | changes
    asked = await questions(Script(order_status=[body], myTrades=[[]]))
    with pytest.raises(OutcomeUnknown):
        await asked.order(ref(venue_order_id="BTCUSDT-9"))


async def test_an_order_asked_for_by_our_id_must_have_it() -> None:
    body = ORDER | {"clientOrderId": "another"}
    asked = await questions(Script(order_status=[body]))
    with pytest.raises(OutcomeUnknown, match="another order"):
        await asked.order(ref())


async def test_anothers_trades_are_not_the_orders() -> None:
    trades = [REPLIES["trade"] | {"orderId": number, "id": number} for number in (9, 10)]
    asked = await questions(Script(order_status=[ORDER], myTrades=[trades]))
    view = await asked.order(ref(venue_order_id="BTCUSDT-9"))
    assert view is not None
    assert [each.exec_id for each in view.executions] == ["BTCUSDT-9"]


async def test_another_symbols_trades_are_no_answer() -> None:
    trades = [REPLIES["trade"] | {"symbol": "ETHUSDT"}]
    asked = await questions(Script(openOrders_status=[[]], myTrades=[trades]))
    with pytest.raises(OutcomeUnknown, match="another symbol"):
        await asked.snapshot(CLOCK.now_ns(), {"BTCUSDT"})


async def test_a_week_of_executions_is_mostly_one_question_and_none_older_is_told() -> None:
    """Seven windows for each of many symbols would outlast the deadline, and the link stay down."""
    since_ns = CLOCK.now_ns() - 6 * 86_400 * 10**9
    times_ms = (since_ns // 10**6 - 60_000, since_ns // 10**6 + 60_000)
    trades = [REPLIES["trade"] | {"time": at_ms, "id": at_ms} for at_ms in times_ms]
    script = Script(openOrders_status=[[]], myTrades=[trades])
    snapshot = await (await questions(script)).snapshot(since_ns, {"BTCUSDT"})
    assert len(script.asked) == 2
    told = [each.execution.exec_id for each in snapshot.executions if each.execution]
    assert told == [f"BTCUSDT-{times_ms[1]}"]


async def test_one_strange_order_does_not_hide_the_others() -> None:
    """Anybody's order of a kind of tomorrow, in an account that is shared."""
    shown = [ORDER | {"type": "SIDEWAYS", "executedQty": "0"}, ORDER | {"status": "NEW"}]
    asked = await questions(Script(openOrders_status=[shown], myTrades=[[]]))
    snapshot = await asked.snapshot(CLOCK.now_ns(), ())
    assert len(snapshot.orders) == 2


async def test_a_list_that_says_no_such_order_is_no_answer() -> None:
    asked = await questions(Script(openOrders_status=[None]))
    with pytest.raises(OutcomeUnknown):
        await asked.snapshot(CLOCK.now_ns(), ())


async def test_an_order_that_left_for_another_is_asked_for_by_its_replacements_id() -> None:
    left = ORDER | {"status": "CANCELED", "clientOrderId": "bkd-e-1-r1c", "executedQty": "0"}
    came = ORDER | {"orderId": 10, "status": "NEW", "clientOrderId": "bkd-e-1-r1"}
    script = Script(order_status=[left, came | {"executedQty": "0"}])
    view = await (await questions(script)).order(ref(venue_order_id="BTCUSDT-9"))
    assert view is not None
    assert (view.venue_order_id, view.venue_cl_ord_id) == ("BTCUSDT-10", "bkd-e-1")
    assert script.asked[1].params["origClientOrderId"] == "bkd-e-1-r1"


class Hasty(SystemClock):
    """A clock by which each question takes a second."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def monotonic_ns(self) -> int:
        return len(self._script.asked) * 10**9


MANY = {f"S{number:03}USDT" for number in range(500)}


def quiet(looks: int) -> Script:
    """An account in which nothing is open and nothing was traded."""
    return Script(openOrders_status=[[]] * looks, myTrades=[[]] * len(MANY) * looks)


def looked_at(script: Script) -> list[str]:
    asked = [str(call.params["symbol"]) for call in script.asked if call.method == "myTrades"]
    script.asked.clear()
    return asked


async def test_an_account_with_many_symbols_is_looked_at_in_turns_and_each_gets_one() -> None:
    """One look at all of them would outlast its deadline, and cost more than a minute allows."""
    script = quiet(looks=20)
    asked = await questions(script)
    seen: list[str] = []
    for _ in range(len(MANY) // LOOK_SYMBOLS_MAX):
        await asked.snapshot(CLOCK.now_ns(), MANY)
        reached = looked_at(script)
        assert len(reached) == LOOK_SYMBOLS_MAX
        seen += reached
    assert sorted(seen) == sorted(MANY)


async def test_a_symbol_whose_turn_comes_late_is_told_from_where_it_was_told_last() -> None:
    long_ago_ns = CLOCK.now_ns() - 3_600 * 10**9
    trade = REPLIES["trade"] | {"symbol": "ZUSDT", "time": long_ago_ns // 10**6 + 60_000}
    trades = [[]] * LOOK_SYMBOLS_MAX
    first = {f"S{number:03}USDT" for number in range(LOOK_SYMBOLS_MAX)}
    script = Script(openOrders_status=[[], []], myTrades=[*trades, [trade], *trades])
    asked = await questions(script)
    snapshot = await asked.snapshot(long_ago_ns, {*first, "ZUSDT"})
    assert snapshot.executions == ()
    snapshot = await asked.snapshot(CLOCK.now_ns(), {*first, "ZUSDT"})
    assert [each.symbol for each in snapshot.executions] == ["ZUSDT"]


async def test_a_look_that_has_taken_long_leaves_the_rest_to_the_next_one() -> None:
    script = quiet(looks=2)
    asked = await questions(script)
    asked._clock = Hasty(script)
    await asked.snapshot(CLOCK.now_ns(), MANY)
    assert len(looked_at(script)) == LOOK_NS_MAX // 10**9 + 1


async def test_a_look_that_breaks_off_owes_all_of_it_still() -> None:
    trade = REPLIES["trade"] | {"symbol": "AUSDT", "time": CLOCK.now_ns() // 10**6}
    script = Script(openOrders_status=[[], []], myTrades=[[trade], b"<html>", [trade], []])
    asked = await questions(script)
    since_ns = CLOCK.now_ns() - 60 * 10**9
    with pytest.raises(OutcomeUnknown):
        await asked.snapshot(since_ns, {"AUSDT", "BUSDT"})
    snapshot = await asked.snapshot(CLOCK.now_ns() + 60 * 10**9, {"AUSDT", "BUSDT"})
    assert [each.symbol for each in snapshot.executions] == ["AUSDT"]
