"""
The user data stream: from one event to reports, or to the end of what can be trusted.

Not everything is about orders: balances are asked for when they are wanted, and what happens to an
order list is told for each of its orders as well. An event nobody knows is passed over.
"""

from msgspec import Raw

from brokerd.executor import Report
from brokerd_adapters.binance.orders import reported
from brokerd_adapters.binance.shapes import EventKind, ExecutionReport, read

STREAM_ENDS = "eventStreamTerminated"
"""Logged out, unsubscribed, or the key was revoked: nothing more will come."""

SHUTDOWN = "serverShutdown"
"""The connection will be cut soon; a new one is to be made."""


class StreamEnded(Exception):
    """The venue says that the stream ends here."""


class ShutdownAnnounced(Exception):
    """The venue says that it will cut the connection soon."""


def reports(event: Raw) -> tuple[Report, ...]:
    """
    Read one event.

    Raises StreamEnded, ShutdownAnnounced, or ValueError for one that cannot be read.
    """
    kind = read(EventKind, event).e
    if kind == STREAM_ENDS:
        raise StreamEnded("the venue ended the user data stream")
    if kind == SHUTDOWN:
        raise ShutdownAnnounced("the venue is about to shut this server down")
    return reported(read(ExecutionReport, event)) if kind == "executionReport" else ()
