"""From tallies to what bots see: a row of figures for each group."""

from collections.abc import Mapping
from decimal import Decimal

from brokerd.money import digits, from_units
from brokerd.params import Window
from brokerd.scorecard.shapes import (
    Amounts,
    Arrival,
    Cost,
    CurvePoint,
    Doubts,
    Duration,
    FillDuration,
    QtyRatio,
    Ratio,
    Shortfall,
    ShownWindow,
    Statistics,
    StatsRow,
)
from brokerd.states import OrdStatus
from brokerd.stats import figures
from brokerd.stats.marks import HORIZONS
from brokerd.stats.sample import AMOUNT_PLACES
from brokerd.stats.tally import Table, Tally, empty, largest_first, merge
from brokerd.times import rfc3339

SIGN = "costs above 0 are worse for us, on both sides; markouts above 0 are gains"
EXACT = "exact: nearest rank"
COARSE = "nearest rank, within 0.4 % of the value"


def show_statistics(
    table: Table, *, window: Window, seq: int, now_ns: int, limit: int
) -> Statistics:
    """Show the rows of a table, the largest first, no more than `limit`."""
    orders = {
        row: sum(tally.sum("orders") for tally in by_asset.values())
        for row, by_asset in table.rows.items()
    }
    shown = largest_first(orders)[:limit]
    return Statistics(
        seq=seq,
        at=rfc3339(now_ns),
        window=ShownWindow(
            window.by,
            rfc3339(window.since_ns) if window.since_ns is not None else None,
            rfc3339(window.until_ns if window.until_ns is not None else now_ns),
        ),
        group_by=list(table.group_by),
        sign=SIGN,
        quantiles=EXACT if table.is_exact else COARSE,
        orders=table.orders,
        rows=[
            show_row(
                dict(zip(table.group_by, row[1], strict=True)),
                is_paper=row[0],
                by_asset=table.rows[row],
            )
            for row in shown
        ],
        rows_left_out=len(orders) - len(shown) + table.rows_left_out,
    )


def show_row(
    group: dict[str, str | None], *, is_paper: bool, by_asset: Mapping[str, Tally]
) -> StatsRow:
    """Show one group; its tallies are kept apart by quote asset."""
    whole = empty()
    for tally in by_asset.values():
        merge(whole, tally)
    is_one = len(by_asset) == 1
    return StatsRow(
        group=group,
        mode="paper" if is_paper else "live",
        orders=whole.sum("orders"),
        fills=whole.sum("fills"),
        outcomes={word: n for word, n in sorted(whole.words.items()) if ":" not in word},
        rejected=_reasons(whole, OrdStatus.REJECTED),
        canceled=_reasons(whole, OrdStatus.CANCELED),
        expired=_reasons(whole, OrdStatus.EXPIRED),
        retries=whole.sum("retries"),
        orders_retried=whole.sum("orders_retried"),
        doubts=_doubts(whole),
        volume=_amounts(by_asset, "notional"),
        fees={asset: _amount(fee) for asset, fee in sorted(whole.fees.items())},
        arrival=_arrival(whole),
        slippage_bps=_cost(whole, "slippage", is_one=is_one),
        slippage_touch_bps=_cost(whole, "touch", is_one=is_one),
        slippage_decision_bps=_cost(whole, "decision", is_one=is_one),
        slippage_limit_bps=_cost(whole, "limit", is_one=is_one),
        delay_bps=_cost(whole, "delay", is_one=is_one),
        slippage_cost=_amounts(by_asset, "slippage_cost", "slippage_n"),
        shortfall=_shortfall(whole, by_asset),
        markout_bps={each.name: _markout(whole, each.name) for each in HORIZONS},
        time_to_ack=_duration(whole, "time_to_ack", "orders"),
        time_to_first_fill=_duration(whole, "time_to_first_fill", "any_fill"),
        time_to_fill=_time_to_fill(whole),
        filled_by=_curve(whole),
        fill_ratio_qty=_qty_ratio(whole),
        orders_any_fill=_ratio(whole, "orders with a fill", "any_fill", "orders"),
        orders_full_fill=_ratio(whole, "orders filled in full", "full_fill", "orders"),
    )


_BENCHMARKS = {
    "slippage": ("mid at arrival", "by quantity filled x benchmark", "any_fill"),
    "touch": ("far touch at arrival: ask of a buy, bid of a sell", "by quantity filled x benchmark", "any_fill"),
    "decision": ("decision_px", "by quantity filled x benchmark", "any_fill"),
    "limit": ("px", "by quantity filled x benchmark", "with_limit"),
    "delay": ("mid at arrival, against mid when sent", "by quantity ordered x benchmark", "orders"),
}  # fmt: skip

_MEASURED = {
    "time_to_ack": "from sending to the venue's first word",
    "time_to_first_fill": "from receipt to the first fill",
    "time_to_fill": "from receipt to the last fill, of orders filled in full",
    "doubt": "from the doubt to its end, of orders whose doubts have ended",
}


def _cost(tally: Tally, kind: str, *, is_one: bool) -> Cost:
    benchmark, weighting, of = _BENCHMARKS[kind]
    bps = figures.weighted_bps(tally, kind) if is_one else None
    return _spread(
        tally, kind, benchmark=benchmark, weighting=weighting, total=tally.sum(of), bps=bps
    )


def _markout(tally: Tally, name: str) -> Cost:
    kind, total = f"markout_{name}", tally.sum("fills")
    benchmark = f"mid {name} after each fill, against its price"
    bps = figures.weighted_markout_bps(tally, kind)
    return _spread(
        tally, kind, benchmark=benchmark, weighting="by quantity filled", total=total, bps=bps
    )


