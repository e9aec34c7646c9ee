"""
The whole page: head, key figures, pictures, tables, for live orders and for paper apart.

It needs nothing else: no script, no network, no font. Its style follows the reader's light or dark.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from brokerd.cli.figures import amounts, bps, count, decimal, n_of, percent, rejected_part, span
from brokerd.cli.jsontext import Record, as_record, as_records
from brokerd.cli.report import charts
from brokerd.cli.report.measures import Measured, worst
from brokerd.cli.report.style import STYLE
from brokerd.cli.report.tables import scorecard, worst_orders
from brokerd.cli.terminal import show

WORST_COUNT = 10
MODES = {"paper": "simulated fills: nothing here was paid or earned", "live": "real orders"}


@dataclass(frozen=True)
class Report:
    """
    What the page tells: `told` is stats.get's answer, `by_executor` the same by executor.

    `orders` are those that could be read one by one, the newest; `words` say what was asked for.
    """

    told: Record
    by_executor: Record
    orders: list[Measured]
    words: list[str] = field(default_factory=list[str])


def page(report: Report) -> str:
    """Return the page."""
    title = "brokerd: how our orders were executed"
    rows = as_records(report.told.get("rows"))
    parts = [_section(report, row) for row in rows] or ["<p>No order matches.</p>"]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">""",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{title}</title><style>{STYLE}</style></head><body>",
            f"<header><h1>{title}</h1>{_asked(report)}</header>",
            *parts,
            _footer(report),
            "</body></html>",
            "",
        ]
    )


def _asked(report: Report) -> str:
    window = as_record(report.told.get("window"))
    since, until = (show(window.get(name))[:19].replace("T", " ") for name in ("since", "until"))
    told = [
        f"orders {show(window.get('by'))} {f'from {since}' if since else 'at any time'} to {until} UTC",
        *report.words,
        f"up to seq {count(report.told.get('seq'))}",
    ]
    return f"<p>{escape('; '.join(told))}</p>"


def _section(report: Report, row: Record) -> str:
    mode = show(row.get("mode"))
    rows = as_records(report.by_executor.get("rows"))
    executors = [each for each in rows if show(each.get("mode")) == mode]
    orders = _orders_of(report, mode)
    return "\n".join(
        [
            f"<section><h2>{escape(mode)} <small>{escape(MODES.get(mode, ''))}</small></h2>",
            f'<div class="tiles">{"".join(_tiles(row))}</div>',
            f'<div class="charts">{"".join(_charts(row, executors, orders))}</div>',
            "<h3>By venue: slippage in bps, n is how many orders could be measured</h3>",
            scorecard(executors),
            _worst(row, orders),
            "</section>",
        ]
    )


def _orders_of(report: Report, mode: str) -> list[Measured]:
    """Return the orders of executors that were only ever live, or only ever paper."""
    modes: dict[object, set[str]] = {}
    for row in as_records(report.by_executor.get("rows")):
        name = as_record(row.get("group")).get("executor")
        modes.setdefault(name, set()).add(show(row.get("mode")))
    return [each for each in report.orders if modes.get(each.order.get("executor")) == {mode}]


def _tiles(row: Record) -> Iterator[str]:
    slippage, ack = as_record(row.get("slippage_bps")), as_record(row.get("time_to_ack"))
    filled, doubts = as_record(row.get("time_to_fill")), as_record(row.get("doubts"))
    ratio = {
        name: percent(as_record(row.get(name)).get("value"))
        for name in ("fill_ratio_qty", "orders_full_fill")
    }
    of_what = (
        "of the quantity",
        rejected_part(row),
        f"{ratio['orders_full_fill']} of orders in full",
    )
    yield _tile(
        "orders",
        count(row.get("orders")),
        f"{count(row.get('fills'))} fills, {amounts(row.get('volume'))}",
    )
    yield _tile(
        "slippage",
        f"{bps(slippage.get('bps'))} bps",
        f"weighted; cost {amounts(row.get('slippage_cost'))}; n {n_of(slippage)}",
    )
    yield _tile(
        "filled",
        ratio["fill_ratio_qty"],
        "; ".join(filter(None, of_what)),
    )
    yield _tile(
        "to ack",
        span(ack.get("p50_s")),
        f"median; p95 {span(ack.get('p95_s'))}; n {n_of(ack)}",
    )
    yield _tile(
        "to full fill",
        span(filled.get("p50_s")),
        f"median of the filled; p95 {span(filled.get('p95_s'))}; n {n_of(filled)}",
    )
    yield _tile(
        "in doubt",
        count(doubts.get("requests")),
        f"{count(doubts.get('unresolved'))} unresolved; {count(row.get('retries'))} retries",
    )
    yield _tile("fees", amounts(row.get("fees")), "")


