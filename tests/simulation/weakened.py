"""What stands in a weakened build where the real thing stood: see `mutants`."""

import asyncio
from typing import Any

from msgspec.structs import replace
from tests.simulation.disk import MemoryJournal

from brokerd import doubt, evidence, fold, limits, merge, orders
from brokerd.blotter import Blotter, Stage
from brokerd.clock import SteadyClock
from brokerd.desk import Desk
from brokerd.dispatch import Dispatch
from brokerd.engine import Engine
from brokerd.events import OrderCanceled, OrderRejected, RequestKind, Road
from brokerd.executor import Capabilities, InDoubt, NotSent, Outcome, Refused
from brokerd.feed import Feed, Told
from brokerd.journal import store
from brokerd.listener import Listener
from brokerd.messages import NOTHING, Ask, Decision, Send
from brokerd.orders import Order, Request
from brokerd.questions import Questions
from brokerd.states import ExecType
from brokerd.strangers import Strangers

_decide_all = Engine._decide_all
_commit = Engine._commit
_call = Dispatch._call
_refused = evidence._refused
_merge_execution = merge._merge_execution


def act_before_commit(self: Engine) -> Any:
    batch = _decide_all(self)
    for action in batch.actions:
        self._act(action)
    batch.actions = []
    return batch


async def as_it_was_queued(self: Dispatch, queued: Order, request: Request) -> None:
    await self._request(queued, request)


def reply_before_commit(self: Engine) -> Any:
    batch = _decide_all(self)
    for reply, result in batch.replies:
        reply(result)()
    batch.replies = []
    return batch


async def publish_before_commit(self: Engine, batch: Any, committed: Any) -> None:
    if batch.stage.changes:
        self._feed.publish(batch.stage.changes)
    await _commit(self, batch, committed)


_publish = Feed.publish


def publish_once(self: Feed, changes: Any) -> None:
    if changes[-1].seq > self.last_seq:
        _publish(self, changes)


async def snapshot_first(self: Listener) -> None:
    await self._executor.connect()
    await self._sync()
    async with self._subscribed() as reports:
        await self._listen(reports)


async def insert_without_sync(self: MemoryJournal, bodies: list[bytes]) -> None:
    self.disk.write(bodies)
    await asyncio.sleep(0.001)
    asyncio.get_running_loop().call_later(0.5, self.disk.sync)


CARELESS_PRAGMAS = tuple(
    each.replace("synchronous = FULL", "synchronous = OFF") for each in store.PRAGMAS
)


async def timeout_is_not_sent(self: Dispatch, order: Any, request: Any) -> Outcome:
    outcome = await _call(self, order, request)
    if isinstance(outcome, InDoubt):
        return NotSent(reason="timeout", evidence=outcome.evidence)
    return outcome


async def timeout_is_refused(self: Dispatch, order: Any, request: Any) -> Outcome:
    outcome = await _call(self, order, request)
    if isinstance(outcome, InDoubt):
        return Refused(reason="timeout", evidence=outcome.evidence)
    return outcome


async def twice_if_lost(self: Dispatch, order: Any, request: Any) -> Outcome:
    outcome = await _call(self, order, request)
    return await _call(self, order, request) if isinstance(outcome, InDoubt) else outcome


def absent_at_once(stage: Stage, order: Any, message: Any) -> None:
    if order.acked_at_ns is None and not order.is_final:
        reject(stage, order, message)


def absent_after_one_answer(stage: Stage, order: Any, message: Any) -> None:
    from_ns = doubt.absence_counts_from_ns(order, message.absence_after_ns, message.at_ns)
    if order.acked_at_ns is None and from_ns is not None and message.asked_at_ns >= from_ns:
        reject(stage, order, message)


def absent_after_a_while(stage: Stage, order: Any, message: Any) -> None:
    if order.request is None or order.is_final or order.acked_at_ns is not None:
        return
    if message.at_ns - order.request.asked_at_ns > 3 * 10**9:
        reject(stage, order, message)


_absent = doubt._absent


def absent_only_while_open(stage: Stage, order: Any, message: Any) -> None:
    if not order.is_final:
        _absent(stage, order, message)


def reject(stage: Stage, order: Any, message: Any) -> None:
    stage.record(
        OrderRejected(
            at_ns=message.at_ns,
            cl_ord_id=order.cl_ord_id,
            road=Road.QUERY,
            reason="not_found_at_venue",
        )
    )


