"""What lists have in common: pages, `--all`, `--watch`."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from brokerd.cli.arguments import Parser, count, seconds
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Unreachable
from brokerd.cli.jsontext import Record, as_records
from brokerd.cli.terminal import Column, note, plain_text

WATCH_S = 2.0
PAGE_MAX = 1_000
"""The longest page the daemon gives: with --all there is no reason to ask for less."""


def _no_remarks(_: Record) -> list[str]:
    return []


class Listing(NamedTuple):
    """
    One question for a list: the method, the result's member with the rows, how they look.

    `remarks` is what is said beside the rows of a result, on stderr.
    """

    method: str
    member: str
    params: Record
    columns: Callable[[], list[Column]]
    remarks: Callable[[Record], list[str]] = _no_remarks


def add_paging(parser: Parser) -> None:
    """Declare the options of every list."""
    group = parser.add_argument_group("how much, how often")
    group.add_argument(
        "--limit", type=count, metavar="N", help="rows in a page, 1 to 1000; 100 if left out"
    )
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
        help=f"draw again every S seconds, {WATCH_S:g} if left out",
    )


def show_list(control: Control, options: Namespace, listing: Listing) -> Exit:
    """Print the list once, or again and again until interrupted."""
    every_page: bool = getattr(options, "all", True)
    if "limit" in options:
        whole = PAGE_MAX if every_page else None
        listing.params["limit"] = whole if options.limit is None else options.limit
    if options.watch is None:
        _show_once(control, listing, every_page=every_page)
        return Exit.DONE
    while True:
        _watch_once(control, listing, every_page=every_page)
        time.sleep(options.watch)


def _show_once(control: Control, listing: Listing, *, every_page: bool) -> None:
    """JSON goes out page by page; a table must see every row to know its widths."""
    rows: list[Record] = []
    remarks: list[str] = []
    for page, said in _pages(control, listing, every_page=every_page):
        remarks = said
        if control.out.is_json:
            control.out.records(page)
        else:
            rows += page
    if rows:
        control.out.table(listing.columns(), rows)
    elif not control.out.is_json:
        note(f"no {listing.member} match")
    print(end="", flush=True)
    for remark in remarks:
        note(remark)


def _watch_once(control: Control, listing: Listing, *, every_page: bool) -> None:
    """Draw the list as it is now; a daemon that is away for a moment does not end the watch."""
    if control.out.is_json:
        _show_once(control, listing, every_page=every_page)
        return
    title = f"{time.strftime('%H:%M:%SZ', time.gmtime())}  {listing.method}"
    try:
        pages = list(_pages(control, listing, every_page=every_page))
    except Unreachable as away:
        control.hang_up()
        control.out.redraw([title, away.what])
        return
    rows = [row for page, _ in pages for row in page]
    heading = [f"{title}  {len(rows)} {listing.member}", *pages[-1][1]]
    dim = [control.out.paint(plain_text(line), "dim") for line in heading]
    control.out.redraw([*dim, *control.out.layout(listing.columns(), rows)])


def _pages(
    control: Control, listing: Listing, *, every_page: bool
) -> Iterator[tuple[list[Record], list[str]]]:
    """Yield one page, or follow the cursor to the end; each with what to say beside it."""
    cursor: object = None
    while True:
        result = control.ask(listing.method, listing.params | {"cursor": cursor})
        cursor = result.get("next_cursor")
        is_cut = cursor is not None and not every_page
        more = ["there are more: --all shows them"] if is_cut else []
        yield as_records(result.get(listing.member)), [*listing.remarks(result), *more]
        if cursor is None or is_cut:
            return
