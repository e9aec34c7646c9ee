"""Cancel every order that matches: `brokerctl cancel-all --symbol BTCUSDT`."""

import sys
from argparse import Namespace

from brokerd.cli.arguments import Parser, add_order_filters, filters
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit
from brokerd.cli.jsontext import as_list
from brokerd.cli.terminal import is_terminal, note, show


def add_options(parser: Parser) -> None:
    """Declare the filters, and --yes."""
    add_order_filters(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask on a terminal")


def run(control: Control, options: Namespace) -> Exit:
    """Ask the person, if there is one; then cancel, and print the ids."""
    asked = {name: value for name, value in filters(options).items() if value is not None}
    control.connect()
    if not options.yes and is_terminal(sys.stdin) and not _agreed(asked):
        note("brokerctl: nothing was canceled")
        return Exit.REFUSED
    result = control.tell("order.cancel_all", "brokerctl orders --status OPEN", asked)
    out_of_reach = as_list(result.get("out_of_reach"))
    if control.out.is_json:
        control.out.record(result)
    else:
        note(f"cancel requested for {show(result.get('requested'))} orders")
        for cl_ord_id in as_list(result.get("cl_ord_ids")):
            print(show(cl_ord_id))
    if out_of_reach:
        which = ", ".join(map(show, out_of_reach))
        note(f"not canceled, for their executors are not configured any more: {which}")
    return Exit.REFUSED if out_of_reach else Exit.DONE


def _agreed(asked: dict[str, object]) -> bool:
    which = f" with {show(asked)}" if asked else ""
    print(f"Cancel every open order{which}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