def _spread(
    tally: Tally, kind: str, *, benchmark: str, weighting: str, total: int, bps: Decimal | None
) -> Cost:
    count = tally.sum(f"{kind}_n")
    p5, median, p95 = figures.quantiles_bps(tally.spread(kind), (0.05, 0.5, 0.95))
    return Cost(
        benchmark=benchmark,
        weighting=weighting,
        n=count,
        total=total,
        missing=total - count,
        bps=_digits(bps),
        mean_bps=_digits(figures.mean_bps(tally, kind)),
        p5_bps=_digits(p5),
        median_bps=_digits(median),
        p95_bps=_digits(p95),
    )


def _duration(tally: Tally, kind: str, of: str) -> Duration:
    total, count = tally.sum(of), tally.sum(f"{kind}_n")
    p50, p95, p99 = figures.quantiles(tally.spread(kind), (0.5, 0.95, 0.99))
    return Duration(
        measured=_MEASURED[kind],
        n=count,
        total=total,
        missing=total - count,
        across_restarts=tally.sum(f"{kind}_across"),
        mean_s=round(tally.sum(f"{kind}_us") / count / 1e6, 6) if count else None,
        p50_s=_seconds(p50),
        p95_s=_seconds(p95),
        p99_s=_seconds(p99),
    )


def _time_to_fill(tally: Tally) -> FillDuration:
    plain, qty = _duration(tally, "time_to_fill", "full_fill"), tally.sum("cum_qty")
    return FillDuration(
        measured=plain.measured,
        n=plain.n,
        total=plain.total,
        missing=plain.missing,
        across_restarts=plain.across_restarts,
        mean_s=plain.mean_s,
        p50_s=plain.p50_s,
        p95_s=plain.p95_s,
        p99_s=plain.p99_s,
        qty_weighted_mean_s=round(tally.sum("fill_qty_us") / qty / 1e6, 6) if qty else None,
        fills_across_restarts=tally.sum("fills_across"),
    )


def _doubts(tally: Tally) -> Doubts:
    return Doubts(
        requests=tally.sum("doubts"),
        orders=tally.sum("orders_doubted"),
        unresolved=tally.sum("in_doubt"),
        lasted=_duration(tally, "doubt", "orders_doubted"),
    )


def _arrival(tally: Tally) -> Arrival:
    seen, stale, total = tally.sum("arrivals"), tally.sum("arrivals_stale"), tally.sum("orders")
    return Arrival(
        n=seen - stale,
        total=total,
        missing=total - seen + stale,
        stale=stale,
        mean_age_s=round(tally.sum("arrival_age_us") / seen / 1e6, 6) if seen else None,
    )


def _shortfall(whole: Tally, by_asset: Mapping[str, Tally]) -> Shortfall:
    parts = ("delay", "trading", "opportunity", "fees")
    total, count = whole.sum("orders"), whole.sum("shortfall_n")
    told = {part: _amounts(by_asset, f"shortfall_{part}", "shortfall_n") for part in parts}
    sums = {
        asset: sum(tally.sum(f"shortfall_{part}") for part in parts)
        for asset, tally in sorted(by_asset.items())
        if tally.sum("shortfall_n")
    }
    cost = sum(sums.values())
    bps = figures.share_bps(cost, whole.sum("shortfall_base")) if len(sums) == 1 else None
    p5, median, p95 = figures.quantiles_bps(whole.spread("shortfall"), (0.05, 0.5, 0.95))
    return Shortfall(
        benchmark="decision_px",
        weighting="by quantity ordered x decision_px",
        n=count,
        total=total,
        missing=total - count,
        **told,
        sum={asset: _amount(each) for asset, each in sums.items()},
        bps=_digits(bps),
        mean_bps=_digits(figures.mean_bps(whole, "shortfall")),
        p5_bps=_digits(p5),
        median_bps=_digits(median),
        p95_bps=_digits(p95),
    )


def _curve(tally: Tally) -> list[CurvePoint]:
    return [
        CurvePoint(at_us / 1e6, digits(share), at_risk)
        for at_us, share, at_risk in figures.filled_by(
            tally.spread("time_to_fill"), tally.spread("censored")
        )
    ]


def _ratio(tally: Tally, measured: str, part: str, whole: str) -> Ratio:
    value = figures.share(tally.sum(part), tally.sum(whole))
    return Ratio(measured, tally.sum("orders"), _digits(value))


def _qty_ratio(tally: Tally) -> QtyRatio:
    plain = _ratio(tally, "filled quantity of ordered quantity", "cum_qty", "qty")
    return QtyRatio(
        measured=plain.measured,
        n=plain.n,
        value=plain.value,
        rejected_orders=tally.sum("rejected"),
        rejected_share=_digits(figures.share(tally.sum("rejected_qty"), tally.sum("qty"))),
    )


def _reasons(tally: Tally, status: OrdStatus) -> dict[str, int]:
    prefix = f"{status}:"
    found = [(word, n) for word, n in tally.words.items() if word.startswith(prefix)]
    return {word.removeprefix(prefix): n for word, n in sorted(found)}


def _amounts(by_asset: Mapping[str, Tally], name: str, if_any: str = "any_fill") -> Amounts:
    return {
        asset: _amount(tally.sum(name))
        for asset, tally in sorted(by_asset.items())
        if tally.sum(if_any)
    }


def _amount(counted: int) -> str:
    return digits(from_units(counted, AMOUNT_PLACES))


def _digits(value: Decimal | None) -> str | None:
    return digits(value) if value is not None else None


def _seconds(us: int | None) -> float | None:
    return us / 1e6 if us is not None else None
