"""The Binance Spot dialect."""

from brokerd_adapters.venue.binance.dialect import BinanceDialect

__all__ = ["BinanceDialect"]
