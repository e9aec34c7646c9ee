"""What is asked of Binance Spot: parameters, names and signatures, as its documents print them."""

import hmac
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.binance import CL_ORD_ID, D, cancel, change, place, ref, terms

from brokerd.executor import OrderRef
from brokerd.terms import OrdType, Side, TimeInForce
from brokerd_adapters.binance import names, requests
from brokerd_adapters.binance.signing import rest_payload, ws_payload
from brokerd_adapters.kit.links import link

SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
FULL_WIDTH = "\uff11\uff12\uff13\uff14\uff15\uff16"


@pytest.mark.parametrize(
    ("symbol", "signature"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (FULL_WIDTH, "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
    ],
)
def test_a_rest_request_is_signed_as_it_is_sent_percent_encoded(
    symbol: str, signature: str
) -> None:
    """The examples of rest-api.md, SIGNED Endpoint security."""
    payload = rest_payload(
        {
            "symbol": symbol,
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": 1,
            "price": "0.1",
            "recvWindow": 5000,
            "timestamp": 1499827319559,
        }
    )
    assert hmac.new(SECRET, payload.encode(), sha256).hexdigest() == signature


@pytest.mark.parametrize(
    ("changes", "signature"),
    [
        ({}, "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"),
        (
            {
                "symbol": FULL_WIDTH,
                "side": "BUY",
                "quantity": "1.00000000",
                "price": "0.10000000",
                "recvWindow": 5000,
            },
            "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
        ),
    ],
)
def test_a_websocket_request_is_signed_sorted_and_unencoded(
    changes: dict[str, str | int], signature: str
) -> None:
    """The examples of web-socket-api.md, SIGNED request example (HMAC)."""
    params: dict[str, str | int] = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01000000",
        "price": "52000.00",
        "recvWindow": 100,
        "timestamp": 1645423376532,
        "apiKey": API_KEY,
    }
    payload = ws_payload(params | changes)
    assert hmac.new(SECRET, payload.encode(), sha256).hexdigest() == signature


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), min_size=1))
def test_every_parameter_survives_the_query(params: dict[str, str]) -> None:
    assert dict(parse_qsl(rest_payload(params))) == params


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"type": "LIMIT", "timeInForce": "GTC", "price": "23416.1"}),
        ({"time_in_force": TimeInForce.IOC}, {"type": "LIMIT", "timeInForce": "IOC"}),
        ({"time_in_force": TimeInForce.FOK}, {"type": "LIMIT", "timeInForce": "FOK"}),
        ({"post_only": True}, {"type": "LIMIT_MAKER", "timeInForce": None, "price": "23416.1"}),
        (
            {"ord_type": OrdType.MARKET, "px": None, "side": Side.BUY},
            {"type": "MARKET", "side": "BUY", "timeInForce": None, "price": None},
        ),
        (
            {"ord_type": OrdType.STOP, "px": None, "stop_px": D("20000")},
            {"type": "STOP_LOSS", "stopPrice": "20000", "timeInForce": None, "price": None},
        ),
        (
            {"ord_type": OrdType.STOP_LIMIT, "stop_px": D("20000")},
            {
                "type": "STOP_LOSS_LIMIT",
                "stopPrice": "20000",
                "timeInForce": "GTC",
                "price": "23416.1",
            },
        ),
    ],
)
def test_every_kind_of_order_has_the_parameters_its_type_must_have(
    changes: dict[str, Any], expected: dict[str, str | None]
) -> None:
    """web-socket-api.md, Place new order: what is mandatory, and that nothing else is sent."""
    call = requests.place(place(**changes))
    assert (call.method, call.verb, call.path) == ("order.place", "POST", "/api/v3/order")
    assert {name: call.params.get(name) for name in expected} == expected
    assert call.params["newClientOrderId"] == CL_ORD_ID
    assert call.params["newOrderRespType"] == "FULL"
    assert (call.weight, call.orders, call.is_signed) == (1, 1, True)


def test_a_quantity_is_written_in_plain_digits() -> None:
    """str would write 1E-8, which the venue refuses."""
    call = requests.place(place(qty=Decimal("0.00000001"), px=Decimal("1E+3")))
    assert (call.params["quantity"], call.params["price"]) == ("0.00000001", "1000")


@pytest.mark.parametrize("ord_type", [OrdType.MARKET, OrdType.STOP])
def test_a_fok_order_without_a_limit_is_refused_here(ord_type: OrdType) -> None:
    told = requests.why_not(terms(ord_type=ord_type, px=None, time_in_force=TimeInForce.FOK))
    assert told is not None
    assert "cannot be fok" in told
    assert requests.why_not(terms(time_in_force=TimeInForce.FOK)) is None
    assert requests.why_not(terms(ord_type=ord_type, px=None)) is None


