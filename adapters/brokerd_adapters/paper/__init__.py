"""
The paper venue: an exchange in memory, and the executor that trades on it.

    matching        PaperVenue: commands in, reports or refusals out; pure, given the time
      rules         what it refuses at its door
      floor         who trades with whom: the books of all symbols
      book          price ladders, the market's quote, sleeping stops
      ledger        orders and balances, as the fold of ...
      records       ... what happened, one record each
      account       free and locked balances
    markets         sources of quotes and trades: synthetic, and the pacing of any
      replay        a recording, from two CSV files
      live          Binance Spot as it is now, from its public streams
    misbehaviour    faults on command, by seed or by script
    outcomes        what its answers prove about a request
    executor        PaperExecutor: all of it behind the executor port
      config        the keys of [executors.NAME]
      host          the venue's home: nothing is told before it is written
      log           what a restart still knows

`PaperVenue` knows nothing of the executor: it may as well stand behind a venue's wire dialect.
"""

from brokerd_adapters.paper.config import PaperConfig, check_market, open_market
from brokerd_adapters.paper.executor import PaperExecutor
from brokerd_adapters.paper.ledger import Fees
from brokerd_adapters.paper.markets import LISTINGS, Market, Paced, SyntheticMarket
from brokerd_adapters.paper.matching import PaperVenue
from brokerd_adapters.paper.misbehaviour import Fault, Faults, Misbehaviour
from brokerd_adapters.paper.replay import ReplayMarket

__all__ = [
    "LISTINGS",
    "Fault",
    "Faults",
    "Fees",
    "Market",
    "Misbehaviour",
    "Paced",
    "PaperConfig",
    "PaperExecutor",
    "PaperVenue",
    "ReplayMarket",
    "SyntheticMarket",
    "check_market",
    "open_market",
]
