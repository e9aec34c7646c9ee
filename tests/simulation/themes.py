"""
What a seed is about: in half of the seeds one rare meeting of faults is a common one.

Some mistakes need three things at once, each of them rare: drawn one by one they would meet once in
a thousand seeds. A theme says how its seeds differ from what was drawn, and leaves the rest.
"""

import random
from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Theme(Struct, frozen=True):
    """
    What is otherwise in the seeds of a theme: names and values of what was drawn.

    `faults`, `promises`, `manners` and `config` are fields of Faults, Capabilities, Manners and
    DaemonConfig; `changes` is the chance that a bot cancels or replaces, whatever else it would do.
    """

    name: str
    faults: Mapping[str, Any] = {}
    promises: Mapping[str, Any] = {}
    manners: Mapping[str, Any] = {}
    config: Mapping[str, Any] = {}
    changes: float = 0.0


NONE = Theme("nothing but what is drawn")

THEMES = (
    Theme(
        "a jam before the last moment",
        faults={"last_moment": 0.5, "jam": 0.6, "lose_request": 0.0, "lose_frame": 0.0},
        promises={"validity_window_s": 5.0, "query_lag_s": 0.0, "query_closed": True},
        config={"retry_window_s": 0.0, "request_deadline_s": 0.5},
        changes=0.4,
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
    ),
)


def draw(rng: random.Random) -> Theme:
    """Draw what a seed is about: in half of them nothing."""
    return rng.choice(THEMES) if rng.random() < 0.5 else NONE
