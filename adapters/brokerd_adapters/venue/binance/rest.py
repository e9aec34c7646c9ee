"""
The REST road: /api/v3.

Parameters come in the query, in a form body, or in both; of one sent twice the query's counts. The
signature covers query and body as they were sent, without the signature itself.
"""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from brokerd_adapters.venue.binance.keys import Key
from brokerd_adapters.venue.binance.methods import Method
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.binance.service import Result, Service, excuse
from brokerd_adapters.venue.binance.words import MS_NS, US_NS
from brokerd_adapters.venue.faults import Step
from brokerd_adapters.venue.gate import Gate, Reply
from brokerd_adapters.venue.wire import answer

_encode = msgspec.json.Encoder().encode
_UNIT_HEADER = "X-MBX-TIME-UNIT"


class Rest:
    """The REST endpoint."""

    def __init__(self, service: Service, key: Key, gate: Gate) -> None:
        self._service = service
        self._key = key
        self._gate = gate

    def mount(self, app: web.Application) -> None:
        """Add a route for every method of the table."""
        for (verb, path), method in self._service.by_route.items():
            app.router.add_route(verb, f"/api/v3/{path}", self._handler(method))

    def _handler(self, method: Method) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            query = request.raw_path.partition("?")[2]
            body = (await request.read()).decode(errors="replace") if request.can_read_body else ""
            is_micro = request.headers.get(_UNIT_HEADER, "").upper() == "MICROSECOND"
            params = Params(read_texts(query, body), US_NS if is_micro else MS_NS)

            def authenticate(params: Params) -> None:
                self._key.check_key(request.headers.get("X-MBX-APIKEY"))
                self._key.check_signature(signed_part(query, body), params.text("signature"))

            return await answer(
                self._gate,
                request,
                method.call(params),
                lambda: self._reply(method, self._service.call(method, params, authenticate)),
                self._excuse,
            )

        return handle

    def _excuse(self, step: Step) -> Reply:
        reply = self._reply(None, excuse(step, self._service.clock.now_ns()))
        if step.status in {403, 502} and not step.code:
            page = b"<html><head><title>%d</title></head></html>" % step.status
            return Reply(step.status, page, content_type="text/html")
        return reply

    def _reply(self, method: Method | None, result: Result) -> Reply:
        limits = self._service.limits
        headers = {f"X-MBX-USED-WEIGHT-{limits.weight.header}": str(limits.weight.used)}
        headers["X-MBX-USED-WEIGHT"] = str(limits.weight.used)
        body = result.body
        if method is not None and method.is_command and not result.is_error:
            for window in limits.orders:
                headers[f"X-MBX-ORDER-COUNT-{window.header}"] = str(window.used)
        if result.status in {418, 429}:
            wait = body.pop("data")
            wait_ms = wait["retryAfter"] - wait["serverTime"]
            headers["Retry-After"] = str(max(1, -(-wait_ms // 1_000)))
        return Reply(result.status, _encode(body), headers)


def read_texts(query: str, body: str) -> dict[str, str]:
    """Return the parameters of query and body, decoded."""
    texts = dict(parse_qsl(body, keep_blank_values=True))
    texts.update(parse_qsl(query, keep_blank_values=True))
    return texts


def signed_part(query: str, body: str) -> bytes:
    """Return what was signed: query and body as sent, without the signature."""
    return "".join(
        "&".join(pair for pair in text.split("&") if not pair.startswith("signature="))
        for text in (query, body)
    ).encode()
