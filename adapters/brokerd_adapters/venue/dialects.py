"""The dialects there are, by name."""

from brokerd.errors import ConfigError
from brokerd_adapters.venue.config import VenueConfig
from brokerd_adapters.venue.dialect import Dialect, DialectMaker


def make_dialect(config: VenueConfig) -> Dialect:
    """Return a new dialect; raises ConfigError for one that is not there."""
    make = DIALECTS.get(config.dialect)
    if make is None:
        raise ConfigError(f"there is no dialect {config.dialect}")
    return make(config)


def _binance(config: VenueConfig) -> Dialect:
    from brokerd_adapters.venue.binance import BinanceDialect  # noqa: PLC0415 - only if asked for

    return BinanceDialect(config)


def _alpaca(config: VenueConfig) -> Dialect:
    from brokerd_adapters.venue.alpaca import AlpacaDialect  # noqa: PLC0415 - only if asked for

    return AlpacaDialect(config)


DIALECTS: dict[str, DialectMaker] = {"binance": _binance, "alpaca": _alpaca}
