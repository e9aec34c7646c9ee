"""Signals: the first SIGTERM or SIGINT stops in order, the second kills, stray ones end nothing."""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

import structlog

STOPPING = (signal.SIGTERM, signal.SIGINT)

STRAY = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""
What a closed terminal sends, and habit: reopen the log, read the configuration again, say how it is.

There is nothing of the kind here, and by default each would kill (signal(7)), which is no reason to
leave orders without their broker.
"""

log = structlog.get_logger(__name__)


def ignore_stray() -> None:
    """Ignore what is not meant for us, from the start of the process on."""
    for each in STRAY:
        signal.signal(each, signal.SIG_IGN)


@contextmanager
def heeding(stop: Callable[[str], None]) -> Generator[None]:
    """Call `stop` with the name of the first signal that asks to; leave the second to the kernel."""
    loop = asyncio.get_running_loop()

    def first(name: str) -> None:
        for each in STOPPING:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stop(name)

    before = {each: signal.getsignal(each) for each in STRAY}
    for each in STOPPING:
        loop.add_signal_handler(each, first, each.name)
    for each in STRAY:
        loop.add_signal_handler(each, _tell_ignored, each.name)
    try:
        yield
    finally:
        for each in (*STOPPING, *STRAY):
            loop.remove_signal_handler(each)
        for each, handler in before.items():
            signal.signal(each, handler)


def _tell_ignored(name: str) -> None:
    hint = "the log goes to stderr: no file to reopen; a restart reads the configuration again"
    log.warning("signal_ignored", signal=name, hint=hint)
