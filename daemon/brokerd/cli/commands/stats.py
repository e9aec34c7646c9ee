"""Measure executions: `brokerctl stats --last 1d --by strategy`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser, add_order_filters, count, filters
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit
from brokerd.cli.jsontext import as_records
from brokerd.cli.lists import Listing, add_watch, show_list
from brokerd.cli.statviews import card, columns, remarks, window_words
from brokerd.cli.terminal import note


def add_options(parser: Parser) -> None:
    """Declare filters and grouping."""
    add_order_filters(parser)
    parser.add_argument(
        "--by",
        nargs="+",
        metavar="KEY",
        default=[],
        help="one row for each executor, symbol, side, ord_type or value of a group key",
    )
    parser.add_argument("--limit", type=count, metavar="N", help="rows, 1 to 1000; 100 if left out")
    add_watch(parser)


def run(control: Control, options: Namespace) -> Exit:
    """Print a table with --by, else a card for live and one for paper; JSON is a row a line."""
    params = filters(options) | {"group_by": options.by or None}
    if options.by or options.watch is not None or control.out.is_json:
        listing = Listing("stats.get", "rows", params, lambda: columns(options.by), remarks)
        return show_list(control, options, listing)
    told = control.ask("stats.get", params | {"limit": options.limit})
    rows = as_records(told.get("rows"))
    if not rows:
        note("brokerctl: no orders match")
        return Exit.DONE
    print(window_words(told))
    for row in rows:
        print("", *card(control.out, row), sep="\n", flush=True)
    for remark in remarks(told)[1:]:
        note(remark)
    return Exit.DONE
