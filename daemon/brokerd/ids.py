"""
The ids this daemon makes: random per run, counted within it.

A run's epoch is drawn anew at every start and journalled before it is used, so that no restart,
no restored backup and no second host ever sends an id a second time.
"""

import secrets
from itertools import count

PREFIX = "bkd"
EPOCH_CHARS = 10
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_epoch() -> str:
    """Draw an epoch: 10 of 36 characters, more than 51 random bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(EPOCH_CHARS))


def base36(number: int) -> str:
    """Write a number of 0 or more with digits and small letters."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _ALPHABET[digit] + digits
    return digits or "0"


class Ids:
    """Makes client ids: `bkd-<epoch>-<count>`, letters, digits and dashes, well under 36 long."""

    def __init__(self, epoch: str) -> None:
        self._stem = f"{PREFIX}-{epoch}-"
        self._count = count(1)

    @staticmethod
    def are_like(cl_ord_id: str) -> bool:
        """Whether an id looks like one of ours, of this run or another."""
        return cl_ord_id.startswith(f"{PREFIX}-")

    def next(self) -> str:
        """Return an id that was never made before."""
        return self._stem + base36(next(self._count))
