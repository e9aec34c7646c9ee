"""Show the ways to the venues: `brokerctl executors`."""

from argparse import Namespace

from brokerd.cli.arguments import Parser
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit
from brokerd.cli.lists import Listing, add_watch, show_list
from brokerd.cli.views import executor_columns


def add_options(parser: Parser) -> None:
    """Declare --watch."""
    add_watch(parser)


def run(control: Control, options: Namespace) -> Exit:
    """Print each executor's state; capabilities are in the JSON."""
    return show_list(control, options, Listing("executor.list", "executors", {}, executor_columns))
