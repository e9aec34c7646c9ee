"""
Where in the past a subscription begins: after a seq, at a time, or the last so many events.

Each is a position in the journal before the first event is sent, so that what follows is read
as ever: without gap or repeat.
"""

import asyncio
from collections.abc import Awaitable, Callable

from brokerd.errors import InvalidParams
from brokerd.events import Entry
from brokerd.feed import CHANGES_KEPT, Feed
from brokerd.params import SubscribeParams, read_time

EVENTS_PER_READ = 500

LOOKBACK_EVENTS_MAX = CHANGES_KEPT
"""How far back the last so many events are looked for: a filter may let nothing by."""

IsWanted = Callable[[Entry], Awaitable[bool]]


async def first_position(feed: Feed, params: SubscribeParams, is_wanted: IsWanted) -> int:
    """Return the seq after which events are to be sent; raise InvalidParams if it is not one."""
    named = {"after_seq": params.after_seq, "since": params.since, "last": params.last}
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise InvalidParams(
            f"{' and '.join(given)} exclude each other", reason="two_positions", field=given[1]
        )
    if params.last is not None:
        return await seq_before_last(feed, params.last, is_wanted)
    since_ns = read_time("since", params.since)
    if since_ns is not None:
        return await seq_before_time(feed, since_ns)
    durable_seq = feed.durable_seq
    after_seq = durable_seq if params.after_seq is None else params.after_seq
    if after_seq > durable_seq:
        raise InvalidParams(
            f"after_seq {after_seq} is ahead of the journal, which ends at {durable_seq}",
            reason="after_seq_ahead",
            field="after_seq",
            hint="is this the journal that the seq came from?",
        )
    return after_seq


async def seq_before_last(feed: Feed, count: int, is_wanted: IsWanted) -> int:
    """Return the seq before the last `count` wanted events, or before as many as are near."""
    before = feed.last_seq
    furthest = max(before - LOOKBACK_EVENTS_MAX, 0)
    while count and before > furthest:
        begin = max(before - EVENTS_PER_READ, furthest)
        for seq, entry in reversed(await feed.read(begin, before - begin)):
            if await is_wanted(entry):
                count -= 1
                if not count:
                    return seq - 1
        before = begin
        await asyncio.sleep(0)
    return before


async def seq_before_time(feed: Feed, since_ns: int) -> int:
    """
    Return the seq before the first event at `since_ns` or later, found by halving.

    The wall clock may have been set back: then it is one of the places where that is so.
    """
    early, late = 0, feed.last_seq
    while early < late:
        middle = (early + late) // 2
        [(_, entry)] = await feed.read(middle, 1)
        if entry.event.at_ns < since_ns:
            early = middle + 1
        else:
            late = middle
    return early
