"""
Faults on the wire, on command: what happens to requests and streams on bad days.

Pure and repeatable: the same plan and the same requests give the same faults. Commands (whatever
changes something) and questions suffer apart; a step of a script may name the one operation that
it waits for. What befalls streams is decided frame by frame.
"""

import random
from collections.abc import Hashable
from enum import StrEnum
from typing import Annotated
from weakref import WeakKeyDictionary

from msgspec import Meta, Struct
from msgspec.structs import replace

from brokerd_adapters.paper.misbehaviour import Carrier, Rate, strikes


class WireFault(StrEnum):
    """What may befall one request."""

    NONE = "none"
    LOSE_REQUEST = "lose_request"
    """It never arrives: nothing is done, nothing is answered."""
    LOSE_REPLY = "lose_reply"
    """It is done, but the answer never arrives."""
    LATE = "late"
    """It is done, and answered `delay_s` later."""
    HOLD = "hold"
    """It arrives `delay_s` late, even if its sender is gone by then."""
    UNAVAILABLE = "unavailable"
    """Nothing is done, and the dialect's answer for `status` (429, 418, 5xx) says so."""
    FAIL = "fail"
    """It is done, and yet the answer is the one for `status` (5xx)."""
    GARBLE = "garble"
    """It is done, and answered with a page of HTML."""
    TRUNCATE = "truncate"
    """It is done, and half of the answer arrives."""
    FORGET = "forget"
    """The venue loses all it knew, then does it."""
    DOWN = "down"
    """Nothing is done; every connection breaks, and for `down_s` none can be made."""


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One step of a script, and the terms of its fault.

    It waits for the next request whose operation is `on`: an operation's name as the wire log has
    it, `command`, `question` or `any`. `code` and `message` stand in place of the dialect's own
    words for `status`.
    """

    fault: WireFault
    on: str = "command"
    delay_s: Annotated[float, Meta(ge=0, le=3_600)] = 1.0
    down_s: Annotated[float, Meta(ge=0, le=3_600)] = 1.0
    status: Annotated[int, Meta(ge=400, le=599)] = 503
    retry_after_s: Annotated[int, Meta(ge=0, le=86_400)] = 1
    code: int = 0
    message: str = ""


class WireFaults(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The plan: how often each fault befalls a command, from 0 (never) to 1 (always).

    `script` is worked off first: the first step that fits a request is used up by it; a bare word
    is a step for the next command. `lose_answer` is for questions. What is lost on the wire breaks
    its connection, or with `lost` of silence just never comes. The last four are for the frames of
    account streams. `terms` are those of faults that come by rate.
    """

    seed: int = 0
    script: tuple[Step | WireFault, ...] = ()
    terms: Step = Step(fault=WireFault.NONE)
    lost: Annotated[str, Meta(pattern="^(break|silence)$")] = "break"
    lose_request: Rate = 0.0
    lose_reply: Rate = 0.0
    late: Rate = 0.0
    hold: Rate = 0.0
    unavailable: Rate = 0.0
    fail: Rate = 0.0
    garble: Rate = 0.0
    truncate: Rate = 0.0
    forget: Rate = 0.0
    down: Rate = 0.0
    lose_answer: Rate = 0.0
    repeat_report: Rate = 0.0
    reorder_report: Rate = 0.0
    drop_report: Rate = 0.0
    drop_stream: Rate = 0.0


_COMMAND_FAULTS = tuple(fault for fault in WireFault if fault is not WireFault.NONE)


class Misconduct:
    """One plan at work."""

    def __init__(self, plan: WireFaults) -> None:
        self.plan = plan
        self._chance = random.Random(plan.seed)  # noqa: S311  faults, no key
        self._carriers: WeakKeyDictionary[Hashable, Carrier[bytes]] = WeakKeyDictionary()
        self._steps = [step if isinstance(step, Step) else Step(fault=step) for step in plan.script]

    def befalls(self, operation: str, *, is_command: bool) -> Step | None:
        """Return what befalls the next request, None if nothing does."""
        kind = "command" if is_command else "question"
        for at, step in enumerate(self._steps):
            if step.on in {operation, kind, "any"}:
                del self._steps[at]
                return None if step.fault is WireFault.NONE else step
        if not is_command:
            return self._struck(WireFault.LOSE_REPLY, self.plan.lose_answer)
        for fault in _COMMAND_FAULTS:
            struck = self._struck(fault, getattr(self.plan, fault))
            if struck is not None:
                return struck
        return None

    def carrier(self, stream: Hashable) -> Carrier[bytes]:
        """Return what carries the frames of one account stream."""
        carrier = self._carriers.get(stream)
        if carrier is None:
            carrier = self._carriers[stream] = Carrier(self.plan, self._chance)
        return carrier

    def _struck(self, fault: WireFault, rate: float) -> Step | None:
        return replace(self.plan.terms, fault=fault) if strikes(self._chance, rate) else None
