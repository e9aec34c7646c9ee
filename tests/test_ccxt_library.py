"""The edge to ccxt: what it puts on the wire, what it is given, and when it is imported."""

import importlib.util
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import ROUND_HALF_EVEN, Decimal, Underflow, getcontext
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace
from tests.conformance.subject_ccxt import KEY, SECRET, config_for
from tests.rawhttp import Seen, raw_server, reply

from brokerd.clock import SystemClock
from brokerd.errors import ConfigError, OutcomeUnknown, VenueUnavailable
from brokerd.executor import Accepted, CancelOrder, InDoubt, NotSent, OrderRef
from brokerd.secrets import Secret
from brokerd_adapters.ccxt import CcxtConfig, CcxtCredential, CcxtExecutor, promises, words
from brokerd_adapters.ccxt.library import Library, _about
from brokerd_adapters.ccxt.promises import Exchange
from brokerd_adapters.ccxt.questions import Questions


def credential() -> CcxtCredential:
    return CcxtCredential(api_key=Secret(KEY), secret=Secret(SECRET))


def library(config: CcxtConfig) -> Library:
    return Library(config, credential(), SystemClock())


def urls(url: str) -> dict[str, str]:
    return {"rest": url, "streams": "ws://127.0.0.1:1", "ws_api": "ws://127.0.0.1:1"}


MARKETS = [
    {
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
        "isSpotTradingAllowed": True, "permissions": ["SPOT"], "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01", "minPrice": "0", "maxPrice": "0"},
            {"filterType": "LOT_SIZE", "stepSize": "0.00001", "minQty": "0.00001", "maxQty": "0"},
        ],
    }
]  # fmt: skip


@asynccontextmanager
async def tried(*replies: bytes, hang: bool = False) -> AsyncGenerator[tuple[CcxtExecutor, Seen]]:
    """Give an executor that has markets, and a wire that answers with these replies."""
    async with raw_server(*replies, hang=hang) as seen:
        executor = CcxtExecutor(
            "ccxt", config_for(urls(seen.url)), credential(), clock=SystemClock()
        )
        about = executor._library.about
        executor._library.about = replace(about, has={**about.has, "fetchTime": None})
        load(executor._library)
        try:
            await executor._library.open()
            yield executor, seen
        finally:
            await executor.aclose()


def load(library: Library) -> None:
    """Give it the markets without asking for them."""
    exchange = library._exchange
    exchange.options["crossMarginPairsData"] = exchange.options["isolatedMarginPairsData"] = []
    exchange.set_markets(exchange.parse_markets(MARKETS))


CANCEL = CancelOrder(
    ref=OrderRef(symbol="BTC/USDT", venue_cl_ord_id="ours", venue_order_id="BTC/USDT:17")
)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        pytest.param(b"", "lost", id="no reply"),
        pytest.param(reply(200, b"{", "Content-Length: 99"), "lost", id="cut in the body"),
        pytest.param(reply(307, b"", "Location: /elsewhere"), "garbled", id="redirect"),
        pytest.param(reply(200, b"<html>"), "garbled", id="html"),
        pytest.param(reply(502, b"<html>"), "502", id="gateway"),
    ],
)
async def test_a_cancel_is_one_request_whatever_becomes_of_its_reply(sent: bytes, why: str) -> None:
    """It is a DELETE, which aiohttp sends again, and a redirect, which it follows."""
    async with tried(sent) as (executor, seen):
        outcome = await executor.cancel(CANCEL)
    assert isinstance(outcome, InDoubt), outcome
    assert why in outcome.evidence
    assert len(seen.requests) == 1
    assert seen.requests[0].startswith("DELETE /api/v3/order?")


async def test_a_cancel_taken_in_silence_says_nothing_of_the_order() -> None:
    async with tried(reply(200, b"{}")) as (executor, seen):
        outcome = await executor.cancel(CANCEL)
    assert isinstance(outcome, Accepted)
    assert outcome.reports == ()
    assert len(seen.requests) == 1


async def test_a_cancel_keeps_the_orders_id_where_an_exchange_renames_it() -> None:
    async with tried(b"") as (executor, seen):
        await executor.cancel(CANCEL)
    assert "newClientOrderId=ours" in seen.requests[0]
    assert "orderId=17" in seen.requests[0]


