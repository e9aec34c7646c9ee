"""
`trade_updates`: say who we are, listen, and hand on what is told.

The stream has no numbers and no memory: a lost event does not show, and what happened while nobody
listened is told by nobody. The end of a connection is a gap, and asking finds what fell into it.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from msgspec import Struct

from brokerd.errors import ConfigError, VenueUnavailable
from brokerd.executor import Report
from brokerd.ids import Ids
from brokerd_adapters.alpaca import requests
from brokerd_adapters.alpaca.chains import Chains
from brokerd_adapters.alpaca.reports import updated
from brokerd_adapters.alpaca.wire import (
    Frame,
    StreamState,
    TradeUpdate,
    Unreadable,
    decode,
)
from brokerd_adapters.kit import Credential, JsonSocket
from brokerd_adapters.kit.links import link

REPLY_S_MAX = 10.0

AUTHORIZATION, LISTENING, TRADE_UPDATES = "authorization", "listening", "trade_updates"


class Told(NamedTuple):
    """The answer to `authenticate` or `listen`, and the stream it came on."""

    stream: str
    state: StreamState


Message = TradeUpdate | Told | None
"""What a frame comes to; None is nothing to us."""


def read_frame(frame: bytes) -> Message:
    """
    Read one frame, text or binary. Raises Unreadable.

    An order of other origin may have a shape that ours never have; it is passed over.
    """
    told = decode(frame, Frame)
    if told.stream == TRADE_UPDATES:
        try:
            return decode(told.data, TradeUpdate)
        except Unreadable:
            if _is_ours(told):
                raise
            return None
    if told.stream in {AUTHORIZATION, LISTENING}:
        return Told(told.stream, decode(told.data, StreamState))
    return None


@asynccontextmanager
async def trade_updates(
    name: str, url: str, credential: Credential, chains: Chains
) -> AsyncGenerator[AsyncIterator[Report]]:
    """
    Subscribe; the block gets the reports until the first gap.

    Raises ConfigError for a key that is refused, VenueUnavailable for what may pass.
    """
    socket: JsonSocket[Message] = JsonSocket(
        name, url, decode=read_frame, reply_to=_reply_to, blank=credential.blank
    )
    async with socket:
        asked = requests.authenticate(credential)
        told = await socket.request(AUTHORIZATION, asked, deadline_s=REPLY_S_MAX)
        if not isinstance(told, Told) or told.state.status != "authorized":
            raise ConfigError(f"{name}: the stream refuses the key", hint="check the credential")
        told = await socket.request(LISTENING, requests.LISTEN, deadline_s=REPLY_S_MAX)
        if not isinstance(told, Told) or TRADE_UPDATES not in told.state.streams:
            raise VenueUnavailable("the venue does not give trade_updates", reason="no_stream")
        yield _reports(socket, chains)


async def _reports(socket: JsonSocket[Message], chains: Chains) -> AsyncIterator[Report]:
    async for message in socket.events:
        if isinstance(message, TradeUpdate):
            chains.see(message.order)
            for report in updated(message, chains):
                yield report


def _reply_to(message: Message) -> str | None:
    return message.stream if isinstance(message, Told) else None


def _is_ours(frame: Frame) -> bool:
    """Whether an update that cannot be read is about an order of ours, or about none that is named."""
    try:
        body = decode(frame.data, _Whose).order
    except Unreadable:
        return True
    return Ids.are_like(link(body.client_order_id).root)


class _Name(Struct, frozen=True):
    client_order_id: str


class _Whose(Struct, frozen=True):
    order: _Name
