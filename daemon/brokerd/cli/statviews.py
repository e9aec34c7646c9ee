"""How statistics look: a table by group, or a card with small plots. Pure: rows of stats.get -> lines."""

from collections.abc import Callable, Iterator, Sequence

from brokerd.cli.figures import (
    MISSING,
    amounts,
    bps,
    count,
    curve,
    decimal,
    n_of,
    percent,
    rejected_part,
    span,
)
from brokerd.cli.jsontext import Record, as_record, as_records
from brokerd.cli.plots import bar
from brokerd.cli.terminal import GAP, Column, Output, plain_text, show
from brokerd.cli.views import member, style_of

BAR_CELLS, CURVE_CELLS = 20, 40
LABEL_CELLS = 12

COSTS = {
    "slippage_bps": "slippage",
    "slippage_touch_bps": "to touch",
    "slippage_decision_bps": "to decision",
    "slippage_limit_bps": "to limit",
    "delay_bps": "delay",
}
TIMES = {
    "time_to_ack": "to ack",
    "time_to_first_fill": "to first fill",
    "time_to_fill": "to full fill",
}

LEGEND = (
    "slippage: bps against the mid at arrival, by quantity; above 0 is worse for us. "
    "n: orders that could be measured."
)


def columns(group_by: Sequence[str]) -> list[Column]:
    """Return the columns of a table with one row a group."""
    return [
        *(Column(key, _in("group", key)) for key in group_by),
        Column("mode", member("mode"), 0 if not group_by else 2, style=_mode_style),
        Column("orders", _count_of("orders"), right=True),
        Column("filled", _percent_of("fill_ratio_qty"), 1, right=True),
        Column("slippage", _bps_of("slippage_bps", "bps"), right=True, style=_cost_style),
        Column("median", _bps_of("slippage_bps", "median_bps"), 4, right=True),
        Column("p95", _bps_of("slippage_bps", "p95_bps"), 5, right=True),
        Column("n", _n_of("slippage_bps"), 3, right=True),
        Column("ack p50", _time_of("time_to_ack", "p50_s"), 6, right=True),
        Column("ack p95", _time_of("time_to_ack", "p95_s"), 8, right=True),
        Column("fill p50", _time_of("time_to_fill", "p50_s"), 5, right=True),
        Column("fill p95", _time_of("time_to_fill", "p95_s"), 8, right=True),
        Column("rejected", _sum_of("rejected"), 7, right=True),
        Column("doubts", _doubts, 7, right=True),
        Column("fees", _fees, 9, right=True),
    ]


def card(out: Output, row: Record) -> list[str]:
    """Return one row's figures, each with its benchmark and how many orders it is made of."""
    title = [show(row.get("mode")), *_group_words(row)]
    lines = [
        out.paint(plain_text(f"{'  '.join(title)}  {count(row.get('orders'))} orders"), "bold")
    ]
    lines += _labelled(out, _how_much(row))
    lines += ["", *out.layout(_COST_COLUMNS, list(_costs(row)))]
    lines += ["", *out.layout(_TIME_COLUMNS, list(_times(row)))]
    return [*lines, *_labelled(out, _filled_by(row))]


def window_words(told: Record) -> str:
    """Return which orders were meant: "created since 2026-01-31 09:30:00, up to seq 527"."""
    window = as_record(told.get("window"))
    since, until = (show(window.get(name))[:19].replace("T", " ") for name in ("since", "until"))
    words = f"{show(window.get('by'))} {f'since {since}' if since else 'at any time'}"
    return plain_text(f"{words} until {until}, up to seq {count(told.get('seq'))}")


def remarks(told: Record) -> list[str]:
    """Return what goes with every answer: which orders, what the signs mean, what is not shown."""
    left_out = told.get("rows_left_out")
    more = [f"rows left out: {count(left_out)} (--limit shows more)"] if left_out else []
    return [window_words(told), LEGEND, *_of_rejected(as_records(told.get("rows"))), *more]


def _of_rejected(rows: Sequence[Record]) -> list[str]:
    """Return the hint at the row of which most was ordered by rejected orders; none, if none is."""
    parts = [
        (
            decimal(as_record(row.get("fill_ratio_qty")).get("rejected_share")) or 0,
            rejected_part(row),
        )
        for row in rows
    ]
    share, part = max(parts, default=(0, ""))
    if not share:
        return []
    most = part if len(rows) == 1 else f"in one row {part}"
    return [f"filled: of all that was ordered, {most}"]


def _how_much(row: Record) -> Iterator[tuple[str, str]]:
    outcomes = as_record(row.get("outcomes"))
    total = sum(_whole(outcomes))
    for name, many in sorted(outcomes.items(), key=lambda item: -int(item[1])):
        yield name, f"{bar(many / total, BAR_CELLS)} {count(many)} of {count(total)}"
    shares = {
        "fill_ratio_qty": "of the quantity",
        "orders_any_fill": "of orders in part",
        "orders_full_fill": "in full",
    }
    told = [
        f"{percent(as_record(row.get(name)).get('value'))} {what}" for name, what in shares.items()
    ]
    if part := rejected_part(row):
        told[0] += f" ({part})"
    yield "filled", ", ".join(told)
    for name in ("rejected", "canceled", "expired"):
        reasons = as_record(row.get(name))
        if reasons:
            yield (
                f"why {name}",
                ", ".join(
                    f"{reason or 'unsaid'} {count(many)}" for reason, many in reasons.items()
                ),
            )
    yield "volume", f"{amounts(row.get('volume'))}, fees {amounts(row.get('fees'))}"
    doubts = as_record(row.get("doubts"))
    lasted = as_record(doubts.get("lasted"))
    told = [
        count(doubts.get("requests")),
        f"{count(doubts.get('unresolved'))} unresolved",
        f"lasted {span(lasted.get('p50_s'))} (p95 {span(lasted.get('p95_s'))}){_across(lasted)}",
        f"retries {count(row.get('retries'))}",
    ]
    yield "doubts", ", ".join(told)