async def test_too_many_requests_pause_everybody_for_as_long_as_the_venue_says() -> None:
    body = b'{"code":-1003,"msg":"Too many requests."}'
    async with tried(reply(429, body, "Retry-After: 7")) as (executor, seen):
        first = await executor.cancel(CANCEL)
        second = await executor.cancel(CANCEL)
        standing = executor.standing()
    assert isinstance(first, NotSent)
    assert first.retry_after_s == 7
    assert isinstance(second, NotSent)
    assert second.retry_after_s is not None
    assert 0 < second.retry_after_s <= 7
    assert standing.pause_reason == "status 429"
    assert len(seen.requests) == 1


async def test_a_closed_port_was_sent_nothing() -> None:
    async with tried() as (executor, _):
        executor._library._exchange.urls["api"]["private"] = "http://127.0.0.1:1"
        outcome = await executor.cancel(CANCEL)
    assert isinstance(outcome, NotSent), outcome


async def test_a_question_that_failed_is_no_answer() -> None:
    async with tried(reply(400, b'{"code":-2014,"msg":"API-key format invalid."}')) as (
        executor,
        _,
    ):
        with pytest.raises((OutcomeUnknown, VenueUnavailable)):
            await executor.query(CANCEL.ref)
    async with tried(reply(400, b'{"code":-2013,"msg":"Order does not exist."}')) as (executor, _):
        assert await executor.query(CANCEL.ref) is None


def test_numbers_in_json_are_read_from_their_text() -> None:
    """Never through a float: 17 digits and more survive."""
    exchange = library(config_for(urls("http://127.0.0.1:1")))._exchange
    read = exchange.parse_json('{"price": 0.1234567890123456789, "n": 12345678901234567890}')
    assert exchange.safe_number(read, "price") == Decimal("0.1234567890123456789")
    assert read["n"] == "12345678901234567890"


def test_what_ccxt_would_cut_is_not_sent() -> None:
    """`amount_to_precision` truncates in silence."""
    made = library(config_for(urls("http://127.0.0.1:1")))
    load(made)
    assert made.exactly("BTC/USDT", Decimal("0.00001"), Decimal("39400.01"))
    assert not made.exactly("BTC/USDT", Decimal("0.000019"), Decimal("39400.01"))
    assert not made.exactly("BTC/USDT", Decimal("0.00001"), Decimal("39400.014"))


def refusal(**changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        library(
            CcxtConfig(
                **{"exchange": "binance", "credential": "main", "symbols": ("A/B",), **changes}
            )
        )
    return str(caught.value)


def test_an_exchange_ccxt_has_not_is_told_with_the_nearest() -> None:
    assert 'no exchange krakn; did you mean "kraken"?' in refusal(exchange="krakn")


def test_a_key_that_is_lacking_is_named() -> None:
    assert "okx needs password in the credential main" in refusal(exchange="okx")


def test_a_sandbox_that_is_not_there_is_told() -> None:
    assert "no sandbox of kraken" in refusal(exchange="kraken", sandbox=True)


@pytest.mark.parametrize(
    "options",
    [
        {"maxRetriesOnFailure": 3},
        {"defaultMaxRetriesOnFailure": 3},
        {"order": {"maxRetriesOnFailure": 3}},
        {"order": {"defaultMaxRetriesOnFailure": 1}},
    ],
)
def test_an_option_that_sends_twice_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="sends orders twice"):
        CcxtConfig(exchange="binance", credential="main", symbols=("BTC/USDT",), options=options)


def test_options_that_send_once_are_taken() -> None:
    options = {"maxRetriesOnFailure": 0, "order": {"warnings": [1]}, "recvWindow": 5_000}
    made = CcxtConfig(exchange="binance", credential="main", symbols=("A/B",), options=options)
    assert made.options == options


@pytest.mark.parametrize(
    ("urls", "key"),
    [
        ({"api": "http://api.example.com"}, "urls.api"),
        ({"api": {"rest": {"private": "http://10.0.0.1:80"}}}, "urls.api.rest.private"),
        ({"api": {"ws": "ws://stream.example.com"}}, "urls.api.ws"),
        ({"api": {"ws": ["wss://a.example.com", "ws://b.example.com"]}}, "urls.api.ws"),
        ({"api": "HTTP://api.example.com"}, "urls.api"),
    ],
)
def test_a_key_never_goes_over_a_network_in_the_clear(urls: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} is an https or wss address"):
        CcxtConfig(exchange="binance", credential="main", symbols=("A/B",), urls=urls)


