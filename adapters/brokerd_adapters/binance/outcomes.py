"""
What Binance's answers to orders, cancels and replaces prove: its outcome table.

Sources, all in binance-spot-api-docs: errors.md by code, rest-api.md and web-socket-api.md by
section. A code that a newer document brings, and everything else that is not here, is in doubt.

For a cancelReplace that failed (-2022) the table is asked about the half that failed, and for one
that half failed (-2021) about nothing: its reply says what happened (`orders`, `replies`).
"""

from brokerd.events import RequestKind
from brokerd.outcomes import NoAnswer, OutcomeTable, Row, Verdict

NEW, CANCEL, REPLACE = RequestKind.NEW, RequestKind.CANCEL, RequestKind.REPLACE

_GENERAL = "rest-api.md, HTTP Return Codes"
_LIMITS = "rest-api.md, LIMITS: a request over the limit is not carried out"
_ENGINE = "errors.md, Messages for -1010, -2010, -2011 and -2038"
_KEYS = "errors.md, -1002, -1022, -2014, -2015"
_PARAMETERS = "errors.md, 11xx - Request issues"
_FILTERS = "errors.md, -1013: the request did not reach the matching engine"

_PARAMETER_CODES = (
    "-1014", "-1020", "-1100", "-1101", "-1102", "-1103", "-1104", "-1105", "-1106", "-1108",
    "-1111", "-1112", "-1114", "-1115", "-1116", "-1117", "-1118", "-1119", "-1121", "-1122",
    "-1128", "-1130", "-1131", "-1134", "-1135", "-1145", "-1182", "-1194",
)  # fmt: skip

_ENGINE_CODES = ("-1010", "-1013", "-2010")

_ENGINE_REFUSALS = (
    ("not_supported_for_symbol", "not supported for this symbol"),
    ("not_supported_for_symbol", "not support for this symbol"),
    ("not_supported", "Unsupported order combination"),
    ("not_supported", "(quantity increase) is not supported"),
    ("not_supported", "(pending OPO order) is not supported"),
    ("not_supported", "may not use pegged price"),
    ("not_supported", "price peg cannot be used"),
    ("notional_out_of_range", "QTY is zero or less"),
    ("qty_not_valid", "IcebergQty exceeds QTY"),
    ("px_not_valid", "relationship of the prices"),
    ("no_liquidity", "Order book liquidity is"),
    ("not_permitted", "disabled on this account"),
    ("not_permitted", "may not place or cancel"),
    ("not_permitted", "for this account"),
    ("not_permitted", "trading is not enabled"),
    ("bad_request", "Cancel order is invalid"),
)
"""What else the engine says of an order that it did not take: the reason, and its own words."""


def _refused(
    reason: str,
    source: str,
    code: str | tuple[str, ...],
    message: str | None = None,
    on: RequestKind | tuple[RequestKind, ...] | None = None,
) -> Row:
    return Row(
        verdict=Verdict.REFUSED, reason=reason, source=source, on=on, code=code, message=message
    )


def _about_order(
    reason: str, on: RequestKind | tuple[RequestKind, ...], code: str, message: str | None = None
) -> Row:
    return Row(
        verdict=Verdict.ABOUT_ORDER,
        reason=reason,
        source=_ENGINE,
        on=on,
        code=code,
        message=message,
    )


def _not_sent(reason: str, source: str, code: str | None = None, status: int | None = None) -> Row:
    return Row(verdict=Verdict.NOT_SENT, reason=reason, source=source, code=code, status=status)


def _in_doubt(
    reason: str,
    source: str,
    code: str | tuple[str, ...] | None = None,
    status: int | range | None = None,
    fault: NoAnswer | None = None,
) -> Row:
    return Row(
        verdict=Verdict.IN_DOUBT,
        reason=reason,
        source=source,
        code=code,
        status=status,
        fault=fault,
    )


