"""
A new order or a change, read from its body: what the documents allow, wherever a client puts it.

Numbers come as JSON strings or numbers, symbols as "BTC/USD", "BTCUSD" or an asset's id. What is
refused here is refused by a rule of Alpaca's; what the matching refuses comes after.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from msgspec import Raw, Struct

from brokerd.money import is_multiple, parse_decimal
from brokerd.terms import Instrument, OrdType, Side, Terms, TimeInForce
from brokerd_adapters.venue.alpaca.answers import bad_input, broken_rule
from brokerd_adapters.venue.alpaca.holdings import CRYPTO, asset_class, symbol_of
from brokerd_adapters.venue.gate import Reply
from brokerd_adapters.venue.orders import NewOrder

CLIENT_ID_MAX = 128
PENNY = Decimal("0.01")

_CRYPTO_TYPES = {OrdType.MARKET, OrdType.LIMIT, OrdType.STOP_LIMIT}
_CRYPTO_TIMES = {TimeInForce.GTC, TimeInForce.IOC}
_W = TypeVar("_W", OrdType, TimeInForce, Side)


class Refusal(Exception):
    """A body that Alpaca turns down, with its answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Change(Struct, frozen=True, kw_only=True):
    """What a PATCH asks for; None leaves it as it is."""

    client_order_id: str
    qty: Decimal | None
    px: Decimal | None
    stop_px: Decimal | None


def read(body: bytes) -> dict[str, Any]:
    """Read a JSON object; a number stays the text it is. Raises Refusal."""
    try:
        members = msgspec.json.decode(body, type=dict[str, Raw]) if body else {}
        return {name: _value(raw) for name, raw in members.items()}
    except (msgspec.MsgspecError, RecursionError):
        raise Refusal(bad_input("request body format is invalid")) from None


def client_id(members: Mapping[str, Any]) -> str:
    """Return the client's id for the order, a new one if it gave none; raises Refusal."""
    told = members.get("client_order_id")
    if told is None or told == "":
        return str(uuid4())
    if not isinstance(told, str) or len(told) > CLIENT_ID_MAX:
        raise Refusal(bad_input(f"client_order_id must be no more than {CLIENT_ID_MAX} characters"))
    return told


def new_order(members: Mapping[str, Any], instruments: Mapping[str, Instrument]) -> NewOrder:
    """Read a new order; raises Refusal."""
    symbol = symbol_of(str(members.get("symbol", "")), instruments)
    if symbol is None:
        raise Refusal(broken_rule(f'asset "{members.get("symbol", "")}" not found'))
    if members.get("order_class") not in {None, "", "simple"}:
        raise Refusal(broken_rule("this venue has simple orders only"))
    if members.get("qty") is None:
        raise Refusal(broken_rule("qty is required: this venue has no notional orders"))
    ord_type = _word(OrdType, members, "type")
    name = client_id(members)
    terms = Terms(
        executor="",
        symbol=symbol,
        side=_word(Side, members, "side"),
        ord_type=ord_type,
        qty=_positive(members, "qty"),
        px=_positive(members, "limit_price") if ord_type.has_px else None,
        stop_px=_positive(members, "stop_price") if ord_type.has_stop_px else None,
        time_in_force=_word(TimeInForce, members, "time_in_force"),
    )
    _check(terms, instruments[symbol], is_extended=members.get("extended_hours") is True)
    return NewOrder(client_order_id=name, terms=terms)


def change(members: Mapping[str, Any]) -> Change:
    """Read a PATCH; raises Refusal."""
    return Change(
        client_order_id=client_id(members),
        qty=_positive(members, "qty", is_needed=False),
        px=_positive(members, "limit_price", is_needed=False),
        stop_px=_positive(members, "stop_price", is_needed=False),
    )


def check_px(instrument: Instrument, px: Decimal | None) -> None:
    """Raise Refusal for a price between the pennies."""
    is_stock = asset_class(instrument) != CRYPTO
    if px is not None and is_stock and px >= 1 and not is_multiple(px, PENNY):
        told = "sub-penny increment does not fulfill minimum pricing criteria"
        raise Refusal(broken_rule(f"invalid limit_price {px}. {told}"))


def _check(terms: Terms, instrument: Instrument, *, is_extended: bool) -> None:
    if asset_class(instrument) == CRYPTO:
        if terms.ord_type not in _CRYPTO_TYPES:
            raise Refusal(broken_rule(f"invalid order type for crypto order: {terms.ord_type}"))
        if terms.time_in_force not in _CRYPTO_TIMES:
            raise Refusal(broken_rule("invalid crypto time_in_force"))
        return
    if is_extended and (terms.ord_type, terms.time_in_force) != (OrdType.LIMIT, TimeInForce.DAY):
        raise Refusal(broken_rule("extended hours order must be DAY limit orders"))
    if not is_multiple(terms.qty, Decimal(1)):
        if instrument.lot >= 1:
            raise Refusal(broken_rule(f"asset {terms.symbol} is not fractionable"))
        if terms.time_in_force is not TimeInForce.DAY:
            raise Refusal(broken_rule("fractional orders must be DAY orders"))
    check_px(instrument, terms.px)
    check_px(instrument, terms.stop_px)


def _value(raw: Raw) -> Any:
    value: Any = msgspec.json.decode(raw)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return bytes(raw).decode() if is_number else value


def _word(kind: type[_W], members: Mapping[str, Any], name: str) -> _W:
    told = str(members.get(name))
    try:
        word = kind(told)
    except ValueError:
        raise Refusal(bad_input(f"invalid {name}: {told}")) from None
    if word == TimeInForce.GTD:
        raise Refusal(bad_input(f"invalid {name}: {told}"))
    return word


def _positive(members: Mapping[str, Any], name: str, *, is_needed: bool = True) -> Any:
    told = members.get(name)
    if told is None and not is_needed:
        return None
    try:
        value = parse_decimal(str(told))
    except ValueError:
        raise Refusal(bad_input(f"invalid {name}: {told}")) from None
    if isinstance(told, bool) or value <= 0:
        raise Refusal(bad_input(f"{name} must be > 0"))
    return value
