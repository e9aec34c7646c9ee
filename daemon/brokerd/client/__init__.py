"""
The Python client: `Broker` for scripts and notebooks, `AsyncBroker` for asyncio.

    trade       Trade, its fills, and the events about it
    protocol    JSON-RPC over lines without I/O, the daemon's errors as exceptions, when to repeat
    settings    what is stamped on submits and filters loads
    requests    what each method asks and how its answer is read
    blocking    Broker
    aio         AsyncBroker

It needs nothing of the daemon but its socket, and no package but msgspec.
"""

from typing import TYPE_CHECKING, Any

from brokerd.client.blocking import Broker
from brokerd.client.trade import Event, Fill, Trade

if TYPE_CHECKING:
    from brokerd.client.aio import AsyncBroker

__all__ = ["AsyncBroker", "Broker", "Event", "Fill", "Trade"]


def __getattr__(name: str) -> Any:
    """Load asyncio only for those who ask for AsyncBroker."""
    if name != "AsyncBroker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from brokerd.client.aio import AsyncBroker  # noqa: PLC0415 - see above

    return AsyncBroker
