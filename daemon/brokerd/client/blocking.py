"""
`Broker`: the blocking client, for scripts and notebooks.

It connects when it is first needed, and again whenever the daemon was away. A call that found no
answer is sent again where that is safe, which a submit is: its id is made before it first leaves.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Any, Self, TypeVar, Unpack

from brokerd.client import requests
from brokerd.client.protocol import (
    Answer,
    Conversation,
    Lost,
    Request,
    Told,
    unanswered,
    waits_s,
)
from brokerd.client.requests import LOOK_S, Page
from brokerd.client.settings import Filters, WithSettings
from brokerd.client.trade import Event, Fill, Number, Order, Trade, event_of
from brokerd.sockets import connect_first, socket_paths

T = TypeVar("T")

TIMEOUT_S = 10.0
AWAY_S_MAX = 60.0
"""How long the daemon may be away before the events of a subscription end with an error."""

CHUNK_BYTES = 256 * 1024


class Broker(WithSettings):
    """
    The daemon, as a trader sees it. `socket` is found as brokerctl finds it, unless it is named.

    `executor` is stamped on submits and filters loads, as `group_settings` does. `timeout_s` bounds
    each call, reconnects included. Methods raise the errors of `brokerd.errors`, by the names of
    the taxonomy; `OutcomeUnknown` says that the call may have been carried out, and
    `DaemonUnreachable` that no daemon answered. One broker may be used by several threads.
    """

    def __init__(
        self,
        socket: str | PathLike[str] | None = None,
        *,
        executor: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(executor)
        self._paths = socket_paths(socket)
        self._timeout_s = timeout_s
        self._link: _Link | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. The next call connects again."""
        with self._lock:
            self._drop()

    def submit(
        self, trade: Trade, *, wait: str = "journal", timeout_s: float | None = None
    ) -> Trade:
        """
        Submit a trade, and return it, updated.

        It is durable then. With `wait="venue"` the venue has said its first word, or `timeout_s`
        has passed. Submitting the same trade again finds the same order: never a second one.
        """
        request = requests.submit(self._settings, trade, wait=wait, timeout_s=timeout_s)
        return self._update(trade, request, extra_s=timeout_s or 0)

    def cancel(self, trade: Trade | str) -> Trade:
        """Ask for a cancel of what is left of a trade, and return it, updated."""
        return self._update(trade, requests.cancel(trade))

    def cancel_all(self, **filters: Unpack[Filters]) -> list[str]:
        """
        Ask for a cancel of every working order that matches; return their cl_ord_ids.

        Executor and group count as they are set; the window of `time_settings` does not. What is open
        at executors that are not configured any more is out of reach: a RuntimeWarning names it.
        """
        told = self._run(requests.cancel_all(self._settings, filters))
        return requests.canceled(told)

    def replace(
        self, trade: Trade | str, *, qty: Number | None = None, px: Number | None = None
    ) -> Trade:
        """Ask for another total quantity (filled part included) or limit price."""
        return self._update(trade, requests.replace(trade, qty, px))

    def resolve(
        self,
        trade: Trade | str,
        outcome: str,
        *,
        reason: str,
        venue_order_id: str | None = None,
    ) -> Trade:
        """
        Say what became of a trade's request in doubt, and return the trade, updated.

        `outcome` is executed, not_executed, or done (the order is over, whatever the request did);
        `reason` is how you know, and goes on record. Refused while the venue itself will tell.
        """
        return self._update(trade, requests.resolve(trade, outcome, reason, venue_order_id), LOOK_S)

    def thaw(self, executor: str, *, reason: str) -> str:
        """Let a frozen executor take new orders again; return the state of its link."""
        return str(self._run(requests.thaw(executor, reason), LOOK_S)["state"])

    def check_trade(self, trade: Trade | str) -> Trade:
        """
        Ask the venue about a trade, and return it, updated; a difference goes on record.

        A trade without an `executor_id` is not checked: the venue cannot know it.
        """
        if isinstance(trade, Trade) and not trade.is_trade:
            return trade
        return self._update(trade, requests.check(trade))

    def load(
        self,
        *,
        group_by: str | Sequence[str] = (),
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> list[Trade]:
        """
        Load trades, newest first: those of the group and window that are set, and of `filters`.

        `status` is PENDING, OPEN, CLOSED or CANCELLED, or several of them.
        """
        return self._all(
            lambda cursor: requests.page(self._settings, group_by, cursor, filters), limit
        )

    def fills(
        self,
        trade: Trade | str | None = None,
        *,
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> list[Fill]:
        """
        Load executions, newest first: of one trade, or of all that match as `load` has it.

        The window that is set counts by the time of the fill. For a trade that is named, only what
        is given here filters.
        """
        return self._all(
            lambda cursor: requests.fills(self._settings, trade, cursor, filters), limit
        )

    def stats(
        self, group_by: str | Sequence[str] = (), **filters: Unpack[Filters]
    ) -> dict[str, Any]:
        """Return execution statistics as `stats.get` gives them: docs/statistics.md has the words."""
        return self._run(requests.stats(self._settings, group_by, filters))

    def call(self, method: str, **params: Any) -> Any:
        """Call any method by its name."""
        return self._run(requests.anything(method, params))

    def events(
        self, after_seq: int | None = None, *, idle_s: float | None = None, **wanted: Any
    ) -> Iterator[Event]:
        """
        Yield events without gap or repeat: those after `after_seq` (0: all), or from now on.

        Over reconnects it goes on where it was; over a restart of your own, pass the `seq` of the
        last event you are done with. Ends after `idle_s` seconds of silence, else never. `wanted`
        are the filters of `events.subscribe`. Has a connection of its own.
        """
        away_since_s: float | None = None
        waits = waits_s()
        while True:
            try:
                with contextlib.closing(_Link(self._paths, self._timeout_s)) as link:
                    request = requests.subscribe(after_seq, wanted)
                    answer = request.read(link.call(request, time.monotonic() + self._timeout_s))
                    after_seq = answer["seq"] if after_seq is None else after_seq
                    away_since_s, waits = None, waits_s()
                    for event in link.events(idle_s):
                        yield event
                        after_seq = event.seq
                    return
            except Lost as lost:
                now_s = time.monotonic()
                away_since_s = away_since_s or now_s
                if now_s - away_since_s >= AWAY_S_MAX:
                    raise unanswered(requests.subscribe(0, {}), str(lost), was_sent=False) from lost
                time.sleep(next(waits))

    def _all(self, ask: Callable[[str | None], Request[Page[T]]], limit: int | None) -> list[T]:
        """Read page after page, to the end or to the limit."""
        requests.check_limit(limit)
        found: list[T] = []
        cursor: str | None = None
        while limit is None or len(found) < limit:
            page = self._run(ask(cursor))
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return found[:limit]

    def _update(self, trade: Trade | str, request: Request[Order], extra_s: float = 0) -> Trade:
        return requests.updated(trade, self._run(request, extra_s))

    def _run(self, request: Request[T], extra_s: float = 0) -> T:
        """Call until there is an answer, as long as that is safe and there is time."""
        deadline_s, was_sent = time.monotonic() + self._timeout_s + extra_s, False
        with self._lock:
            for wait_s in waits_s():
                try:
                    self._link = self._link or _Link(self._paths, self._timeout_s)
                    return request.read(self._link.call(request, deadline_s))
                except Lost as lost:
                    self._drop()
                    was_sent = was_sent or lost.was_sent
                    is_final = was_sent and not request.repeats
                    if is_final or time.monotonic() + wait_s >= deadline_s:
                        raise unanswered(request, str(lost), was_sent=was_sent) from lost
                except BaseException:
                    # Interrupted halfway: the answer that still comes belongs to nobody.
                    self._drop_if_waiting()
                    raise
                time.sleep(wait_s)
        raise AssertionError("waits_s never ends")

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _drop_if_waiting(self) -> None:
        if self._link is not None and self._link.is_waiting:
            self._drop()


class _Link:
    """One connection. Raises Lost for whatever is no answer."""

    def __init__(self, paths: list[str], timeout_s: float) -> None:
        self._conversation = Conversation()
        self._unread: list[Answer | Told] = []
        self.is_waiting = False
        try:
            self._socket: socket.socket = connect_first(paths, timeout_s)
        except OSError as error:
            raise Lost(f"{error.filename}: {error.strerror or error}", was_sent=False) from error

    def close(self) -> None:
        self._socket.close()

    def call(self, request: Request[Any], deadline_s: float) -> Any:
        """Return the result, still raw; raise the daemon's error."""
        call_id, line = self._conversation.ask(request)
        self.is_waiting = True
        self._send(line, deadline_s)
        while True:
            for place, message in enumerate(self._unread):
                if isinstance(message, Answer) and message.id in {call_id, None}:
                    # What stands behind an answer to a subscribe are its first events.
                    del self._unread[: place + 1]
                    # What answers no call turns the connection away: it is not to be used again.
                    self.is_waiting = message.id is None
                    if message.error is not None:
                        raise message.error
                    return message.result
            self._unread = [each for each in self._unread if isinstance(each, Told)]
            self._unread += self._conversation.feed(self._receive(deadline_s - time.monotonic()))

    def events(self, idle_s: float | None) -> Iterator[Event]:
        """Yield what a subscription tells; return after `idle_s` of silence."""
        while True:
            for message in self._unread:
                if isinstance(message, Told) and message.method == "event":
                    yield event_of(message.params)
                elif isinstance(message, Told) and message.method == "events.ended":
                    raise Lost("the daemon ended the subscription")
            try:
                self._unread = list(self._conversation.feed(self._receive(idle_s)))
            except _Silence:
                return

    def _send(self, line: bytes, deadline_s: float) -> None:
        try:
            self._socket.settimeout(max(deadline_s - time.monotonic(), 0.001))
            self._socket.sendall(line)
        except ConnectionError:
            # Hung up; what the daemon said before is still to be read.
            return
        except OSError as error:
            raise Lost(f"sending failed: {error}") from error

    def _receive(self, patience_s: float | None) -> bytes:
        try:
            self._socket.settimeout(None if patience_s is None else max(patience_s, 0.001))
            data = self._socket.recv(CHUNK_BYTES)
        except TimeoutError as error:
            raise _Silence("no answer in time") from error
        except OSError as error:
            raise Lost(f"reading failed: {error}") from error
        if not data:
            raise Lost("the daemon hung up")
        return data


class _Silence(Lost):
    """Nothing came in time."""
