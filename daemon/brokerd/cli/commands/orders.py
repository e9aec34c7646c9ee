"""List orders: `brokerctl orders --status OPEN --by strategy --watch`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser, add_order_filters, filters
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit
from brokerd.cli.lists import Listing, add_paging, show_list
from brokerd.cli.views import order_columns


def add_options(parser: Parser) -> None:
    """Declare filters, grouping and paging."""
    add_order_filters(parser)
    parser.add_argument(
        "--by",
        nargs="+",
        metavar="KEY",
        default=[],
        help="group keys: shown first, and what --latest-group goes by",
    )
    parser.add_argument(
        "--latest-group", action="store_true", help="only the newest order of each group"
    )
    add_paging(parser)


def run(control: Control, options: Namespace) -> Exit:
    """Print the orders, newest page or all pages."""
    params = filters(options) | {
        "group_by": (options.by or None) if options.latest_group else None,
        "latest_group": options.latest_group or None,
    }
    return show_list(
        control, options, Listing("order.list", "orders", params, lambda: order_columns(options.by))
    )
