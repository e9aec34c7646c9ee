"""Show the daemon: `brokerctl status`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit
from brokerd.cli.views import duration, number


def add_options(parser: Parser) -> None:
    """Declare nothing: there is one daemon."""


def run(control: Control, _options: Namespace) -> Exit:
    """Print what the daemon says of itself."""
    told = control.ask("daemon.info")
    if control.out.is_json:
        control.out.record(told)
        return Exit.DONE
    uptime = duration(number(told.get("uptime_s")) or 0)
    control.out.card({**told, "uptime_s": uptime})
    return Exit.DONE
