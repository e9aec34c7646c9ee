"""
The user data stream: from one event to reports, or to the end of what can be trusted.

Not everything is about orders: balances are asked for when they are wanted, and what happens to an
order list is told for each of its orders as well. An event nobody knows is passed over.
"""

from msgspec import Raw

from brokerd.executor import Report
from brokerd_adapters.binance.orders import reported
from brokerd_adapters.binance.shapes import EventKind, ExecutionReport, read

ENDINGS = {
    # Logged out, unsubscribed, or the key was revoked: nothing more will come.
    "eventStreamTerminated": "the venue ended the user data stream",
    # The connection will be cut; a new one is to be made now.
    "serverShutdown": "the venue is about to shut this server down",
}


class StreamEnded(Exception):
    """The venue says that the stream ends here."""


def reports(event: Raw) -> tuple[Report, ...]:
    """Read one event; raises StreamEnded, or ValueError for one that cannot be read."""
    kind = read(EventKind, event).e
    if kind in ENDINGS:
        raise StreamEnded(ENDINGS[kind])
    return reported(read(ExecutionReport, event)) if kind == "executionReport" else ()
