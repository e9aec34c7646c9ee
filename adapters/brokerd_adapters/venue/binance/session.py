"""
One connection of the WebSocket API: who is logged on, and what it is subscribed to.

Requests are frames, answered in any order, and the account's events come over the same connection.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from brokerd_adapters.venue.binance.errors import Rejected, bad_request
from brokerd_adapters.venue.binance.frames import NO_ID, read_request, signed_part, texts_of
from brokerd_adapters.venue.binance.keys import WRONG_KEY, Key
from brokerd_adapters.venue.binance.methods import Method
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.binance.service import Result, Service, excuse
from brokerd_adapters.venue.binance.userdata import Subscription, UserData
from brokerd_adapters.venue.binance.words import MS_NS, US_NS
from brokerd_adapters.venue.faults import Step
from brokerd_adapters.venue.gate import Reply
from brokerd_adapters.venue.wire import Connection
from brokerd_adapters.venue.wirelog import Call

_encode = msgspec.json.Encoder().encode
_UNKNOWN = Result(400, {"code": -1020, "msg": "This operation is not supported."})


class Session:
    """One connection: who is logged on, and what it is subscribed to."""

    def __init__(
        self,
        service: Service,
        key: Key,
        user_data: UserData,
        connection: Connection,
        query: Mapping[str, str],
    ) -> None:
        self._service = service
        self._key = key
        self._user_data = user_data
        self._connection = connection
        self._connected_at_ns = service.clock.now_ns()
        self._logged_on_at_ns: int | None = None
        self._subscriptions: dict[int, Subscription] = {}
        self._next_subscription = 0
        is_micro = query.get("timeUnit", "").upper() == "MICROSECOND"
        self._unit_ns = US_NS if is_micro else MS_NS
        self._tells_limits = query.get("returnRateLimits") != "false"
        self._own: dict[str, Method] = {method.name or "": method for method in self._methods()}

    def on_frame(self, frame: bytes) -> None:
        """Carry out one request."""
        try:
            request = read_request(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            refused = bad_request(-1135, "Invalid JSON Request")
            self._connection.send(self._frame(NO_ID, Result(400, refused.body), tells=False))
            return
        params = Params(texts_of(request.params), self._unit_ns)
        name = request.method.removeprefix("v3/")
        method = self._own.get(name) or self._service.by_name.get(name)
        tells = self._tells_limits
        if params.text("returnRateLimits") is not None:
            tells = params.text("returnRateLimits") == "true"
        call = Call("unknown") if method is None else method.call(params)

        def carry_out() -> Reply:
            result = _UNKNOWN if method is None else self._call(method, params)
            return Reply(result.status, self._frame(request.id, result, tells=tells))

        def sorry(step: Step) -> Reply:
            result = excuse(step, self._service.clock.now_ns())
            return Reply(result.status, self._frame(request.id, result, tells=tells))

        self._connection.answer(call, carry_out, sorry)

    def say_shutdown(self) -> None:
        """Tell the client to connect anew."""
        now = self._service.clock.now_ns() // self._unit_ns
        self._connection.send(_encode({"event": {"e": "serverShutdown", "E": now}}))

    def leave(self) -> None:
        """End every subscription: the connection is over."""
        for subscription in self._subscriptions.values():
            self._user_data.leave(subscription)

    def _call(self, method: Method, params: Params) -> Result:
        return self._service.call(method, params, self._authenticate)

    def _authenticate(self, params: Params) -> None:
        """Check key and signature; a session that is logged on may leave out both."""
        if self._logged_on_at_ns is not None and params.text("signature") is None:
            if params.text("apiKey") is not None:
                self._key.check_key(params.text("apiKey"))
            return
        self._check_signature(params)

    def _check_signature(self, params: Params) -> None:
        self._key.check_key(params.text("apiKey"))
        self._key.check_signature(signed_part(params.texts), params.text("signature"))

    def _frame(self, request_id: Raw, result: Result, *, tells: bool) -> bytes:
        word = b"error" if result.is_error else b"result"
        limits = b""
        if tells:
            limits = b',"rateLimits":' + _encode(self._told_limits(result))
        return b'{"id":%b,"status":%d,"%b":%b%b}' % (
            bytes(request_id),
            result.status,
            word,
            _encode(result.body),
            limits,
        )

    def _told_limits(self, result: Result) -> list[dict[str, str | int]]:
        """Return the order counts of an answer about orders, then the weight."""
        told = (
            [window.told() for window in self._service.limits.orders] if _is_order(result) else []
        )
        return [*told, self._service.limits.weight.told()]

    def _methods(self) -> list[Method]:
        def row(name: str, run: Any, weight: int = 2, *, is_signed: bool = False) -> Method:
            operation = name.replace(".", "_")
            return Method(
                name=name,
                verb="",
                path="",
                operation=operation,
                run=run,
                weight=weight,
                is_signed=is_signed,
            )

        return [
            row("session.logon", self._log_on, is_signed=True),
            row("session.status", self._status),
            row("session.logout", self._log_out),
            row("session.subscriptions", self._list_subscriptions),
            row("userDataStream.subscribe", self._subscribe),
            row("userDataStream.subscribe.signature", self._subscribe, is_signed=True),
            row("userDataStream.unsubscribe", self._unsubscribe),
        ]

    def _log_on(self, params: Params) -> Any:
        self._check_signature(params)
        if not self._key.may_log_on:
            raise Rejected(400, -4056, "HMAC_SHA256 API key is not supported.")
        self._logged_on_at_ns = self._service.clock.now_ns()
        return self._status(params)

    def _status(self, params: Params) -> Any:
        since_ns = self._logged_on_at_ns
        return {
            "apiKey": None if since_ns is None else self._key.api_key,
            "authorizedSince": None if since_ns is None else params.stamp(since_ns),
            "connectedSince": params.stamp(self._connected_at_ns),
            "returnRateLimits": self._tells_limits,
            "serverTime": params.stamp(self._service.clock.now_ns()),
            "userDataStream": bool(self._subscriptions),
        }

    def _log_out(self, params: Params) -> Any:
        for subscription in self._subscriptions.values():
            self._user_data.terminate(subscription)
        self._subscriptions.clear()
        self._logged_on_at_ns = None
        return self._status(params)

    def _subscribe(self, params: Params) -> Any:
        if self._logged_on_at_ns is None and params.text("signature") is None:
            raise Rejected(*WRONG_KEY)
        if self._subscriptions:
            raise bad_request(-2035, "Subscription is already active in this session.")
        number = self._next_subscription
        self._next_subscription += 1
        subscription = Subscription(self._connection, number, self._unit_ns)
        self._subscriptions[number] = subscription
        self._user_data.subscribe(subscription)
        return {"subscriptionId": number}

    def _unsubscribe(self, params: Params) -> Any:
        number = params.integer("subscriptionId")
        numbers = list(self._subscriptions) if number is None else [number]
        if not numbers or any(each not in self._subscriptions for each in numbers):
            raise bad_request(-2036, "Subscription is not active in this session.")
        for each in numbers:
            self._user_data.terminate(self._subscriptions.pop(each))
        return {}

    def _list_subscriptions(self, params: Params) -> Any:  # noqa: ARG002  asked like all
        return [{"subscriptionId": number} for number in self._subscriptions]


def _is_order(result: Result) -> bool:
    body = result.body
    return isinstance(body, dict) and "orderId" in body
