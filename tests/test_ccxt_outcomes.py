"""What ccxt's exceptions, and the exchanges' own words in them, prove about an order."""

import inspect
import json
from typing import Any

import ccxt
import pytest
from ccxt.base import errors

from brokerd.events import RequestKind
from brokerd.outcomes import Verdict
from brokerd_adapters.ccxt.outcomes import NOT_EXECUTED, OUTCOMES, REFUSALS

K, V = RequestKind, Verdict

KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, errors.BaseError)
}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_exception_of_ccxt_has_its_verdict(name: str) -> None:
    """Also one that a newer ccxt adds: it must be given a thought, not a default."""
    verdict = OUTCOMES.judge(K.NEW, code=name, message="whatever").verdict
    kind = KINDS[name]
    if name in NOT_EXECUTED:
        assert issubclass(kind, errors.OperationFailed)
        assert verdict is V.NOT_SENT
    elif name == "DuplicateOrderId":
        assert verdict is V.ABOUT_ORDER
    elif name in {"OrderNotFound", "OrderNotCached"}:
        # Not a word about an order that is new.
        assert verdict is V.IN_DOUBT
    elif issubclass(kind, errors.ExchangeError) and name not in {
        # Raised before anything is sent, or by nobody.
        "InvalidProxySettings",
        "ExchangeClosedByUser",
    }:
        assert name in REFUSALS
        assert verdict is V.REFUSED
    else:
        assert verdict is V.IN_DOUBT


@pytest.mark.parametrize(
    ("operation", "status", "code", "message", "verdict"),
    [
        (K.NEW, 400, "InvalidOrder", 'binance {"code":-2010,"msg":"Duplicate order sent."}', V.ABOUT_ORDER),
        (K.NEW, 400, "InsufficientFunds", "no money", V.REFUSED),
        (K.NEW, 503, "ExchangeError", 'binance {"code":-1008}', V.IN_DOUBT),
        (K.NEW, 502, "ExchangeNotAvailable", "<html>", V.IN_DOUBT),
        (K.NEW, 400, "RequestTimeout", "-1007", V.IN_DOUBT),
        (K.NEW, 400, "OperationFailed", "-1006", V.IN_DOUBT),
        (K.NEW, 200, "BadResponse", "half done", V.IN_DOUBT),
        (K.NEW, 400, "InvalidNonce", "-1021", V.NOT_SENT),
        (K.NEW, 429, "RateLimitExceeded", "-1003", V.NOT_SENT),
        (K.NEW, 503, "OnMaintenance", "", V.IN_DOUBT),
        # What ccxt calls a refusal, though the exchange itself does not know.
        (K.NEW, 200, "InvalidOrder", 'bybit {"retCode":170146,"retMsg":"Order creation timeout"}', V.IN_DOUBT),
        (K.NEW, 200, "ExchangeError", 'okx {"sCode":"51149","sMsg":"Order timed out."}', V.IN_DOUBT),
        (K.NEW, 400, "ExchangeError", 'bitget {"code":"30009","msg":"system error"}', V.IN_DOUBT),
        (K.NEW, 400, "BadRequest", 'kucoin {"code":"408000","msg":"Network timeout"}', V.IN_DOUBT),
        (K.NEW, 408, "ExchangeError", "", V.IN_DOUBT),
        (K.NEW, 400, "ExchangeError", 'gemini {"message":"The server encountered an error"}', V.IN_DOUBT),
        (K.NEW, 400, "ExchangeError", 'bullish {"message":"Unexpected Error"}', V.IN_DOUBT),
        (K.NEW, 400, "ExchangeError", 'weex {"msg":"SYSTEM_ERROR"}', V.IN_DOUBT),
        (K.NEW, 400, "ExchangeError", 'weex {"msg":"UNKNOWN_ERROR"}', V.IN_DOUBT),
        (K.NEW, 400, "OperationRejected", 'binance {"msg":"Server is currently overloaded"}', V.IN_DOUBT),
        (K.NEW, 400, "ExchangeError", "Service unavailable", V.IN_DOUBT),
        (K.NEW, 400, "InvalidOrder", "An order with the same `OrderId` has already been processed", V.ABOUT_ORDER),
        (K.NEW, 400, "BadRequest", "order_link_id is repeated", V.ABOUT_ORDER),
        (K.NEW, 400, "ExchangeError", "client_order_id must be unique", V.ABOUT_ORDER),
        (K.NEW, 400, "OperationRejected", "Duplicate order sent", V.ABOUT_ORDER),
        (K.CANCEL, 200, "InvalidOrder", 'bybit {"retMsg":"Order cancellation timeout"}', V.IN_DOUBT),
        (K.NEW, 400, "ExchangeError", "MIN_NOTIONAL", V.REFUSED),
        (K.CANCEL, 400, "OrderNotFound", "Unknown order sent.", V.ABOUT_ORDER),
        (K.CANCEL, 400, "InvalidOrder", "already filled", V.ABOUT_ORDER),
        (K.CANCEL, 400, "AuthenticationError", "", V.REFUSED),
        (K.CANCEL, 400, "SomethingNew", "", V.IN_DOUBT),
    ],
)  # fmt: skip
def test_what_is_said_is_judged_with_the_status(
    operation: K, status: int, code: str, message: str, verdict: V
) -> None:
    row = OUTCOMES.judge(operation, status=status, code=code, message=message)
    assert row.verdict is verdict


