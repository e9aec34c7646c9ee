"""
What the dialect says no with: HTTP status, code and message as errors.md has them.

Pure: the matching's refusals are translated here, by table.
"""

from typing import Any

from brokerd.executor import Refused


class Rejected(Exception):
    """The request is refused; `data` goes along where the documents say so."""

    def __init__(self, status: int, code: int, msg: str, data: Any = None) -> None:
        super().__init__(msg)
        self.status = status
        self.code = code
        self.msg = msg
        self.data = data

    @property
    def body(self) -> dict[str, Any]:
        """The error object of both roads."""
        told = {"code": self.code, "msg": self.msg}
        return told if self.data is None else {**told, "data": self.data}


def bad_request(code: int, msg: str) -> Rejected:
    """Return a refusal with status 400."""
    return Rejected(400, code, msg)


def filter_failure(name: str) -> Rejected:
    """Return the refusal of an order that a symbol's filter does not let through."""
    return bad_request(-1013, f"Filter failure: {name}")


def order_refused(msg: str) -> Rejected:
    """Return the matching engine's refusal of a new order."""
    return bad_request(-2010, msg)


def cancel_refused(msg: str = "Unknown order sent.") -> Rejected:
    """Return the matching engine's refusal of a cancel."""
    return bad_request(-2011, msg)


def missing(name: str) -> Rejected:
    """Return the refusal of a request that lacks a parameter."""
    return bad_request(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def too_many_requests(status: int, window: str, limit: int) -> Rejected:
    """Return the answer to whoever asks too much."""
    return Rejected(
        status,
        -1003,
        f"Too much request weight used; current limit is {limit} request weight per {window}. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
    )


NO_SUCH_SYMBOL = (-1121, "Invalid symbol.")
NO_SUCH_ORDER = (-2013, "Order does not exist.")

_REFUSALS: dict[str, tuple[int, str]] = {
    "unknown_symbol": NO_SUCH_SYMBOL,
    "duplicate_client_id": (-2010, "Duplicate order sent."),
    "insufficient_balance": (-2010, "Account has insufficient balance for requested action."),
    "would_trade": (-2010, "Order would immediately match and take."),
    "unknown_order": (-2011, "Unknown order sent."),
    "order_done": (-2011, "Unknown order sent."),
    "not_on_tick": (-1013, "Filter failure: PRICE_FILTER"),
    "not_on_lot": (-1013, "Filter failure: LOT_SIZE"),
    "below_minimum_qty": (-1013, "Filter failure: LOT_SIZE"),
    "above_maximum_qty": (-1013, "Filter failure: LOT_SIZE"),
    "below_minimum_notional": (-1013, "Filter failure: NOTIONAL"),
}


def of_refusal(refused: Refused) -> Rejected:
    """Translate the matching's refusal; what has no words of its own is an unknown error."""
    return bad_request(*_REFUSALS.get(refused.code, (-1013, refused.reason)))
