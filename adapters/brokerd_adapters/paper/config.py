"""The keys of `[executors.NAME]` with `adapter = "paper"`, and the market they ask for."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from brokerd.errors import ConfigError
from brokerd.money import parse_decimal
from brokerd_adapters.paper.ledger import Fees
from brokerd_adapters.paper.markets import LISTINGS, Market, Paced, SyntheticMarket
from brokerd_adapters.paper.misbehaviour import Faults
from brokerd_adapters.paper.replay import ReplayMarket

_BALANCES = {"USDT": Decimal(10_000_000), "BTC": Decimal(1_000), "ETH": Decimal(10_000)}
REST_URL = "https://api.binance.com"
STREAM_URL = "wss://stream.binance.com:9443"

_FEE_BPS_MAX = 1_000
_BPS_DIGITS_MAX = 4


class PaperConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The table of one paper executor; the defaults need no key, no file and no network.

    A log that remembers the account wins over `balances`.
    """

    adapter: Annotated[Literal["paper"], Meta(description="this adapter")] = "paper"
    market: Annotated[
        Literal["synthetic", "replay", "live"],
        Meta(
            description="a random walk made by `seed`, the recording in `trades` and `quotes`, or what happens at Binance Spot now"
        ),
    ] = "synthetic"
    seed: Annotated[int, Meta(description="the same seed makes the same synthetic market")] = 1
    trades: Annotated[
        str, Meta(description="recorded trades: CSV with ts_ms,trade_id,px,qty,buyer_is_maker")
    ] = ""
    quotes: Annotated[
        str, Meta(description="recorded quotes: CSV with ts_ms,bid_px,bid_qty,ask_px,ask_qty")
    ] = ""
    speed: Annotated[
        float, Meta(gt=0, le=1e6, description="how fast the market's time runs; 2 is twice as fast")
    ] = 1.0
    loop: Annotated[bool, Meta(description="play the recording again when it ends")] = False
    symbols: Annotated[
        tuple[str, ...],
        Meta(
            description="what is traded: all that the market knows, BTCUSDT in a replay, or BTCUSDT and ETHUSDT live"
        ),
    ] = ()
    rest_url: Annotated[
        str, Meta(min_length=1, description="where a live market's rules are asked for")
    ] = REST_URL
    stream_url: Annotated[
        str, Meta(min_length=1, description="where a live market's streams are")
    ] = STREAM_URL
    balances: Annotated[
        dict[str, Decimal], Meta(description="what the account begins with, by asset")
    ] = field(default_factory=lambda: dict(_BALANCES))
    maker_fee_bps: Annotated[
        Decimal, Meta(description="fee on resting fills, in basis points; below 0 is a rebate")
    ] = Decimal(10)
    taker_fee_bps: Annotated[
        Decimal, Meta(description="fee on fills that take, in basis points, in the quote asset")
    ] = Decimal(10)
    latency_ms: Annotated[
        float, Meta(ge=0, le=60_000, description="how long each request is on its way")
    ] = 0.0
    faults: Annotated[
        Faults | None, Meta(description="how the venue misbehaves: rates from 0 to 1, or a script")
    ] = None

    def __post_init__(self) -> None:
        """Raise ValueError, naming the key, for what types alone do not exclude."""
        for asset, amount in self.balances.items():
            if _exact(f"balances.{asset}", amount) < 0:
                raise ValueError(f"balances.{asset} must be 0 or more")
        for key in ("maker_fee_bps", "taker_fee_bps"):
            bps = _exact(key, getattr(self, key))
            if abs(bps) > _FEE_BPS_MAX or int(bps.as_tuple().exponent) < -_BPS_DIGITS_MAX:
                raise ValueError(
                    f"{key} is at most {_FEE_BPS_MAX}, with {_BPS_DIGITS_MAX} digits after the point"
                )
        if self.market == "replay" and not (self.trades and self.quotes):
            raise ValueError('market "replay" needs both trades and quotes')
        if self.market == "replay" and len(self.symbols) > 1:
            raise ValueError("a replay has one symbol")
        for symbol in self.symbols:
            if symbol not in LISTINGS and self.market != "live":
                raise ValueError(f"symbols: {symbol} is not one of {', '.join(LISTINGS)}")

    @property
    def fees(self) -> Fees:
        """The fee rates."""
        return Fees(self.maker_fee_bps, self.taker_fee_bps)

    @property
    def hold_up_max_s(self) -> float:
        """The longest the venue may sit on a request."""
        return self.latency_ms / 1_000 + (self.faults.delay_max_s if self.faults else 0.0)


def open_market(config: PaperConfig, base_dir: Path) -> Market:
    """
    Return the market the configuration asks for, if it is not a live one (see `live`).

    Raises ConfigError for a file that is missing.
    """
    if config.market == "synthetic":
        symbols = config.symbols or tuple(LISTINGS)
        listings = {symbol: LISTINGS[symbol] for symbol in symbols}
        return Paced(SyntheticMarket(listings, seed=config.seed), speed=config.speed)
    return Paced(_recording(config, base_dir), speed=config.speed)


def check_market(config: PaperConfig, base_dir: Path) -> None:
    """Raise ConfigError, before anything runs, for a recording whose first rows cannot be used."""
    if config.market == "replay":
        with closing(_recording(config, base_dir).ticks()) as ticks:
            next(ticks)


def _recording(config: PaperConfig, base_dir: Path) -> ReplayMarket:
    trades, quotes = base_dir / config.trades, base_dir / config.quotes
    for path in (trades, quotes):
        if not path.is_file():
            raise ConfigError(f"the recording {path} is not there")
    listing = LISTINGS[config.symbols[0] if config.symbols else "BTCUSDT"]
    return ReplayMarket(listing.instrument, trades=trades, quotes=quotes, loop=config.loop)


def _exact(key: str, value: Decimal) -> Decimal:
    try:
        return parse_decimal(str(value))
    except ValueError as error:
        raise ValueError(f"{key} {error}") from None
