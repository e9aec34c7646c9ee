"""
A bot that is killed again and again: each life goes on where the last one's record ends.

    python -m tests.killed_bot SOCKET LIVES SEED FILE    writes every seq that a life was done with

Lives are forks, so that a hundred of them take a second or two; each is ended by SIGKILL in the
middle of its reading, after a random number of events.
"""

import os
import random
import signal
import sys
from pathlib import Path

from brokerd.client import Broker


def live(path: str, after_seq: int, events_max: int) -> list[int]:
    """Return the seqs that one life put on its record before it was killed."""
    record, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(record)
        for event in Broker(path).events(after_seq=after_seq):
            os.write(write, b"%d\n" % event.seq)
        os._exit(1)
    os.close(write)
    with os.fdopen(record) as lines:
        seqs = [int(lines.readline()) for _ in range(events_max)]
        os.kill(pid, signal.SIGKILL)
        seqs += [int(line) for line in lines if line.endswith("\n")]
    os.waitpid(pid, 0)
    return seqs


def main() -> None:
    path, lives, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    chance, seqs = random.Random(seed), [0]
    for _ in range(lives):
        seqs += live(path, seqs[-1], chance.randint(1, 20))
    Path(sys.argv[4]).write_text("\n".join(map(str, seqs[1:])))


if __name__ == "__main__":
    main()
