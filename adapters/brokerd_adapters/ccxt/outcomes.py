"""
What each of ccxt's exceptions proves about an order (ccxt/base/errors.py, and its manual, "Error
Handling"): `OperationFailed` and what derives from it is no proof of anything, with a few exceptions;
`ExchangeError` is the exchange's own no.

The code of a row is an exception's name; the status is of the last reply that was seen. What failed
on the wire is judged by its fault before, as ccxt wraps that too: a reply that is cut off in its
body comes as a plain ExchangeError.

ccxt has a word of refusal for some of what an exchange itself does not know: a code that ccxt has
none for is a plain ExchangeError, and bybit's 170146, "Order creation timeout", an InvalidOrder. So
the exchange's own text is heard first.
"""

from brokerd.events import RequestKind
from brokerd.outcomes import NoAnswer, OutcomeTable, Row, Verdict

_MANUAL = "ccxt manual, Error Handling"
_SOURCE = "ccxt/base/errors.py"
_CHANGES = (RequestKind.CANCEL, RequestKind.REPLACE)

NOT_EXECUTED = ("InvalidNonce", "DDoSProtection", "RateLimitExceeded", "OnMaintenance")
"""Those below OperationFailed that the exchange gives before it looks at the order."""

REFUSALS = (
    "ExchangeError",
    "AuthenticationError",
    "PermissionDenied",
    "AccountNotEnabled",
    "AccountSuspended",
    "ArgumentsRequired",
    "BadRequest",
    "BadSymbol",
    "OperationRejected",
    "NoChange",
    "MarginModeAlreadySet",
    "MarketClosed",
    "ManualInteractionNeeded",
    "RestrictedLocation",
    "InsufficientFunds",
    "InvalidAddress",
    "AddressPending",
    "InvalidOrder",
    "OrderNotFound",
    "OrderNotCached",
    "OrderImmediatelyFillable",
    "OrderNotFillable",
    "DuplicateOrderId",
    "ContractUnavailable",
    "NotSupported",
)
"""ExchangeError and everything below it that an exchange may say."""

TROUBLE = (
    "timeout",
    "timed out",
    "timed_out",
    "time out",
    "deadline elapsed",
    "internal",
    "server error",
    "server encountered",
    "service error",
    "system error",
    "system_error",
    "system exception",
    "network error",
    "unexpected error",
    "unknown error",
    "unknown_error",
    "unknownerror",
    "status unknown",
    "request failed",
    "request_failed",
    "writing failed",
    "submitted to the system",
    "te_cannot_connect",
    "service unavailable",
    "service_unavailable",
    "technical issue",
    "overload",
    "abnormal",
    "busy",
)
"""What an exchange says that does not know itself what became of an order."""

TROUBLE_CODES = ("COMMON_002", "COMMON_003")
"""The same, of an exchange that says it by a code alone: xt's "busy" and "failed, try later"."""

DUPLICATE = (
    "duplicate",
    "already exist",
    "already been processed",
    "is repeated",
    "must be unique",
)
"""What exchanges say of a client id, or an order, that they have seen before."""

OUTCOMES = OutcomeTable(
    [
        Row(
            verdict=Verdict.NOT_SENT,
            reason="not_connected",
            source="no connection, so no request",
            fault=NoAnswer.CONNECT,
        ),
        # ccxt has a word of refusal for some of these, too: binance's -1008 with 503.
        Row(
            verdict=Verdict.IN_DOUBT,
            reason="server_error",
            source="RFC 9110, 15.6: a server that failed does not say how far it came",
            status=range(500, 600),
        ),
        Row(
            verdict=Verdict.IN_DOUBT,
            reason="server_timed_out",
            source="binance -1007 comes with it: execution status unknown",
            status=408,
        ),
        Row(
            verdict=Verdict.NOT_SENT,
            reason="not_executed",
            source=f"{_MANUAL}: refused before it is looked at",
            code=NOT_EXECUTED,
        ),
        *(
            Row(
                verdict=Verdict.IN_DOUBT,
                reason="venue_trouble",
                source="bybit 170146, bitget 30009 and others, in ccxt's tables of codes",
                code=REFUSALS,
                message=words,
            )
            for words in TROUBLE
        ),
        *(
            Row(
                verdict=Verdict.IN_DOUBT,
                reason="venue_trouble",
                source="xt, in ccxt's table of codes: it sends no words with them",
                code=REFUSALS,
                message=code,
            )
            for code in TROUBLE_CODES
        ),
        Row(
            verdict=Verdict.IN_DOUBT,
            reason="no_word_about_it",
            source="an order that was not found is not the one that was sent",
            on=RequestKind.NEW,
            code=("OrderNotFound", "OrderNotCached"),
        ),
        Row(
            verdict=Verdict.ABOUT_ORDER,
            reason="duplicate_client_id",
            source=_SOURCE,
            on=RequestKind.NEW,
            code="DuplicateOrderId",
        ),
        *(
            Row(
                verdict=Verdict.ABOUT_ORDER,
                reason="duplicate_client_id",
                source="binance -2010, okx 51016 and others, in ccxt's tables of codes",
                on=RequestKind.NEW,
                code=("InvalidOrder", "BadRequest", "ExchangeError", "OperationRejected"),
                message=words,
            )
            for words in DUPLICATE
        ),
        # "Unknown", "already filled", "already canceled": which one only the order tells.
        Row(
            verdict=Verdict.ABOUT_ORDER,
            reason="order_not_open",
            source=_SOURCE,
            on=_CHANGES,
            code=("OrderNotFound", "OrderNotCached", "InvalidOrder", "ExchangeError", "BadRequest"),
        ),
        Row(verdict=Verdict.REFUSED, reason="venue_refused", source=_MANUAL, code=REFUSALS),
    ]
)