OUTCOMES = OutcomeTable(
    (
        # No answer in one piece.
        Row(
            verdict=Verdict.NOT_SENT,
            reason="no_connection",
            source="no byte of the request left",
            fault=NoAnswer.CONNECT,
        ),
        _in_doubt("reply_lost", _GENERAL, fault=NoAnswer.LOST),
        _in_doubt("no_reply_in_time", _GENERAL, fault=NoAnswer.TIMEOUT),
        _in_doubt("reply_unreadable", _GENERAL, fault=NoAnswer.GARBLED),
        # What the venue itself does not know.
        _in_doubt(
            "execution_status_unknown",
            "errors.md, -1006, -1007: execution status unknown",
            ("-1006", "-1007"),
        ),
        _in_doubt(
            "venue_trouble",
            "errors.md, -1000, -1001, -1008: nothing says that it was not executed",
            ("-1000", "-1001", "-1008"),
        ),
        _in_doubt("venue_error", f"{_GENERAL}: 5XX is unknown", status=range(500, 600)),
        _not_sent("venue_shutting_down", "errors.md, -1016: the service is gone", "-1016"),
        # Too much, too fast.
        _not_sent("too_many_requests", f"errors.md, -1003; {_LIMITS}", "-1003"),
        _not_sent("too_many_orders", f"errors.md, -1015; {_LIMITS}", "-1015"),
        _not_sent("too_many_connections", f"errors.md, -1034; {_LIMITS}", "-1034"),
        _not_sent("too_many_requests", _LIMITS, status=429),
        _not_sent("address_banned", _LIMITS, status=418),
        # Refused at the door.
        _not_sent("clock_off", "errors.md, -1021: refused before the engine", "-1021"),
        _refused("bad_signature", _KEYS, "-1022"),
        _refused("key_refused", _KEYS, ("-1002", "-2014", "-2015")),
        _refused("bad_request", _PARAMETERS, _PARAMETER_CODES),
        # Filters of the symbol and the account.
        _refused("below_minimum_notional", _FILTERS, "-1013", "Filter failure: MIN_NOTIONAL"),
        _refused("notional_out_of_range", _FILTERS, "-1013", "Filter failure: NOTIONAL"),
        _refused("px_out_of_range", _FILTERS, "-1013", "Filter failure: PERCENT_PRICE"),
        _refused("px_not_valid", _FILTERS, "-1013", "Filter failure: PRICE_FILTER"),
        _refused("qty_not_valid", _FILTERS, "-1013", "LOT_SIZE"),
        _refused("too_many_open_orders", _FILTERS, "-1013", "MAX_NUM"),
        _refused("position_too_large", _FILTERS, "-1013", "MAX_POSITION"),
        # Unknown or twice: the order itself must be asked about.
        _about_order("duplicate_client_id", (NEW, REPLACE), "-2010", "Duplicate order sent"),
        _about_order("duplicate_client_id", (NEW, REPLACE), "-1010", "Duplicate order sent"),
        _refused(
            "order_has_fills",
            "web-socket-api.md, Cancel and replace order: cancelRestrictions ONLY_NEW",
            ("-1010", "-2011"),
            "cancel restrictions",
            REPLACE,
        ),
        _about_order("order_not_open", (CANCEL, REPLACE), "-2011"),
        _about_order("order_not_found", (CANCEL, REPLACE), "-2013"),
        _about_order("order_not_found", (CANCEL, REPLACE), "-2026"),
        _about_order("order_not_found", (CANCEL, REPLACE), "-2039"),
        _about_order("amend_refused", REPLACE, "-2038"),
        _about_order("order_not_open", (CANCEL, REPLACE), "-1010", "Unknown order sent"),
        # The matching engine's own words.
        _refused("insufficient_balance", _ENGINE, _ENGINE_CODES, "insufficient balance"),
        _refused("would_trigger_at_once", _ENGINE, _ENGINE_CODES, "would trigger immediately"),
        _refused("would_trade", _ENGINE, _ENGINE_CODES, "immediately match and take"),
        _refused("market_closed", _ENGINE, _ENGINE_CODES, "Market is closed"),
        *(_refused(reason, _ENGINE, _ENGINE_CODES, words) for reason, words in _ENGINE_REFUSALS),
        # The order is already what the request asks for: an amend may have gone through before.
        _about_order("amend_refused", REPLACE, "-1010", "would change no state"),
        # -1010 has no meaning but its message's, and -2010 none for a cancel.
        _refused("new_order_refused", "errors.md, -1013 INVALID_MESSAGE", "-1013"),
        _refused(
            "new_order_refused",
            "errors.md, -2010 NEW_ORDER_REJECTED",
            "-2010",
            on=(NEW, REPLACE),
        ),
    )
)
