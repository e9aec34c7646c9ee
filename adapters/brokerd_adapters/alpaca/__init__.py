"""
Alpaca: US stocks and crypto through its Trading API v2, paper and live.

    wire        what it says, as records
    chains      one order of ours is a chain of orders there
    reports     what its words mean to the broker
    requests    what we ask, as paths and bodies
    rules       what it would refuse, told before sending
    outcomes    what its answers prove

docs/alpaca.md tells what this venue promises, and what it does not.
"""
