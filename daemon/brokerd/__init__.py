"""
brokerd: the broker between trading bots and venues.

The house, from pure to shell; a module imports only from its own floor or one above it:

    values    money  errors  terms  events  times  ids  words  secrets
              sockets
    rules     states  orders  fold  limits  bounds  blotter  messages  commands  merge  doubt
              evidence  resolving  broker  gate  reconcile  filters  rpc  stats/
    ports     executor  storage  outcomes
    shells    config/  logs/  clock  journal/  history/  guard  retries  systemd
              signals  recall  strangers  hearing  engine  feed  dispatch  others  condition
              pauses  insync  questions  poller  listener  link  links
    socket    views  params  results  scorecard  contract  peer  discover  lookback
              subscriptions  survey/  trading  enquiries  statistician  sampler  overview
              methods  server  outgoing  connection  socketfile
    root      desk  supervisor  plugins  __main__
    clients   client/  cli/

Start with `engine`, then `broker`, then `states`; docs/architecture.md tells how an order walks
through them.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
