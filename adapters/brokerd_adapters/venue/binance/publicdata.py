"""The questions that anybody may ask: time, rules, quotes, prints."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from brokerd.money import ZERO, add, divide, floor_to, multiply, subtract
from brokerd.terms import Instrument
from brokerd.times import NS_PER_S
from brokerd_adapters.venue.binance import filters
from brokerd_adapters.venue.binance.desk import Desk
from brokerd_adapters.venue.binance.errors import NO_SUCH_SYMBOL, bad_request
from brokerd_adapters.venue.binance.market import Print
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.binance.words import (
    MS_NS,
    SELF_TRADE_DEFAULT,
    SELF_TRADES,
    TYPES,
    number,
)

_CENT = Decimal("0.00000001")
_DAY_MS = 86_400_000


class PublicData:
    """Market data and exchangeInfo."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def ping(self, params: Params) -> Any:  # noqa: ARG002  every method is asked alike
        """Say nothing."""
        return {}

    def time(self, params: Params) -> Any:
        """Tell the venue's time."""
        return {"serverTime": params.stamp(self._desk.exchange.clock.now_ns())}

    def exchange_info(self, params: Params) -> Any:
        """Tell limits and symbols."""
        limits = self._desk.limits
        windows = (limits.weight, *limits.orders, limits.raw)
        return {
            "timezone": "UTC",
            "serverTime": params.stamp(self._desk.exchange.clock.now_ns()),
            "rateLimits": [window.told(count=False) for window in windows],
            "exchangeFilters": [],
            "symbols": [self._symbol(instrument) for instrument in self._chosen(params)],
        }

    def depth(self, params: Params) -> Any:
        """Tell the best bid and ask, and how much there is."""
        board = self._desk.market.boards[self._desk.instrument(params).symbol]
        quote = board.quote
        return {
            "lastUpdateId": board.update_id,
            "bids": [[number(quote.bid_px), number(quote.bid_qty)]] if quote else [],
            "asks": [[number(quote.ask_px), number(quote.ask_qty)]] if quote else [],
        }

    def book_ticker(self, params: Params) -> Any:
        """Tell the best bid and ask of one symbol, or of several."""

        def row(instrument: Instrument) -> dict[str, Any]:
            quote = self._desk.market.boards[instrument.symbol].quote
            return {
                "symbol": instrument.symbol,
                "bidPrice": number(quote.bid_px if quote else None),
                "bidQty": number(quote.bid_qty if quote else None),
                "askPrice": number(quote.ask_px if quote else None),
                "askQty": number(quote.ask_qty if quote else None),
            }

        return self._rows(params, row)

    def price(self, params: Params) -> Any:
        """Tell the latest price of one symbol, or of several."""

        def row(instrument: Instrument) -> dict[str, Any]:
            px = self._desk.market.average_px(instrument.symbol)
            return {"symbol": instrument.symbol, "price": number(px)}

        return self._rows(params, row)

    def average_price(self, params: Params) -> Any:
        """Tell the average price of the last five minutes."""
        symbol = self._desk.instrument(params).symbol
        now_ns = self._desk.exchange.clock.now_ns()
        since_ns = now_ns - 300 * NS_PER_S
        late = [p for p in self._desk.market.boards[symbol].prints if p.at_ns >= since_ns]
        average = _average(late) if late else self._desk.market.average_px(symbol)
        return {"mins": 5, "price": number(average), "closeTime": params.stamp(now_ns)}

    def trades(self, params: Params) -> Any:
        """Tell the latest prints."""
        prints = self._latest(params)
        return [
            {
                "id": tick.trade_id,
                "price": number(tick.px),
                "qty": number(tick.qty),
                "quoteQty": number(multiply(tick.px, tick.qty)),
                "time": params.stamp(at_ns),
                "isBuyerMaker": tick.buyer_is_maker,
                "isBestMatch": True,
            }
            for at_ns, tick in prints
        ]

    def agg_trades(self, params: Params) -> Any:
        """Tell the latest prints, each its own aggregate."""
        prints = self._latest(params)
        return [
            {
                "a": tick.trade_id,
                "p": number(tick.px),
                "q": number(tick.qty),
                "f": tick.trade_id,
                "l": tick.trade_id,
                "T": params.stamp(at_ns),
                "m": tick.buyer_is_maker,
                "M": True,
            }
            for at_ns, tick in prints
        ]

    def ticker(self, params: Params) -> Any:
        """Tell the statistics since the venue started, which stand for those of a day."""
        return self._rows(params, self._statistics)

    def _statistics(self, instrument: Instrument) -> dict[str, Any]:
        board = self._desk.market.boards[instrument.symbol]
        ticks = [tick for _, tick in board.prints]
        prices = [tick.px for tick in ticks] or [ZERO]
        first, last = board.first_px or ZERO, prices[-1]
        change = subtract(last, first)
        volume, notional = ZERO, ZERO
        for tick in ticks:
            volume = add(volume, tick.qty)
            notional = add(notional, multiply(tick.qty, tick.px))
        now_ms = self._desk.exchange.clock.now_ns() // MS_NS
        percent = multiply(divide(change, first), Decimal(100)) if first else ZERO
        return {
            "symbol": instrument.symbol,
            "priceChange": number(change),
            "priceChangePercent": format(percent, ".3f"),
            "weightedAvgPrice": number(divide(notional, volume) if volume else None),
            "prevClosePrice": number(first),
            "lastPrice": number(last),
            "lastQty": number(ticks[-1].qty if ticks else None),
            **self._quote(instrument.symbol),
            "openPrice": number(first),
            "highPrice": number(max(prices)),
            "lowPrice": number(min(prices)),
            "volume": number(volume),
            "quoteVolume": number(notional),
            "openTime": now_ms - _DAY_MS,
            "closeTime": now_ms,
            "firstId": ticks[0].trade_id if ticks else -1,
            "lastId": ticks[-1].trade_id if ticks else -1,
            "count": len(ticks),
        }

    def _quote(self, symbol: str) -> dict[str, str]:
        quote = self._desk.market.boards[symbol].quote
        return {
            "bidPrice": number(quote.bid_px if quote else None),
            "bidQty": number(quote.bid_qty if quote else None),
            "askPrice": number(quote.ask_px if quote else None),
            "askQty": number(quote.ask_qty if quote else None),
        }

    def _symbol(self, instrument: Instrument) -> dict[str, Any]:
        return {
            "symbol": instrument.symbol,
            "status": "TRADING",
            "baseAsset": instrument.base,
            "baseAssetPrecision": 8,
            "quoteAsset": instrument.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(TYPES),
            "icebergAllowed": True,
            "ocoAllowed": False,
            "otoAllowed": False,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": filters.told(instrument, self._desk.caps),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": SELF_TRADE_DEFAULT,
            "allowedSelfTradePreventionModes": list(SELF_TRADES),
        }

    def _chosen(self, params: Params) -> list[Instrument]:
        """Return the symbols that a question names, all if it names none."""
        known = self._desk.exchange.instruments
        symbol = params.text("symbol")
        names = params.list_of("symbols") if symbol is None else [symbol]
        if names is None:
            return list(known.values())
        if any(name not in known for name in names):
            raise bad_request(*NO_SUCH_SYMBOL)
        return [known[name] for name in names]

    def _rows(self, params: Params, row: Callable[[Instrument], dict[str, Any]]) -> Any:
        rows = [row(instrument) for instrument in self._chosen(params)]
        return rows[0] if params.text("symbol") is not None else rows

    def _latest(self, params: Params) -> list[Print]:
        prints = list(self._desk.market.boards[self._desk.instrument(params).symbol].prints)
        return prints[-min(params.integer("limit") or 500, 1_000) :]


def _average(prints: list[Print]) -> Decimal:
    volume, notional = ZERO, ZERO
    for _, tick in prints:
        volume = add(volume, tick.qty)
        notional = add(notional, multiply(tick.px, tick.qty))
    return floor_to(divide(notional, volume), _CENT)
