"""Tell what happened to an order, and how we know: `brokerctl explain my-order-1`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit
from brokerd.cli.jsontext import Record, as_list, as_record, as_records
from brokerd.cli.terminal import Column, Output, plain_text, show, width_of
from brokerd.cli.views import detail, member, ord_status, style_of, terms, time_member


def add_options(parser: Parser) -> None:
    """Declare the id."""
    parser.add_argument("id", metavar="ID", help="cl_ord_id, or executor:venue id")


def run(control: Control, options: Namespace) -> Exit:
    """Print one line a transition, with the evidence under it."""
    told = control.ask_by_id("order.explain", options.id)
    if control.out.is_json:
        control.out.records(as_records(told.get("transitions")))
    else:
        print("\n".join(story(control.out, told)))
    return Exit.DONE


def story(out: Output, told: Record) -> list[str]:
    """
    Return what order.explain tells as lines, the order first.

    A detail too long to stand beside its transition stands below it: nothing is left out for it.
    """
    order = as_record(told.get("order"))
    place = order.get("executor_id") or order.get("executor")
    heading = f"{show(order.get('cl_ord_id'))}  {terms(order)}  {show(place)}"
    status = ord_status(order)
    lines = [f"{plain_text(heading)}  {out.paint(status, style_of(status))}"]
    rows = _with_changes(as_records(told.get("transitions")))
    room = out.room(_COLUMNS, rows)
    for row in rows:
        is_long = room is not None and width_of(show(row["detail"])) > room
        row["beside"], row["below"] = ("", row["detail"]) if is_long else (row["detail"], "")
    columns = [*_COLUMNS, _DETAIL] if any(row["beside"] for row in rows) else _COLUMNS
    title, *texts = out.layout(columns, rows)
    lines.append(title)
    for text, row in zip(texts, rows, strict=True):
        below = [plain_text(show(row[name])) for name in ("below", "evidence") if row.get(name)]
        lines += [text, *(out.paint(f"    {each}", "dim") for each in below)]
    if order.get("in_doubt"):
        # Why it may last: what the venue does not promise.
        lines += [f"weakness: {plain_text(show(each))}" for each in as_list(told.get("weaknesses"))]
    return lines


def _with_changes(transitions: list[Record]) -> list[Record]:
    """Say with each transition what status it led from, and to."""
    before = ""
    rows: list[Record] = []
    for transition in transitions:
        after = ord_status(transition)
        change = f"{before} -> {after}" if before and before != after else after
        rows.append({**transition, "change": change, "detail": detail(transition)})
        before = after
    return rows


def _style_of_change(change: str) -> str | None:
    return style_of(change.rpartition(" ")[2])


_COLUMNS = [
    Column("at", time_member("at"), 3),
    Column("seq", member("seq"), 5, right=True),
    Column("event", member("event")),
    Column("status", member("change"), style=_style_of_change),
    Column("cum_qty", member("cum_qty"), 4, right=True),
    Column("road", member("road"), 1),
]
_DETAIL = Column("detail", member("beside"), 9)