TOLD: list[tuple[str, int, dict[str, Any], V]] = [
    # The exchange's own trouble: ccxt has words of refusal for all of these.
    ("hashkey", 400, {"code": "-1006", "msg": "Execution status unknown."}, V.IN_DOUBT),
    ("krakenfutures", 200, {"result": "error", "error": "unknownError"}, V.IN_DOUBT),
    ("bitget", 200, {"status": "error", "err_code": "system exception", "err_msg": "system exception"}, V.IN_DOUBT),
    ("bitget", 200, {"code": "30030", "msg": "endpoint request failed. Please try again"}, V.IN_DOUBT),
    ("deribit", 200, {"error": {"code": 13888, "message": "timed_out"}}, V.IN_DOUBT),
    ("deribit", 200, {"error": {"code": 13008, "message": "request_failed"}}, V.IN_DOUBT),
    ("xt", 200, {"rc": 1, "mc": "COMMON_002", "ma": [], "result": None}, V.IN_DOUBT),
    ("xt", 200, {"rc": 1, "mc": "COMMON_003", "ma": [], "result": None}, V.IN_DOUBT),
    ("kraken", 200, {"error": ["EService:Deadline elapsed"]}, V.IN_DOUBT),
    ("bybit", 200, {"retCode": 170035, "retMsg": "Submitted to the system for processing!"}, V.IN_DOUBT),
    ("bybit", 200, {"retCode": 131200, "retMsg": "Service error"}, V.IN_DOUBT),
    ("mexc", 400, {"code": 730000, "msg": "Request failed, please contact the customer service"}, V.IN_DOUBT),
    ("mexc", 400, {"code": 10219, "msg": "asset flow writing failed please try again"}, V.IN_DOUBT),
    ("gemini", 400, {"result": "error", "reason": "System", "message": "We are experiencing technical issues"}, V.IN_DOUBT),
    ("phemex", 200, {"code": 11107, "msg": "TE_CANNOT_CONNECT_TO_REQUEST_SEQ"}, V.IN_DOUBT),
    ("paradex", 400, {"error": "SERVICE_UNAVAILABLE", "message": ""}, V.IN_DOUBT),
    # A client id it has seen, in words of its own.
    ("okx", 200, {"code": "1", "data": [{"sCode": "51016", "sMsg": "Client order ID already exists"}], "msg": ""}, V.ABOUT_ORDER),
    ("poloniex", 400, {"code": 21312, "message": "Client orderId already exists"}, V.ABOUT_ORDER),
    ("blofin", 200, {"code": "150003", "msg": "clientId already exist"}, V.ABOUT_ORDER),
    # Everyday refusals stay that.
    ("okx", 200, {"code": "1", "data": [{"sCode": "51008", "sMsg": "Order failed. Insufficient USDT balance in account"}], "msg": "All operations failed"}, V.REFUSED),
    ("okx", 200, {"code": "1", "data": [{"sCode": "51020", "sMsg": "Your order should meet or exceed the minimum order amount."}], "msg": "All operations failed"}, V.REFUSED),
    ("kraken", 200, {"error": ["EOrder:Insufficient funds"]}, V.REFUSED),
    ("kraken", 200, {"error": ["EOrder:Post only order"]}, V.REFUSED),
    ("kraken", 200, {"error": ["EOrder:Order minimum not met"]}, V.REFUSED),
    ("kraken", 200, {"error": ["EGeneral:Unknown asset pair"]}, V.REFUSED),
    ("krakenfutures", 200, {"result": "error", "error": "marketUnavailable"}, V.REFUSED),
    ("hashkey", 400, {"code": "-1131", "msg": "Balance insufficient"}, V.REFUSED),
    ("kucoin", 400, {"code": "200004", "msg": "Balance insufficient!"}, V.REFUSED),
    ("bybit", 200, {"retCode": 170140, "retMsg": "Transaction amount lower than the minimum."}, V.REFUSED),
    ("bybit", 200, {"retCode": 170198, "retMsg": "Your order quantity to sell is too large. Please try again"}, V.REFUSED),
    ("coinex", 200, {"code": 3620, "message": "Market order submission is temporarily unavailable due to insufficient depth in the current market"}, V.REFUSED),
    ("bitget", 200, {"code": "40762", "msg": "The order amount exceeds the balance"}, V.REFUSED),
    ("gate", 400, {"label": "POC_FILL_IMMEDIATELY", "message": "Post-only order would fill immediately"}, V.REFUSED),
    ("toobit", 400, {"code": -1130, "msg": "Market is closed"}, V.REFUSED),
    ("xt", 200, {"rc": 1, "mc": "ORDER_003", "ma": [], "result": None}, V.REFUSED),
    ("binance", 400, {"code": -1013, "msg": "Filter failure: PRICE_FILTER"}, V.REFUSED),
    ("binance", 400, {"code": -2010, "msg": "Market is closed."}, V.REFUSED),
]  # fmt: skip


@pytest.mark.parametrize(("exchange", "status", "body", "verdict"), TOLD)
def test_what_an_exchange_says_is_judged_through_ccxts_own_reading(
    exchange: str, status: int, body: dict[str, Any], verdict: V
) -> None:
    """An order that may live is never read as refused, nor a plain no as doubt."""
    made, text = getattr(ccxt, exchange)(), json.dumps(body)
    with pytest.raises(errors.BaseError) as caught:
        made.handle_errors(status, "", "https://x/y", "POST", {}, text, body, {}, "")
    kinds = [kind.__name__ for kind in type(caught.value).__mro__]
    code = next(kind for kind in kinds if kind in REFUSALS)
    row = OUTCOMES.judge(K.NEW, status=status, code=code, message=str(caught.value))
    assert row.verdict is verdict
