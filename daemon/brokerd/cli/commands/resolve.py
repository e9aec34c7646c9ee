"""Say what became of a request in doubt: `brokerctl resolve my-order-1 not_executed --reason ...`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser, one_of
from brokerd.cli.control import LOOK_S, Control
from brokerd.cli.errors import Exit
from brokerd.cli.views import order_columns

OUTCOMES = {
    "executed": "the venue did it",
    "not_executed": "it did not, and it never will",
    "done": "the order is over at the venue, whatever the request did",
}


def add_options(parser: Parser) -> None:
    """Declare the id, what became of it, and how that is known."""
    told = "; ".join(f"{name}: {what}" for name, what in OUTCOMES.items())
    parser.add_argument("id", metavar="ID", help="cl_ord_id, or executor:venue id")
    parser.add_argument("outcome", metavar="|".join(OUTCOMES), type=one_of(*OUTCOMES), help=told)
    parser.add_argument(
        "--reason", metavar="TEXT", required=True, help="how you know; goes on record"
    )
    parser.add_argument(
        "--venue-order-id", metavar="ID", help="the order's id at the venue, if seen"
    )


def run(control: Control, options: Namespace) -> Exit:
    """Put it on record, and show the order."""
    said = {
        "outcome": options.outcome,
        "reason": options.reason,
        "venue_order_id": options.venue_order_id,
    }
    timeout_s = max(LOOK_S, control.timeout_s)
    order = control.tell_by_id("order.resolve", options.id, said, timeout_s=timeout_s)
    if control.out.is_json:
        control.out.record(order)
    else:
        control.out.table(order_columns(), [order])
    return Exit.DONE
