"""Which signals end a process of ours, and which must not. Imports next to nothing: a start pays for it."""

import signal

STOPPING = (signal.SIGTERM, signal.SIGINT)
"""The first of them stops the daemon in order, the second kills."""

STRAY = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""
What a closed terminal sends, and habit: reopen the log, read the configuration again, say how it is.

There is nothing of the kind here, and by default each would kill (signal(7)), which is no reason to
leave orders without their broker.
"""


def ignore_stray() -> None:
    """Ignore what is not meant for us, from the start of the process on."""
    for each in STRAY:
        signal.signal(each, signal.SIG_IGN)
