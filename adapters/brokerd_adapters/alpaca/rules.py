"""
Alpaca's rules for what may be ordered, as far as they are documented: told before anything is sent.

`Instrument` has one tick and one lot. Stocks have two ticks, so theirs is the finer one, and the
other rule stands here beside what depends on the kind of asset.

Source: docs.alpaca.markets "Orders at Alpaca" (sub-penny increments, time in force by asset
class), "Fractional Trading", "Crypto Orders", "Replace Order by ID".
"""

from decimal import Decimal

from brokerd.executor import Refused
from brokerd.money import ZERO, ceil_to, digits, floor_to, is_multiple
from brokerd.terms import Instrument, OrdType, Terms, TimeInForce
from brokerd_adapters.alpaca.chains import CHAIN_MAX
from brokerd_adapters.alpaca.wire import Asset

CLIENT_ID_MAX = 48
"""What the older documents promise; the newer say 128."""

CRYPTO = "crypto"
PENNY = Decimal("0.01")
SUB_PENNY = Decimal("0.0001")
SHARE = Decimal(1)
FRACTION = Decimal("0.000000001")
"""Nine decimals: what a fractional quantity may have."""

_CRYPTO_TYPES = {OrdType.MARKET, OrdType.LIMIT, OrdType.STOP_LIMIT}
_CRYPTO_TIMES = {TimeInForce.GTC, TimeInForce.IOC}
_SOURCE = "checked before sending, by docs.alpaca.markets"


def instrument(asset: Asset) -> Instrument | None:
    """Return an asset's rules; None if it cannot be traded."""
    if not asset.tradable or asset.status != "active":
        return None
    if asset.asset_class == CRYPTO:
        base, _, quote = asset.symbol.partition("/")
        return Instrument(
            asset.symbol,
            base,
            quote or "USD",
            tick=asset.price_increment or ZERO,
            lot=asset.min_trade_increment or ZERO,
            qty_min=asset.min_order_size or ZERO,
        )
    lot = FRACTION if asset.fractionable else SHARE
    return Instrument(asset.symbol, asset.symbol, "USD", tick=SUB_PENNY, lot=lot, qty_min=lot)


def refused(terms: Terms, asset_class: str) -> Refused | None:
    """Return why Alpaca would turn a new order down, as far as that can be foreseen."""
    if terms.post_only:
        return _no("post_only_not_supported", "Alpaca has no post-only orders")
    if terms.time_in_force is TimeInForce.GTD:
        return _no("time_in_force_not_supported", "Alpaca has no orders until a time of day")
    return _crypto_refused(terms) if asset_class == CRYPTO else _stock_refused(terms)


def replace_refused(
    asset_class: str, px: Decimal | None, leaves_qty: Decimal, before_qty: Decimal | None
) -> Refused | None:
    """
    Return why Alpaca would turn a replace down.

    `leaves_qty` is what it would leave to fill, `before_qty` the quantity of the link it replaces.
    """
    if leaves_qty <= 0:
        return _no("qty_already_filled", "the new total quantity is not above what is filled")
    if asset_class == CRYPTO:
        return None
    if not needs_qty(asset_class, leaves_qty) and leaves_qty != before_qty:
        return _no("fraction_is_fixed", "a fraction of a share cannot be changed: cancel it")
    return _sub_penny("px", px)


def may_be_extended(terms: Terms, asset_class: str) -> bool:
    """Whether an order may trade before and after hours: limit orders of the day, for stocks."""
    is_day_limit = (terms.ord_type, terms.time_in_force) == (OrdType.LIMIT, TimeInForce.DAY)
    return is_day_limit and asset_class != CRYPTO


def chain_refused(links: int) -> Refused | None:
    """Return why an order of so many links is not replaced once more, if it is not."""
    if links < CHAIN_MAX:
        return None
    told = f"the order was replaced {links - 1} times: cancel it and submit a new one"
    return Refused(reason="replaced_too_often", evidence=f"{told} (checked before sending)")


def needs_qty(asset_class: str, leaves_qty: Decimal) -> bool:
    """Whether a replace names its quantity: a fraction of a share must not be named."""
    return asset_class == CRYPTO or is_multiple(leaves_qty, SHARE)


def _crypto_refused(terms: Terms) -> Refused | None:
    if terms.ord_type not in _CRYPTO_TYPES:
        return _no("ord_type_not_supported", f"crypto has no {terms.ord_type} orders")
    if terms.time_in_force not in _CRYPTO_TIMES:
        return _no(
            "time_in_force_not_supported", f"crypto has gtc and ioc, not {terms.time_in_force}"
        )
    return None


def _stock_refused(terms: Terms) -> Refused | None:
    is_fraction = not is_multiple(terms.qty, SHARE)
    if is_fraction and terms.time_in_force is not TimeInForce.DAY:
        return _no("fraction_needs_day", "a fraction of a share is for day orders only")
    return _sub_penny("px", terms.px) or _sub_penny("stop_px", terms.stop_px)


def _sub_penny(field: str, px: Decimal | None) -> Refused | None:
    if px is None or px < 1 or is_multiple(px, PENNY):
        return None
    near = f"{digits(floor_to(px, PENNY))} or {digits(ceil_to(px, PENNY))}"
    return _no("not_on_tick", f"{field} {digits(px)}: from 1 USD the tick is 0.01, so {near}")


def _no(reason: str, why: str) -> Refused:
    return Refused(reason=reason, evidence=f"{why} ({_SOURCE})")
