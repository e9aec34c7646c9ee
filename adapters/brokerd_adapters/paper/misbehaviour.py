"""
Faults on command: what real venues do on bad days, repeatable by seed or by script.

Pure: it says what shall go wrong, whoever asks does it. One fault at most befalls a command; what
befalls the stream is decided report by report.
"""

import random
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Generic, NamedTuple, Protocol, TypeVar

from msgspec import Meta, Struct

from brokerd.executor import Report

T = TypeVar("T")
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


class StreamRates(Protocol):
    """How often each fault befalls an item of a stream, from 0 to 1."""

    @property
    def repeat_report(self) -> float:
        """It comes twice."""
        ...

    @property
    def reorder_report(self) -> float:
        """It is held back until after the next one."""
        ...

    @property
    def drop_report(self) -> float:
        """It never comes."""
        ...

    @property
    def drop_stream(self) -> float:
        """The stream breaks, and has lost this one and all after it."""
        ...


class Carried(NamedTuple, Generic[T]):
    """What a stream carries in place of some items, and whether it breaks after them."""

    items: list[T]
    breaks: bool


class Carrier(Generic[T]):
    """One stream, as badly as its rates say."""

    def __init__(self, rates: StreamRates, chance: random.Random) -> None:
        self._rates = rates
        self._chance = chance
        self._held: list[T] = []

    def carry(self, items: Iterable[T]) -> Carried[T]:
        """Return what the stream carries in place of these items."""
        carried: list[T] = []
        for item in items:
            if strikes(self._chance, self._rates.drop_stream):
                self._held.clear()
                return Carried(carried, breaks=True)
            if strikes(self._chance, self._rates.drop_report):
                continue
            if not self._held and strikes(self._chance, self._rates.reorder_report):
                self._held.append(item)
                continue
            carried.append(item)
            if strikes(self._chance, self._rates.repeat_report):
                carried.append(item)
            carried += self._held
            self._held.clear()
        return Carried(carried, breaks=False)


class Misbehaviour:
    """One plan at work. The same plan and the same calls give the same faults."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._chance = random.Random(faults.seed)  # noqa: S311  faults, no key
        self._script = iter(faults.script)
        self._carrier = Carrier[Report](faults, self._chance)
        self.streamed = self._carrier.carry

    def next_fault(self) -> Fault:
        """Return what befalls the next command."""
        scripted = next(self._script, None)
        if scripted is not None:
            return scripted
        for fault in Fault:
            if fault is not Fault.NONE and strikes(self._chance, getattr(self.faults, fault)):
                return fault
        return Fault.NONE

    def loses_answer(self) -> bool:
        """Return whether the next question goes unanswered."""
        return strikes(self._chance, self.faults.lose_answer)


def strikes(chance: random.Random, rate: float) -> bool:
    """Say whether a fault of this rate happens now; draws only if it may."""
    return rate > 0 and chance.random() < rate
