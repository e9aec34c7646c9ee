"""The keys of `[executors.NAME]` with `adapter = "binance"`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from brokerd_adapters.kit import check_address

REST_URL = "https://api.binance.com"
WS_API_URL = "wss://ws-api.binance.com:443/ws-api/v3"
STREAM_URL = "wss://stream.binance.com:9443"


class BinanceConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The table of one Binance Spot executor. The addresses are those of the live exchange.

    Plain `http` and `ws` are for a venue on this host: a key never goes over the network in the clear.
    """

    adapter: Annotated[Literal["binance"], Meta(description="this adapter")] = "binance"
    credential: Annotated[
        str, Meta(min_length=1, description="the credential file with the API key")
    ]
    rest_url: Annotated[
        str, Meta(min_length=1, description="where REST is; the testnet has another")
    ] = REST_URL
    ws_api_url: Annotated[str, Meta(min_length=1, description="where the WebSocket API is")] = (
        WS_API_URL
    )
    stream_url: Annotated[str, Meta(min_length=1, description="where the market streams are")] = (
        STREAM_URL
    )
    symbols: Annotated[
        tuple[str, ...],
        Meta(
            description="quotes of these are kept from the start, and only these are traded; "
            "left out, every symbol is"
        ),
    ] = ()
    self_trade_prevention: Annotated[
        Literal["", "none", "expire_taker", "expire_maker", "expire_both", "decrement", "transfer"],
        Meta(
            description="what happens when an order meets one of the account's own; left out, the symbol's own rule"
        ),
    ] = ""
    recv_window_ms: Annotated[
        int,
        Meta(ge=100, le=60_000, description="how long a request is good for at the venue"),
    ] = 5_000
    processing_bound_s: Annotated[
        float,
        Meta(
            ge=0,
            le=300,
            description="how long the venue may sit on a request; it documents 10 s, a local one needs less",
        ),
    ] = 10.0
    query_lag_s: Annotated[
        float,
        Meta(
            ge=0,
            le=300,
            description="how far the venue's answers may trail behind what it has done; not documented",
        ),
    ] = 5.0

    def __post_init__(self) -> None:
        """Raise ValueError, naming the key, for an address where a key would go in the clear."""
        for key in ("rest_url", "ws_api_url", "stream_url"):
            check_address(key, getattr(self, key))
