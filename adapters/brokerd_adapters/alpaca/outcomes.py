"""
What Alpaca's answers prove about a request that changes something.

The first three digits of a code are a status of their own, and not always that of the reply:
40010001 comes with 422 (alpacahq/alpaca-py issue 260). One code stands for many things, so the
message decides where it must: 40310000 is "insufficient buying power" and "wash trade" alike.

Two refusals are about the order, not against it. "client_order_id must be unique" means that the
order is there: client ids are unique for ever. A cancel or replace that is refused may have been
too late, so the order is asked about.
"""

from brokerd.events import RequestKind
from brokerd.outcomes import NoAnswer, OutcomeTable, Row, Verdict

NEW, CANCEL, REPLACE = RequestKind.NEW, RequestKind.CANCEL, RequestKind.REPLACE

_ERRORS = "docs.alpaca.markets, Orders: errors of each method"
_CREATE = "docs.alpaca.markets, Create an Order: 403, 422"
_PATCH = "docs.alpaca.markets, Replace Order by ID: 403, 422"
_DELETE = "docs.alpaca.markets, Delete Order by ID: 404, 422"
_UNIQUE = "alpacahq/alpaca-py issue 260: client ids are unique for ever"
_GATEWAY = "no document says that it was not executed"

_BAD_INPUT = ("40010000", "40010001", "42210000")
"""Seen with 422: a bad parameter, a duplicate, a rule of the market broken."""

_FORBIDDEN = ("40310000", "40310100")
"""Seen with 403: no funds, no shares, wash trade, not allowed to trade."""

OUTCOMES = OutcomeTable(
    (
        Row(
            verdict=Verdict.NOT_SENT,
            fault=NoAnswer.CONNECT,
            reason="no_connection",
            source="TCP and TLS: no byte of the request left",
        ),
        Row(
            verdict=Verdict.ABOUT_ORDER,
            on=(NEW, REPLACE),
            status=422,
            message="client_order_id must be unique",
            reason="duplicate_client_id",
            source=_UNIQUE,
        ),
        # Another wording of the same would else read as a refusal of an order that is there.
        Row(
            verdict=Verdict.IN_DOUBT,
            on=NEW,
            code=_BAD_INPUT,
            message="client_order_id",
            reason="client_id_refused",
            source="no document has the words",
        ),
        Row(
            verdict=Verdict.REFUSED,
            on=NEW,
            status=422,
            code=_BAD_INPUT,
            message="sub-penny",
            reason="not_on_tick",
            source="alpacahq/alpaca-trade-api-go issue 260",
        ),
        Row(
            verdict=Verdict.REFUSED,
            on=NEW,
            status=422,
            code=_BAD_INPUT,
            reason="invalid_order",
            source=_CREATE,
        ),
        Row(
            verdict=Verdict.REFUSED,
            on=NEW,
            status=400,
            code=_BAD_INPUT,
            reason="invalid_order",
            source=_ERRORS,
        ),
        Row(
            verdict=Verdict.REFUSED,
            on=(NEW, REPLACE),
            status=403,
            code=_FORBIDDEN,
            message="insufficient",
            reason="insufficient_balance",
            source=_CREATE,
        ),
        Row(
            verdict=Verdict.REFUSED,
            on=(NEW, REPLACE),
            status=403,
            code=_FORBIDDEN,
            message="wash trade",
            reason="wash_trade",
            source="docs.alpaca.markets, User Protection",
        ),
        Row(
            verdict=Verdict.REFUSED,
            status=403,
            code=_FORBIDDEN,
            reason="forbidden",
            source=_CREATE,
        ),
        Row(
            verdict=Verdict.REFUSED,
            status=401,
            reason="not_authorized",
            source="docs.alpaca.markets, Authentication: nothing is done without a valid key",
        ),
        Row(
            verdict=Verdict.REFUSED,
            on=NEW,
            status=404,
            code="40410000",
            reason="unknown_symbol",
            source=_ERRORS,
        ),
        Row(
            verdict=Verdict.ABOUT_ORDER,
            on=(CANCEL, REPLACE),
            status=404,
            reason="unknown_order",
            source=_DELETE,
        ),
        Row(
            verdict=Verdict.ABOUT_ORDER,
            on=CANCEL,
            status=422,
            reason="not_cancelable",
            source=_DELETE,
        ),
        Row(
            verdict=Verdict.ABOUT_ORDER,
            on=REPLACE,
            status=422,
            reason="not_replaceable",
            source=_PATCH,
        ),
        Row(
            verdict=Verdict.NOT_SENT,
            status=429,
            reason="rate_limited",
            source="docs.alpaca.markets, API FAQ: 200 requests a minute, more are refused with 429",
        ),
        Row(
            verdict=Verdict.IN_DOUBT,
            status=range(500, 600),
            reason="gateway_failed",
            source=_GATEWAY,
        ),
        Row(
            verdict=Verdict.IN_DOUBT,
            fault=NoAnswer.LOST,
            reason="reply_lost",
            source=_GATEWAY,
        ),
        Row(
            verdict=Verdict.IN_DOUBT,
            fault=NoAnswer.TIMEOUT,
            reason="no_reply",
            source=_GATEWAY,
        ),
        Row(
            verdict=Verdict.IN_DOUBT,
            fault=NoAnswer.GARBLED,
            reason="unreadable_reply",
            source=_GATEWAY,
        ),
    )
)
