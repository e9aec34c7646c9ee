"""
Faults on command: what real venues do on bad days, repeatable by seed or by script.

Pure: it says what shall go wrong, whoever asks does it. One fault at most befalls a command; what
befalls the stream is decided report by report.
"""

import random
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from brokerd.executor import Report

Rate = Annotated[float, Meta(ge=0, le=1)]


class Fault(StrEnum):
    """What may befall one command (place, cancel, replace)."""

    NONE = "none"
    LOSE_REQUEST = "lose_request"
    """It never arrives; the caller is in doubt."""
    LOSE_REPLY = "lose_reply"
    """It is done, but the answer never arrives; the caller is in doubt."""
    LATE = "late"
    """It is done, and answered `delay_s` later."""
    UNAVAILABLE = "unavailable"
    """The venue says that it did nothing."""
    FORGET = "forget"
    """The venue loses all it knew, then does it."""


class Faults(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The plan: how often each fault happens, from 0 (never) to 1 (always).

    `script` is worked off first, one fault for each command, whatever the rates; `lose_answer` is
    for questions (query, snapshot, balances); the last four are for reports on the stream.
    """

    seed: int = 0
    script: tuple[Fault, ...] = ()
    lose_request: Rate = 0.0
    lose_reply: Rate = 0.0
    late: Rate = 0.0
    delay_s: Annotated[float, Meta(ge=0, le=3_600)] = 1.0
    unavailable: Rate = 0.0
    forget: Rate = 0.0
    lose_answer: Rate = 0.0
    repeat_report: Rate = 0.0
    reorder_report: Rate = 0.0
    drop_report: Rate = 0.0
    drop_stream: Rate = 0.0

    @property
    def delay_max_s(self) -> float:
        """The longest a command may be held up."""
        return self.delay_s if self.late or Fault.LATE in self.script else 0.0


class Carried(NamedTuple):
    """What a stream carries in place of some reports, and whether it breaks after them."""

    reports: list[Report]
    breaks: bool


class Misbehaviour:
    """One plan at work. The same plan and the same calls give the same faults."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._chance = random.Random(faults.seed)  # noqa: S311  faults, no key
        self._script = iter(faults.script)
        self._held: Report | None = None

    def next_fault(self) -> Fault:
        """Return what befalls the next command."""
        scripted = next(self._script, None)
        if scripted is not None:
            return scripted
        for fault in Fault:
            if fault is not Fault.NONE and self._strikes(getattr(self.faults, fault)):
                return fault
        return Fault.NONE

    def loses_answer(self) -> bool:
        """Return whether the next question goes unanswered."""
        return self._strikes(self.faults.lose_answer)

    def streamed(self, reports: Iterable[Report]) -> Carried:
        """
        Return what the stream carries in place of these reports.

        A report that is reordered is held back until after the next one. A stream that breaks has
        lost the report at which it broke and all after it.
        """
        carried: list[Report] = []
        for report in reports:
            if self._strikes(self.faults.drop_stream):
                self._held = None
                return Carried(carried, breaks=True)
            if self._strikes(self.faults.drop_report):
                continue
            if self._held is None and self._strikes(self.faults.reorder_report):
                self._held = report
                continue
            carried.append(report)
            if self._strikes(self.faults.repeat_report):
                carried.append(report)
            if self._held is not None:
                carried.append(self._held)
                self._held = None
        return Carried(carried, breaks=False)

    def _strikes(self, rate: float) -> bool:
        return rate > 0 and self._chance.random() < rate
