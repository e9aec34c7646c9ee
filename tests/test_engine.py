"""The engine: one writer, one commit for whatever waits, and nothing seen before it is durable."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.journal_rows import both
from tests.scripted import (
    CLOCK,
    D,
    E,
    House,
    S,
    answered,
    execution,
    house,
    report,
    reported,
    submit,
    traded,
    until,
    view,
)

from brokerd import engine as module
from brokerd.blotter import Blotter
from brokerd.engine import Result
from brokerd.errors import (
    Busy,
    DuplicateClOrdId,
    JournalError,
    JournalFull,
    NotCancelable,
    Stopping,
    UnknownOrder,
)
from brokerd.events import Entry, ExecutorChanged, Road
from brokerd.executor import Accepted, InDoubt, Refused
from brokerd.history import read
from brokerd.history.query import OrderQuery
from brokerd.messages import Ask, Cancel, Message, Send, Viewed
from brokerd.orders import Order
from brokerd.storage import ENTRIES_MAX

A_SLOW_LIST = """
WITH RECURSIVE step (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM step WHERE n < ?)
SELECT x'', 0, 0 FROM (SELECT max(n) AS n FROM step) WHERE n < 0
"""
"""It finds nothing, and that takes a second or so."""


def at_work(home: House, *messages: object) -> list[asyncio.Task[object]]:
    """Hand over messages side by side."""
    loop = asyncio.get_running_loop()
    return [loop.create_task(home.engine.do(each)) for each in messages]  # type: ignore[arg-type]


async def test_nothing_is_answered_done_or_seen_before_it_is_durable(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.journal.leave.clear()
        (task,) = at_work(home, submit())
        await until(lambda: home.journal.appends == [1])
        assert not task.done()
        assert (home.actions, home.changes) == ([], [])
        assert home.engine.blotter.get("x") is None
        assert home.engine.pending_since_ns is not None
        home.journal.leave.set()
        order = await task
        assert order == home.order()
        assert home.journal.last_seq == 1
        await until(lambda: home.actions != [])
        assert home.actions == [Send(home.order())]
        assert home.engine.pending_since_ns is None


async def test_whatever_waits_becomes_one_append(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.journal.leave.clear()
        first = at_work(home, submit("first"))
        await until(lambda: home.journal.appends == [1])
        rest = at_work(home, *[submit(f"o{number}") for number in range(20)])
        await until(lambda: home.engine.backlog == 21)
        home.journal.leave.set()
        await asyncio.gather(*first, *rest)
        assert home.journal.appends == [1, 20]
        await until(lambda: len(home.changes) == 21)
        assert [c.seq for c in home.changes] == list(range(1, 22))


async def test_a_batch_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGES_PER_BATCH_MAX", 4)
    async with house(tmp_path) as home:
        home.journal.leave.clear()
        tasks = at_work(home, *[submit(f"o{number}") for number in range(10)])
        await until(lambda: home.journal.appends != [])
        home.journal.leave.set()
        await asyncio.gather(*tasks)
        assert max(home.journal.appends) <= 4
        assert sum(home.journal.appends) == 10


async def test_what_found_no_room_in_a_batch_is_in_the_next_without_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MESSAGES_PER_BATCH_MAX", 2)
    monkeypatch.setattr(module, "LINGER_S", 3600)
    async with house(tmp_path) as home:
        home.journal.leave.clear()
        tasks = at_work(home, *[submit(f"o{number}") for number in range(6)])
        await until(lambda: home.engine.backlog == 6)
        home.journal.leave.set()
        done, _ = await asyncio.wait(tasks, timeout=30)
        assert len(done) == 6
        assert home.journal.appends == [2, 2, 2]


async def test_one_answer_with_very_many_executions_takes_several_appends(tmp_path: Path) -> None:
    count = ENTRIES_MAX + 200
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        shown = view(executions=tuple(execution(f"e{n}", D("0.001")) for n in range(count)))
        message = Viewed("x", shown, Road.QUERY, 5, 5, None)
        order = await home.engine.settle(message)
        assert order is not None
        assert order.fill_count == count
        assert home.journal.appends == [1, ENTRIES_MAX, count - ENTRIES_MAX]


async def test_messages_of_one_batch_see_each_other(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.journal.leave.clear()
        tasks = at_work(home, submit(), submit(), submit(qty=D(5)), Cancel("x", 9), Cancel("z", 9))
        await until(lambda: home.journal.appends != [])
        home.journal.leave.set()
        first, again, other, cancel, unknown = await asyncio.gather(*tasks, return_exceptions=True)
        assert first == again == cancel == home.order()
        assert home.order().cancel_wanted
        assert isinstance(other, DuplicateClOrdId)
        assert isinstance(unknown, UnknownOrder)
        await until(lambda: home.events == ["order_submitted", "cancel_requested"])
        assert len(home.actions) == 1


async def test_an_answer_is_put_into_words_while_the_disk_works_and_said_when_it_has(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as home:
        home.journal.leave.clear()
        heard: list[object] = []

        def reply(result: Result) -> Callable[[], None]:
            heard.append("in words")
            return lambda: heard.append(result)

        home.engine.post(submit(), reply)
        await until(lambda: heard == ["in words"])
        assert home.engine.blotter.get("x") is None
        home.journal.leave.set()
        await until(lambda: heard[1:] == [home.engine.blotter.get("x")])
        await until(lambda: len(home.actions) == 1)


async def settled(home: House, cl_ord_id: str = "x") -> None:
    """Submit, fill a part, cancel, and let it leave memory."""
    await home.engine.do(submit(cl_ord_id))
    for each in (traded("t", 3, cl_ord_id), report(E.CANCELED, cl_ord_id)):
        await home.engine.settle(reported(each, at_ns=2))
    await home.history.flush()
    assert home.engine.blotter.forget(0, home.history.applied_seq) >= 1
    assert home.engine.blotter.get(cl_ord_id) is None


async def test_a_cl_ord_id_of_an_order_that_left_memory_is_still_taken(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await settled(home)
        seq = home.journal.last_seq
        again, other, fresh = await asyncio.gather(
            *at_work(home, submit(), submit(qty=D(5)), submit("y")), return_exceptions=True
        )
        assert again == home.order()
        assert home.order().ord_status is S.CANCELED
        assert isinstance(other, DuplicateClOrdId)
        assert fresh == home.order("y")
        assert home.journal.last_seq == seq + 1, "only the new order is on record"
        assert len([a for a in home.actions if isinstance(a, Send)]) == 2


async def test_a_late_fill_of_an_order_that_left_memory_is_counted_once(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await settled(home)
        await home.engine.tell(reported(traded("t", 3), at_ns=5))
        await home.engine.tell(reported(traded("late", 2), at_ns=6))
        await until(lambda: home.engine.blotter.get("x") is not None)
        await home.engine.tell(reported(traded("late", 2), at_ns=7))
        await until(lambda: home.order().cum_qty == D(5))
        await until(lambda: home.events.count("order_traded") == 2)
        assert home.engine.strangers.unknown == 0


async def test_a_late_fill_under_a_rewritten_client_id_finds_its_order(tmp_path: Path) -> None:
    """Some venues rename an order when it is canceled; their own id of it still holds."""
    async with house(tmp_path) as home:
        await settled(home)
        renamed = replace(traded("late", 2), venue_cl_ord_id="the-venues-own")
        await home.engine.tell(reported(renamed, at_ns=5))
        await until(lambda: home.engine.blotter.get("x") is not None)
        await until(lambda: home.order().cum_qty == D(5))
        assert home.engine.strangers.unknown == 0


async def test_an_order_brought_back_for_evidence_stays_until_that_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two of them drive each other out of memory without end."""
    async with house(tmp_path, orders_in_memory_max=0) as home:
        await settled(home)
        append, known = home.journal.append, home.engine.recall.known
        asked: list[dict[str, str | None]] = []

        async def meanwhile(first_seq: int, entries: Sequence[Entry]) -> list[bytes]:
            monkeypatch.setattr(home.journal, "append", append)
            assert await known(cl_ord_id="x") is not None
            home.engine._take_back(reported(traded("late", 2), at_ns=5))
            return await append(first_seq, entries)

        async def noted(**names: str | None) -> Order | None:
            asked.append(names)
            return await known(**names)

        monkeypatch.setattr(home.journal, "append", meanwhile)
        monkeypatch.setattr(home.engine.recall, "known", noted)
        await home.engine.do(submit("y"))
        await until(lambda: home.events.count("order_traded") == 2)
        assert asked == []


