"""A server that counts what arrives on the wire, and answers with whatever bytes it is told."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Seen:
    """`requests` are the request lines that arrived, `bodies` and `heads` what came with them."""

    url: str
    requests: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def raw_server(*replies: bytes, hang: bool = False) -> AsyncGenerator[Seen]:
    """
    Send the replies to the requests of each connection, then close it; with `hang` keep it open
    and silent instead.
    """
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in replies:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                sizes = [line for line in head.lower().split("\r\n") if "content-length:" in line]
                body = await reader.readexactly(int(sizes[0].split(":")[1])) if sizes else b""
                seen.requests.append(head.split("\r\n")[0])
                seen.heads.append(head)
                seen.bodies.append(body)
                writer.write(answer)
                await writer.drain()
            if hang:
                await released.wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen = Seen(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield seen
    finally:
        released.set()
        server.close()


def reply(status: int, body: bytes = b"{}", *headers: str) -> bytes:
    """Write a whole reply; a `content-length` among the headers stands instead of the true one."""
    if not any(each.lower().startswith("content-length") for each in headers):
        headers = (*headers, f"Content-Length: {len(body)}")
    lines = [f"HTTP/1.1 {status} X", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
