"""
Alpaca's REST: one request on the wire for each call, within the account's budget.

The budget is of the account, told in every answer's headers: `X-Ratelimit-Remaining` of
`X-Ratelimit-Limit`, until `X-Ratelimit-Reset` (epoch seconds).
"""

from collections.abc import Mapping
from typing import TypeVar

from msgspec import Struct

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.events import RequestKind
from brokerd.executor import Clock, InDoubt, Outcome
from brokerd.outcomes import NoAnswer
from brokerd.times import NS_PER_S
from brokerd_adapters.alpaca.outcomes import OUTCOMES
from brokerd_adapters.alpaca.requests import key_headers
from brokerd_adapters.alpaca.wire import BODY_BYTES_MAX, Unreadable, decode, decode_fault
from brokerd_adapters.kit import (
    Charge,
    Credential,
    Deadlines,
    Http,
    HttpAnswer,
    Pause,
    Priority,
    Unanswered,
    Unsent,
    Window,
    key_mark,
    outcome_of,
    shared_budget,
    whole,
)

PAUSE_S_MAX = 120.0
"""The longest pause that an answer can ask for: windows are a minute long."""

_MINUTE_NS = 60 * NS_PER_S

T = TypeVar("T")


class Sent(Struct, frozen=True):
    """An answer, and when its request was sent, by our wall clock."""

    answer: HttpAnswer
    at_ns: int


class Rest:
    """The Trading API for one key; an async context is entered by `http`."""

    def __init__(
        self, url: str, credential: Credential, clock: Clock, *, a_minute: int, deadline_s: float
    ) -> None:
        self._clock = clock
        self._window = f"requests:{key_mark(credential.api_key)}"
        self._limit = a_minute
        self.budget = shared_budget(url, clock)
        self._configure()
        self.http = Http(
            url,
            headers=key_headers(credential),
            blank=credential.blank,
            deadlines=Deadlines(total_s=deadline_s),
            body_bytes_max=BODY_BYTES_MAX,
        )

    @property
    def left(self) -> int:
        """How many requests may still be sent."""
        return self.budget.left[self._window]

    @property
    def paused(self) -> Pause | None:
        """The pause under way for this key, if there is one."""
        return self.budget.paused({self._window: 1})

    def pause_until(self, until_ns: int, reason: str) -> None:
        """Send nothing with this key until then."""
        self.budget.pause_until(until_ns, reason, counts=self._window)

    async def ask(self, path: str, query: str = "") -> HttpAnswer:
        """
        Put a question; return the answer, of status 200 or 404.

        Raises VenueUnavailable or OutcomeUnknown for any other.
        """
        answer = (await self._send("GET", path, query=query, priority=Priority.QUESTION)).answer
        if answer.status not in {200, 404}:
            raise _unanswered(path, answer)
        return answer

    async def get(self, path: str, kind: type[T], query: str = "") -> T:
        """Put a question; return the answer, which must be there."""
        answer = await self.ask(path, query)
        if answer.status != 200:
            raise _unanswered(path, answer)
        return read(answer, kind, path)

    async def find(self, path: str, kind: type[T], query: str = "") -> T | None:
        """Put a question; return the answer, None for a complete "there is none"."""
        answer = await self.ask(path, query)
        if answer.status == 200:
            return read(answer, kind, path)
        code, _ = decode_fault(answer.body)
        if code is None or not code.startswith("404"):
            # A gateway's 404 is about a path, not about an order.
            raise _unanswered(path, answer)
        return None

    async def command(
        self,
        kind: RequestKind,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
    ) -> Sent | Outcome:
        """Send something that changes something; return the answer of 2xx, or what became of it."""
        priority = Priority.CANCEL if kind is RequestKind.CANCEL else Priority.ORDER
        try:
            sent = await self._send(method, path, body=body, priority=priority)
        except (Unsent, Unanswered) as error:
            sent_at_ns = error.extra.get("sent_at_ns")
            return outcome_of(error, kind, OUTCOMES, signed_at_ns=sent_at_ns)
        answer = sent.answer
        if 200 <= answer.status < 300:
            return sent
        code, message = decode_fault(answer.body)
        return OUTCOMES.outcome(
            kind,
            status=answer.status,
            code=code,
            message=message,
            signed_at_ns=sent.at_ns,
            retry_after_s=self._pause_s(answer.headers) if answer.status == 429 else None,
        )

    async def _send(
        self,
        method: str,
        path: str,
        *,
        priority: Priority,
        query: str = "",
        body: bytes | None = None,
    ) -> Sent:
        """Send one request when its turn has come; errors from there on say when that was."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        async with self.budget.spend({self._window: 1}, priority) as charge:
            sent_at_ns = self._clock.now_ns()
            try:
                answer = await self.http.request(
                    method, path, query=query, body=body, headers=headers
                )
            except Unsent:
                self.budget.refund(charge)
                raise
            except Unanswered as error:
                error.extra["sent_at_ns"] = sent_at_ns
                raise
            self._observe(answer, charge)
        return Sent(answer, sent_at_ns)

    def _observe(self, answer: HttpAnswer, charge: Charge) -> None:
        limit = whole(answer.headers.get("X-Ratelimit-Limit"))
        remaining = whole(answer.headers.get("X-Ratelimit-Remaining"))
        if limit and limit != self._limit:
            self._limit = limit
            self._configure()
        if limit is not None and remaining is not None:
            self.budget.observe(self._window, max(limit - remaining, 0), charge)
        if answer.status == 429:
            self.budget.pause(
                self._pause_s(answer.headers), "429 too many requests", counts=self._window
            )

    def _pause_s(self, headers: Mapping[str, str]) -> float:
        """Return how long a 429 wants to be left alone."""
        told_s = whole(headers.get("Retry-After"))
        if told_s is None:
            reset_s = whole(headers.get("X-Ratelimit-Reset")) or 0
            told_s = reset_s - self._clock.now_ns() // NS_PER_S
        return min(max(float(told_s), 1.0), PAUSE_S_MAX)

    def _configure(self) -> None:
        window = Window(
            name=self._window,
            counts=self._window,
            limit=self._limit,
            interval_ns=_MINUTE_NS,
            is_rolling=True,
        )
        self.budget.configure([window])


def read(answer: HttpAnswer, kind: type[T], what: str) -> T:
    """Read an answer's body; raises OutcomeUnknown if it is not what it should be."""
    try:
        return decode(answer.body, kind)
    except Unreadable as error:
        raise Unanswered(NoAnswer.GARBLED, f"{what}: {error}") from None


def garbled(kind: RequestKind, error: Unreadable, signed_at_ns: int) -> Outcome:
    """Return what an answer of 2xx is worth that cannot be read: it may have happened."""
    told = OUTCOMES.outcome(
        kind, fault=NoAnswer.GARBLED, message=str(error), signed_at_ns=signed_at_ns
    )
    assert isinstance(told, InDoubt)  # noqa: S101 - the table says so, and a test of it
    return told


def _unanswered(path: str, answer: HttpAnswer) -> VenueUnavailable | OutcomeUnknown:
    """Return the error for an answer that answers nothing. What it quotes holds no key."""
    _, message = decode_fault(answer.body)
    told = f"{path}: status {answer.status}{': ' if message else ''}{message}"
    if answer.status == 429:
        return VenueUnavailable(told, reason="rate_limited")
    if answer.status in {401, 403}:
        return VenueUnavailable(told, reason="not_authorized", status=answer.status)
    return OutcomeUnknown(told, reason="no_answer")
