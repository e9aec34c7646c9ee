"""
What systemd is told (sd_notify(3), sd_watchdog_enabled(3)).

Every call is harmless without systemd: it says False.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping

from msgspec import Struct

from brokerd.executor import Clock
from brokerd.times import NS_PER_S


def notify(message: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send one message to systemd; say whether it was sent. Never blocks and never raises."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(message.encode(errors="replace"), socket.MSG_DONTWAIT, address)
    except OSError:
        return False
    return True


def ready() -> bool:
    """Say that bots may come: the journal is replayed and the venues were asked."""
    return notify("READY=1")


def still_starting(within_s: int) -> bool:
    """Say that the start goes on and `ready` or another of these comes within that time."""
    return notify(f"EXTEND_TIMEOUT_USEC={within_s * 1_000_000}")


def stopping() -> bool:
    """Say that the way down has begun."""
    return notify("STOPPING=1")


def watchdog() -> bool:
    """Give one sign of life."""
    return notify("WATCHDOG=1")


def watchdog_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return the silence after which systemd kills us; None if it does not watch this process."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not _is_number(usec) or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1_000_000


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


class Watchdog(Struct, frozen=True):
    """
    When a sign of life is honest: the loop answers, and the journal moves or has nothing to do.

    A bare timer would go on petting while every bot waits for a dead disk.
    """

    lag_s_max: float
    stall_s_max: float

    @classmethod
    def within(cls, interval_s: float) -> "Watchdog":
        """Return limits that leave time for one more sign of life before `interval_s` is over."""
        return cls(lag_s_max=interval_s / 3, stall_s_max=interval_s / 2)

    def healthy(self, now_ns: int, loop_lag_ns: int, pending_since_ns: int | None) -> bool:
        """
        Judge by the monotonic clock.

        `loop_lag_ns` is how late the loop woke us; `pending_since_ns` is when the oldest
        batch that is not on disk yet was handed to the journal, None if all are.
        """
        stalled_ns = 0 if pending_since_ns is None else now_ns - pending_since_ns
        return (
            loop_lag_ns <= self.lag_s_max * NS_PER_S and stalled_ns <= self.stall_s_max * NS_PER_S
        )


async def keep_watch(
    interval_s: float, clock: Clock, pending_since_ns: Callable[[], int | None]
) -> None:
    """Give a sign of life three times per interval for as long as `Watchdog` finds it honest."""
    policy, pause_s = Watchdog.within(interval_s), interval_s / 3
    while True:
        asleep_ns = clock.monotonic_ns()
        await asyncio.sleep(pause_s)
        now_ns = clock.monotonic_ns()
        lag_ns = now_ns - asleep_ns - int(pause_s * NS_PER_S)
        if policy.healthy(now_ns, lag_ns, pending_since_ns()):
            watchdog()
