"""
One request, from the limits to its result, whichever road it came by.

The order is the venue's: limits, key, signature, time, then the method. So a request that was held
up on its way is judged by when it arrives, not by when it was sent.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from brokerd.executor import Clock
from brokerd_adapters.venue.binance.desk import Desk
from brokerd_adapters.venue.binance.errors import Rejected
from brokerd_adapters.venue.binance.keys import check_time
from brokerd_adapters.venue.binance.limits import Limits
from brokerd_adapters.venue.binance.methods import Method, methods_of
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.faults import Step

Authenticate = Callable[[Params], None]
"""Raises Rejected unless the request proves that it comes from the key's owner."""


class Result(Struct, frozen=True):
    """What a request came to: a status, and the result or the error object."""

    status: int
    body: Any

    @property
    def is_error(self) -> bool:
        """Whether `body` is an error object."""
        return self.status >= 400


class Service:
    """All methods of the desk."""

    def __init__(self, desk: Desk) -> None:
        self.limits: Limits = desk.limits
        self.clock: Clock = desk.exchange.clock
        methods = methods_of(desk)
        self.by_name = {method.name: method for method in methods if method.name}
        self.by_route = {(method.verb, method.path): method for method in methods}

    def call(self, method: Method, params: Params, authenticate: Authenticate) -> Result:
        """Carry a request out; what is refused costs its weight, too."""
        try:
            cost = method.cost(params)
            self.limits.enter(cost, self.clock.now_ns())
        except Rejected as rejected:
            return Result(rejected.status, rejected.body)
        try:
            if method.is_signed:
                authenticate(params)
                check_time(params, self.clock.now_ns())
            result = method.run(params)
        except Rejected as rejected:
            self.limits.spend(cost)
            return Result(rejected.status, rejected.body)
        if not method.is_free:
            self.limits.spend(cost)
        return Result(200, result)


_EXCUSES: dict[int, tuple[int, str]] = {
    403: (-1002, "You are not authorized to execute this request."),
    429: (
        -1003,
        (
            "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        ),
    ),
    418: (
        -1003,
        (
            "Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        ),
    ),
    500: (-1000, "An unknown error occurred while processing the request."),
    502: (
        -1006,
        "An unexpected response was received from the message bus. Execution status unknown.",
    ),
    503: (
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    ),
    504: (
        -1007,
        (
            "Timeout waiting for response from backend server. "
            "Send status unknown; execution status unknown."
        ),
    ),
}


def excuse(step: Step, now_ns: int) -> Result:
    """Return the answer of a venue that cannot or will not: the words for `step.status`."""
    now_ms = now_ns // 1_000_000
    until_ms = now_ms + step.retry_after_s * 1_000
    code, msg = _EXCUSES.get(step.status, (-1000, "An unknown error occurred."))
    body: dict[str, Any] = {
        "code": step.code or code,
        "msg": step.message or msg.format(until_ms=until_ms),
    }
    if step.status in {418, 429}:
        body["data"] = {"serverTime": now_ms, "retryAfter": until_ms}
    return Result(step.status, body)
