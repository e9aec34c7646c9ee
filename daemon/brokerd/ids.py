"""
The ids this daemon makes: random per run, counted within it.

A run's epoch is drawn anew at every start and journalled before it is used, so that no restart,
no restored backup and no second host ever sends an id a second time.
"""

import re
import secrets
from hashlib import sha256
from itertools import count

PREFIX = "bkd"
EXTERNAL = "external"
EXTERNAL_CHARS_MAX = 64
EPOCH_CHARS = 10
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_OF_ORDER = re.compile(rf"{PREFIX}-[{_ALPHABET}]+-[0-9]+")


def new_epoch() -> str:
    """Draw an epoch: 10 of 36 characters, more than 51 random bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(EPOCH_CHARS))


class Ids:
    """
    Makes client ids: `bkd-<epoch>-<count>`, letters, digits and dashes, well under 36 long.

    The count is decimal: what follows it after a dash and begins with a letter, such as the `-r1`
    of a replace, is never another order's count.
    """

    def __init__(self, epoch: str) -> None:
        self._stem = f"{PREFIX}-{epoch}-"
        self._count = count(1)

    @staticmethod
    def are_like(cl_ord_id: str) -> bool:
        """Whether an id looks like one of ours, of this run or another."""
        return cl_ord_id.startswith(f"{PREFIX}-")

    def next(self) -> str:
        """Return an id that was never made before."""
        return f"{self._stem}{next(self._count)}"


def order_id(venue_cl_ord_id: str | None) -> str | None:
    """
    Return the id of the order that a client id belongs to.

    A replace's id is the order's and more, after a dash or what else its venue takes.
    """
    found = _OF_ORDER.match(venue_cl_ord_id or "")
    return found[0] if found is not None else venue_cl_ord_id


def external_id(executor: str, venue_order_id: str) -> str:
    """Return the cl_ord_id that an order of other origin goes by here, the same each time."""
    name = f"{EXTERNAL}-{executor}-{venue_order_id}"
    if len(name) <= EXTERNAL_CHARS_MAX:
        return name
    return f"{EXTERNAL}-{sha256(name.encode()).hexdigest()[:40]}"


def is_reserved(cl_ord_id: str) -> bool:
    """Whether an id is of a kind that only the daemon makes."""
    return cl_ord_id.startswith((f"{PREFIX}-", f"{EXTERNAL}-"))
