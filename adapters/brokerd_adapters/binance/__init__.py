"""
Binance Spot, over its WebSocket API and its REST API.

    shapes      what the venue sends, read leniently and exactly
    names       our ids for its orders and trades, and what they tell
    requests    what is asked, for both roads
    signing     what is signed
    orders      its words about orders, in the port's
    events      the user data stream
    replies     what became of a request
    verdicts    the outcome table: what each refusal proves
    symbols     the rules of each symbol
"""
