"""
The survey's process: `python -m brokerd.survey HISTORY SURVEY`, lines in, lines out.

It ends when its standard input does, that is with the daemon. It gives way to the daemon where
there is not enough of the machine for both.
"""

import os
import sys
from pathlib import Path

from msgspec import Raw

from brokerd.rpc import encode as encode_result
from brokerd.scorecard import show_statistics
from brokerd.survey.question import Answered, Asked, decode_asked, encode
from brokerd.survey.store import Store, open_store

NICE = 10
STEPS_PER_LINE = 50
"""Steps taken for one line before it is answered that the survey is behind."""


def main(argv: list[str]) -> None:
    """Answer lines until there are no more."""
    os.nice(NICE)
    history, path = map(Path, argv)
    with open_store(path, history) as store:
        for line in sys.stdin.buffer:
            sys.stdout.buffer.write(encode(answer(store, decode_asked(line))) + b"\n")
            sys.stdout.buffer.flush()


def answer(store: Store, asked: Asked) -> Answered:
    """Follow the read model, and answer what is asked once that is far enough."""
    is_done = False
    for _ in range(STEPS_PER_LINE):
        if not store.step(asked.now_ns):
            is_done = True
            break
    question = asked.question
    if question is None or not is_done:
        return Answered(asked.id, "done" if is_done else "behind", store.followed_seq)
    statistics = show_statistics(
        store.ask(question),
        window=question.window,
        seq=question.seq,
        now_ns=question.now_ns,
        limit=question.limit,
    )
    return Answered(asked.id, "done", store.followed_seq, Raw(encode_result(statistics)))


if __name__ == "__main__":
    main(sys.argv[1:])
