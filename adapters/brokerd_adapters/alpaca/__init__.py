"""
Alpaca: US stocks and crypto through its Trading API v2, paper and live.

    wire        what it says, as records
    chains      one order of ours is a chain of orders there
    reports     what its words mean to the broker
    requests    what we ask, as paths and bodies
    rules       what it would refuse, told before sending
    outcomes    what its answers prove
    rest        one request on the wire, within the budget
    questions   one order with its chain and fills, everything open, the account
    stream      `trade_updates`
    quotes      market data, if configured
    promises    what it promises, and where it is weak
    executor    AlpacaExecutor: all of it behind the executor port
    config      the keys of [executors.NAME]

The first six are pure. docs/alpaca.md tells what this venue promises, and what it does not.
"""

from brokerd_adapters.alpaca.config import AlpacaConfig
from brokerd_adapters.alpaca.executor import AlpacaExecutor

__all__ = ["AlpacaConfig", "AlpacaExecutor"]
