"""
HTTP for orders: one request on the wire for each call, and a plain word for what became of it.

aiohttp by itself sends GET, PUT and DELETE again when a reply is lost, and follows a 307 by sending
a POST again. An order must not be sent by anybody who does not know the journal, so:

    - a client middleware turns a lost reply into `Unanswered` before aiohttp's retry sees it;
    - redirects are answers, never followed: a key goes to the venue and to nobody else;
    - every call has a deadline for the whole, for the connection and for each read.
"""

from collections.abc import Callable, Mapping
from typing import Self

import aiohttp
from aiohttp import ClientTimeout
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from msgspec import Struct
from multidict import CIMultiDictProxy
from yarl import URL

from brokerd.outcomes import NoAnswer
from brokerd_adapters.kit.faults import Unanswered, Unsent

BODY_BYTES_MAX = 32 * 1024 * 1024
"""More than any list a venue gives: Binance's exchangeInfo of all symbols has about 12 MB."""


DEADLINE_S = 9.0
"""How long one call may take if nobody says: below the daemon's own deadline if nobody sets it."""


class Deadlines(Struct, frozen=True, kw_only=True):
    """
    How long one call may take. An executor is given a `total_s` below the daemon's own
    `request_deadline_s`, so that what is known of a fault is not lost to it.
    """

    total_s: float = DEADLINE_S
    connect_s: float = 3.0
    read_s: float = 8.0


class HttpAnswer(Struct, frozen=True):
    """A whole reply, whatever its status; header names are matched without case."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


WHOLE_DIGITS_MAX = 15


class Http:
    """
    One venue's HTTP, as an async context manager; connections are kept and shared.

    `headers` go with every request. A key in one of them is as safe here as in the `Secret` it came
    from: no error of this class shows a header, a query or a body. `blank` takes it out of a refusal
    that quotes it, for who tells of that (`Credential.blank`).
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        blank: Callable[[bytes], bytes] = bytes,
        deadlines: Deadlines | None = None,
        body_bytes_max: int = BODY_BYTES_MAX,
        connections_max: int = 64,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers or {})
        self._blank = blank
        self._deadlines = deadlines or Deadlines()
        self._body_bytes_max = body_bytes_max
        self._connections_max = connections_max
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        deadlines = self._deadlines
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections_max),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=ClientTimeout(
                total=deadlines.total_s,
                connect=deadlines.connect_s,
                sock_connect=deadlines.connect_s,
                sock_read=deadlines.read_s,
            ),
            middlewares=(sent_once,),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """
        Send one request once; return the reply of whatever status.

        `query` goes out as it is, encoded and signed by the caller. Raises Unsent or Unanswered.
        """
        if self._session is None:
            raise Unsent(f"{method} {path}: not connected")
        url = URL(f"{self._base_url}{path}{'?' if query else ''}{query}", encoded=True)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                read = await self._read(response, f"{method} {path}")
                said = read if response.ok else self._blank(read)
                return HttpAnswer(response.status, response.headers, said)
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError) as error:
            raise _translated(error, f"{method} {path}") from None

    async def _read(self, response: aiohttp.ClientResponse, what: str) -> bytes:
        """Read the body, decompressed, up to the limit."""
        read = bytearray()
        async for piece in response.content.iter_any():
            read += piece
            if len(read) > self._body_bytes_max:
                response.close()
                told = (
                    f"{what}: status {response.status}, a body above {self._body_bytes_max} bytes"
                )
                raise Unanswered(NoAnswer.GARBLED, told)
        return bytes(read)


def whole(text: str | None) -> int | None:
    """Read a header that is a whole number; None where there is none, or none to be believed."""
    is_number = text is not None and text.isascii() and text.isdigit()
    return int(text) if text and is_number and len(text) <= WHOLE_DIGITS_MAX else None


async def sent_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Stand between aiohttp's retry and the wire (a middleware): a lost reply is ours to judge."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise _translated(error, f"{request.method} {request.url.path}") from None


async def never_redirected(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Stand where `allow_redirects` cannot be said (a middleware): a redirect is no answer there."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise Unanswered(NoAnswer.GARBLED, f"a redirect, status {response.status}")
    return response


def _translated(error: Exception, what: str) -> Unsent | Unanswered:
    """Say what befell the request. The foreign text stays out where it may quote what we sent."""
    told = f"{what}: {type(error).__name__}"
    match error:
        # Raised while connecting: TCP, DNS, TLS, or no free connection.
        case aiohttp.ClientConnectorError():
            return Unsent(f"{told}: {error.os_error.strerror or error.os_error}")
        case (
            aiohttp.ConnectionTimeoutError()
            | aiohttp.InvalidURL()
            | aiohttp.NonHttpUrlClientError()
        ):
            return Unsent(told)
        case TimeoutError():
            return Unanswered(NoAnswer.TIMEOUT, told)
        # What came is no HTTP, or not compressed as it says.
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return Unanswered(NoAnswer.GARBLED, told)
        case aiohttp.ClientPayloadError(__cause__=ContentEncodingError()):
            return Unanswered(NoAnswer.GARBLED, told)
        case _:
            return Unanswered(NoAnswer.LOST, told)
