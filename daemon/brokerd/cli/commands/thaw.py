"""Let a frozen executor take new orders again: `brokerctl thaw binance-main --reason ...`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser
from brokerd.cli.control import LOOK_S, Control
from brokerd.cli.errors import Exit


def add_options(parser: Parser) -> None:
    """Declare the executor, and why."""
    parser.add_argument("executor", metavar="EXECUTOR", help="its name: brokerctl executors")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; goes on record")


def run(control: Control, options: Namespace) -> Exit:
    """Thaw it, and show what its link is."""
    params = {"executor": options.executor, "reason": options.reason}
    timeout_s = max(LOOK_S, control.timeout_s)
    thawed = control.tell("executor.thaw", "brokerctl executors", params, timeout_s=timeout_s)
    if control.out.is_json:
        control.out.record(thawed)
    else:
        control.out.card(thawed)
    return Exit.DONE
