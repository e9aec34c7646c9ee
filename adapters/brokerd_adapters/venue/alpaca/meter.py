"""
The rate limit: 200 requests a minute for an account, told in every answer.

Where it is not enforced it only counts, and says so with a limit out of anybody's reach.
"""

from brokerd.times import NS_PER_S

REQUESTS_MAX = 200
OPEN_LIMIT = 1_000_000_000
_MINUTE_NS = 60 * NS_PER_S


class Meter:
    """Counts requests by the minute; with `enforced` the ones beyond the limit are turned away."""

    def __init__(self, *, enforced: bool) -> None:
        self._most = REQUESTS_MAX if enforced else OPEN_LIMIT
        self._minute = 0
        self._used = 0

    def count(self, now_ns: int) -> bool:
        """Count a request; return whether it may pass."""
        minute = now_ns // _MINUTE_NS
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        return self._used <= self._most

    def headers(self) -> dict[str, str]:
        """Return what every answer tells of it."""
        return {
            "X-Ratelimit-Limit": str(self._most),
            "X-Ratelimit-Remaining": str(max(self._most - self._used, 0)),
            "X-Ratelimit-Reset": str((self._minute + 1) * 60),
        }
