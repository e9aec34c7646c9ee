"""
brokerd: the broker between trading bots and venues.

The house, from pure to shell; a module imports only from its own floor or one above it:

    values    money  errors  terms  events
    rules     orders  blotter  broker  reconcile  views  rpc          (no clock, no I/O)
    port      executor
    shells    config  logs  clock  journal  history  engine  dispatch  poller  listener
              methods  server  supervisor  systemd
    root      __main__
    clients   cli

docs/architecture.md tells how an order walks through it.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
