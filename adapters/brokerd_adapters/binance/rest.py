"""The road over REST: one signed request for each call, and its answer."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from msgspec import Struct

from brokerd_adapters.binance.key import Key
from brokerd_adapters.binance.limits import Meters
from brokerd_adapters.binance.replies import Answer, from_http
from brokerd_adapters.binance.requests import Call
from brokerd_adapters.binance.signing import rest_payload
from brokerd_adapters.kit.faults import Unsent
from brokerd_adapters.kit.http import Http


class Heard(Struct, frozen=True):
    """An answer, and what it said of our use of the venue's limits, by window."""

    answer: Answer
    used: dict[str, int] = {}


Send = Callable[[], Awaitable[Heard]]
"""Sends a prepared request, once; raises Unsent or Unanswered."""


class Road(Protocol):
    """A way to the venue. What is prepared is signed: it is known when, before it is sent."""

    def prepare(self, call: Call) -> Send:
        """Sign a request; raises Unsent if that cannot be done."""
        ...


class RestRoad:
    """
    REST. Parameters go in the query whatever the verb, as the documents allow.

    Without a key there are only the public questions.
    """

    def __init__(self, http: Http, key: Key | None, meters: Meters) -> None:
        self._http = http
        self._key = key
        self._meters = meters

    def prepare(self, call: Call) -> Send:
        """Sign a request."""
        if not call.is_signed:
            return partial(self._send, call, rest_payload(call.params), {})
        if self._key is None:
            raise Unsent(f"{call.method} needs a key")
        return partial(self._send, call, self._key.query(call.params), self._key.headers)

    async def _send(self, call: Call, query: str, headers: dict[str, str]) -> Heard:
        reply = await self._http.request(call.verb, call.path, query=query, headers=headers)
        answer = from_http(reply.status, reply.body, retry_after=reply.headers.get("Retry-After"))
        return Heard(answer, self._meters.used_by_headers(reply.headers))
