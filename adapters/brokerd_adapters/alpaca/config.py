"""The keys of `[executors.NAME]` with `adapter = "alpaca"`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from brokerd.errors import ConfigError
from brokerd_adapters.alpaca.requests import REQUESTS_A_MINUTE
from brokerd_adapters.kit import check_address

PAPER_URL, LIVE_URL = "https://paper-api.alpaca.markets", "https://api.alpaca.markets"
SYMBOLS_MAX = 200


class AlpacaConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The table of one Alpaca executor. The key's file has `api_key` and `secret`.

    Plain `http` is for a venue on this host: a key never goes over the network in the clear.
    """

    adapter: Annotated[Literal["alpaca"], Meta(description="this adapter")] = "alpaca"
    credential: Annotated[
        str, Meta(min_length=1, description="the credential file with `api_key` and `secret`")
    ] = "alpaca"
    paper: Annotated[
        bool, Meta(description="trade with play money; the key must be one for that")
    ] = True
    symbols: Annotated[
        tuple[str, ...],
        Meta(
            max_length=SYMBOLS_MAX,
            description='what is traded and quoted, such as "AAPL" or "BTC/USD"; none is everything Alpaca has, without quotes',
        ),
    ] = ()
    extended_hours: Annotated[
        bool, Meta(description="let day limit orders for stocks trade before and after hours")
    ] = False
    base_url: Annotated[
        str, Meta(description="where the Trading API is, if not at Alpaca's own address")
    ] = ""
    data_url: Annotated[
        str,
        Meta(
            description="where the Market Data API is, such as `https://data.alpaca.markets`; without it there are no quotes"
        ),
    ] = ""
    data_stream_url: Annotated[
        str,
        Meta(
            description="where quotes are streamed, such as `wss://stream.data.alpaca.markets`; without it they are asked for once a connection"
        ),
    ] = ""
    data_feed: Annotated[
        Literal["iex", "sip", "delayed_sip"], Meta(description="the feed for stocks' quotes")
    ] = "iex"
    requests_per_minute: Annotated[
        int, Meta(ge=10, le=10_000, description="the account's budget: 200, or 1000 with Plus")
    ] = REQUESTS_A_MINUTE
    dead_after_s: Annotated[
        Annotated[float, Meta(gt=0, le=86_400)] | None,
        Meta(
            description="after how long an unanswered request is taken for dead; Alpaca documents no such time, so without it a doubt ends only by a sign of the order"
        ),
    ] = None

    def __post_init__(self) -> None:
        """Raise ValueError, naming the key, for what types alone do not exclude."""
        for key in ("base_url", "data_url", "data_stream_url"):
            if url := getattr(self, key):
                check_address(key, url)
        if self.data_url and not self.symbols:
            raise ValueError("data_url needs symbols: quotes are for those")

    @property
    def trading_url(self) -> str:
        """Where the Trading API is."""
        return (self.base_url or (PAPER_URL if self.paper else LIVE_URL)).rstrip("/")

    @property
    def stream_url(self) -> str:
        """Where `trade_updates` are: http becomes ws, https wss."""
        return self.trading_url.replace("http", "ws", 1) + "/stream"


def check_symbols(config: AlpacaConfig, known: set[str]) -> None:
    """Raise ConfigError for a configured symbol that Alpaca does not trade."""
    missing = [symbol for symbol in config.symbols if symbol not in known]
    if missing:
        raise ConfigError(
            f"Alpaca does not trade {', '.join(missing)}", hint="check symbols; pairs are BTC/USD"
        )
