"""
Weakened builds: each takes away one thing that keeps a promise, and must be caught.

A mutant is a patch of a few names, with a sentence of what it breaks. What is not simulated is faced
by a named test: it runs with BROKERD_MUTANT set, which tests/conftest.py applies.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from msgspec import Struct
from tests.simulation import life, weakened
from tests.simulation.disk import MemoryJournal

from brokerd import blotter, broker, desk, doubt, evidence, fold, merge, states
from brokerd.blotter import Blotter, Stage
from brokerd.clock import SteadyClock
from brokerd.condition import Condition
from brokerd.desk import Desk
from brokerd.dispatch import Dispatch
from brokerd.engine import Engine
from brokerd.events import OrderCanceled, RequestRetried
from brokerd.executor import Capabilities
from brokerd.feed import Feed
from brokerd.insync import InSync
from brokerd.journal import store
from brokerd.listener import Listener
from brokerd.messages import Viewed
from brokerd.pauses import Pauses
from brokerd.poller import Poller
from brokerd.questions import Questions
from brokerd.states import ExecType, OrdStatus
from brokerd.strangers import Strangers


class Mutant(Struct, frozen=True):
    """
    A weakened build. `patches` are (owner, name, what stands there instead).

    `test` names the test that must fail where the simulator cannot see it: it has a disk, and no
    SQLite. `ends` says that the daemon may end by it; any other that does so is no weakened build
    but a broken patch.
    """

    name: str
    breaks: str
    patches: Sequence[tuple[Any, str, Any]]
    test: str | None = None
    ends: bool = False


@contextmanager
def applied(mutant: Mutant) -> Generator[None]:
    """Weaken the build for as long as the block runs."""
    undo: list[Callable[[], None]] = []
    try:
        for owner, name, instead in mutant.patches:
            patched = (
                patch.dict(owner, {name: instead})
                if isinstance(owner, dict)
                else patch.object(owner, name, instead)
            )
            patched.start()
            undo.append(patched.stop)
        yield
    finally:
        for stop in reversed(undo):
            stop()


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "send before journal",
        "a request leaves before the row that says so is on disk",
        [
            (Engine, "_decide_all", weakened.act_before_commit),
            (Dispatch, "_as_it_is_now", weakened.as_it_was_queued),
        ],
    ),
    Mutant(
        "reply before commit",
        "a bot is answered before its order is on disk",
        [(Engine, "_decide_all", weakened.reply_before_commit)],
    ),
    Mutant(
        "publish before commit",
        "a subscriber is told what is not on disk",
        [
            (Engine, "_commit", weakened.publish_before_commit),
            (Feed, "publish", weakened.publish_once),
        ],
    ),
    Mutant(
        "synchronous=OFF",
        "a commit returns before the disk has it",
        [(MemoryJournal, "_insert", weakened.insert_without_sync)],
    ),
    Mutant(
        "SQLite's synchronous=OFF",
        "SQLite says that a commit is done before it has asked the disk",
        [(store, "PRAGMAS", weakened.CARELESS_PRAGMAS)],
        test="tests/test_power_cut.py",
    ),
    Mutant(
        "retry on timeout",
        "a request that may have arrived counts as never sent, and is sent again",
        [(Dispatch, "_call", weakened.timeout_is_not_sent)],
    ),
    Mutant(
        "a second try inside one request",
        "a library underneath repeats what was not answered, and the journal does not know",
        [(Dispatch, "_call", weakened.twice_if_lost)],
    ),
    Mutant(
        "timeout means refused",
        "an order that may have arrived is called rejected",
        [(Dispatch, "_call", weakened.timeout_is_refused)],
    ),
    Mutant(
        "not found means rejected",
        "the first 'no such order' ends a doubt, also while the order is on its way",
        [(doubt, "_absent", weakened.absent_at_once)],
    ),
    Mutant(
        "not found once is enough",
        "one answer that lags behind ends a doubt",
        [(doubt, "_absent", weakened.absent_after_one_answer)],
    ),
    Mutant(
        "not found after a while",
        "a timer turns doubt into rejected, whatever the venue promises",
        [(doubt, "_absent", weakened.absent_after_a_while)],
    ),
    Mutant(
        "doubt knows no processing bound and no lag",
        "'no such order' counts while the order sits inside the venue or hides from queries",
        [(Capabilities, "final_after_s", property(weakened.no_lag))],
    ),
    Mutant(
        "a window for venues that have none",
        "a venue without expiry is treated as if requests could no longer arrive",
        [(Capabilities, "final_after_s", property(weakened.window_for_all))],
    ),
    Mutant(
        "no dedup of executions",
        "an execution told twice is counted twice",
        [
            (Stage, "has_execution", weakened.never_executed),
            (Blotter, "has_execution", weakened.never_executed),
        ],
    ),
    Mutant(
        "a start forgets the executions",
        "a new run counts again what the last one had counted",
        [(Desk, "_recall", weakened.recall_without_executions)],
    ),
    Mutant(
        "drop fills of final orders",
        "a fill that is told after the cancel is lost",
        [(merge, "_merge_execution", weakened.no_late_fills)],
    ),
    Mutant(
        "ignore cum_qty",
        "the venue's own filled quantity is not held against the executions",
        [(merge, "_note_missed_fills", lambda *_: None)],
    ),
    Mutant(
        "no poll while all looks well",
        "a frame that the stream dropped without a sign is never found",
        [(Poller, "run", weakened.never)],
    ),
    Mutant(
        "snapshot before subscribe",
        "what happens between the snapshot and the subscription is missed until the next poll",
        [(Listener, "_connection", weakened.snapshot_first)],
    ),
    Mutant(
        "resume subscription from memory",
        "a subscriber that comes back after a restart misses what memory lost",
        [(Feed, "read", weakened.read_recent_only)],
    ),
    Mutant(
        "resubmit after doubt",
        "an order that was not found is sent again by the daemon itself",
        [(broker._DECIDE, Viewed, weakened.viewed_resubmits)],
    ),
    Mutant(
        "forget requests at restart",
        "what was under way when the process died is not doubted",
        [(desk, "doubt_outstanding", weakened.doubt_nothing)],
    ),
    Mutant(
        "unknown order means canceled",
        "a refused cancel is read as a cancel that was done",
        [(evidence, "_refused", weakened.unknown_is_canceled)],
    ),
    Mutant(
        "an unknown order is not asked about",
        "a cancel is refused because the order is done, and nobody asks how it ended",
        [(evidence, "_refused", weakened.unknown_is_not_asked)],
    ),
    Mutant(
        "a run takes up a clock that was set back",
        "what the last run stamped lies in the future of the new one",
        [(SteadyClock, "follow", weakened.no_follow)],
    ),
    Mutant(
        "a ban is forgotten at restart",
        "a new run asks a venue that has told the last one to wait",
        [(Pauses, "resume", lambda *_: None)],
    ),
    Mutant(
        "questions begin anew with every answer",
        "an answer that tells nothing new calls for the next question at once",
        [(Questions, "ask", weakened.ask_at_once)],
    ),
    Mutant(
        "history is asked after the run has written",
        "on a full disk, where history cannot follow, no run starts",
        [
            (Desk, "_resume", weakened.resume_nothing_yet),
            (Desk, "_doubt_outstanding", weakened.doubt_then_resume),
        ],
        ends=True,
    ),
    Mutant(
        "a last word brings no terms",
        "an order whose replace was not reported ends with the wrong quantity",
        [(doubt, "_as_reports", weakened.terms_of_current_views_only)],
    ),
    Mutant(
        "epoch reused after restart",
        "a new run sends ids that an earlier run has sent",
        [(life, "draw_epoch", lambda *_: "always")],
    ),
    Mutant(
        "a gap in seq",
        "a row is numbered past the one before",
        [(Stage, "__init__", weakened.stage_with_gap)],
        ends=True,
    ),
    Mutant(
        "a canceled order opens again",
        "a fill that is told after the cancel takes a final order back",
        [
            (fold._APPLY, OrderCanceled, weakened.done_without_last_word),
            (
                states.TRANSITIONS[OrdStatus.CANCELED],
                ExecType.PARTIAL_FILL,
                OrdStatus.PARTIALLY_FILLED,
            ),
        ],
    ),
    Mutant(
        "times follow the host's clock",
        "whoever sets the clock ends a doubt, or turns before and after around",
        [(SteadyClock, "now_ns", weakened.wall_time)],
    ),
    Mutant(
        "a queued cancel is forgotten",
        "a cancel that waited for the acknowledgement is never sent",
        [
            (merge, "next_steps", weakened.no_next_steps),
            (evidence, "next_steps", weakened.no_next_steps),
            (doubt, "next_steps", weakened.no_next_steps),
        ],
    ),
    Mutant(
        "questions without a pause",
        "a doubt that cannot end is asked about twenty times a second",
        [(Questions, "_schedule", weakened.pursue_without_pause)],
    ),
    Mutant(
        "evidence of a forgotten order is dropped",
        "a late fill of an order that has left memory is lost",
        [(Strangers, "_identify", weakened.identify_nobody)],
    ),
    Mutant(
        "a failed repeat ends the first doubt",
        "the second cancel was refused, so the first is believed not to arrive",
        [(fold._APPLY, RequestRetried, weakened.forget_former_doubts)],
    ),
    Mutant(
        "not found counts while the stream is broken",
        "what the stream missed may have been the order's whole life",
        [(InSync, "end", lambda _: None)],
    ),
    Mutant(
        "waits of an earlier run are trusted",
        "a clock that was set while the daemon was down ends a doubt",
        [
            (Questions, "waits_anew", lambda *_: ()),
            (Questions, "_absence_after_ns", weakened.two_answers_of_any_run),
        ],
    ),
    Mutant(
        "any new terms answer a replace",
        "what a venue takes by itself ends the doubt of a replace that may have raised the order",
        [(fold, "_not_replaced_by", weakened.replaced_by_any_terms)],
    ),
    Mutant(
        "a cancel of a filled order stays in doubt",
        "a venue that shows no closed orders is asked about it for ever",
        [(doubt, "_absent", weakened.absent_only_while_open)],
    ),
    Mutant(
        "an order in doubt frees its room",
        "bots send beyond the limit while nobody knows what is open",
        [(blotter, "exposure_of", weakened.exposure_without_doubts)],
    ),
    Mutant(
        "the rest of a ban is told by the clock",
        "a clock that was set forward between two runs ends a ban early",
        [(desk, "still_paused_until", lambda until_ns, *_: until_ns)],
    ),
    Mutant(
        "a start looks back from its own last row",
        "what happened while the daemon ran without its venue is never looked for",
        [(Poller, "resume", lambda *_: None)],
    ),
    Mutant(
        "another brokerd on the account goes unnoticed",
        "two daemons trade against each other, or the journal has lost rows",
        [(Condition, "freeze", lambda *_: None)],
    ),
)
