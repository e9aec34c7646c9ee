"""
The Binance Spot dialect.

    dialect         BinanceDialect: the rooms below, put together
    rest            /api/v3: parameters in query and body, signatures over both
    wsapi           /ws-api/v3, one ...
      session       ... a connection: logon, subscriptions
      frames        requests as they are written, and what of them was signed
    streams         /ws and /stream: the market's streams
    service         one request, from the limits to its result, whichever road it came by
    methods         the table of methods: names on both roads, weights, security
      trading       place, cancel, cancel and replace, amend; through the door ...
        entry       ... where new orders are read and checked
      account       questions about orders, trades, balances
      publicdata    questions that anybody may ask
    userdata        the account's events
    desk            exchange, market, limits, and what is kept of each order beside its record
    market          the market as everybody sees it
    shapes          orders as the documents show them
    keys            signatures and time
    limits          weights and order counts
    filters         what a symbol's rules refuse
    params  errors  words

Documents: github.com/binance/binance-spot-api-docs, as of July 2026.
"""

from brokerd_adapters.venue.binance.dialect import BinanceDialect

__all__ = ["BinanceDialect"]
