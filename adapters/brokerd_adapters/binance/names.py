"""
The names of things: ours for Binance, and Binance's for us.

Order and trade numbers are unique within a symbol only, so both get the symbol before them:
"BTCUSDT-28". An order that a cancelReplace put in the place of another has a client id of its own,
the first one's with the number of the replace after it: "bkd-1a-7" becomes "bkd-1a-7_r1", and the
order that left for it is renamed to "bkd-1a-7_r1c". So whatever the venue says of either can be told
to belong to "bkd-1a-7", by a process that knows nothing but the message.
"""

import re

_OF_REPLACE = re.compile(r"(.+)_r([0-9]{1,6})(c?)", re.ASCII)


def scoped(symbol: str, number: int) -> str:
    """Return the name of an order or trade number that is unique within a symbol only."""
    return f"{symbol}-{number}"


def venue_number(venue_order_id: str | None) -> int | None:
    """Return the venue's order number behind `scoped`; None if there is none."""
    _, _, number = (venue_order_id or "").rpartition("-")
    return int(number) if number.isdecimal() and number.isascii() else None


def replacement(cl_ord_id: str, replace_no: int) -> str:
    """Return the id of the order that the replace of this number puts in an order's place."""
    return f"{cl_ord_id}_r{replace_no}"


def cancel_mark(cl_ord_id: str, replace_no: int) -> str:
    """Return the id under which an order leaves for its replacement."""
    return f"{replacement(cl_ord_id, replace_no)}c"


def first_name(cl_ord_id: str) -> str:
    """Return the id an order was placed under first, also of its replacements."""
    found = _OF_REPLACE.fullmatch(cl_ord_id)
    return cl_ord_id if found is None else found[1]


def replace_no(cl_ord_id: str) -> int | None:
    """Return the number of the replace that this order came from; None for a first order."""
    found = _OF_REPLACE.fullmatch(cl_ord_id)
    return int(found[2]) if found is not None and not found[3] else None


def successor(cl_ord_id: str) -> str | None:
    """Return the id of the order that was to take the place of this canceled one, if one was."""
    found = _OF_REPLACE.fullmatch(cl_ord_id)
    return cl_ord_id.removesuffix("c") if found is not None and found[3] else None
