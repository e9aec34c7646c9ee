"""Show one order: `brokerctl order my-order-1`, `brokerctl order paper:17 --check`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit


def add_options(parser: Parser) -> None:
    """Declare the id."""
    parser.add_argument("id", metavar="ID", help="cl_ord_id, or executor:venue id")
    parser.add_argument("--check", action="store_true", help="ask the venue now")


def run(control: Control, options: Namespace) -> Exit:
    """Print every member of the order that says something."""
    order = control.ask_by_id("order.check" if options.check else "order.get", options.id)
    if control.out.is_json:
        control.out.record(order)
    else:
        control.out.card(order)
    return Exit.DONE