def viewed_resubmits(stage: Stage, message: Any) -> Decision:
    order = stage.get(message.cl_ord_id)
    request = order.request if order is not None else None
    if message.view is None and request is not None and request.kind is RequestKind.NEW:
        assert order is not None
        if order.in_doubt and request.attempt < 3:
            return Decision((Send(doubt.send_again(stage, order, message.at_ns, "again")),))
    return _viewed(stage, message)


_viewed = doubt.viewed


def never_executed(self: Any, cl_ord_id: str, exec_id: str) -> bool:
    return False


async def read_recent_only(self: Feed, after_seq: int, limit: int) -> list[Told]:
    return [told for told in self._recent if told[0] > after_seq][:limit]


async def doubt_nothing(*_: Any) -> None:
    """A restart takes no notice of what was under way."""


async def recall_without_executions(self: Desk) -> None:
    for order in await self._history.unsettled():
        self.engine.blotter.remember(order, ())


def unknown_is_canceled(stage: Stage, message: Any, refused: Refused) -> Decision:
    if message.request is RequestKind.CANCEL and refused.is_about_order:
        stage.record(
            OrderCanceled(at_ns=message.at_ns, cl_ord_id=message.cl_ord_id, road=Road.REPLY)
        )
        return NOTHING
    return _refused(stage, message, refused)


def unknown_is_not_asked(stage: Stage, message: Any, refused: Refused) -> Decision:
    told = _refused(stage, message, refused)
    return Decision(tuple(each for each in told.actions if not isinstance(each, Ask)), told.reply)


def no_late_fills(stage: Stage, order: Any, message: Any) -> None:
    if not order.is_final:
        _merge_execution(stage, order, message)


def stage_with_gap(self: Stage, blotter: Blotter, first_seq: int) -> None:
    _stage_init(self, blotter, first_seq + (first_seq > 20))


_stage_init = Stage.__init__


async def never(self: Any) -> None:
    await asyncio.Event().wait()


def wall_time(self: SteadyClock) -> int:
    return self._clock.now_ns()


def no_follow(self: SteadyClock, known_until_ns: int) -> None:
    """A run that begins before the last one ended takes its own clock for good."""


def no_next_steps(stage: Stage, cl_ord_id: str, at_ns: int) -> tuple[Any, ...]:
    order = stage.get(cl_ord_id)
    return (Ask(order),) if order is not None and order.must_be_asked else ()


def done_without_last_word(order: Any, event: Any) -> dict[str, Any]:
    return fold._done(order, event) | {"stopped_by": None}


def pursue_without_pause(
    self: Questions, cl_ord_id: str, delay_s: float, interval_s: float
) -> None:
    _schedule(self, cl_ord_id, min(delay_s, 0.05), 0.05)


_schedule = Questions._schedule


async def identify_nobody(self: Strangers, stranger: Any) -> None:
    self.unknown += 1


def no_lag(promised: Capabilities) -> float | None:
    if promised.validity_window_s is None:
        return None
    return promised.validity_window_s + promised.clock_error_s


def window_for_all(promised: Capabilities) -> float:
    return (promised.validity_window_s or 1.0) + promised.processing_bound_s + promised.query_lag_s


def replaced_by_any_terms(order: Any, event: Any) -> dict[str, Any]:
    return fold._unanswered(order, ExecType.REPLACED)


def forget_former_doubts(order: Any, event: Any) -> dict[str, Any]:
    changes = _retried(order, event)
    return changes | {"request": replace(changes["request"], was_doubted=False)}


_retried = fold._request_retried


def exposure_without_doubts(order: orders.Order | None) -> limits.Exposure:
    """Count an order in doubt as if it had not arrived."""
    return limits.NOTHING if order is not None and order.in_doubt else limits.exposure_of(order)


def ask_at_once(self: Questions, order: Any) -> None:
    self._matter(order.cl_ord_id).answered_seq = None
    _ask(self, order)


_ask = Questions.ask


def two_answers_of_any_run(self: Questions, asked_at_ns: int) -> int | None:
    promised = self._executor.capabilities
    return promised.shown_after_ns if promised.query_closed else None


async def resume_nothing_yet(self: Desk) -> None:
    """What the last run knew is asked for later."""


async def doubt_then_resume(self: Desk, now_ns: int) -> None:
    await _doubt_outstanding(self, now_ns)
    await _resume(self)


_doubt_outstanding, _resume = Desk._doubt_outstanding, Desk._resume


def terms_of_current_views_only(order: Any, view: Any, *, has_terms: bool, **told: Any) -> Any:
    reports = _as_reports(order, view, has_terms=has_terms, **told)
    if has_terms:
        return reports
    return [each for each in reports if each.exec_type is not ExecType.REPLACED]


_as_reports = doubt._as_reports
