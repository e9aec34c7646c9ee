"""What the local venue is started with."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from brokerd.errors import ConfigError
from brokerd.secrets import Secret
from brokerd_adapters.paper import Market, Paced, ReplayMarket, SyntheticMarket
from brokerd_adapters.venue.charter import Charter

DialectName = Literal["binance", "alpaca"]


class VenueConfig(Struct, frozen=True, kw_only=True):
    """
    One venue. A market of `none` stands still until the control endpoint moves it.

    `public_key` is the PEM of an Ed25519 or RSA key that signs under the same `key`, beside the
    `secret`. `limits` of `documented` enforces the venue's rate limits; `open` only counts.
    """

    dialect: DialectName
    host: str = "127.0.0.1"
    port: int = 0
    market: Literal["synthetic", "replay", "none"] = "synthetic"
    trades: str = ""
    quotes: str = ""
    speed: Annotated[float, Meta(gt=0)] = 1.0
    seed: int = 1
    key: str = "brokerd-venue-key"
    secret: Secret = Secret("brokerd-venue-secret")
    public_key: str = ""
    limits: Literal["open", "documented"] = "open"


def open_market(config: VenueConfig, charter: Charter) -> Market | None:
    """Return the market of the charter's listings; raises ConfigError for a missing recording."""
    if config.market == "none":
        return None
    if config.market == "synthetic":
        return Paced(SyntheticMarket(charter.listings, seed=config.seed), speed=config.speed)
    trades, quotes = Path(config.trades), Path(config.quotes)
    for path in (trades, quotes):
        if not path.is_file():
            raise ConfigError(f"the recording {path} is not there")
    first = next(iter(charter.listings.values()))
    replay = ReplayMarket(first.instrument, trades=trades, quotes=quotes, loop=True)
    return Paced(replay, speed=config.speed)
