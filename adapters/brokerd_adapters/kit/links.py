"""
One order of ours may be several at its venue: the client ids that tell them apart. Pure.

    bkd-1a-7         the order, as it was placed
    bkd-1a-7-r1      what its first replace put in its place
    bkd-1a-7-r1c     the order that left for it, where a venue lets a canceled order be renamed

So whatever a venue says of any of them can be told to belong to "bkd-1a-7", by a process that knows
nothing but the message.
"""

import re
from typing import NamedTuple

ROOM_FOR_LINK = len("-r999999c")
"""How many characters an order's id must leave free for its replaces."""

_LINK = re.compile(r"(.+)-r([1-9][0-9]{0,5})(c?)", re.ASCII)


class Link(NamedTuple):
    """Whose a client id is: `root` is the order's own, and the replace that made it; 0 is the first."""

    root: str
    replace_no: int = 0
    has_left: bool = False
    """Whether it is the order that left for that replace, not the one that came."""


def link(cl_ord_id: str) -> Link:
    """Read a client id."""
    found = _LINK.fullmatch(cl_ord_id)
    return Link(found[1], int(found[2]), bool(found[3])) if found else Link(cl_ord_id)


def link_id(root: str, replace_no: int) -> str:
    """Return the id of the order that the replace of this number puts in an order's place."""
    return f"{root}-r{replace_no}"


def left_id(root: str, replace_no: int) -> str:
    """Return the id under which an order leaves for its replacement."""
    return f"{link_id(root, replace_no)}c"
