"""Write an execution report: `brokerctl report --last 1d --html report.html`."""

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

from brokerd.cli.arguments import Parser, add_order_filters, filters
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Failure, Usage
from brokerd.cli.jsontext import Record, as_record, as_records
from brokerd.cli.progress import Progress
from brokerd.cli.report.measures import Measured, measure
from brokerd.cli.report.page import Report, page
from brokerd.cli.terminal import note, show

ORDERS_MAX = 20_000
"""Orders that are read one by one, for the pictures of single orders; the figures are of all."""

PAGE_ORDERS = 1_000


def add_options(parser: Parser) -> None:
    """Declare the filters and where to write."""
    add_order_filters(parser)
    parser.add_argument("--html", metavar="FILE", help="the page to write, required; - is stdout")


def run(control: Control, options: Namespace) -> Exit:
    """Ask for the figures and the orders of one window, and write one self-contained page."""
    if options.html is None:
        raise Usage("where to?", "--html FILE; - is stdout")
    params = filters(options)
    told = control.ask("stats.get", params)
    params["time"] = _same_window(told)
    by_executor = control.ask("stats.get", params | {"group_by": ["executor"]})
    orders = list(_orders(control, params, _count(told)))
    text = page(Report(told, by_executor, orders, _words(params)))
    if options.html == "-":
        print(text, end="")
        return Exit.DONE
    write(Path(options.html), text)
    note(
        f"brokerctl: {options.html} tells of {_count(told):,} orders in {len(text) / 1000:,.0f} kB"
    )
    return Exit.DONE


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all; raise Failure if it cannot be written."""
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            try:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), 0o666 & ~_umask())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise Failure(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _same_window(told: Record) -> Record:
    """Return the window of an answer, so that what is asked next is of the same orders."""
    window = as_record(told.get("window"))
    bounds = {name: window[name] for name in ("since", "until") if window.get(name)}
    return {"time_type": "absolute", "by": window.get("by", "created"), **bounds}


def _orders(control: Control, params: Record, total: int) -> Iterator[Measured]:
    """Yield the newest orders, page by page."""
    cursor: object = None
    read = 0
    with Progress("orders") as progress:
        while read < ORDERS_MAX:
            wanted = params | {"limit": PAGE_ORDERS, "cursor": cursor}
            told = control.ask("order.list", wanted)
            orders = as_records(told.get("orders"))
            yield from map(measure, orders)
            read += len(orders)
            progress(read, min(total, ORDERS_MAX))
            cursor = told.get("next_cursor")
            if cursor is None:
                return


def _count(told: Record) -> int:
    orders = told.get("orders")
    return orders if isinstance(orders, int) else 0


def _words(params: Record) -> list[str]:
    """Say which filters were asked for."""
    return [f"{name} {show(v)}" for name, v in params.items() if name != "time" and v is not None]
