"""
What we ask of Alpaca, as paths, queries and JSON bodies. Numbers go out as strings, in plain digits.

Source: docs.alpaca.markets "Create an Order", "Replace Order by ID", "All Orders", "Account
Activities"; `order_id` of the activities since 2026-07-29.
"""

from collections.abc import Iterable
from decimal import Decimal
from urllib.parse import quote, urlencode

import msgspec

from brokerd.executor import PlaceOrder
from brokerd.money import digits
from brokerd.terms import Terms
from brokerd.times import rfc3339
from brokerd_adapters.kit.credentials import Credential

ORDERS = "/v2/orders"
ORDER_BY_CLIENT_ID = "/v2/orders:by_client_order_id"
FILLS = "/v2/account/activities/FILL"
ACCOUNT = "/v2/account"
POSITIONS = "/v2/positions"
ASSETS = "/v2/assets"

REQUESTS_A_MINUTE = 200
"""What every account has."""

ORDERS_MAX = 500
"""Orders a list gives at most."""

FILLS_MAX = 100
"""Activities a page gives at most."""

LISTEN = b'{"action":"listen","data":{"streams":["trade_updates"]}}'


def key_headers(credential: Credential) -> dict[str, str]:
    """Return the headers that say who asks."""
    key_id, secret_key = _revealed(credential)
    return {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret_key}


def authenticate(credential: Credential) -> bytes:
    """Return the first message on the stream. It holds the key: it is sent, and nothing else."""
    key_id, secret_key = _revealed(credential)
    data = {"key_id": key_id, "secret_key": secret_key}
    return msgspec.json.encode({"action": "authenticate", "data": data})


def place_body(request: PlaceOrder, *, extended_hours: bool) -> bytes:
    """Return the body of POST /v2/orders."""
    terms = request.terms
    body: dict[str, str | bool] = {
        "symbol": terms.symbol,
        "qty": digits(terms.qty),
        "side": terms.side,
        "type": terms.ord_type,
        "time_in_force": terms.time_in_force,
        "client_order_id": request.venue_cl_ord_id,
        **_prices(terms, terms.px),
    }
    if extended_hours:
        body["extended_hours"] = True
    return msgspec.json.encode(body)


def replace_body(
    terms: Terms, px: Decimal | None, *, qty: Decimal | None, client_order_id: str
) -> bytes:
    """
    Return the body of PATCH /v2/orders/{id}; `qty` is what the new order has left to fill.

    None leaves it out: Alpaca then takes the old order's whole quantity.
    """
    body = {**_prices(terms, px), "client_order_id": client_order_id}
    if qty is not None:
        body["qty"] = digits(qty)
    return msgspec.json.encode(body)


def order_path(order_id: str) -> str:
    """Return the path of one order."""
    return f"{ORDERS}/{quote(order_id, safe='')}"


def asset_path(symbol: str) -> str:
    """Return the path of one asset; the slash of a pair is part of its name."""
    return f"{ASSETS}/{quote(symbol, safe='')}"


def by_client_id(client_order_id: str) -> str:
    """Return the query for an order by its client id."""
    return urlencode({"client_order_id": client_order_id})


def open_orders(after_ns: int | None) -> str:
    """Return the query for a page of open orders submitted after a time, oldest first."""
    asked: dict[str, str | int] = {"status": "open", "limit": ORDERS_MAX, "direction": "asc"}
    if after_ns is not None:
        asked["after"] = rfc3339(after_ns)
    return urlencode(asked)


def fills(
    *, after_ns: int | None = None, order_id: str | None = None, page_token: str | None = None
) -> str:
    """Return the query for a page of fills, oldest first."""
    asked: dict[str, str | int] = {"direction": "asc", "page_size": FILLS_MAX}
    if after_ns is not None:
        asked["after"] = rfc3339(after_ns)
    if order_id is not None:
        asked["order_id"] = order_id
    if page_token is not None:
        asked["page_token"] = page_token
    return urlencode(asked)


def assets(asset_class: str) -> str:
    """Return the query for the active assets of a class."""
    return urlencode({"status": "active", "asset_class": asset_class})


STOCK_QUOTES = "/v2/stocks/quotes/latest"
CRYPTO_QUOTES = "/v1beta3/crypto/us/latest/quotes"


def latest_quotes(symbols: Iterable[str], feed: str | None = None) -> str:
    """Return the query for the latest quotes of symbols of one class; only stocks have a feed."""
    asked = {"symbols": ",".join(symbols)}
    return urlencode(asked if feed is None else asked | {"feed": feed})


def data_authenticate(credential: Credential) -> bytes:
    """Return the first message on a stream of quotes. It holds the key."""
    key_id, secret_key = _revealed(credential)
    return msgspec.json.encode({"action": "auth", "key": key_id, "secret": secret_key})


def data_subscribe(symbols: Iterable[str]) -> bytes:
    """Return the message that asks for the quotes of symbols."""
    return msgspec.json.encode({"action": "subscribe", "quotes": list(symbols)})


def _revealed(credential: Credential) -> tuple[str, str]:
    return credential.api_key.reveal(), credential.secret.reveal() if credential.secret else ""


def _prices(terms: Terms, px: Decimal | None) -> dict[str, str]:
    prices: dict[str, str] = {}
    if terms.ord_type.has_px and px is not None:
        prices["limit_price"] = digits(px)
    if terms.stop_px is not None:
        prices["stop_price"] = digits(terms.stop_px)
    return prices
