"""
Quotes from the Market Data API: the latest ones when a connection is made, then a stream.

Quotes are for measuring, orders do not need them: a feed that fails is tried again on its own, and
meanwhile the last quote stays, with its time.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Self

import msgspec
import structlog

from brokerd.errors import BrokerdError, ConfigError
from brokerd.guard import guarded, heed_cancellation
from brokerd.retries import delay_s, failures
from brokerd.terms import Quote
from brokerd_adapters.alpaca import requests
from brokerd_adapters.alpaca.config import AlpacaConfig
from brokerd_adapters.alpaca.rest import read
from brokerd_adapters.alpaca.rules import CRYPTO
from brokerd_adapters.alpaca.wire import DataMessage, LatestQuotes, decode, quote_of
from brokerd_adapters.kit import Background, Credential, Http, JsonSocket

REPLY_S_MAX = 10.0

log = structlog.get_logger(__name__)

Messages = list[DataMessage]


class Quotes:
    """The latest quote of every configured symbol, as an async context manager."""

    def __init__(self, name: str, config: AlpacaConfig, credential: Credential) -> None:
        self._name = name
        self._config = config
        self._credential = credential
        self._http = Http(
            config.data_url, headers=requests.key_headers(credential), blank=credential.blank
        )
        self._latest: dict[str, Quote] = {}
        self._wanted = frozenset(config.symbols)
        self._stack = AsyncExitStack()
        self._background = Background(name)
        self._feeds: set[str] = set()

    async def __aenter__(self) -> Self:
        if self._config.data_url:
            await self._stack.enter_async_context(self._http)
            await self._stack.enter_async_context(self._background)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        self._feeds.clear()

    def latest(self, symbol: str) -> Quote | None:
        """Return the latest quote of a symbol."""
        return self._latest.get(symbol)

    async def refresh(self, classes: Mapping[str, str]) -> None:
        """Ask for the latest quotes, and see that the streams run. What fails is logged."""
        if not self._background.is_open:
            return
        crypto = [each for each in self._config.symbols if classes.get(each) == CRYPTO]
        stocks = [each for each in self._config.symbols if each not in crypto]
        for path, symbols, feed in (
            (requests.STOCK_QUOTES, stocks, self._config.data_feed),
            (requests.CRYPTO_QUOTES, crypto, None),
        ):
            if symbols:
                await self._ask(path, requests.latest_quotes(symbols, feed))
        if self._config.data_stream_url:
            for path, symbols in (
                (f"/v2/{self._config.data_feed}", stocks),
                ("/v1beta3/crypto/us", crypto),
            ):
                if symbols and path not in self._feeds:
                    self._feeds.add(path)
                    self._background.start(partial(self._follow, path, symbols), f"quotes-{path}")

    async def _ask(self, path: str, query: str) -> None:
        try:
            async with guarded(self._name, REPLY_S_MAX):
                answer = await self._http.request("GET", path, query=query)
                told = read(answer, LatestQuotes, path) if answer.status == 200 else None
        except BrokerdError as error:
            log.warning("quotes_unanswered", executor=self._name, why=str(error))
            return
        if told is None:
            log.warning("quotes_unanswered", executor=self._name, why=f"status {answer.status}")
            return
        for symbol, each in told.quotes.items():
            self._take(symbol, quote_of(each.bp, each.ap, each.t))

    async def _follow(self, path: str, symbols: list[str]) -> None:
        """Stream the quotes of symbols, again after every gap, until cancelled."""
        loop, attempt = asyncio.get_running_loop(), 0
        while True:
            began_s = loop.time()
            try:
                async with guarded(self._name, None):
                    await self._stream(path, symbols)
            except ConfigError as error:
                log.error("quotes_refused", executor=self._name, why=str(error))  # noqa: TRY400 - it says what is wrong
                return
            except BrokerdError as error:
                log.warning("quotes_gap", executor=self._name, path=path, why=str(error))
            await heed_cancellation()
            attempt = failures(attempt, loop.time() - began_s)
            await asyncio.sleep(delay_s(attempt))

    async def _stream(self, path: str, symbols: list[str]) -> None:
        url = self._config.data_stream_url.rstrip("/") + path
        socket: JsonSocket[Messages] = JsonSocket(
            self._name,
            url,
            decode=_read_messages,
            reply_to=_reply_to,
            blank=self._credential.blank,
        )
        async with socket:
            asked = requests.data_authenticate(self._credential)
            (state, *_) = await socket.request("auth", asked, deadline_s=REPLY_S_MAX)
            if state.T == "error":
                raise ConfigError(f"{self._name}: the quotes are refused: {state.msg}")
            await socket.send(requests.data_subscribe(symbols))
            async for messages in socket.events:
                for each in messages:
                    self._take(each.S or "", quote_of(each.bp, each.ap, each.t))

    def _take(self, symbol: str, quote: Quote | None) -> None:
        """Keep the newest quote of a symbol that was asked for."""
        if symbol not in self._wanted:
            return
        known = self._latest.get(symbol)
        if quote is not None and (known is None or quote.at_ns >= known.at_ns):
            self._latest[symbol] = quote


def _read_messages(frame: bytes) -> Messages:
    """Read one frame of a stream of quotes: a list of messages, of which quotes matter."""
    return [decode(each, DataMessage) for each in decode(frame, list[msgspec.Raw])]


def _reply_to(messages: Messages) -> str | None:
    """Name the question that messages answer: `auth`, by its success or an error."""
    is_answer = any(each.T == "error" or each.msg == "authenticated" for each in messages)
    return "auth" if is_answer else None
