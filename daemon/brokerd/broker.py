"""
What to do about it: `decide` turns one message into events, actions and an answer.

Rule 1: no clock, no I/O, no randomness: what a message needs it carries. The events go into the
        stage, which becomes real when they are durable and is thrown away when they cannot be.
Rule 2: actions happen only after the events are durable.
Rule 3: doubt ends with evidence: a report, a view of the order, or its proved absence. No time
        that passes turns it into "rejected" or "canceled".
"""

from collections.abc import Callable
from typing import Any

from brokerd import commands, doubt, evidence, resolving
from brokerd.blotter import Stage
from brokerd.messages import (
    NOTHING,
    Answered,
    Barrier,
    Cancel,
    Decision,
    Message,
    Note,
    Replace,
    Reported,
    Resolve,
    RetryDue,
    Seen,
    Submit,
    Viewed,
)


def decide(stage: Stage, message: Message) -> Decision:
    """Record in the stage what has happened; return what to do about it once that is durable."""
    return _DECIDE[type(message)](stage, message)


def _note(stage: Stage, message: Note) -> Decision:
    stage.record(message.event)
    return NOTHING


def _pass(_stage: Stage, _message: Barrier) -> Decision:
    return NOTHING


_DECIDE: dict[type[Message], Callable[[Stage, Any], Decision]] = {
    Submit: commands.submit,
    Cancel: commands.cancel,
    Replace: commands.replace,
    Resolve: resolving.resolve,
    Note: _note,
    Barrier: _pass,
    Answered: evidence.answered,
    RetryDue: evidence.retry_due,
    Reported: evidence.reported,
    Viewed: doubt.viewed,
    Seen: evidence.seen,
}
