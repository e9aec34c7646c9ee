"""
What a seed is about: in half of the seeds one rare meeting of faults is a common one.

Some mistakes need three things at once, each of them rare: drawn one by one they would meet once in
a thousand seeds. A theme says how its seeds differ from what was drawn, and leaves the rest.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

Kind = Literal["cancel", "replace"]


class Theme(Struct, frozen=True):
    """
    What is otherwise in the seeds of a theme: names and values of what was drawn.

    `faults`, `promises`, `manners` and `config` are fields of Faults, Capabilities, Manners and
    DaemonConfig; `changes` is the chance that a bot changes an order, whatever else it would do, and
    `changes_by` what it draws from then; `trouble_s` is how long things go wrong, from and to.
    """

    name: str
    faults: Mapping[str, Any] = {}
    promises: Mapping[str, Any] = {}
    manners: Mapping[str, Any] = {}
    config: Mapping[str, Any] = {}
    changes: float = 0.0
    changes_by: Sequence[Kind] = ("cancel", "replace")
    trouble_s: tuple[float, float] = (2.0, 8.0)


NONE = Theme("nothing but what is drawn")

THEMES = (
    Theme(
        "a jam before the last moment",
        faults={
            "last_moment": 0.4,
            "jam": 0.8,
            "lose_request": 0.0,
            "lose_frame": 0.0,
            "refuse_connection": 0.0,
        },
        promises={"validity_window_s": 2.0, "query_lag_s": 0.0, "query_closed": True},
        config={"retry_window_s": 0.0, "request_deadline_s": 0.5},
        changes=0.4,
        changes_by=("cancel",) * 4 + ("replace",),
        trouble_s=(6.0, 12.0),
    ),
    Theme(
        "work that begins at the last moment",
        faults={"last_moment": 0.4, "jam": 0.0, "lose_request": 0.0, "lose_reply": 0.0},
        promises={
            "validity_window_s": 0.5,
            "processing_bound_s": 2.0,
            "query_lag_s": 0.0,
            "clock_error_s": 0.0,
            "query_closed": True,
            "amend": "in_place",
        },
        changes=0.6,
        changes_by=("cancel",) + ("replace",) * 4,
        trouble_s=(6.0, 12.0),
    ),
    Theme(
        "terms that change unseen",
        faults={"lose_frame": 0.5, "lose_reply": 0.4},
        promises={"query_lag_s": 1.5, "query_closed": True},
        manners={"shrinks": True},
        changes=0.4,
    ),
    Theme(
        "fills that are told late, or never",
        faults={"lose_frame": 0.3, "reorder_frame": 0.6, "kills": 2, "clock_steps": 0},
        promises={
            "processing_bound_s": 0.05,
            "query_lag_s": 0.0,
            "clock_error_s": 0.0,
            "executions_back_s": None,
        },
        manners={"cancel": "full", "says_cum_qty": False},
        config={"orders_in_memory_max": 0, "poll_floor_s": 15.0},
        changes=0.4,
    ),
    Theme(
        "a venue that wakes slowly",
        faults={"lose_reply": 0.4, "venue_restarts": 3, "venue_forgets": False},
        promises={
            "validity_window_s": 0.5,
            "processing_bound_s": 0.05,
            "query_lag_s": 0.0,
            "query_closed": True,
        },
        manners={"wakes_s": 4.0},
    ),
    Theme(
        "a clock that is set while nobody looks",
        faults={"clock_steps": 3, "last_moment": 0.5, "jam": 0.0, "bans": 1},
        promises={
            "validity_window_s": 10.0,
            "processing_bound_s": 0.05,
            "query_lag_s": 0.0,
            "query_closed": True,
        },
        # A ban is told, the daemon ends, the clock is set, and the next one starts before it is over.
        trouble_s=(8.0, 16.0),
    ),
    Theme(
        "ends that are seen before the terms they came with",
        faults={"lose_frame": 0.7},
        # Whatever was heard of an order, an answer may be older: most of a seed is within the lag.
        promises={
            "processing_bound_s": 0.05,
            "query_lag_s": 10.0,
            "query_closed": True,
            "amend": "in_place",
        },
        manners={"cancel": "silent", "replace": "silent", "shrinks": True},
        changes=0.5,
        trouble_s=(6.0, 12.0),
    ),
)


def draw(rng: random.Random) -> Theme:
    """Draw what a seed is about: in half of them nothing."""
    return rng.choice(THEMES) if rng.random() < 0.5 else NONE
