"""HTTP for orders: never a second request on the wire, and a true word for every fault."""

import asyncio
import gzip
import socket

import pytest
from tests.rawhttp import raw_server, reply
from tests.scripted import until

from brokerd.outcomes import NoAnswer
from brokerd.secrets import Secret
from brokerd_adapters.kit import Credential, Deadlines, Http, Unanswered, Unsent

METHODS = ["GET", "PUT", "DELETE", "POST"]
CANARY = "hunter2-canary"


def body_for(method: str) -> bytes | None:
    return b"symbol=BTCUSDT&signature=" + CANARY.encode() if method in {"PUT", "POST"} else None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        pytest.param(b"", NoAnswer.LOST, id="cut before the reply"),
        pytest.param(b"HTTP/1.1 20", NoAnswer.LOST, id="cut inside the status line"),
        pytest.param(
            reply(200, b"{", "Content-Length: 99"), NoAnswer.LOST, id="cut inside the body"
        ),
        pytest.param(b"SSH-2.0-x\r\n\r\n", NoAnswer.GARBLED, id="no HTTP"),
        pytest.param(
            reply(200, b"no gzip", "Content-Encoding: gzip"), NoAnswer.GARBLED, id="no gzip"
        ),
    ],
)
async def test_a_lost_reply_is_one_request_on_the_wire(
    method: str, sent: bytes, fault: NoAnswer
) -> None:
    async with raw_server(sent) as seen, Http(seen.url) as http:
        with pytest.raises(Unanswered) as caught:
            await http.request(method, "/order", body=body_for(method))
    assert caught.value.fault is fault
    assert len(seen.requests) == 1


@pytest.mark.parametrize("method", METHODS)
async def test_a_reply_lost_on_a_kept_connection_is_one_request_too(method: str) -> None:
    """aiohttp sends again on a fresh connection and on a kept one alike."""
    async with raw_server(reply(200), b"") as seen, Http(seen.url) as http:
        await http.request(method, "/order", body=body_for(method))
        with pytest.raises(Unanswered):
            await http.request(method, "/order", body=body_for(method))
    assert len(seen.requests) == 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_never_followed(method: str, status: int) -> None:
    async with raw_server(reply(200)) as elsewhere:
        sent = reply(status, b"", f"Location: {elsewhere.url}/order")
        async with raw_server(sent) as seen, Http(seen.url) as http:
            answer = await http.request(method, "/order", body=body_for(method))
    assert (answer.status, len(seen.requests), elsewhere.requests) == (status, 1, [])


async def test_a_refusal_that_quotes_the_key_comes_without_it() -> None:
    key = Credential(api_key=Secret("known-as-canary"), secret=Secret("canary/of+the=secret"))
    said = b'{"message":"known-as-canary and canary/of+the=secret do not fit"}'
    async with raw_server(reply(403, said)) as seen, Http(seen.url, blank=key.blank) as http:
        answer = await http.request("GET", "/order")
    assert answer.body == b'{"message":"[redacted] and [redacted] do not fit"}'


@pytest.mark.parametrize("status", [200, 204, 400, 409, 418, 429, 500, 503])
async def test_every_status_is_an_answer(status: int) -> None:
    sent = reply(status, b"" if status == 204 else b'{"code":-1}', "X-MBX-Used-Weight-1M: 7")
    async with raw_server(sent) as seen, Http(seen.url) as http:
        answer = await http.request("GET", "/order")
    assert answer.status == status
    assert answer.headers["x-mbx-used-weight-1m"] == "7"
    assert answer.body == (b"" if status == 204 else b'{"code":-1}')


@pytest.mark.parametrize("method", METHODS)
async def test_silence_is_a_timeout(method: str) -> None:
    deadlines = Deadlines(total_s=30, read_s=0.2)
    async with raw_server(b"", hang=True) as seen, Http(seen.url, deadlines=deadlines) as http:
        with pytest.raises(Unanswered) as caught:
            await http.request(method, "/order", body=body_for(method))
        await until(lambda: bool(seen.requests))
    assert caught.value.fault is NoAnswer.TIMEOUT
    assert len(seen.requests) == 1