def _costs(row: Record) -> Iterator[Record]:
    for name, label in COSTS.items():
        yield {"label": label, "amount": "", **as_record(row.get(name))} | (
            {"amount": amounts(row.get("slippage_cost"))} if name == "slippage_bps" else {}
        )
    shortfall = as_record(row.get("shortfall"))
    yield {"label": "shortfall", **shortfall, "amount": amounts(shortfall.get("sum"))}
    for horizon, figure in as_record(row.get("markout_bps")).items():
        yield {"label": f"gain at {horizon}", "amount": "", **as_record(figure)}


def _times(row: Record) -> Iterator[Record]:
    for name, label in TIMES.items():
        figure = as_record(row.get(name))
        measured = f"{show(figure.get('measured'))}{_across(figure)}"
        yield {"label": label, **figure} | {"measured": measured}


def _across(figure: Record) -> str:
    """Say how many of the times were not measured within one run of the daemon, if any."""
    number = figure.get("across_restarts")
    return f"; across a restart: {count(number)}" if number else ""


def _filled_by(row: Record) -> Iterator[tuple[str, str]]:
    points = as_records(row.get("filled_by"))
    if points:
        first, last = points[0], points[-1]
        ends = [span(point.get("after_s")) for point in (first, last)]
        reached = f"{percent(last.get('share'))}, with what was not filled counted until it ended"
        yield "filled by", f"{ends[0]} {curve(points, CURVE_CELLS)} {ends[1]}: {reached}"


def _labelled(out: Output, told: Iterator[tuple[str, str]]) -> list[str]:
    return [
        f"{out.paint(plain_text(label).ljust(LABEL_CELLS), 'dim')}{GAP}{plain_text(text)}"
        for label, text in told
    ]


def _group_words(row: Record) -> list[str]:
    return [f"{key}={show(value)}" for key, value in as_record(row.get("group")).items()]


def _in(outer: str, name: str) -> Callable[[Record], str]:
    return lambda row: show(as_record(row.get(outer)).get(name)) or MISSING


def _bps_of(figure: str, name: str) -> Callable[[Record], str]:
    return lambda row: bps(as_record(row.get(figure)).get(name))


def _time_of(figure: str, name: str) -> Callable[[Record], str]:
    return lambda row: span(as_record(row.get(figure)).get(name))


def _n_of(figure: str) -> Callable[[Record], str]:
    return lambda row: n_of(as_record(row.get(figure)))


def _percent_of(figure: str) -> Callable[[Record], str]:
    return lambda row: percent(as_record(row.get(figure)).get("value"))


def _count_of(name: str) -> Callable[[Record], str]:
    return lambda row: count(row.get(name))


def _sum_of(name: str) -> Callable[[Record], str]:
    return lambda row: count(sum(_whole(as_record(row.get(name)))))


def _doubts(row: Record) -> str:
    return count(as_record(row.get("doubts")).get("requests"))


def _fees(row: Record) -> str:
    return amounts(row.get("fees"))


def _whole(counts: Record) -> list[int]:
    return [each for each in counts.values() if isinstance(each, int)]


def _own_bps(name: str) -> Callable[[Record], str]:
    return lambda figure: bps(figure.get(name))


def _own_span(name: str) -> Callable[[Record], str]:
    return lambda figure: span(figure.get(name))


def _cost_style(text: str) -> str | None:
    return {"+": "red", "-": "green"}.get(text.strip()[:1]) if text.strip() != MISSING else None


def _mode_style(mode: str) -> str | None:
    return "yellow" if mode == "paper" else style_of(mode)


_COST_COLUMNS = [
    Column("bps", member("label")),
    Column("weighted", _own_bps("bps"), right=True),
    Column("mean", _own_bps("mean_bps"), 3, right=True),
    Column("p5", _own_bps("p5_bps"), 5, right=True),
    Column("median", _own_bps("median_bps"), 2, right=True),
    Column("p95", _own_bps("p95_bps"), 4, right=True),
    Column("n", n_of, 1, right=True),
    Column("amount", member("amount"), 6, right=True),
    Column("against", member("benchmark"), 7),
]

_TIME_COLUMNS = [
    Column("time", member("label")),
    Column("mean", _own_span("mean_s"), 2, right=True),
    Column("p50", _own_span("p50_s"), right=True),
    Column("p95", _own_span("p95_s"), right=True),
    Column("p99", _own_span("p99_s"), 3, right=True),
    Column("n", n_of, 1, right=True),
    Column("measured", member("measured"), 4),
]
