"""What the methods give, beside orders: the shapes."""

from typing import Any

from msgspec import Struct

from brokerd.executor import Capabilities, LinkState
from brokerd.limits import Limits
from brokerd.views import Digits, ShownFill, ShownOrder


class CancelAll(Struct, frozen=True):
    """
    How many orders were asked to be canceled, and which; those already done are not counted.

    `out_of_reach` match, too, but their executors are not configured any more: nothing was asked.
    """

    requested: int
    cl_ord_ids: list[str]
    out_of_reach: list[str]


class Orders(Struct, frozen=True):
    """A page of orders; `next_cursor` asks for the next, null at the end."""

    orders: list[ShownOrder]
    next_cursor: str | None


class Fills(Struct, frozen=True):
    """A page of executions; `next_cursor` asks for the next, null at the end."""

    fills: list[ShownFill]
    next_cursor: str | None


class Explanation(Struct, frozen=True):
    """
    An order and every event that made it what it is, oldest first, each with its evidence.

    `weaknesses` is what the order's venue does not promise: why a doubt may last.
    """

    order: ShownOrder
    transitions: list[dict[str, Any]]
    weaknesses: list[str]


class Subscribed(Struct, frozen=True):
    """The seq after which events will come."""

    seq: int


class Unsubscribed(Struct, frozen=True):
    """How many subscriptions ended."""

    ended: int


class Pong(Struct, frozen=True):
    """The daemon is there."""

    pong: bool
    version: str


class Thawed(Struct, frozen=True):
    """The executor takes new orders again, as far as its link is up."""

    executor: str
    state: LinkState


class Stopping(Struct, frozen=True):
    """The daemon will stop in order."""

    stopping: bool


class Doubt(Struct, frozen=True):
    """
    A request whose outcome nobody knows yet, since when, and how often the venue was asked.

    `leaves_qty` is what may be open of its order at most, by a replace the larger quantity: so much
    counts in the limits.
    """

    cl_ord_id: str
    executor: str
    request: str
    since: str
    leaves_qty: Digits
    questions: int


class ShownExecutor(Struct, frozen=True):
    """
    One executor: its link, what its venue promises, and what went over it.

    `weaknesses` says in sentences what the venue does not promise. `clock_offset_s` is the venue's
    clock minus ours, `budget_left` what may still be sent in each window, and until `paused_until`
    nothing is sent. `open_orders` and `open_notional` are what counts in the `limits`, doubts in full;
    null where there are none. `in_doubt` lists the longest doubts, `in_doubt_count` counts them all. `missed_by_stream` counts what polls found while the stream seemed well;
    `external_reports` counts reports of orders of other origin that are not followed, and
    `external_fills` the executions of late among them.
    """

    name: str
    adapter: str
    state: LinkState
    reason: str
    since: str
    capabilities: Capabilities
    symbols: list[str]
    orders_unsettled: int
    in_doubt: list[Doubt]
    in_doubt_count: int
    backlog: int
    retries: int
    questions: int
    stream_reports: int
    missed_by_stream: int
    external_reports: int
    external_fills: int
    limits: Limits | None
    open_orders: int | None
    open_notional: Digits | None
    weaknesses: list[str]
    clock_offset_s: float | None
    clock_error_s: float | None
    budget_left: dict[str, int]
    paused_until: str | None
    pause_reason: str


class Executors(Struct, frozen=True):
    """Every configured executor."""

    executors: list[ShownExecutor]


class OrderCounts(Struct, frozen=True):
    """
    How the orders stand: `submitted` are all on record, those of other origin that are followed
    included; `in_memory` are the ones not settled and some of the settled.
    """

    open: int
    pending: int
    in_doubt: int
    in_memory: int
    submitted: int


class DaemonInfo(Struct, frozen=True):
    """
    The daemon, for people and for `brokerctl status`.

    `in_doubt` lists the longest doubts; `orders.in_doubt` counts them all. `clock_step_s` is how far the host's clock was set since the start: times on record go on
    without the step until the next start.
    """

    version: str
    pid: int
    started_at: str
    uptime_s: float
    epoch: str
    seq: int
    journal: str
    socket: str
    config: str
    accepts_orders: bool
    orders: OrderCounts
    in_doubt: list[Doubt]
    executors: dict[str, LinkState]
    connections: int
    subscribers: int
    calls: int
    batches: int
    reports_of_unknown_orders: int
    log_lines_dropped: int
    clock_step_s: float
