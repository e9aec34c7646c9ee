"""
The gate: every request passes it. It is written down, then carried out, or befallen by a fault.

On a good day nothing waits here: `admit` says None, and the dialect carries the request out and
answers within the same turn of the loop.
"""

import asyncio
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from brokerd.executor import Clock
from brokerd_adapters.paper.misbehaviour import Carried
from brokerd_adapters.venue.faults import Misconduct, Step, WireFault, WireFaults
from brokerd_adapters.venue.wirelog import Call, WireLog

_GARBLED = b"<html><head><title>502 Bad Gateway</title></head><body>cloud</body></html>"


class Reply(Struct, frozen=True, gc=False):
    """One answer: its status, body and headers. `is_torn` sends the first half of the body only."""

    status: int
    body: bytes
    headers: dict[str, str] = {}
    content_type: str = "application/json"
    is_torn: bool = False


class Lost(Enum):
    """No answer: its connection breaks, or it just never comes."""

    BREAK = "break"
    SILENCE = "silence"


class Powers(Protocol):
    """What faults may do to the venue as a whole."""

    def forget(self) -> None:
        """Lose all orders."""
        ...

    def go_down(self, down_s: float) -> None:
        """Break every connection and take none for a while."""
        ...


class Gate:
    """The wire log and the plan of faults."""

    def __init__(self, clock: Clock, powers: Powers) -> None:
        self.log = WireLog()
        self._clock = clock
        self._powers = powers
        self._misconduct: Misconduct | None = None

    @property
    def plan(self) -> WireFaults | None:
        """The plan of faults that rules."""
        return self._misconduct.plan if self._misconduct else None

    def misbehave(self, plan: WireFaults | None) -> None:
        """Let this plan rule from here on, from its beginning; None ends all misbehaviour."""
        self._misconduct = Misconduct(plan) if plan else None

    def streamed(self, stream: Hashable, frames: list[bytes]) -> Carried[bytes]:
        """Return what an account stream carries in place of these frames."""
        if self._misconduct is None:
            return Carried(frames, breaks=False)
        return self._misconduct.carrier(stream).carry(frames)

    def admit(self, call: Call) -> Step | None:
        """Write the request down; return what befalls it, None on a good day."""
        step = None
        if self._misconduct is not None:
            step = self._misconduct.befalls(call.operation, is_command=call.is_command)
        self.log.note(call, step.fault if step else WireFault.NONE, self._clock.now_ns())
        return step

    async def suffer(
        self, step: Step, carry_out: Callable[[], Reply], excuse: Callable[[Step], Reply]
    ) -> Reply | Lost:
        """
        Let the fault befall a request, which is carried out or not.

        `excuse` makes the dialect's answer that says no with `step.status`.
        """
        fate = await self._on_its_way(step, excuse)
        return fate or await self._on_its_way_back(step, carry_out(), excuse)

    async def _on_its_way(self, step: Step, excuse: Callable[[Step], Reply]) -> Reply | Lost | None:
        """Return the fate of a request that is not carried out, None for one that is."""
        match step.fault:
            case WireFault.LOSE_REQUEST:
                return self._lost()
            case WireFault.UNAVAILABLE:
                return excuse(step)
            case WireFault.DOWN:
                self._powers.go_down(step.down_s)
                return Lost.BREAK
            case WireFault.HOLD:
                await asyncio.sleep(step.delay_s)
            case WireFault.FORGET:
                self._powers.forget()
            case _:
                pass
        return None

    async def _on_its_way_back(
        self, step: Step, reply: Reply, excuse: Callable[[Step], Reply]
    ) -> Reply | Lost:
        match step.fault:
            case WireFault.LOSE_REPLY:
                return self._lost()
            case WireFault.LATE:
                await asyncio.sleep(step.delay_s)
            case WireFault.FAIL:
                return excuse(step)
            case WireFault.GARBLE:
                return replace(reply, body=_GARBLED, content_type="text/html")
            case WireFault.TRUNCATE:
                return replace(reply, is_torn=True)
            case _:
                pass
        return reply

    def _lost(self) -> Lost:
        return Lost(self.plan.lost) if self.plan else Lost.BREAK
