"""What the account holds and what it may trade: listings, account, positions, assets, clock."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from brokerd.executor import Balance
from brokerd.money import ZERO, add, digits, divide, multiply, subtract
from brokerd.terms import Instrument, Quote
from brokerd.times import NS_PER_S, rfc3339
from brokerd_adapters.paper.markets import Listing

CASH = "USD"
STOCK, CRYPTO = "us_equity", "crypto"
ACCOUNT_ID = str(uuid5(NAMESPACE_OID, "account"))
_DAY_NS = 86_400 * NS_PER_S


def _listing(symbol: str, tick: str, lot: str, start_px: int, size: str) -> Listing:
    base, _, quote = symbol.partition("/")
    instrument = Instrument(
        symbol,
        base,
        quote or CASH,
        tick=Decimal(tick),
        lot=Decimal(lot),
        qty_min=Decimal(lot),
    )
    return Listing(instrument, Decimal(start_px), Decimal(size))


LISTINGS: dict[str, Listing] = {
    "AAPL": _listing("AAPL", "0.01", "0.000000001", 150, "0.01"),
    "BRK.A": _listing("BRK.A", "0.01", "1", 600_000, "1"),
    "BTC/USD": _listing("BTC/USD", "0.01", "0.000000001", 40_000, "0.00001"),
    "ETH/USD": _listing("ETH/USD", "0.01", "0.000000001", 2_000, "0.0001"),
}

BALANCES = {
    CASH: Decimal(10_000_000),
    "AAPL": Decimal(10_000),
    "BRK.A": Decimal(100),
    "BTC": Decimal(1_000),
    "ETH": Decimal(10_000),
}


def asset_class(instrument: Instrument) -> str:
    """Return the class of an asset: pairs are crypto."""
    return CRYPTO if "/" in instrument.symbol else STOCK


def asset_id(symbol: str) -> str:
    """Return an asset's id."""
    return str(uuid5(NAMESPACE_OID, f"asset/{symbol}"))


def symbol_of(name: str, instruments: Mapping[str, Instrument]) -> str | None:
    """Return the symbol that a client means: by symbol, by pair without its slash, or by asset id."""
    for symbol in instruments:
        if name in {symbol, symbol.replace("/", ""), asset_id(symbol)}:
            return symbol
    return None


def asset(instrument: Instrument) -> dict[str, Any]:
    """Return an asset as the wire has it."""
    is_crypto = asset_class(instrument) == CRYPTO
    told: dict[str, Any] = {
        "id": asset_id(instrument.symbol),
        "class": asset_class(instrument),
        "exchange": "CRYPTO" if is_crypto else "NASDAQ",
        "symbol": instrument.symbol,
        "name": instrument.symbol,
        "status": "active",
        "tradable": True,
        "marginable": not is_crypto,
        "shortable": False,
        "easy_to_borrow": False,
        "fractionable": instrument.lot < 1,
        "attributes": [],
    }
    if is_crypto:
        told |= {
            "min_order_size": digits(instrument.qty_min),
            "min_trade_increment": digits(instrument.lot),
            "price_increment": digits(instrument.tick),
        }
    return told


def account(
    balances: tuple[Balance, ...],
    quotes: Mapping[str, Quote | None],
    instruments: Mapping[str, Instrument],
) -> dict[str, Any]:
    """Return the account as the wire has it."""
    cash = next(each for each in balances if each.asset == CASH)
    total = add(cash.free, cash.locked)
    held = ZERO
    for each in positions(balances, quotes, instruments):
        held = add(held, Decimal(each["market_value"]))
    free, equity = digits(cash.free), digits(add(total, held))
    return {
        "id": ACCOUNT_ID,
        "account_number": "PA0BROKERD",
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": CASH,
        "buying_power": free,
        "regt_buying_power": free,
        "non_marginable_buying_power": free,
        "cash": digits(total),
        "accrued_fees": "0",
        "portfolio_value": equity,
        "equity": equity,
        "last_equity": equity,
        "long_market_value": digits(held),
        "short_market_value": "0",
        "initial_margin": "0",
        "maintenance_margin": "0",
        "multiplier": "1",
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "shorting_enabled": False,
        "created_at": rfc3339(0),
    }


def positions(
    balances: tuple[Balance, ...],
    quotes: Mapping[str, Quote | None],
    instruments: Mapping[str, Instrument],
) -> list[dict[str, Any]]:
    """Return what the account holds, each as the wire has it; a pair is written without its slash."""
    held = {each.asset: each for each in balances}
    return [
        _position(instrument, held[instrument.base], quotes.get(symbol))
        for symbol, instrument in instruments.items()
        if instrument.base in held and add(held[instrument.base].free, held[instrument.base].locked)
    ]


def _position(instrument: Instrument, held: Balance, quote: Quote | None) -> dict[str, Any]:
    qty = add(held.free, held.locked)
    px = ZERO if quote is None else divide(add(quote.bid_px, quote.ask_px), Decimal(2))
    value = digits(multiply(qty, px))
    return {
        "asset_id": asset_id(instrument.symbol),
        "symbol": instrument.symbol.replace("/", ""),
        "exchange": "CRYPTO" if asset_class(instrument) == CRYPTO else "NASDAQ",
        "asset_class": asset_class(instrument),
        "asset_marginable": False,
        "qty": digits(qty),
        "qty_available": digits(subtract(qty, held.locked)),
        "side": "long",
        "avg_entry_price": digits(px),
        "current_price": digits(px),
        "market_value": value,
        "cost_basis": value,
        "unrealized_pl": "0",
        "unrealized_plpc": "0",
    }


def clock(now_ns: int) -> dict[str, Any]:
    """Return the market's clock: this one is always open."""
    tomorrow_ns = (now_ns // _DAY_NS + 1) * _DAY_NS
    return {
        "timestamp": rfc3339(now_ns),
        "is_open": True,
        "next_open": rfc3339(tomorrow_ns),
        "next_close": rfc3339(tomorrow_ns),
    }
