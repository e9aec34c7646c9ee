"""What lists have in common: pages, `--all`, `--watch`."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from brokerd.cli.arguments import Parser, count, seconds
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Unreachable
from brokerd.cli.jsontext import Record, as_records
from brokerd.cli.terminal import Column, note

WATCH_S = 2.0
PAGE_MAX = 1_000
"""The longest page the daemon gives: with --all there is no reason to ask for less."""


class Listing(NamedTuple):
    """One question for a list: the method, the result's member with the rows, how they look."""

    method: str
    member: str
    params: Record
    columns: Callable[[], list[Column]]


def add_paging(parser: Parser) -> None:
    """Declare the options of every list."""
    group = parser.add_argument_group("how much, how often")
    group.add_argument("--limit", type=count, metavar="N", help="rows in a page, at most 1000")
    group.add_argument("--all", action="store_true", help="every page")
    add_watch(group)


def add_watch(parser: Any) -> None:
    """Declare --watch."""
    parser.add_argument(
        "--watch",
        type=seconds,
        nargs="?",
        const=WATCH_S,
        metavar="S",
        help="redraw every S seconds",
    )


def show_list(control: Control, options: Namespace, listing: Listing) -> Exit:
    """Print the list once, or again and again until interrupted."""
    every_page: bool = getattr(options, "all", True)
    if "limit" in options:
        listing.params["limit"] = options.limit or (PAGE_MAX if every_page else None)
    if options.watch is None:
        _show_once(control, listing, every_page=every_page)
        return Exit.DONE
    while True:
        _watch_once(control, listing, every_page=every_page)
        time.sleep(options.watch)


def _show_once(control: Control, listing: Listing, *, every_page: bool) -> None:
    """JSON goes out page by page; a table must see every row to know its widths."""
    if control.out.is_json:
        for page in _pages(control, listing, every_page=every_page):
            control.out.records(page)
        return
    rows = [row for page in _pages(control, listing, every_page=every_page) for row in page]
    if rows:
        control.out.table(listing.columns(), rows)
    else:
        note(f"no {listing.member} match")


def _watch_once(control: Control, listing: Listing, *, every_page: bool) -> None:
    """Draw the list as it is now; a daemon that is away for a moment does not end the watch."""
    if control.out.is_json:
        _show_once(control, listing, every_page=every_page)
        print(end="", flush=True)
        return
    title = f"{time.strftime('%H:%M:%SZ', time.gmtime())}  {listing.method}"
    try:
        rows = [row for page in _pages(control, listing, every_page=every_page) for row in page]
    except Unreachable as away:
        control.hang_up()
        control.out.redraw([title, away.what])
        return
    heading = control.out.paint(f"{title}  {len(rows)} {listing.member}", "dim")
    control.out.redraw([heading, *control.out.layout(listing.columns(), rows)])


def _pages(control: Control, listing: Listing, *, every_page: bool) -> Iterator[list[Record]]:
    """Yield one page, or follow the cursor to the end; say on stderr if there is more."""
    cursor: object = None
    while True:
        result = control.ask(listing.method, listing.params | {"cursor": cursor})
        yield as_records(result.get(listing.member))
        cursor = result.get("next_cursor")
        if cursor is None:
            return
        if not every_page:
            note("there are more: --all shows them")
            return
