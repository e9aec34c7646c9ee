"""Those who trade: bots that submit, cancel, replace and ask, and ask again when nobody answered."""

import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from tests.simulation.loop import Time
from tests.simulation.oracle import Oracle
from tests.simulation.story import Story
from tests.simulation.themes import Kind

from brokerd.enquiries import Enquiries
from brokerd.errors import BrokerdError, DuplicateClOrdId, UnknownOrder
from brokerd.params import AnyIdParams, OrderParams, ReplaceParams, SubmitParams
from brokerd.trading import Trading
from brokerd.views import ShownOrder

PAUSE_S = (0.02, 0.8)
FINAL = {"filled", "canceled", "rejected", "expired"}

Answer = ShownOrder | BrokerdError
Ask = Callable[["Methods"], Coroutine[Any, Any, ShownOrder]]

read_submit = msgspec.json.Decoder(SubmitParams).decode
read_replace = msgspec.json.Decoder(ReplaceParams).decode


class Methods(NamedTuple):
    """What a bot may call."""

    trading: Trading
    enquiries: Enquiries


class Daemon(Protocol):
    """What a bot sees of the daemon: a socket that is there, or not."""

    def call(self, ask: Ask, answer: Callable[[Answer], None]) -> bool:
        """Put a question; `answer` is called if the answer comes. False: nobody listens."""
        ...


class Bot:
    """
    One bot. What it remembers outlives the daemon.

    `changes` is how eager it is to change orders, `changes_by` what it draws from when it does.
    """

    def __init__(
        self,
        name: str,
        *,
        time: Time,
        rng: random.Random,
        daemon: Daemon,
        executors: list[str],
        oracle: Oracle,
        story: Story,
        changes: float,
        changes_by: Sequence[Kind],
    ) -> None:
        self.name = name
        self.asked: dict[str, bytes] = {}
        self.answered: dict[str, ShownOrder] = {}
        self._time = time
        self._rng = rng
        self._daemon = daemon
        self._executors = executors
        self._oracle = oracle
        self._story = story
        self._changes = changes
        change = {"cancel": self._cancel, "replace": self._replace}
        self._changes_by = [change[kind] for kind in changes_by]
        self._is_done = False
        self._changed = ""

    def begin(self) -> None:
        """Begin to trade."""
        self._time.after(self._rng.random(), self._act)

    def stop(self) -> None:
        """Trade no more."""
        self._is_done = True

    def ask_for_all(self) -> None:
        """Ask for every order that was ever acknowledged: each must still be known."""
        for cl_ord_id in self.answered:
            params = AnyIdParams(cl_ord_id=cl_ord_id)
            self._call(cl_ord_id, lambda on, p=params: on.enquiries.get(None, p))  # type: ignore[misc,arg-type]

    def _act(self) -> None:
        if self._is_done:
            return
        self._time.after(self._rng.uniform(*PAUSE_S), self._act)
        unanswered = [each for each in self.asked if each not in self.answered]
        is_open = [each for each, o in self.answered.items() if o.ord_status not in FINAL]
        dice = self._rng.random()
        if is_open and self._rng.random() < self._changes:
            self._rng.choice(self._changes_by)(self._chosen(is_open))
        elif unanswered and dice < 0.3:
            self._submit(self._rng.choice(unanswered))
        elif dice < 0.55 or not self.answered:
            self._submit_new()
        elif dice < 0.6:
            self._submit(self._rng.choice(list(self.answered)))
        elif dice < 0.8:
            self._cancel(self._chosen(is_open))
        elif dice < 0.92:
            self._replace(self._chosen(is_open))
        else:
            self._look(self._rng.choice(list(self.answered)))

    def _chosen(self, is_open: list[str]) -> str:
        """Choose an order to change: often the one that was changed last."""
        if self._changed not in is_open or self._rng.random() < 0.5:
            self._changed = self._rng.choice(is_open or list(self.answered))
        return self._changed

    def _submit_new(self) -> None:
        rng = self._rng
        cl_ord_id = f"{self.name}-{len(self.asked) + 1}"
        terms: dict[str, Any] = {
            "cl_ord_id": cl_ord_id,
            "executor": rng.choice(self._executors),
            "symbol": "BTCUSDT",
            "side": rng.choice(("buy", "sell")),
            "ord_type": "limit",
            "qty": str(rng.randint(1, 20)),
            "px": str(rng.randint(90, 110)),
            "wait": rng.choice(("journal", "journal", "venue")),
            "timeout_s": 0.5,
        }
        if rng.random() < 0.1:
            terms["ord_type"] = "market"
            del terms["px"]
        elif rng.random() < 0.1:
            terms["time_in_force"] = "ioc"
        self.asked[cl_ord_id] = msgspec.json.encode(terms)
        self._submit(cl_ord_id)

    def _submit(self, cl_ord_id: str) -> None:
        params = read_submit(self.asked[cl_ord_id])
        self._call(cl_ord_id, lambda on: on.trading.submit(None, params))  # type: ignore[arg-type]

    def _cancel(self, cl_ord_id: str) -> None:
        params = OrderParams(cl_ord_id)
        self._call(cl_ord_id, lambda on: on.trading.cancel(None, params))  # type: ignore[arg-type]

    def _replace(self, cl_ord_id: str) -> None:
        change: dict[str, str] = {"cl_ord_id": cl_ord_id, "qty": str(self._rng.randint(1, 30))}
        if self._rng.random() < 0.5 and b'"market"' not in self.asked[cl_ord_id]:
            change["px"] = str(self._rng.randint(90, 110))
        params = read_replace(msgspec.json.encode(change))
        self._call(cl_ord_id, lambda on: on.trading.replace(None, params))  # type: ignore[arg-type]

    def _look(self, cl_ord_id: str) -> None:
        params = AnyIdParams(cl_ord_id=cl_ord_id)
        method = self._rng.choice((Enquiries.get, Enquiries.check))
        self._call(cl_ord_id, lambda on: method(on.enquiries, None, params))  # type: ignore[arg-type]

    def _call(self, cl_ord_id: str, ask: Ask) -> None:
        self._daemon.call(ask, lambda answer: self._take(cl_ord_id, answer))

    def _take(self, cl_ord_id: str, answer: Answer) -> None:
        if isinstance(answer, ShownOrder):
            if answer.cl_ord_id != cl_ord_id:
                self._oracle.violated(
                    "never twice", cl_ord_id, f"was answered with {answer.cl_ord_id}"
                )
            self._oracle.on_answer(answer)
            self.answered[cl_ord_id] = answer
        elif isinstance(answer, DuplicateClOrdId):
            self._oracle.violated(
                "never twice", cl_ord_id, "the same submit was told another has its id"
            )
        elif isinstance(answer, UnknownOrder) and cl_ord_id in self.answered:
            self._oracle.violated(
                "acknowledged means durable", cl_ord_id, "is unknown all of a sudden"
            )
