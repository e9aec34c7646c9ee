"""
The Alpaca dialect: Trading API v2 over REST, and its `trade_updates` stream.

    dialect     AlpacaDialect: routes and events
    desk        what the venue does with orders: entities, chains, cancels and replaces on their way
    entry       a new order or a change, read from its body, or the refusal
    entities    order entities, and how they look on the wire
    holdings    account, positions, assets, clock, and the listings
    fills       executions as activities, in pages
    answers     bodies and refusals
    stream      one client of `trade_updates`
    prices      quotes: the latest, and a stream of them
    meter       the 200 requests a minute

Judged by alpaca-py in tests/test_venue_alpaca.py. What it leaves out is in docs/alpaca.md.
"""

from brokerd_adapters.venue.alpaca.dialect import AlpacaDialect

__all__ = ["AlpacaDialect"]