def test_addresses_that_are_sealed_or_of_this_host_are_taken() -> None:
    urls = {
        "api": {"rest": "https://api.example.com", "ws": "wss://example.com", "version": 3},
        "here": ["http://127.0.0.1:8080", "ws://localhost:8081"],
        "hostname": "example.com",
    }
    made = CcxtConfig(exchange="binance", credential="main", symbols=("A/B",), urls=urls)
    assert made.urls == urls


class Told:
    """A library that answers `fetch_my_trades` out of a list of (ms, id), a page at a time."""

    def __init__(self, trades: list[tuple[int, str]], *, limit: int) -> None:
        self.about = Exchange(
            exchange_id="x",
            has={"fetchOrder": True},
            create={},
            trades={"limit": limit},
            takes_client_id=True,
            asks_client_id=True,
        )
        self._trades = trades
        self.order: dict[str, Any] = {}

    async def ask(self, method: str, symbol: str, *arguments: Any) -> Any:
        if method == "fetch_order":
            return self.order
        since_ms, limit = arguments
        return [
            {
                "id": own_id,
                "order": "1",
                "symbol": symbol,
                "timestamp": at_ms,
                "price": Decimal(1),
                "amount": Decimal(1),
            }
            for at_ms, own_id in self._trades
            if at_ms >= since_ms
        ][:limit]


async def test_trades_after_a_page_of_one_millisecond_are_told_as_well() -> None:
    """A large taker order makes hundreds of fills in one millisecond."""
    crowd = [(1_000, str(number)) for number in range(4)]
    told = Told([*crowd, (1_001, "late"), (90_000, "later")], limit=3)
    questions = Questions(cast("Library", told), ("A/B",), SystemClock())
    found = {each.execution.exec_id for each in await questions.executions(0) if each.execution}
    assert {"A/B:late", "A/B:later"} <= found


@pytest.mark.parametrize("changes", [{"id": "18"}, {"symbol": "C/D"}])
async def test_an_answer_about_another_order_is_no_answer(changes: dict[str, str]) -> None:
    told = Told([], limit=3)
    told.order = {"id": "17", "symbol": "BTC/USDT", **changes}
    questions = Questions(cast("Library", told), ("BTC/USDT",), SystemClock())
    with pytest.raises(OutcomeUnknown, match="about another order"):
        await questions.order(CANCEL.ref)


def test_an_exchanges_own_id_may_hold_a_colon() -> None:
    assert words.own_id("A/B:B", words.venue_id("A/B:B", "x:17")) == "x:17"


def test_without_the_extra_the_operator_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert "pip install 'brokerd[ccxt]'" in refusal()


def test_a_daemon_without_ccxt_configured_does_not_import_it(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[executors.paper]\nadapter = "paper"\n')
    program = (
        "import sys; from brokerd.__main__ import main; "
        f"status = main(['check', '--config', {str(config)!r}]); "
        "loaded = [m for m in sys.modules if m.split('.')[0] in ('ccxt', 'aiohttp')]; "
        "sys.exit(status or len(loaded))"
    )
    ran = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert ran.returncode == 0


def test_every_exchange_is_refused_with_a_reason_or_promises_honestly() -> None:
    import ccxt.async_support as everything

    usable = 0
    for name in everything.exchanges:
        about = _about(getattr(everything, name)())
        if promises.lacks(about):
            continue
        usable += 1
        promised = promises.promises(about, is_sandbox=False)
        told = " ".join((*promised.weaknesses, *promises.weaknesses(about)))
        if promised.final_after_s is None:
            assert '"not found" never ends a doubt' in told, name
        if not about.takes_client_id:
            assert "no id of ours" in told, name
    assert usable >= 80


def test_the_receive_window_is_the_one_that_ccxt_sends() -> None:
    config = config_for(urls("http://127.0.0.1:1"))
    assert library(config).about.recv_window_s == 10.0
    longer = replace(config, options={**config.options, "recvWindow": 60_000})
    assert library(longer).about.recv_window_s == 60.0


def test_our_arithmetic_is_not_ccxts() -> None:
    """ccxt changes the rounding of the thread's Decimals in place, for all who share them."""
    made = library(config_for(urls("http://127.0.0.1:1")))
    load(made)
    assert made.exactly("BTC/USDT", Decimal("0.00001"), Decimal("39400.01"))
    assert getcontext().rounding == ROUND_HALF_EVEN
    assert not getcontext().traps[Underflow]
