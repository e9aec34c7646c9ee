"""The shapes of execution statistics, as `stats.get` gives them."""

from typing import Literal

from msgspec import Struct

from brokerd.views import Digits

Amounts = dict[str, Digits]
"""Amounts by asset: what is in different assets is never added together."""


class ShownWindow(Struct, frozen=True):
    """Whose orders: `since` <= the time named by `by` < `until`; a null `since` is the beginning."""

    by: Literal["created", "closed", "filled"]
    since: str | None
    until: str


class Cost(Struct, frozen=True):
    """
    A cost (or with markouts a gain) in basis points against a benchmark.

    `bps` is weighted, the headline; the others are of single orders (fills): plain mean, 5th
    percentile, median, 95th. `bps` is null where a row mixes quote assets.
    """

    benchmark: str
    weighting: str
    n: int
    total: int
    missing: int
    bps: Digits | None
    mean_bps: Digits | None
    p5_bps: Digits | None
    median_bps: Digits | None
    p95_bps: Digits | None


class Duration(Struct, frozen=True):
    """
    A time that passed, over the orders that it is known of.

    Of so many, `across_restarts`, the daemon was started anew meanwhile: those are measured by the
    wall clock, all others by one that does not step.
    """

    measured: str
    n: int
    total: int
    missing: int
    across_restarts: int
    mean_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


class FillDuration(Duration, frozen=True):
    """
    From receipt to the last fill, of fully filled orders only: read it beside the fill ratios.

    `qty_weighted_mean_s` is over every fill of every order, each by its quantity; before
    `fills_across_restarts` of them the daemon was started anew since the receipt.
    """

    qty_weighted_mean_s: float | None
    fills_across_restarts: int


class CurvePoint(Struct, frozen=True):
    """By `after_s` from receipt this share is fully filled; `at_risk` orders were still waiting."""

    after_s: float
    share: Digits
    at_risk: int


class Ratio(Struct, frozen=True):
    """A share from 0 to 1, and what it is a share of."""

    measured: str
    n: int
    value: Digits | None


class QtyRatio(Ratio, frozen=True):
    """
    Filled quantity of all that was ordered, by rejected orders, too.

    So many were rejected, and `rejected_share` of the quantity with them: one order far too large
    can be nearly all of it.
    """

    rejected_orders: int
    rejected_share: Digits | None


class Shortfall(Struct, frozen=True):
    """
    Implementation shortfall against the decision price, in its parts, which sum exactly to `total`.

    Amounts in the quote asset; `bps` is of the total over quantity x decision price, the headline,
    and the others are of single orders, as in `Cost`. Of orders that are done, with a decision
    price, an arrival quote, fees in the two assets traded, and a quote at the end if something was
    left unfilled.
    """

    benchmark: str
    weighting: str
    n: int
    total: int
    missing: int
    delay: Amounts
    trading: Amounts
    opportunity: Amounts
    fees: Amounts
    sum: Amounts
    bps: Digits | None
    mean_bps: Digits | None
    p5_bps: Digits | None
    median_bps: Digits | None
    p95_bps: Digits | None


class Arrival(Struct, frozen=True):
    """The quotes at receipt: orders with one that was fresh, how many were stale, mean age."""

    n: int
    total: int
    missing: int
    stale: int
    mean_age_s: float | None


class Doubts(Struct, frozen=True):
    """Requests whose outcome was unknown: how many, of how many orders, how long until it was not."""

    requests: int
    orders: int
    unresolved: int
    lasted: Duration


class StatsRow(Struct, frozen=True):
    """
    One group's figures. `group` has what was grouped by, null where an order has no such key.

    `mode` is always a part of the group: paper and live are never mixed. `outcomes` counts orders
    by ord_status; `rejected`, `canceled` and `expired` count them by reason ("" if none was given).
    """

    group: dict[str, str | None]
    mode: Literal["live", "paper"]
    orders: int
    fills: int
    outcomes: dict[str, int]
    rejected: dict[str, int]
    canceled: dict[str, int]
    expired: dict[str, int]
    retries: int
    orders_retried: int
    doubts: Doubts
    volume: Amounts
    fees: Amounts
    arrival: Arrival
    slippage_bps: Cost
    slippage_touch_bps: Cost
    slippage_decision_bps: Cost
    slippage_limit_bps: Cost
    delay_bps: Cost
    slippage_cost: Amounts
    shortfall: Shortfall
    markout_bps: dict[str, Cost]
    time_to_ack: Duration
    time_to_first_fill: Duration
    time_to_fill: FillDuration
    filled_by: list[CurvePoint]
    fill_ratio_qty: QtyRatio
    orders_any_fill: Ratio
    orders_full_fill: Ratio


class Statistics(Struct, frozen=True):
    """
    Execution statistics, one row a group, the rows with most orders first.

    As of journal row `seq`. `rows_left_out` counts groups beyond `limit`.
    """

    seq: int
    at: str
    window: ShownWindow
    group_by: list[str]
    sign: str
    quantiles: str
    orders: int
    rows: list[StatsRow]
    rows_left_out: int