async def test_every_late_fill_of_one_batch_is_counted(tmp_path: Path) -> None:
    """Each of them finds the order gone; only the first of them must bring it back."""
    async with house(tmp_path) as home:
        await settled(home)
        for number in range(3):
            home.engine._put(reported(traded(f"late{number}", 1), at_ns=5), None)
        await until(lambda: home.engine.blotter.get("x") is not None)
        await until(lambda: home.order().cum_qty == D(6))
        await until(lambda: home.events.count("order_traded") == 4)


async def test_a_poll_leaves_out_what_is_counted_in_memory_and_in_history(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await settled(home)
        await home.engine.do(submit("y"))
        await home.engine.settle(reported(traded("u", 1, "y"), at_ns=5))
        told = [
            reported(traded("t", 3), at_ns=6),
            reported(traded("late", 1), at_ns=6),
            reported(traded("u", 1, "y"), at_ns=6),
            reported(traded("v", 1, "y"), at_ns=6),
            reported(report(E.NEW, "y"), at_ns=6),
        ]
        news = await home.engine.recall.unheard(told)
        assert {id(each) for each in news} == {id(told[n]) for n in (1, 3, 4)}


async def test_a_report_of_an_order_that_was_never_ours_is_counted_and_left(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.engine.tell(reported(traded("t", cl_ord_id="a-persons"), at_ns=5))
        await until(lambda: home.engine.strangers.unknown == 1)
        assert home.journal.last_seq == 0


async def test_commands_do_not_wait_while_history_looks_for_a_strangers_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as home:
        await settled(home)
        leave, known = asyncio.Event(), home.engine.recall.known

        async def in_its_own_time(**names: str | None) -> Order | None:
            await leave.wait()
            return await known(**names)

        monkeypatch.setattr(home.engine.recall, "known", in_its_own_time)
        await home.engine.tell(reported(traded("late", 2), at_ns=5))
        await until(lambda: len(home.engine.strangers) == 1)
        await home.engine.do(submit("y"))
        assert home.engine.backlog > 0, "a stop would still wait for the evidence"
        leave.set()
        await until(lambda: home.engine.blotter.get("x") is not None)
        await until(lambda: home.order().cum_qty == D(5))


async def test_a_late_fill_is_merged_while_a_bots_list_takes_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's look-ups have a connection of their own: a list on it would be waited for."""
    is_asked = asyncio.Event()

    def for_seconds(*_: object) -> tuple[str, tuple[int]]:
        is_asked.set()
        return A_SLOW_LIST, (3_000_000,)

    async with house(tmp_path) as home:
        await settled(home)
        monkeypatch.setattr(read, "order_page", for_seconds)
        listing = asyncio.get_running_loop().create_task(home.history.list_orders(OrderQuery()))
        await is_asked.wait()
        await home.engine.settle(reported(traded("late", 2), at_ns=5))
        await until(lambda: home.engine.blotter.get("x") is not None)
        await until(lambda: home.order().cum_qty == D(5))
        assert not listing.done()
        assert (await listing).items == ()


async def test_a_submit_under_a_taken_id_does_not_hold_up_the_others_while_history_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECALL_S_MAX", 0.01)
    async with house(tmp_path) as home:
        await settled(home)

        async def never(_cl_ord_id: str) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(home.engine.recall, "order", never)
        again, fresh = await asyncio.gather(
            *at_work(home, submit(), submit("y")), return_exceptions=True
        )
        assert isinstance(again, Busy)
        assert fresh == home.order("y")


async def test_orders_leave_memory_when_there_are_too_many_and_never_become_unknown(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, orders_in_memory_max=2) as home:
        for number in range(6):
            cl_ord_id = f"o{number}"
            await home.engine.do(submit(cl_ord_id))
            await home.engine.settle(reported(report(E.REJECTED, cl_ord_id), at_ns=2))
            await home.history.flush()
        assert len(home.engine.blotter) <= 3
        again = await home.engine.do(submit("o0"))
        assert again is not None
        assert again.ord_status is S.REJECTED


async def test_a_full_inbox_is_busy_for_bots_and_patience_for_venues(tmp_path: Path) -> None:
    async with house(tmp_path, inbox_max=4) as home:
        home.journal.leave.clear()
        tasks = at_work(home, *[submit(f"o{number}") for number in range(4)])
        await until(lambda: home.engine.backlog == 4)
        with pytest.raises(Busy):
            await home.engine.do(submit("one too many"))
        loop = asyncio.get_running_loop()
        evidence = [
            loop.create_task(home.engine.tell(reported(traded(f"t{n}", cl_ord_id="o0"), at_ns=9)))
            for n in range(9)
        ]
        await until(lambda: home.engine.backlog == 8)
        assert sum(each.done() for each in evidence) == 4, "the rest waits, none is dropped"
        home.journal.leave.set()
        await asyncio.gather(*tasks, *evidence)
        await until(lambda: home.order("o0").fill_count == 9)


async def test_a_stopping_daemon_takes_cancels_and_evidence_but_no_new_order(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        home.engine.stop_taking()
        with pytest.raises(Stopping):
            await home.engine.do(submit("y"))
        assert await home.engine.do(submit()) == home.order(), "a repeated one is answered"
        await home.engine.do(Cancel("x", 5))
        await home.engine.settle(reported(report(E.NEW), at_ns=6))
        await until(lambda: home.events[-1:] == ["cancel_requested"])


async def test_a_full_disk_lets_cancels_and_fills_by(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        home.journal.full = True
        with pytest.raises(JournalFull):
            await home.engine.do(submit("y"))
        await home.engine.settle(reported(traded("t", 1), at_ns=5))
        order = await home.engine.do(Cancel("x", 6))
        assert order is not None
        assert (order.cum_qty, order.shown_status) == (D(1), S.PENDING_CANCEL)
        home.journal.full = False
        assert await home.engine.do(submit("y")) is not None


async def test_a_refusal_is_answered_without_a_row(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        await home.engine.settle(reported(report(E.REJECTED), at_ns=2))
        with pytest.raises(NotCancelable):
            await home.engine.do(Cancel("x", 5))
        assert home.journal.last_seq == 2


async def test_a_caller_that_went_away_leaves_its_order_standing(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.journal.leave.clear()
        (task,) = at_work(home, submit())
        await until(lambda: home.journal.appends == [1])
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        home.journal.leave.set()
        await until(lambda: home.actions != [])
        assert home.actions == [Send(home.order())]


async def test_a_journal_that_cannot_say_whether_it_wrote_ends_the_engine(tmp_path: Path) -> None:
    async with both(tmp_path) as (journal, history):
        home = House(journal, history)
        home.journal.failure = JournalError("commit unknown")
        task = asyncio.get_running_loop().create_task(home.engine.run())
        (caller,) = at_work(home, submit())
        with pytest.RaisesGroup(JournalError):
            await task
        assert not caller.done(), "no answer is better than a wrong one"
        assert (home.actions, home.changes) == ([], [])
        caller.cancel()


async def test_a_note_is_durable_when_it_returns(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.engine.note(ExecutorChanged(at_ns=1, executor="sim", state="up"))
        assert home.journal.last_seq == 1
        await until(lambda: home.events == ["executor_changed"])


async def test_the_venues_first_word_is_waited_for_but_not_longer_than_asked(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await home.engine.heard("x", 0.02)
        assert loop.time() - began_s >= 0.02
        waiting = [loop.create_task(home.engine.heard("x", 60)) for _ in range(2)]
        gone = loop.create_task(home.engine.heard("x", 60))
        await asyncio.sleep(0)
        assert home.engine._hearing
        gone.cancel()
        await home.engine.tell(reported(report(E.NEW), at_ns=CLOCK.now_ns()))
        await asyncio.gather(*waiting)
        assert not home.engine._hearing
        await home.engine.heard("x", 60)
        await home.engine.heard("nobody's", 60)


async def test_a_venues_second_word_waits_for_company_once_the_first_was_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply comes while the stream's acknowledgement is on its way to disk: no bot needs it."""
    monkeypatch.setattr(module, "LINGER_S", 60)
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        waiting = asyncio.get_running_loop().create_task(home.engine.heard("x", 60))
        await asyncio.sleep(0)
        home.journal.leave.clear()
        await home.engine.tell(reported(report(E.NEW), at_ns=2))
        await until(lambda: home.journal.appends == [1, 1])
        reply = Accepted(reports=(report(E.NEW),), sent_at_ns=2)
        await home.engine.tell(answered(reply, at_ns=3))
        home.journal.leave.set()
        await waiting
        assert home.journal.appends == [1, 1]
        await home.engine.do(submit("y"))
        assert home.journal.appends == [1, 1, 2]


async def test_doubt_is_asked_about_as_soon_as_it_is_on_record(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        await home.engine.settle(answered(InDoubt(evidence="lost"), at_ns=5))
        await until(lambda: home.actions[-1:] == [Ask(home.order())])


async def test_what_was_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        await home.engine.settle(reported(traded("t", 3), at_ns=2))
        before = home.order()
    async with both(tmp_path) as (journal, history):
        assert await history.unsettled() == [before]
        replayed = Blotter()
        async for row in journal.replay(0):
            replayed.fold(row.seq, row.entry.event)
        assert list(replayed) == [before]


async def test_the_end_of_an_order_waits_for_company_unless_a_subscriber_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An immediate order ends just when its bot, told that the venue had it, sends the next one."""
    monkeypatch.setattr(module, "LINGER_S", 3600)
    async with house(tmp_path) as home:
        for cl_ord_id in ("x", "y"):
            await home.engine.do(submit(cl_ord_id))
        await home.engine.tell(reported(report(E.EXPIRED, "x"), at_ns=2))
        for _ in range(10):
            await asyncio.sleep(0)
        await home.engine.do(submit("z"))
        assert home.journal.appends == [1, 1, 2]
        feed = home.engine._feed
        reading = asyncio.get_running_loop().create_task(feed.wait(home.journal.last_seq))
        await until(lambda: feed.is_awaited)
        await home.engine.tell(reported(report(E.EXPIRED, "y"), at_ns=3))
        await reading
        assert home.journal.appends == [1, 1, 2, 1]


@pytest.mark.parametrize("is_awaited", [True, False])
def test_only_what_no_bot_waits_for_may_linger(is_awaited: bool) -> None:
    """A silent acceptance becomes a doubt, and doubts, fills and refusals never wait."""

    def lingers(message: Message) -> bool:
        return module._may_linger(message, is_awaited=is_awaited)

    assert lingers(answered(Accepted(reports=(report(E.NEW),)), at_ns=1))
    assert lingers(reported(report(E.NEW), at_ns=1))
    for over in (E.CANCELED, E.EXPIRED):
        assert lingers(reported(report(over), at_ns=1)) is not is_awaited
        reply = Accepted(reports=(report(E.NEW), report(over)))
        assert lingers(answered(reply, at_ns=1)) is not is_awaited
    assert not lingers(reported(report(E.REJECTED), at_ns=1))
    assert not lingers(answered(Refused(reason="no_funds"), at_ns=1))
    assert not lingers(answered(InDoubt(evidence="lost"), at_ns=1))
    assert not lingers(answered(Accepted(), at_ns=1))
    assert not lingers(answered(Accepted(reports=(report(E.NEW), traded("t", 1))), at_ns=1))
    assert not lingers(reported(traded("t", 1), at_ns=1))
    assert not lingers(Cancel("x", 1))
