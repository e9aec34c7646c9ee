"""
The door for new orders: parameters in, an order for the exchange out, or the documented refusal.

Which parameters a type needs and which it must not have: rest-api.md, "New order". Everything here
is checked before the matching hears of the order.
"""

from decimal import Decimal

from msgspec import Struct

from brokerd.money import divide, floor_to
from brokerd.terms import Instrument, OrdType, Side, Terms, TimeInForce
from brokerd_adapters.paper.matching import Special
from brokerd_adapters.venue.binance import filters
from brokerd_adapters.venue.binance.desk import Desk
from brokerd_adapters.venue.binance.errors import (
    bad_request,
    filter_failure,
    missing,
    order_refused,
)
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.binance.shapes import Facts
from brokerd_adapters.venue.binance.words import (
    RESPONSES,
    SELF_TRADE_DEFAULT,
    SELF_TRADES,
    SIDES,
    TIMES_IN_FORCE,
    TYPES,
    TypeWord,
    number,
)
from brokerd_adapters.venue.orders import NewOrder

STRATEGY_TYPE_MIN = 1_000_000
_UNSUPPORTED = {
    "trailingDelta": "Trailing stop orders are not supported for this symbol.",
    "pegPriceType": "Pegged orders are not supported for this symbol.",
}


class Entry(Struct, frozen=True):
    """An order that may go to the exchange, what is kept beside it, and how to answer."""

    new: NewOrder
    facts: Facts
    response: str


def read_entry(desk: Desk, params: Params) -> Entry:
    """Read a new order and check it; raises Rejected."""
    instrument = desk.instrument(params)
    side = params.choice("side", SIDES, -1117, "Invalid side.")
    kind = params.choice("type", TYPES, -1116, "Invalid orderType.")
    type_word = params.need("type")
    for name, msg in _UNSUPPORTED.items():
        if params.text(name) is not None:
            raise order_refused(msg)
    facts = _facts(params, type_word)
    px, stop_px = _prices(params, kind)
    new = NewOrder(
        client_order_id=params.client_id("newClientOrderId") or desk.new_name(),
        terms=Terms(
            executor="",
            symbol=instrument.symbol,
            side=side,
            ord_type=kind.ord_type,
            qty=_qty(desk, params, kind, instrument, side),
            px=px,
            stop_px=stop_px,
            time_in_force=TIMES_IN_FORCE[facts.tif_word] if px is not None else TimeInForce.GTC,
            post_only=kind.post_only,
        ),
        special=Special(kind.takes_profit, SELF_TRADES[facts.self_trade]),
    )
    _check_filters(desk, instrument, new, params.decimal("icebergQty"))
    answers_full = type_word in {"LIMIT", "MARKET"}
    response = params.word("newOrderRespType", RESPONSES, "FULL" if answers_full else "ACK")
    return Entry(new, facts, response)


def _facts(params: Params, type_word: str) -> Facts:
    iceberg = params.decimal("icebergQty")
    return Facts(
        type_word=type_word,
        tif_word=_time_in_force(params, type_word),
        self_trade=params.word("selfTradePreventionMode", SELF_TRADES, SELF_TRADE_DEFAULT),
        iceberg_qty=None if iceberg is None else number(iceberg),
        quote_order_qty=number(params.decimal("quoteOrderQty")),
        strategy_id=params.integer("strategyId"),
        strategy_type=_strategy_type(params),
    )


def _time_in_force(params: Params, type_word: str) -> str:
    if type_word in {"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}:
        text = params.need("timeInForce")
        if text not in TIMES_IN_FORCE:
            raise bad_request(-1115, "Invalid timeInForce.")
        return text
    _must_not_have(params, "timeInForce")
    return "GTC"


def _prices(params: Params, kind: TypeWord) -> tuple[Decimal | None, Decimal | None]:
    px = params.need_decimal("price") if kind.ord_type.has_px else None
    if px is None:
        _must_not_have(params, "price")
    if not kind.ord_type.has_stop_px:
        _must_not_have(params, "stopPrice")
        return px, None
    stop_px = params.decimal("stopPrice")
    if stop_px is None:
        raise bad_request(
            -1102, "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!"
        )
    return px, stop_px


def _qty(desk: Desk, params: Params, kind: TypeWord, instrument: Instrument, side: Side) -> Decimal:
    """Return the quantity in the base asset; a market order may give it in the quote asset."""
    qty = params.decimal("quantity")
    if kind.ord_type is not OrdType.MARKET or qty is not None:
        _must_not_have(params, "quoteOrderQty")
        if qty is None:
            raise missing("quantity")
        return qty
    quote_qty = params.decimal("quoteOrderQty")
    if quote_qty is None:
        raise bad_request(
            -1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
        )
    quote = desk.exchange.quote(instrument.symbol)
    px = None if quote is None else quote.ask_px if side is Side.BUY else quote.bid_px
    if not px:
        raise order_refused("Order book liquidity is less than symbol minimum quantity.")
    if quote_qty < instrument.notional_min:
        raise filter_failure("NOTIONAL")
    return floor_to(divide(quote_qty, px), instrument.lot)


def _check_filters(
    desk: Desk, instrument: Instrument, new: NewOrder, iceberg: Decimal | None
) -> None:
    terms = new.terms
    filters.check_px(instrument, terms.px)
    filters.check_px(instrument, terms.stop_px)
    is_market = terms.ord_type is OrdType.MARKET
    filters.check_qty(instrument, terms.qty, is_market=is_market)
    market_px = desk.market.average_px(terms.symbol)
    filters.check_distance(terms.px, market_px)
    worth_px = terms.px or terms.stop_px or market_px
    if worth_px is not None:
        filters.check_notional(instrument, terms.qty, worth_px, is_market=is_market)
    if iceberg is not None:
        _check_iceberg(instrument, terms, iceberg)
    if desk.open[terms.symbol] >= desk.caps.orders:
        raise filter_failure("MAX_NUM_ORDERS")
    if terms.stop_px is not None:
        _check_stop(desk, new, terms.stop_px)


def _check_iceberg(instrument: Instrument, terms: Terms, iceberg: Decimal) -> None:
    if iceberg > terms.qty:
        raise order_refused("IcebergQty exceeds QTY.")
    if terms.time_in_force is not TimeInForce.GTC:
        raise bad_request(-1014, "Unsupported order combination.")
    filters.check_iceberg(instrument, terms.qty, iceberg)


def _check_stop(desk: Desk, new: NewOrder, stop_px: Decimal) -> None:
    """Refuse a stop too many, and one that the last price would elect at once."""
    if desk.asleep[new.terms.symbol] >= desk.caps.algo_orders:
        raise filter_failure("MAX_NUM_ALGO_ORDERS")
    last_px = desk.market.last_px(new.terms.symbol)
    rises = (new.terms.side is Side.BUY) is not new.special.takes_profit
    if last_px is not None and (last_px >= stop_px if rises else last_px <= stop_px):
        raise order_refused("Order would trigger immediately.")


def _must_not_have(params: Params, name: str) -> None:
    if params.text(name) is not None:
        raise bad_request(-1106, f"Parameter '{name}' sent when not required.")


def _strategy_type(params: Params) -> int | None:
    strategy_type = params.integer("strategyType")
    if strategy_type is not None and strategy_type < STRATEGY_TYPE_MIN:
        raise bad_request(-1134, "strategyType was less than 1000000.")
    return strategy_type
