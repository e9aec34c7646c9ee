"""
The survey's process: `python -m brokerd.survey HISTORY SURVEY`, lines in, lines out.

It ends when its standard input does, that is with the daemon, and when its file fails it: a damaged
one is removed, for the next process to make anew. It gives way to the daemon where there is not
enough of the machine for both.
"""

import gc
import os
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

from msgspec import Raw

from brokerd.journal.sqlite import FULL, code, is_damage
from brokerd.rpc import encode as encode_result
from brokerd.scorecard.show import show_statistics
from brokerd.signals import ignore_stray
from brokerd.survey.answers import TooMuch
from brokerd.survey.question import Answered, Asked, decode_asked, encode
from brokerd.survey.schema import remove
from brokerd.survey.store import Store, open_store

NICE = 10
GARBAGE_EVERY = 100_000
"""Tallies hold many small things and no cycles: looking for those would take a tenth of the time."""

STEPS_PER_LINE = 5
"""Steps taken for one line before it is answered that the survey is behind: about a second."""


def main(argv: list[str]) -> int:
    """Answer lines until there are no more; 1 if the survey's file, or the disk, failed."""
    ignore_stray()  # they come to every process of a unit or a terminal
    with suppress(OSError):  # a sandbox may forbid it: statistics are worth more than manners
        os.nice(NICE)
    gc.set_threshold(GARBAGE_EVERY)
    history, path = map(Path, argv)
    try:
        with open_store(path, history) as store:
            for line in sys.stdin.buffer:
                _tell(answer(store, decode_asked(line)))
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, sqlite3.Error) and is_damage(error):
            remove(path)
        _tell(Answered(0, "failed", 0, why=_why(error)))
        return 1
    return 0


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
    try:
        table = store.ask(question)
    except TooMuch as error:
        return Answered(asked.id, "refused", store.followed_seq, why=str(error))
    if table is None:
        return Answered(asked.id, "behind", store.followed_seq, why="asked for the first time")
    statistics = show_statistics(
        table,
        window=question.window,
        seq=question.seq,
        now_ns=question.now_ns,
        limit=question.limit,
    )
    return Answered(asked.id, "done", store.followed_seq, Raw(encode_result(statistics)))


def _tell(answered: Answered) -> None:
    sys.stdout.buffer.write(encode(answered) + b"\n")
    sys.stdout.buffer.flush()


def _why(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if is_damage(error):
        return "a damaged file, which is made anew"
    return "the disk is full" if code(error) == FULL else code(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
