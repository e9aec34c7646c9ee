"""Cancel orders by id: `brokerctl cancel my-order-1 paper:17`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Failure
from brokerd.cli.jsontext import Record
from brokerd.cli.terminal import complain
from brokerd.cli.views import order_columns

_GRAVITY = [Exit.DONE, Exit.REFUSED, Exit.FORBIDDEN, Exit.USAGE, Exit.UNREACHABLE, Exit.UNKNOWN]


def add_options(parser: Parser) -> None:
    """Declare the ids."""
    parser.add_argument("ids", metavar="ID", nargs="+", help="cl_ord_id, or executor:venue id")


def run(control: Control, options: Namespace) -> Exit:
    """Cancel each; one refusal does not spare the rest. The gravest outcome is the status."""
    orders: list[Record] = []
    worst = Exit.DONE
    for order_id in options.ids:
        try:
            order = control.tell_by_id("order.cancel", order_id)
            orders.append(order)
            status = control.verdict(order)
        except Failure as failure:
            complain(failure, about=order_id)
            status = failure.status
        worst = max(worst, status, key=_GRAVITY.index)
    if control.out.is_json:
        control.out.records(orders)
    elif orders:
        control.out.table(order_columns(), orders)
    return worst
