"""
Binance Spot, over its WebSocket API and its REST API.

    shapes      what the venue sends, read leniently and exactly
    names       the numbers of its orders and trades, made unique
    requests    what is asked, for both roads
    signing     what is signed
    orders      its words about orders, in the port's
    events      the user data stream
    replies     what became of a request
    outcomes    the outcome table: what each refusal proves
    symbols     the rules of each symbol
    limits      its rate limits, by what they are called in replies

    key         an API key that signs with the venue's time
    rest        the road over REST
    session     the road over the WebSocket API, and the account's events on it
    roads       both, and the budget before them: one command, one road
    questions   orders, executions, balances, rules and the time
    feed        the public market streams; no key is needed
    quotes      the latest best bid and ask
    config      the keys of [executors.NAME]
    promises    what it promises, and where it is weak
    executor    BinanceExecutor: all of it behind the executor port
"""

from brokerd_adapters.binance.config import BinanceConfig
from brokerd_adapters.binance.executor import BinanceExecutor

__all__ = ["BinanceConfig", "BinanceExecutor"]
