"""
The contract with bots: every method by name, with the shapes it takes and gives.

Pure. What bots are told of the methods (`rpc.discover`, the reference in the docs) is made from
this table, and `methods` must have a handler for each row.
"""

from typing import Any

from msgspec import Struct

from brokerd import params, results
from brokerd.scorecard import shapes
from brokerd.views import ShownOrder


class Method(Struct, frozen=True):
    """One row of the table."""

    name: str
    params: type[Struct]
    result: type[Any]
    summary: str


METHODS = (
    Method("order.submit", params.SubmitParams, ShownOrder, "Take a new order."),
    Method("order.cancel", params.OrderParams, ShownOrder, "Ask for a cancel."),
    Method(
        "order.cancel_all",
        params.TimedParams,
        results.CancelAll,
        "Ask for a cancel of every working order that matches.",
    ),
    Method(
        "order.replace",
        params.ReplaceParams,
        ShownOrder,
        "Ask for another total quantity or limit price.",
    ),
    Method(
        "order.resolve",
        params.ResolveParams,
        ShownOrder,
        "Say what became of a request in doubt that the venue will not tell of; for the daemon's owner.",
    ),
    Method("order.get", params.AnyIdParams, ShownOrder, "Show one order."),
    Method(
        "order.check",
        params.AnyIdParams,
        ShownOrder,
        "Ask the venue about one order now, and show it.",
    ),
    Method("order.list", params.ListParams, results.Orders, "List orders."),
    Method(
        "order.explain",
        params.AnyIdParams,
        results.Explanation,
        "Show every transition of one order, with its cause and evidence.",
    ),
    Method("fill.list", params.FillParams, results.Fills, "List executions."),
    Method(
        "stats.get",
        params.StatsParams,
        shapes.Statistics,
        "Measure executions over a window: costs, markouts, times, fill ratios, one row a group.",
    ),
    Method(
        "events.subscribe",
        params.SubscribeParams,
        results.Subscribed,
        "Send `event` notifications from `after_seq` on, without gap or repeat.",
    ),
    Method(
        "events.unsubscribe",
        params.NoParams,
        results.Unsubscribed,
        "End this connection's subscriptions.",
    ),
    Method(
        "executor.list",
        params.NoParams,
        results.Executors,
        "Show every executor: its link, its promises, what is in doubt.",
    ),
    Method(
        "executor.thaw",
        params.ThawParams,
        results.Thawed,
        "Let a frozen executor take new orders again, if a look finds no cause; for the daemon's owner.",
    ),
    Method(
        "daemon.info",
        params.NoParams,
        results.DaemonInfo,
        "Show the daemon: version, uptime, journal, counts.",
    ),
    Method("daemon.ping", params.NoParams, results.Pong, "Answer at once."),
    Method("daemon.stop", params.NoParams, results.Stopping, "Stop in order."),
    Method(
        "rpc.discover",
        params.NoParams,
        dict[str, Any],
        "Describe all methods as an OpenRPC document.",
    ),
)
