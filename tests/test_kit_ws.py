"""A WebSocket to a venue: replies, events, and where the gap is."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import WSMessage, WSMsgType, web
from tests.rawhttp import raw_server, reply
from tests.scripted import until

from brokerd.errors import VenueUnavailable
from brokerd.outcomes import NoAnswer
from brokerd.secrets import Secret
from brokerd_adapters.kit import Credential, JsonSocket, Unanswered, Unsent

Message = dict[str, Any]
Script = Callable[[web.WebSocketResponse], Awaitable[None]]


def decode(frame: bytes) -> Message:
    return msgspec.json.decode(frame, type=Message)


def reply_to(message: Message) -> str | None:
    return message.get("id")


@asynccontextmanager
async def venue(script: Script, *, answers_pings: bool = True) -> AsyncGenerator[str]:
    """Serve one script at a WebSocket; give its URL."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(autoping=answers_pings, timeout=0.1)
        await ws.prepare(request)
        await script(ws)
        return ws

    application = web.Application()
    application.router.add_get("/ws", serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"ws://127.0.0.1:{port}/ws"
    finally:
        await runner.cleanup()


def socket_to(url: str, **settings: Any) -> JsonSocket[Message]:
    return JsonSocket("test", url, decode=decode, reply_to=reply_to, **settings)


async def echo(ws: web.WebSocketResponse) -> None:
    async for frame in ws:
        await ws.send_str(frame.data)


async def test_replies_find_their_requests_in_any_order() -> None:
    async def backwards(ws: web.WebSocketResponse) -> None:
        held = [await ws.receive_str() for _ in range(3)]
        for frame in reversed(held):
            await ws.send_str(frame)

    async with venue(backwards) as url, socket_to(url) as socket:
        asked = [
            socket.request(str(n), b'{"id":"%d","n":%d}' % (n, n), deadline_s=5) for n in range(3)
        ]
        assert [told["n"] for told in await asyncio.gather(*asked)] == [0, 1, 2]


async def test_text_and_binary_frames_are_both_data() -> None:
    async def mixed(ws: web.WebSocketResponse) -> None:
        await ws.send_str('{"e":1}')
        await ws.send_bytes(b'{"e":2}')
        await ws.receive()

    async with venue(mixed) as url, socket_to(url) as socket:
        assert [await anext(socket.events) for _ in range(2)] == [{"e": 1}, {"e": 2}]


async def test_a_reply_that_comes_late_is_an_event() -> None:
    """It tells what became of a request that nobody waits for any more."""
    late = asyncio.Event()

    async def slow(ws: web.WebSocketResponse) -> None:
        frame = await ws.receive_str()
        await late.wait()
        await ws.send_str(frame)
        await ws.receive()

    async with venue(slow) as url, socket_to(url) as socket:
        with pytest.raises(Unanswered) as caught:
            await socket.request("7", b'{"id":"7"}', deadline_s=0.05)
        assert caught.value.fault is NoAnswer.TIMEOUT
        late.set()
        assert await anext(socket.events) == {"id": "7"}


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        pytest.param(b"{", "cannot be read", id="truncated"),
        pytest.param(b"<html>", "cannot be read", id="html"),
        pytest.param(b"[" * 100_000, "cannot be read", id="nested"),
        pytest.param(b"\xff\xfe", "cannot be read", id="no utf-8"),
        pytest.param(b"[]", "cannot be read", id="another shape"),
        pytest.param(b'"' + b"x" * 5_000_000 + b'"', "closed|broke|ended", id="too big"),
    ],
)
async def test_what_cannot_be_read_is_a_gap_and_a_doubt(frame: bytes, why: str) -> None:
    async def hostile(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        await ws.send_str('{"e":1}')
        await ws.send_bytes(frame)
        await ws.receive()

    async with venue(hostile) as url, socket_to(url) as socket:
        with pytest.raises(Unanswered) as caught:
            await socket.request("1", b'{"id":"1"}', deadline_s=5)
        assert caught.value.fault is NoAnswer.LOST
        assert await anext(socket.events) == {"e": 1}
        with pytest.raises(VenueUnavailable, match=why):
            await anext(socket.events)


async def test_a_close_is_a_gap_with_the_venues_reason() -> None:
    async def leave(ws: web.WebSocketResponse) -> None:
        await ws.close(code=4001, message=b"maintenance")

    async with venue(leave) as url, socket_to(url) as socket:
        with pytest.raises(VenueUnavailable, match="4001 maintenance"):
            await anext(socket.events)
        assert not socket.is_open


async def test_a_connection_that_breaks_leaves_its_requests_in_doubt() -> None:
    async def drop(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        transport = ws._req.transport
        assert transport is not None
        transport.abort()

    async with venue(drop) as url, socket_to(url) as socket:
        with pytest.raises(Unanswered) as caught:
            await socket.request("1", b'{"id":"1"}', deadline_s=5)
        assert caught.value.fault is NoAnswer.LOST


async def test_a_venue_that_answers_no_ping_is_a_gap() -> None:
    released = asyncio.Event()

    async def deaf(ws: web.WebSocketResponse) -> None:
        await released.wait()

    async with venue(deaf, answers_pings=False) as url, socket_to(url, heartbeat_s=0.1) as socket:
        with pytest.raises(VenueUnavailable):
            await anext(socket.events)
        released.set()


async def test_after_the_end_nothing_is_sent() -> None:
    async def leave(ws: web.WebSocketResponse) -> None:
        await ws.close()

    async with venue(leave) as url, socket_to(url) as socket:
        with pytest.raises(VenueUnavailable):
            await anext(socket.events)
        with pytest.raises(Unsent):
            await socket.request("1", b'{"id":"1"}', deadline_s=5)
    with pytest.raises(Unsent):
        await socket.request("2", b'{"id":"2"}', deadline_s=5)


async def test_a_frame_that_the_closing_transport_refuses_was_not_sent() -> None:
    async with venue(echo) as url, socket_to(url) as socket:
        assert socket._ws is not None
        # As when the network breaks between two turns of the loop.
        transport = socket._ws._conn.transport  # type: ignore[union-attr]
        transport.abort()
        with pytest.raises(Unsent):
            await socket.request("1", b'{"id":"1"}', deadline_s=5)


async def test_a_ping_that_cannot_be_answered_any_more_is_a_gap_and_no_bug() -> None:
    async with venue(echo) as url, socket_to(url) as socket:
        ws = socket._ws
        assert ws is not None
        ws._conn.transport.abort()  # type: ignore[union-attr]
        ws._reader.feed_data(WSMessage(WSMsgType.PING, b"", None), 0)
        with pytest.raises(VenueUnavailable, match="broke: ClientConnectionResetError"):
            await anext(socket.events)


async def test_no_connection_is_nothing_sent() -> None:
    with pytest.raises(Unsent, match="no WebSocket connection"):
        async with socket_to("ws://127.0.0.1:1/ws"):
            pass


async def test_a_refused_handshake_is_nothing_sent_and_tells_the_status() -> None:
    async with venue(echo) as url:
        with pytest.raises(Unsent, match="404") as caught:
            async with socket_to(url.replace("/ws", "/hunter2-canary")):
                pass
    assert "canary" not in str(caught.value) + repr(caught.value) + str(caught.value.data)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_of_the_handshake_is_not_followed(status: int) -> None:
    """The first frame may be our key: it is for the venue that was configured."""
    async with (
        raw_server(reply(200)) as elsewhere,
        raw_server(reply(status, b"", f"Location: {elsewhere.url}/ws")) as seen,
    ):
        with pytest.raises(Unsent, match=f"a redirect, status {status}"):
            async with socket_to(seen.url.replace("http", "ws") + "/ws"):
                pass
    assert (len(seen.requests), elsewhere.requests) == (1, [])


async def test_a_frame_that_quotes_the_key_comes_without_it() -> None:
    key = Credential(api_key=Secret("known-as-canary"), secret=Secret("secret-canary"))
    async with venue(echo) as url, socket_to(url, blank=key.blank) as socket:
        said = await socket.request("1", b'{"id":"1","msg":"no secret-canary"}', deadline_s=5)
    assert said == {"id": "1", "msg": "no [redacted]"}


async def test_requests_that_wait_are_bounded() -> None:
    async def silent(ws: web.WebSocketResponse) -> None:
        async for _ in ws:
            pass

    async with venue(silent) as url, socket_to(url, pending_max=2) as socket:
        asked = [
            asyncio.create_task(socket.request(str(n), b"{}", deadline_s=30))  # noqa: TID251
            for n in range(2)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Unsent) as caught:
            await socket.request("2", b"{}", deadline_s=5)
        assert caught.value.reason == "too_many_pending"
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert socket._pending == {}


async def test_events_that_nobody_reads_end_the_connection() -> None:
    async def flood(ws: web.WebSocketResponse) -> None:
        for n in range(5):
            await ws.send_str(f'{{"e":{n}}}')
        await ws.receive()

    async with venue(flood) as url, socket_to(url, events_max=3) as socket:
        await until(lambda: not socket.is_open)
        assert [(await anext(socket.events))["e"] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(VenueUnavailable, match="too slow"):
            await anext(socket.events)


async def test_closing_leaves_no_request_waiting() -> None:
    async def silent(ws: web.WebSocketResponse) -> None:
        async for _ in ws:
            pass

    async with venue(silent) as url:
        async with socket_to(url) as socket:
            asked = asyncio.create_task(  # noqa: TID251
                socket.request("1", b'{"id":"1"}', deadline_s=30)
            )
            await asyncio.sleep(0)
        with pytest.raises(Unanswered, match="closed"):
            await asked


async def test_an_error_in_the_block_comes_out_as_itself() -> None:
    async with venue(echo) as url:
        with pytest.raises(KeyError):
            async with socket_to(url):
                raise KeyError


async def test_a_bug_in_the_decoder_is_a_gap_and_in_the_log() -> None:
    def broken(_frame: bytes) -> Message:
        raise KeyError("bug")

    async def tell(ws: web.WebSocketResponse) -> None:
        await ws.send_str("{}")
        await ws.receive()

    async with (
        venue(tell) as url,
        JsonSocket("test", url, decode=broken, reply_to=reply_to) as socket,
    ):
        with pytest.raises(VenueUnavailable, match="KeyError"):
            await anext(socket.events)
