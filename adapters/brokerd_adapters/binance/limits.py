"""
Binance's rate limits: what they are called, how they are counted, and what replies say of them.

REQUEST_WEIGHT and RAW_REQUESTS belong to the address, ORDERS to the account: two keys of one
account are counted apart here, and put right by what the venue says (rest-api.md, LIMITS).
"""

import re
from collections.abc import Iterable, Mapping

from brokerd_adapters.binance.requests import Call
from brokerd_adapters.binance.shapes import RateLimit
from brokerd_adapters.kit.http import whole
from brokerd_adapters.kit.limits import Cost, Window

WEIGHT, RAW = "weight", "raw"

CONNECT_COST: Cost = {WEIGHT: 6, RAW: 3}
"""What a WebSocket connection costs: itself, the logon and the subscription, 2 each."""

_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}
_KINDS = {"REQUEST_WEIGHT": WEIGHT, "RAW_REQUESTS": RAW, "ORDERS": "orders"}
_HEADER = re.compile(r"x-mbx-(used-weight|order-count)-([0-9]{1,4})([smhd])", re.ASCII)
_HEADER_KINDS = {"used-weight": WEIGHT, "order-count": "orders"}


class Meters:
    """Names the limits for one key; `mark` tells keys apart that share a budget."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def cost(self, call: Call) -> Cost:
        """Return what a request may use of each limit."""
        cost = {WEIGHT: call.weight, RAW: 1}
        return cost | {self.orders: call.orders} if call.orders else cost

    @property
    def orders(self) -> str:
        """What the limits of unfilled orders count."""
        return f"orders:{self._mark}"

    def windows(self, limits: Iterable[RateLimit]) -> tuple[Window, ...]:
        """Return the venue's windows; one that cannot be understood is left out."""
        return tuple(
            Window(
                name=self._name(_KINDS[each.rate_limit_type], _suffix(each)),
                counts=self._counts(_KINDS[each.rate_limit_type]),
                limit=each.limit,
                interval_ns=each.interval_num * _SECONDS[each.interval] * 10**9,
            )
            for each in limits
            if each.rate_limit_type in _KINDS and _is_known(each)
        )

    def used(self, limits: Iterable[RateLimit]) -> dict[str, int]:
        """Read the counts of a WebSocket reply, by window."""
        return {
            self._name(_KINDS[each.rate_limit_type], _suffix(each)): each.count
            for each in limits
            if each.count is not None and each.rate_limit_type in _KINDS and _is_known(each)
        }

    def used_by_headers(self, headers: Mapping[str, str]) -> dict[str, int]:
        """Read the counts of an HTTP reply, by window."""
        used: dict[str, int] = {}
        for name, text in headers.items():
            found = _HEADER.fullmatch(name.lower())
            count = whole(text)
            if found is not None and count is not None:
                kind, number, letter = found.groups()
                used[self._name(_HEADER_KINDS[kind], f"{number}{letter}")] = count
        return used

    def shown(self, left: Mapping[str, int]) -> dict[str, int]:
        """Return what is left of this key's windows, under names without the mark."""
        own = f":{self._mark}"
        return {
            name.removesuffix(own): count
            for name, count in left.items()
            if ":" not in name or name.endswith(own)
        }

    def _counts(self, kind: str) -> str:
        return self.orders if kind == "orders" else kind

    def _name(self, kind: str, suffix: str) -> str:
        name = f"{kind}_{suffix}"
        return f"{name}:{self._mark}" if kind == "orders" else name


def _is_known(limit: RateLimit) -> bool:
    return limit.interval in _SECONDS and limit.interval_num > 0 and limit.limit > 0


def _suffix(limit: RateLimit) -> str:
    """Return a window's length as the headers write it: 10s, 1m, 1d."""
    return f"{limit.interval_num}{limit.interval[0].lower()}"
