"""The rate limit: 200 requests a minute for an account, told in every answer."""

from brokerd.times import NS_PER_S

REQUESTS_MAX = 200
_MINUTE_NS = 60 * NS_PER_S


class Meter:
    """Counts requests by the minute; with `enforced` the ones beyond the limit are turned away."""

    def __init__(self, *, enforced: bool) -> None:
        self._enforced = enforced
        self._minute = 0
        self._used = 0

    def count(self, now_ns: int) -> bool:
        """Count a request; return whether it may pass."""
        minute = now_ns // _MINUTE_NS
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        return not self._enforced or self._used <= REQUESTS_MAX

    def headers(self) -> dict[str, str]:
        """Return what every answer tells of it."""
        return {
            "X-Ratelimit-Limit": str(REQUESTS_MAX),
            "X-Ratelimit-Remaining": str(max(REQUESTS_MAX - self._used, 0)),
            "X-Ratelimit-Reset": str((self._minute + 1) * 60),
        }
