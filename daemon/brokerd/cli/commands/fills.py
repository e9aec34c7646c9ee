"""List executions: `brokerctl fills --last 1h --symbol BTCUSDT`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser, add_filters, filters
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit
from brokerd.cli.lists import Listing, add_paging, show_list
from brokerd.cli.views import fill_columns


def add_options(parser: Parser) -> None:
    """Declare filters and paging."""
    add_filters(parser)
    parser.add_argument("--id", metavar="CL_ORD_ID", help="of one order")
    add_paging(parser)


def run(control: Control, options: Namespace) -> Exit:
    """Print the executions, newest page or all pages."""
    params = filters(options) | {"cl_ord_id": options.id}
    return show_list(control, options, Listing("fill.list", "fills", params, fill_columns))
