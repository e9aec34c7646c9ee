"""
Both roads to the venue, and the budget before them.

Rule 1: a command takes one road. The other is for a command that surely did not leave on the first.
Rule 2: questions go over REST, and may be asked again by whoever asked.
Rule 3: what the venue says of limits, pauses and clocks is heeded here, whatever it was asked.
"""

import asyncio
from collections.abc import Callable

from msgspec import Raw

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.events import RequestKind
from brokerd.executor import Clock, Outcome
from brokerd_adapters.binance.limits import WEIGHT, Meters
from brokerd_adapters.binance.outcomes import OUTCOMES
from brokerd_adapters.binance.replies import Answer
from brokerd_adapters.binance.requests import Call
from brokerd_adapters.binance.rest import Heard, Road
from brokerd_adapters.binance.session import Session
from brokerd_adapters.kit.budget import Budget, Charge
from brokerd_adapters.kit.clock_offset import ClockOffset
from brokerd_adapters.kit.faults import Unanswered, Unsent, outcome_of
from brokerd_adapters.kit.limits import Priority

CLOCK_OFF = -1021
TOO_MANY_ORDERS = -1015
NO_SUCH_ORDER = -2013
SERVER_FAILED = 500
"""From this status on nothing is proved, whatever the body says (rest-api.md, HTTP Return Codes)."""


BACK_OFF_S = {429: 60.0, 418: 120.0}
"""How long nothing is sent after these, where the venue does not say: a ban begins at 2 minutes."""

ORDERS_BACK_OFF_S = 10.0

Read = Callable[[Answer, int], Outcome]
"""Reads an answer to a command that was signed then (ns)."""


class Roads:
    """
    `session` is the WebSocket connection while there is one. `clock_is_off` is set when the venue
    says that it is: nothing can be signed until it has been measured again.
    """

    def __init__(
        self, rest: Road, budget: Budget, meters: Meters, offset: ClockOffset, clock: Clock
    ) -> None:
        self.session: Session | None = None
        self.clock_is_off = asyncio.Event()
        self._rest = rest
        self._budget = budget
        self._meters = meters
        self._offset = offset
        self._clock = clock

    async def command(self, operation: RequestKind, call: Call, read: Read) -> Outcome:
        """Carry out a command once; say what became of it, whatever befell it."""
        priority = Priority.CANCEL if operation is RequestKind.CANCEL else Priority.ORDER
        try:
            async with self._budget.spend(self._meters.cost(call), priority) as charge:
                return await self._carry_out(operation, call, read, charge)
        except Unsent as error:
            return outcome_of(error, operation, OUTCOMES)

    async def ask(self, call: Call) -> Raw | None:
        """
        Ask a question; return the body of the answer, or None where the venue has no such order.

        Raises VenueUnavailable, or OutcomeUnknown if there was no whole answer.
        """
        async with self._budget.spend(self._meters.cost(call), Priority.QUESTION) as charge:
            try:
                heard = await self._sent(self._rest, call, charge)
            except Unsent:
                self._budget.refund(charge)
                raise
        answer = heard.answer
        if answer.is_good:
            return answer.result
        error = answer.error
        if error is not None and error.code == NO_SUCH_ORDER and answer.status < SERVER_FAILED:
            return None
        said = f"{error.code} {error.msg[:200]}" if error else "no answer of the venue's own"
        told = f"{call.method}: status {answer.status}, {said}"
        if error is None:
            raise OutcomeUnknown(told, reason="answer_unreadable")
        raise VenueUnavailable(told, reason="question_refused", retry_after_s=answer.retry_after_s)

    async def _carry_out(
        self, operation: RequestKind, call: Call, read: Read, charge: Charge
    ) -> Outcome:
        """Try the open roads in turn, for as long as the request surely has not left."""
        unsent = Unsent("there is no road to the venue")
        roads: list[Road] = [self._rest]
        if self.session is not None and self.session.is_open:
            roads.insert(0, self.session)
        for road in roads:
            signed_at_ns = self._clock.now_ns()
            try:
                heard = await self._sent(road, call, charge)
            except Unsent as error:
                unsent = error
            except Unanswered as error:
                return outcome_of(error, operation, OUTCOMES, signed_at_ns=signed_at_ns)
            else:
                if heard.answer.is_good:
                    # Free since April 2026; a refused one costs what the documents say.
                    self._budget.refund(charge, {WEIGHT: call.weight})
                return read(heard.answer, signed_at_ns)
        self._budget.refund(charge)
        raise unsent

    async def _sent(self, road: Road, call: Call, charge: Charge) -> Heard:
        heard = await road.prepare(call)()
        for window, used in heard.used.items():
            self._budget.observe(window, used, charge)
        self._heed(heard.answer)
        return heard

    def _heed(self, answer: Answer) -> None:
        """Pause when the venue asks for it; measure its clock anew when it says ours is off."""
        code = None if answer.error is None else answer.error.code
        if code == CLOCK_OFF:
            self._offset.forget()
            self.clock_is_off.set()
        elif code == TOO_MANY_ORDERS:
            # Only of new orders: cancels go on.
            pause_s = answer.retry_after_s or ORDERS_BACK_OFF_S
            self._budget.pause(pause_s, "too many orders: -1015", counts=self._meters.orders)
        elif answer.status in BACK_OFF_S:
            pause_s = answer.retry_after_s or BACK_OFF_S[answer.status]
            self._budget.pause(pause_s, f"the venue said {answer.status}")
