"""
The local venue: the paper venue behind real HTTP and WebSocket, in other venues' dialects.

    exchange      orders as the wire knows them, over `paper.PaperVenue`; remembers all it ever took
      orders      one order of record, and what a dialect asks for
    dialect       what a dialect must bring; `binance` and `alpaca` do
    faults        the plan of what goes wrong on the wire; pure
    gate          every request passes it: counted, then carried out or befallen by a fault
      wirelog     who was named how often, by which operation
      wire        replies and how they are sent; one WebSocket connection
    control       what tests and operators may ask and command
    server        VenueServer: all of it on a socket
    config        what it is started with

A test runs it in its own loop (`async with VenueServer(config) as venue: venue.urls`), a person by
`brokerd-venue`. docs/venue.md tells both.
"""

from brokerd_adapters.venue.config import VenueConfig
from brokerd_adapters.venue.faults import Step, WireFault, WireFaults
from brokerd_adapters.venue.server import VenueServer

__all__ = ["Step", "VenueConfig", "VenueServer", "WireFault", "WireFaults"]
