"""Bodies as Alpaca writes them, and its refusals: three digits of a code are a status of their own."""

from typing import Any

import msgspec

from brokerd_adapters.venue.gate import Reply

_encode = msgspec.json.Encoder(decimal_format="string").encode

BAD_INPUT = 40010001
BROKEN_RULE = 42210000
FORBIDDEN = 40310000
NOT_FOUND = 40410000


def reply(body: Any, status: int = 200) -> Reply:
    """Return an answer with a JSON body."""
    return Reply(status, _encode(body))


def no_content() -> Reply:
    """Return the answer to a cancel: taken, not done."""
    return Reply(204, b"")


def refusal(status: int, code: int | None, message: str, **more: Any) -> Reply:
    """Return a refusal; a gateway's has no code."""
    told = (
        {**more, "message": message} if code is None else {**more, "code": code, "message": message}
    )
    return reply(told, status)


def bad_input(message: str) -> Reply:
    """Return the refusal of a parameter."""
    return refusal(422, BAD_INPUT, message)


def broken_rule(message: str) -> Reply:
    """Return the refusal of an order that breaks a rule, or is in no state for it."""
    return refusal(422, BROKEN_RULE, message)


def not_found(message: str) -> Reply:
    """Return the answer for what is not there."""
    return refusal(404, NOT_FOUND, message)


UNAUTHORIZED = refusal(401, None, "unauthorized")
TOO_MANY = refusal(429, None, "too many requests.")
NOT_UNIQUE = bad_input("client_order_id must be unique")


def excuse(status: int) -> Reply:
    """Return the answer of a gateway on a bad day: not JSON where no service of Alpaca's spoke."""
    if status == 429:
        return TOO_MANY
    if status in {502, 503, 504}:
        body = f"<html><body><h1>{status} Bad Gateway</h1></body></html>".encode()
        return Reply(status, body, content_type="text/html")
    return refusal(status, 50010000, "internal server error occurred")