async def test_a_body_that_does_not_end_is_a_timeout_of_the_whole() -> None:
    deadlines = Deadlines(total_s=1, read_s=10)
    sent = reply(200, b"{", "Content-Length: 99")
    async with raw_server(sent, hang=True) as seen, Http(seen.url, deadlines=deadlines) as http:
        with pytest.raises(Unanswered) as caught:
            await http.request("GET", "/order")
    assert caught.value.fault is NoAnswer.TIMEOUT


async def test_a_refused_connection_sent_nothing() -> None:
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))
        async with Http(f"http://127.0.0.1:{unbound.getsockname()[1]}") as http:
            with pytest.raises(Unsent) as caught:
                await http.request("POST", "/order", body=b"x")
    assert caught.value.reason == "connect"


async def test_a_connection_that_is_no_tls_sent_nothing() -> None:
    async with raw_server(b"") as seen, Http(seen.url.replace("http:", "https:")) as http:
        with pytest.raises(Unsent):
            await http.request("POST", "/order", body=b"x")
    assert seen.requests == []


async def test_a_full_pool_sent_nothing() -> None:
    deadlines = Deadlines(total_s=30, connect_s=1)
    async with (
        raw_server(b"", hang=True) as seen,
        Http(seen.url, deadlines=deadlines, connections_max=1) as http,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(_lost(http))
        await until(lambda: bool(seen.requests))
        with pytest.raises(Unsent):
            await http.request("POST", "/order", body=b"second")
        first.cancel()
    assert len(seen.requests) == 1


async def _lost(http: Http) -> None:
    await http.request("POST", "/order", body=b"first")


async def test_before_it_is_entered_nothing_is_sent() -> None:
    with pytest.raises(Unsent):
        await Http("http://127.0.0.1:1").request("GET", "/order")


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_above_the_limit_is_garbled(packed: bool) -> None:
    """Also one that is small until it is unpacked."""
    body = bytes(100_000)
    headers = ("Content-Encoding: gzip",) if packed else ()
    sent = reply(200, gzip.compress(body) if packed else body, *headers)
    async with raw_server(sent) as seen, Http(seen.url, body_bytes_max=10_000) as http:
        with pytest.raises(Unanswered, match="above 10000 bytes") as caught:
            await http.request("GET", "/order")
    assert caught.value.fault is NoAnswer.GARBLED


async def test_the_query_goes_out_as_it_was_signed() -> None:
    query = "symbol=%EF%BC%91&list=%5B%22a%22%5D&plain=a%2Bb&signature=abc%3D"
    async with raw_server(reply(200)) as seen, Http(f"{seen.url}/api") as http:
        await http.request("GET", "/v3/order", query=query, headers={"X-Key": "k"})
    assert seen.requests == [f"GET /api/v3/order?{query} HTTP/1.1"]
    assert "X-Key: k" in seen.heads[0]


async def test_no_error_shows_what_was_sent() -> None:
    async with raw_server(b"") as seen, Http(seen.url, headers={"X-Key": CANARY}) as http:
        with pytest.raises(Unanswered) as caught:
            await http.request("POST", "/o", query=f"s={CANARY}", body=CANARY.encode())
    error = caught.value
    told = [str(error), repr(error), str(error.data), repr(error.__cause__)]
    assert CANARY not in " ".join(told)


async def test_a_cookie_of_one_reply_is_not_sent_back() -> None:
    sent = reply(200, b"{}", "Set-Cookie: session=1; Path=/")
    async with raw_server(sent, sent) as seen, Http(seen.url) as http:
        await http.request("GET", "/a")
        await http.request("GET", "/b")
    assert "session=1" not in seen.heads[1]