def _tile(name: str, value: str, more: str) -> str:
    return f"<div><b>{escape(name)}</b><strong>{escape(value)}</strong><span>{escape(more)}</span></div>"


def _charts(row: Record, executors: Sequence[Record], orders: Sequence[Measured]) -> Iterator[str]:
    slippage = as_record(row.get("slippage_bps"))
    known = [float(each.bps) for each in orders if each.bps is not None]
    marks = [
        (f"{name} {bps(value)}", float(number), style)
        for name, value, style in (
            ("weighted", slippage.get("bps"), "mark"),
            ("median", slippage.get("median_bps"), "mark2"),
        )
        if (number := decimal(value)) is not None
    ]
    of_all = f"{count(len(known))} of {count(row.get('orders'))} orders: the rest have no fill, no fresh quote at arrival, or are older than the newest that were read."
    yield _figure(
        "Slippage by order", charts.histogram(known, marks), f"Against the mid at arrival; {of_all}"
    )
    yield _figure(
        "Filled by time since receipt",
        charts.fill_curves(_curves(row, executors)),
        _curve_words(row),
    )
    yield _figure(
        "Slippage against size",
        charts.scatter(orders),
        f"{of_all} At most {count(charts.DOTS_MAX)} are drawn; those beyond the edge stand on it.",
    )
    yield _figure(
        "Stages from receipt to done",
        charts.stages(orders),
        f"Of {count(len(orders))} orders; each stage of those that passed it.",
    )
    ends = "Blue: status now. Grey: the reasons of those that were not filled."
    yield _figure("How orders ended", charts.outcomes(row), ends)
    yield _figure(
        "Markouts",
        charts.markouts(row),
        "bps; above 0 the market went our way after the fill. Bars: p5 to p95 of fills, dot: mean by quantity.",
    )


def _curves(row: Record, executors: Sequence[Record]) -> list[tuple[str, Record]]:
    if len(executors) < 2:
        return [("all orders", row)]
    return [
        ("all orders", row),
        *((show(as_record(each.get("group")).get("executor")), each) for each in executors),
    ]


def _curve_words(row: Record) -> str:
    points, full = as_records(row.get("filled_by")), as_record(row.get("orders_full_fill"))
    if not points:
        return "No order was filled in full."
    return (
        f"Kaplan-Meier: orders that ended unfilled count until they ended. {percent(full.get('value'))} of "
        f"{count(full.get('n'))} orders were filled in full; the curve ends at {percent(points[-1].get('share'))}, "
        f"with {count(points[-1].get('at_risk'))} left to watch."
    )


def _figure(title: str, drawing: str, caption: str) -> str:
    drawn = drawing or '<p class="none">nothing to draw: no order could be measured</p>'
    return f"<figure><h3>{escape(title)}</h3>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _worst(row: Record, orders: Sequence[Measured]) -> str:
    assets = list(as_record(row.get("slippage_cost")))
    by_cost = len(assets) == 1
    ranked = worst(orders, WORST_COUNT, by_cost=by_cost)
    unit = (
        f"cost in {assets[0]}"
        if by_cost
        else "bps: costs in different currencies cannot be compared"
    )
    title = f"<h3>The {count(len(ranked))} worst orders, by {escape(unit)}</h3>"
    return (
        f"{title}{worst_orders(ranked)}"
        if ranked
        else "<h3>No order cost more than its mid at arrival</h3>"
    )


def _footer(report: Report) -> str:
    sign = show(report.told.get("sign"))
    told = [
        f"{count(len(report.orders))} orders were read one by one",
        sign,
        f"quantiles {show(report.told.get('quantiles'))}",
    ]
    return f"<footer>{escape('; '.join(each for each in told if each))}.</footer>"