@pytest.mark.parametrize("time_in_force", [TimeInForce.DAY, TimeInForce.GTD])
def test_a_time_in_force_that_the_venue_lacks_is_refused_here(time_in_force: TimeInForce) -> None:
    assert requests.why_not(terms(time_in_force=time_in_force)) is not None


def test_a_cancel_names_the_order_once_and_leaves_it_our_id() -> None:
    """By default the venue renames a canceled order; and two ids must fit each other (-2039)."""
    by_number = requests.cancel(cancel("BTCUSDT-28")).params
    assert by_number == {"symbol": "BTCUSDT", "orderId": 28, "newClientOrderId": CL_ORD_ID}
    by_our_id = requests.cancel(cancel(None)).params
    assert by_our_id["origClientOrderId"] == CL_ORD_ID
    assert "orderId" not in by_our_id


def test_a_smaller_quantity_alone_is_an_amend_that_keeps_the_id() -> None:
    smaller = change(qty=D("0.001"), px=D(1), order_qty=D("0.002"), order_px=D(1))
    assert smaller.only_shrinks
    call = requests.amend(smaller)
    assert (call.method, call.verb) == ("order.amend.keepPriority", "PUT")
    assert call.params == {
        "symbol": "BTCUSDT",
        "orderId": 9,
        "newQty": "0.001",
        "newClientOrderId": CL_ORD_ID,
    }


@pytest.mark.parametrize(
    ("order_qty", "order_px"), [(None, None), (D("0.001"), D(1)), (D(1), D(2))]
)
def test_any_other_change_is_no_amend(order_qty: Decimal | None, order_px: Decimal | None) -> None:
    assert not change(qty=D("0.001"), px=D(1), order_qty=order_qty, order_px=order_px).only_shrinks


def test_a_cancel_replace_is_for_orders_without_fills_and_names_both_halves() -> None:
    """A fill between the halves would come on top of the new quantity: ONLY_NEW excludes it."""
    params = requests.cancel_replace(change()).params
    assert params["cancelRestrictions"] == "ONLY_NEW"
    assert params["cancelReplaceMode"] == "STOP_ON_FAILURE"
    assert params["cancelOrderId"] == 9
    assert (params["quantity"], params["price"]) == ("0.00847", "23400")
    new, left = str(params["newClientOrderId"]), str(params["cancelNewClientOrderId"])
    assert link(new) == (CL_ORD_ID, 1, False)
    assert link(left) == (CL_ORD_ID, 1, True)
    assert max(len(new), len(left)) <= 36


def test_self_trade_prevention_goes_with_every_new_order_if_it_is_configured() -> None:
    assert "selfTradePreventionMode" not in requests.place(place()).params
    for call in (
        requests.place(place(), "expire_taker"),
        requests.cancel_replace(change(), "expire_taker"),
    ):
        assert call.params["selfTradePreventionMode"] == "EXPIRE_TAKER"


def test_questions_name_what_they_ask_for() -> None:
    assert requests.order_status("A", number=3).params == {"symbol": "A", "orderId": 3}
    asked = requests.order_status("A", cl_ord_id="x")
    assert asked.params == {"symbol": "A", "origClientOrderId": "x"}
    assert requests.order_status("A").params == {"symbol": "A"}
    assert requests.open_orders().params == {}
    assert requests.order_trades("A", 3).params == {"symbol": "A", "orderId": 3, "limit": 1000}
    assert requests.order_trades("A", 3, 7).params["fromId"] == 7
    assert requests.trades_between("A", 1, 2).params["endTime"] == 2
    assert requests.account().is_signed
    assert not requests.server_time().is_signed
    assert requests.exchange_info(("A", "B")).params == {"symbols": '["A","B"]'}
    assert requests.exchange_info().params == {}
    assert requests.book_tickers(("A",)).params == {"symbols": '["A"]'}


def test_numbers_are_scoped_by_their_symbol() -> None:
    assert names.scoped("BTCUSDT", 28) == "BTCUSDT-28"
    assert names.venue_number("BTCUSDT-28") == 28
    assert names.venue_number(None) is None
    assert names.venue_number("not-ours") is None


def test_a_ref_without_the_venues_number_goes_by_our_id() -> None:
    assert isinstance(ref(), OrderRef)
    assert requests.cancel_replace(change(ref=ref())).params["cancelOrigClientOrderId"] == CL_ORD_ID
