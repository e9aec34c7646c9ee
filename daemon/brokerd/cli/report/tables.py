"""Rows -> HTML tables, every cell escaped. Pure."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Generic, NamedTuple, TypeVar

from brokerd.cli.figures import amount, amounts, bps, count, n_of, percent, span
from brokerd.cli.jsontext import Record, as_record
from brokerd.cli.report.measures import Measured
from brokerd.cli.terminal import show

Row = TypeVar("Row")


class Column(NamedTuple, Generic[Row]):
    """A title, what stands in a row's cell, and whether it is a number."""

    title: str
    cell: Callable[[Row], str]
    is_number: bool = True


def table(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> str:
    """Return a table that scrolls by itself where it is too wide."""
    head = "".join(f"<th{_number(c)}>{escape(c.title)}</th>" for c in columns)
    body = "".join(
        f"<tr>{''.join(f'<td{_number(c)}>{escape(c.cell(row))}</td>' for c in columns)}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def scorecard(rows: Sequence[Record]) -> str:
    """Return one row an executor."""
    return table(_SCORES, rows)


def worst_orders(orders: Sequence[Measured]) -> str:
    """Return one row an order."""
    return table(_WORST, orders)


def _number(column: Column[Row]) -> str:
    return ' class="n"' if column.is_number else ""


def _figure(name: str, part: str, tell: Callable[[object], str]) -> Callable[[Record], str]:
    return lambda row: tell(as_record(row.get(name)).get(part))


def _gain(horizon: str) -> Callable[[Record], str]:
    return lambda row: bps(as_record(as_record(row.get("markout_bps")).get(horizon)).get("bps"))


def _executor(row: Record) -> str:
    return show(as_record(row.get("group")).get("executor"))


def _orders(row: Record) -> str:
    return count(row.get("orders"))


def _measured(row: Record) -> str:
    return n_of(as_record(row.get("slippage_bps")))


def _rejected(row: Record) -> str:
    number = sum(each for each in as_record(row.get("rejected")).values() if isinstance(each, int))
    share = as_record(row.get("fill_ratio_qty")).get("rejected_share")
    return f"{count(number)} ({percent(share)})" if number else count(number)


def _fees(row: Record) -> str:
    return amounts(row.get("fees"))


_SCORES: list[Column[Record]] = [
    Column("executor", _executor, is_number=False),
    Column("orders", _orders),
    Column("filled", _figure("fill_ratio_qty", "value", percent)),
    Column("slippage", _figure("slippage_bps", "bps", bps)),
    Column("median", _figure("slippage_bps", "median_bps", bps)),
    Column("p95", _figure("slippage_bps", "p95_bps", bps)),
    Column("n", _measured),
    Column("to touch", _figure("slippage_touch_bps", "bps", bps)),
    Column("gain at 5s", _gain("5s")),
    Column("ack p50", _figure("time_to_ack", "p50_s", span)),
    Column("ack p95", _figure("time_to_ack", "p95_s", span)),
    Column("fill p50", _figure("time_to_fill", "p50_s", span)),
    Column("rejected (of the quantity)", _rejected),
    Column("doubts", _figure("doubts", "requests", count)),
    Column("fees", _fees),
]


def _of_order(name: str) -> Callable[[Measured], str]:
    return lambda each: show(each.order.get(name))


def _when(each: Measured) -> str:
    return show(each.order.get("created_at"))[:19].replace("T", " ")


def _took(each: Measured) -> str:
    return span(each.stages_s.get("receipt to done"))


def _bps(each: Measured) -> str:
    return bps(each.bps)


def _cost(each: Measured) -> str:
    return amount(each.cost)


_WORST: list[Column[Measured]] = [
    Column("order", _of_order("cl_ord_id"), is_number=False),
    Column("created", _when, is_number=False),
    Column("executor", _of_order("executor"), is_number=False),
    Column("symbol", _of_order("symbol"), is_number=False),
    Column("side", _of_order("side"), is_number=False),
    Column("type", _of_order("ord_type"), is_number=False),
    Column("filled", _of_order("cum_qty")),
    Column("avg px", _of_order("avg_px")),
    Column("bps", _bps),
    Column("cost", _cost),
    Column("took", _took),
]
