"""Bad answers to good questions: no answer at all, and never something else."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from tests.fixtures.binance import REPLIES, ref
from tests.scripted import CLOCK

from brokerd.errors import OutcomeUnknown
from brokerd_adapters.binance.questions import Questions
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
