"""The venues of a seed: what each promises, which the broker is told, and how it speaks."""

import random
from typing import Literal

from msgspec import Struct

from brokerd.executor import Capabilities

Voice = Literal["full", "ack", "silent"]


class Manners(Struct, frozen=True):
    """
    How a venue speaks, which nobody is told.

    `place`: what a reply to a new order holds: all that happened at once, the acknowledgement
    alone, or nothing. `cancel` and `replace`: the result, or a mere "taken". `says_cum_qty`,
    `says_replace_no`: whether reports have these. `rejects_late`: whether a refusal may come as a
    report after an acknowledgement. `shows_executions`: whether open orders in a snapshot do.
    `shows_pending`: whether a view tells that the venue is at work on what it took. `wakes_s`: how long
    it knows of no order after it came back; its stream and its list of orders wait until it does.
    `shrinks`: whether it takes quantity from orders by itself, to keep us from trading with ourselves.
    """

    place: Voice
    cancel: Voice
    replace: Voice
    says_cum_qty: bool
    says_replace_no: bool
    rejects_late: bool
    shows_executions: bool
    shows_pending: bool
    wakes_s: float
    shrinks: bool


def draw_capabilities(rng: random.Random) -> Capabilities:
    """Draw what a venue promises: in most seeds enough for doubt to end, in some nothing."""
    promises_nothing = rng.random() < 0.2
    query_closed = rng.random() < (0.5 if promises_nothing else 0.85)
    return Capabilities(
        repeat_id=rng.choice(
            ("returns_original", "refused_forever", "refused_while_open", "nothing")
        ),
        validity_window_s=None if promises_nothing else rng.choice((0.5, 2.0, 5.0, 10.0)),
        processing_bound_s=rng.choice((0.05, 0.5, 2.0)),
        query_lag_s=rng.choice((0.0, 0.0, 0.3, 1.5, 1.5)),
        clock_error_s=rng.choice((0.0, 0.05, 0.5)),
        query_closed=query_closed,
        # A venue that tells neither of closed orders nor of executions would tell nothing.
        executions_back_s=rng.choice((None, None, 0.0, 3.0)) if query_closed else None,
        amend=rng.choice(("in_place", "in_place", "new_id", "cancel_replace", "none")),
    )


def draw_manners(rng: random.Random, promised: Capabilities) -> Manners:
    """
    Draw how a venue speaks.

    One that does not tell executions back must count aloud; one that cancels and places says what
    became of that.
    """
    is_two_steps = promised.amend == "cancel_replace"
    return Manners(
        place=rng.choice(("full", "ack", "ack", "silent")),
        cancel=rng.choice(("full", "silent")),
        replace="full" if is_two_steps else rng.choice(("full", "silent")),
        says_cum_qty=rng.random() < 0.6 or promised.executions_back_s is not None,
        says_replace_no=rng.random() < 0.6,
        rejects_late=rng.random() < 0.5,
        shows_executions=rng.random() < 0.4,
        shows_pending=rng.random() < 0.5,
        wakes_s=rng.choice((0.0, 0.0, 4.0)),
        shrinks=rng.random() < 0.3,
    )
