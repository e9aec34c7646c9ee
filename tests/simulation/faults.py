"""
What goes wrong in a seed, and how often.

Each kind of fault is on or off by the seed, and if on, rare or common: a run in which everything
goes wrong at once finds other mistakes than one with a single lost frame.
"""

import random

from msgspec import Struct


class Faults(Struct):
    """
    Chances of 0 to 1 for one message, one frame, one commit; counts for one run of the world.

    Everything is 0 once the world has healed.
    """

    lose_request: float = 0.0
    lose_reply: float = 0.0
    delay: float = 0.0
    last_moment: float = 0.0
    jam: float = 0.0
    repeat_request: float = 0.0
    reset: float = 0.0
    refuse_connection: float = 0.0
    garble: float = 0.0
    lose_frame: float = 0.0
    repeat_frame: float = 0.0
    reorder_frame: float = 0.0
    break_stream: float = 0.0
    venue_refuses: float = 0.0
    slow_sync: float = 0.0
    failed_syncs: int = 0
    kills: int = 0
    stops: int = 0
    venue_restarts: int = 0
    full_disks: int = 0
    clock_steps: int = 0
    bans: int = 0
    others: int = 0
    strangers: int = 0
    venue_forgets: bool = False


def draw(rng: random.Random) -> Faults:
    """Draw a seed's faults."""
    intensity = rng.choice((0.15, 0.5, 1.0))

    def chance(most: float) -> float:
        return rng.uniform(0.2, 1.0) * most * intensity if rng.random() < 0.5 else 0.0

    def times(most: int) -> int:
        return rng.randint(1, most) if rng.random() < 0.45 * intensity + 0.1 else 0

    return Faults(
        lose_request=chance(0.3),
        lose_reply=chance(0.4),
        delay=chance(0.4),
        last_moment=chance(0.5),
        jam=chance(1.0),
        repeat_request=chance(0.3),
        reset=chance(0.3),
        refuse_connection=chance(0.3),
        garble=chance(0.1),
        lose_frame=chance(0.4),
        repeat_frame=chance(0.4),
        reorder_frame=chance(0.5),
        break_stream=chance(0.05),
        venue_refuses=chance(0.15),
        slow_sync=chance(0.2),
        failed_syncs=times(2) if rng.random() < 0.3 else 0,
        kills=times(4),
        stops=times(1) if rng.random() < 0.3 else 0,
        venue_restarts=times(2),
        full_disks=times(1) if rng.random() < 0.4 else 0,
        clock_steps=times(2),
        bans=times(1),
        others=times(3),
        strangers=times(1) if rng.random() < 0.3 else 0,
        venue_forgets=rng.random() < 0.15 * intensity,
    )


HEALED = Faults()
