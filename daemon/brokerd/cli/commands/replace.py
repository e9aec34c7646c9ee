"""Change an order at its venue: `brokerctl replace my-order-1 --px 39500`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Usage
from brokerd.cli.views import order_columns


def add_options(parser: Parser) -> None:
    """Declare the id and the new terms."""
    parser.add_argument("id", metavar="ID", help="cl_ord_id, or executor:venue id")
    parser.add_argument(
        "--qty", help="new total quantity, in the base asset, what is filled included"
    )
    parser.add_argument("--px", help="new limit price, in the quote asset")


def run(control: Control, options: Namespace) -> Exit:
    """Replace, and show the order."""
    if options.qty is None and options.px is None:
        raise Usage("nothing to change", "give --qty, --px or both")
    terms = {"qty": options.qty, "px": options.px}
    order = control.tell_by_id("order.replace", options.id, terms)
    if control.out.is_json:
        control.out.record(order)
    else:
        control.out.table(order_columns(), [order])
    return control.verdict(order)
