"""What every executor must do: the port's promises, one by one, over a real wire."""

import asyncio
import math
from decimal import Decimal
from pathlib import Path

import pytest
from tests.conformance.subjects import FINAL, Desk, Make, Subject, desk, listening
from tests.scripted import CLOCK, until

from brokerd.errors import BrokerdError, OutcomeUnknown, VenueUnavailable
from brokerd.executor import (
    Accepted,
    Execution,
    InDoubt,
    NotSent,
    OrderRef,
    OrderView,
    PlaceOrder,
    Refused,
    Standing,
)
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import OrdType, Side, TimeInForce

E, S = ExecType, OrdStatus


# Connecting


async def test_it_knows_nothing_before_it_is_connected(make: Make, directory: Path) -> None:
    async with make(directory) as subject:
        executor = subject.executor
        try:
            assert dict(executor.instruments()) == {}
            assert executor.quote(subject.symbol) is None
            assert isinstance(executor.standing(), Standing)
        finally:
            await executor.aclose()


async def test_a_request_after_it_was_let_go_is_not_sent(make: Make, directory: Path) -> None:
    async with make(directory) as subject:
        if subject.wire_commands is None:
            pytest.skip("it has no wire")
        async with desk(subject) as trading:
            terms = trading.terms()
        request = PlaceOrder(venue_cl_ord_id=trading.new_id(), terms=terms)
        assert isinstance(await trading.executor.place(request), NotSent)


async def test_instruments_have_their_rules(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        instrument = trading.instrument
    assert instrument.symbol == subject.symbol
    assert instrument.base
    assert instrument.quote
    for rule in (instrument.tick, instrument.lot, instrument.qty_min, instrument.notional_min):
        assert isinstance(rule, Decimal)
        assert rule.is_finite()
        assert rule >= 0


async def test_a_quote_is_there_once_it_is_connected(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        await until(lambda: trading.executor.quote(subject.symbol) is not None, "a quote")
        quote = trading.executor.quote(subject.symbol)
        assert quote is not None
        assert 0 < quote.bid_px <= quote.ask_px
        assert abs(quote.at_ns - CLOCK.now_ns()) < 3_600 * 10**9
        assert trading.executor.quote("NOSUCHSYMBOL") is None


async def test_balances_are_exact(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        before = {each.asset: each for each in await trading.executor.balances()}
        quote_asset = trading.instrument.quote
        assert before[quote_asset].free > 0
        ref, _ = await trading.place()
        view = await trading.until_view(ref, S.NEW)
        after = {each.asset: each for each in await trading.executor.balances()}
        assert isinstance(after[quote_asset].free, Decimal)
        spent = before[quote_asset].free - after[quote_asset].free
        assert view.px is not None
        worth = view.px * view.qty
        # A venue may lock the fee as well; a margin account locks nothing.
        assert spent == 0 or worth <= spent <= worth * Decimal("1.01")


# Orders


async def test_a_resting_order_is_found_by_either_id_and_among_the_open_ones(
    make: Make, directory: Path
) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        ref, outcome = await trading.place()
        assert isinstance(outcome, Accepted)
        by_ours = await trading.until_view(ref, S.NEW)
        both = OrderRef(
            symbol=ref.symbol,
            venue_cl_ord_id=ref.venue_cl_ord_id,
            venue_order_id=by_ours.venue_order_id,
        )
        by_both = await trading.executor.query(both)
        snapshot = await trading.executor.snapshot(0)
        told = await trading.until_report(ref, E.NEW)
        terms = trading.terms()
    assert by_both is not None
    assert by_both.venue_order_id == by_ours.venue_order_id
    assert (by_ours.venue_cl_ord_id, by_ours.symbol) == (ref.venue_cl_ord_id, ref.symbol)
    assert (by_ours.side, by_ours.ord_type) == (Side.BUY, OrdType.LIMIT)
    assert (by_ours.qty, by_ours.cum_qty, by_ours.executions) == (terms.qty, 0, ())
    assert [each.venue_order_id for each in snapshot.orders if _is(each, ref)] == [
        by_ours.venue_order_id
    ]
    assert told.venue_order_id == by_ours.venue_order_id


def _is(view: OrderView, ref: OrderRef) -> bool:
    return view.venue_cl_ord_id == ref.venue_cl_ord_id


async def test_prices_and_quantities_come_back_as_they_were_sent(
    make: Make, directory: Path
) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        px, qty = trading.px(77), trading.qty(3)
        ref, _ = await trading.place(px=px, qty=qty)
        view = await trading.until_view(ref, S.NEW)
    assert (view.px, view.qty) == (px, qty)
    assert isinstance(view.px, Decimal)


async def test_an_execution_has_one_id_on_every_road(make: Make, directory: Path) -> None:
    """The broker counts by it: two ids for one fill would be two fills."""
    async with make(directory) as subject, desk(subject) as trading:
        since_ns = CLOCK.now_ns() - 60 * 10**9
        ref, view = await trading.fill()
        await until(
            lambda: (
                sum((each.last_qty for each in _executions(trading, ref)), Decimal(0))
                == view.cum_qty
            ),
            "every fill on the stream",
        )
        streamed = {each.exec_id: each for each in _executions(trading, ref)}
        snapshot = await trading.executor.snapshot(since_ns)
    asked = {each.exec_id: each for each in view.executions}
    assert view.cum_qty == view.qty == sum(each.last_qty for each in asked.values())
    assert set(streamed) == set(asked)
    for exec_id, each in asked.items():
        other = streamed[exec_id]
        assert (each.last_qty, each.last_px) == (other.last_qty, other.last_px)
        assert each.last_px > 0
    polled = {
        each.execution.exec_id
        for each in snapshot.executions
        if each.execution is not None and each.venue_order_id == view.venue_order_id
    }
    assert polled == set(asked)


def _executions(trading: Desk, ref: OrderRef) -> list[Execution]:
    return [
        each.execution
        for each in trading.reports
        if each.execution is not None and each.venue_cl_ord_id == ref.venue_cl_ord_id
    ]


async def test_two_fills_never_share_an_id(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        views = [(await trading.fill(side))[1] for side in (Side.BUY, Side.SELL, Side.BUY)]
    ids = [each.exec_id for view in views for each in view.executions]
    assert len(set(ids)) == len(ids) >= 3


async def test_a_canceled_order_is_canceled_under_the_name_it_was_placed_by(
    make: Make, directory: Path
) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        ref, _ = await trading.place()
        await trading.until_view(ref, S.NEW)
        outcome = await trading.cancel(ref)
        view = await trading.until_view(ref, S.CANCELED)
        told = await trading.until_report(ref, E.CANCELED)
        snapshot = await trading.executor.snapshot(0)
    assert isinstance(outcome, Accepted)
    assert view.cum_qty == 0
    assert told.venue_order_id == view.venue_order_id
    assert not [each for each in snapshot.orders if _is(each, ref)]


async def test_a_cancel_of_what_is_unknown_or_done_must_ask_about_the_order(
    make: Make, directory: Path
) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        unknown = OrderRef(symbol=subject.symbol, venue_cl_ord_id=trading.new_id())
        done, _ = await trading.fill()
        for ref in (unknown, done):
            outcome = await trading.cancel(ref)
            assert isinstance(outcome, Refused), ref
            assert outcome.is_about_order
            assert outcome.reason


async def test_an_order_nobody_has_is_none(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        ref = OrderRef(symbol=subject.symbol, venue_cl_ord_id=trading.new_id())
        assert await trading.executor.query(ref) is None


async def test_a_replace_does_what_was_promised(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        amend = trading.executor.capabilities.amend
        qty, px = trading.qty(2), trading.px(78)
        ref, _ = await trading.place(qty=qty)
        await trading.until_view(ref, S.NEW)
        outcome = await trading.replace(ref, trading.terms(qty=qty), qty, px)
        if amend == "none":
            assert isinstance(outcome, Refused)
            assert (await trading.until_view(ref, S.NEW)).px != px
            return
        assert isinstance(outcome, Accepted)
        view = await trading.until_shown(ref, lambda shown: shown.px == px)
        await trading.until_report(ref, E.REPLACED)
        assert view.qty == qty
        assert view.ord_status is S.NEW
        # Whatever it is called at the venue now, it is the one order that rests there, and ours.
        assert isinstance(await trading.cancel(ref), Accepted)
        await trading.until_view(ref, S.CANCELED)
        snapshot = await trading.executor.snapshot(0)
    assert snapshot.orders == ()


async def test_a_repeated_id_does_what_was_promised(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        repeat_id = trading.executor.capabilities.repeat_id
        if repeat_id == "nothing":
            pytest.skip("it promises nothing")
        ref, _ = await trading.place()
        first = await trading.until_view(ref, S.NEW)
        _, outcome = await trading.place(venue_cl_ord_id=ref.venue_cl_ord_id)
        again = await trading.until_view(ref)
        snapshot = await trading.executor.snapshot(0)
    if repeat_id == "returns_original":
        assert isinstance(outcome, Accepted)
    else:
        assert isinstance(outcome, Refused)
        assert outcome.is_about_order
    assert again.venue_order_id == first.venue_order_id
    assert len([each for each in snapshot.orders if _is(each, ref)]) == 1


async def test_a_refusal_is_certain_and_says_why(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        balances = {each.asset: each.free for each in await trading.executor.balances()}
        free = balances.get(trading.instrument.base, Decimal(0))
        too_much = free - free % trading.qty() + trading.qty()
        ref, outcome = await trading.place(side=Side.SELL, qty=too_much, px=trading.px(120))
        view = await trading.executor.query(ref)
    assert isinstance(outcome, Refused), outcome
    assert not outcome.is_about_order
    assert outcome.reason
    assert view is None or view.ord_status is S.REJECTED


async def test_a_symbol_that_is_not_there_is_refused(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        _, outcome = await trading.place(symbol="NOSUCHSYMBOL")
    assert isinstance(outcome, Refused)


async def test_what_it_cannot_do_is_refused_without_asking(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        promised = trading.executor.capabilities
        lacking = [
            {"ord_type": each, "stop_px": trading.px(120) if each.has_stop_px else None}
            for each in set(OrdType) - promised.ord_types
        ]
        lacking += [
            {"time_in_force": each, "expire_at_ns": CLOCK.now_ns() if each == "gtd" else None}
            for each in set(TimeInForce) - promised.times_in_force
        ]
        lacking += [] if promised.post_only else [{"post_only": True}]
        for changes in lacking:
            ref, outcome = await trading.place(**changes)
            assert isinstance(outcome, Refused), changes
            if subject.wire_commands:
                assert subject.wire_commands(ref.venue_cl_ord_id) == 0


async def test_an_order_that_may_not_rest_is_done_at_once(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        for time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            if time_in_force in trading.executor.capabilities.times_in_force:
                ref, outcome = await trading.place(time_in_force=time_in_force)
                assert isinstance(outcome, Accepted | Refused)
                if isinstance(outcome, Accepted):
                    view = await trading.until_view(ref, *FINAL)
                    assert view.cum_qty == 0


async def test_post_only_never_takes(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        promised = trading.executor.capabilities.post_only
        resting, taken = await trading.place(post_only=True)
        if promised:
            assert isinstance(taken, Accepted)
            await trading.until_view(resting, S.NEW)
        ref, outcome = await trading.place(post_only=True, px=trading.px(105))
        view = await trading.executor.query(ref)
    assert promised or isinstance(outcome, Refused)
    if isinstance(outcome, Accepted):
        assert view is not None
        assert view.ord_status in FINAL
    else:
        assert isinstance(outcome, Refused)
    assert view is None or view.cum_qty == 0


# Outcomes


def _befall(subject: Subject, fault: str) -> None:
    if fault not in subject.befall:
        pytest.skip(f"nothing here can be made to {fault}")
    subject.befall[fault]()


@pytest.mark.parametrize("fault", ["lose_reply", "fail", "garble", "truncate"])
async def test_what_was_done_and_not_told_is_in_doubt_until_it_is_asked(
    make: Make, directory: Path, fault: str
) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        began_ns = CLOCK.now_ns()
        _befall(subject, fault)
        ref, outcome = await trading.place()
        assert isinstance(outcome, InDoubt), outcome
        assert outcome.evidence
        assert outcome.signed_at_ns is None or began_ns <= outcome.signed_at_ns <= CLOCK.now_ns()
        view = await _once_back(trading, ref)
        assert view is not None
        assert view.ord_status is S.NEW
        if subject.wire_commands:
            assert subject.wire_commands(ref.venue_cl_ord_id) == 1


async def test_what_never_arrived_is_in_doubt_and_is_not_there(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        _befall(subject, "lose_request")
        ref, outcome = await trading.place()
        assert isinstance(outcome, InDoubt), outcome
        assert await _once_back(trading, ref) is None
        if subject.wire_commands:
            assert subject.wire_commands(ref.venue_cl_ord_id) == 1


async def test_a_venue_that_is_not_there_was_sent_nothing(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        if "down" not in subject.befall:
            pytest.skip("it cannot be down")
        subject.befall["down"]()
        await until(lambda: bool(trading.gap), "a gap in the stream")
        ref, outcome = await trading.place()
        assert isinstance(outcome, NotSent), outcome
        subject.heal()
        assert await _once_back(trading, ref) is None


async def test_a_question_without_an_answer_raises(make: Make, directory: Path) -> None:
    """It must never look like "no such order" or "nothing open"."""
    async with make(directory) as subject, desk(subject) as trading:
        if "down" not in subject.befall:
            pytest.skip("it cannot be down")
        ref = OrderRef(symbol=subject.symbol, venue_cl_ord_id=trading.new_id())
        subject.befall["down"]()
        for ask in (
            lambda: trading.executor.query(ref),
            lambda: trading.executor.snapshot(0),
            trading.executor.balances,
        ):
            with pytest.raises((VenueUnavailable, OutcomeUnknown)):
                await ask()


async def _once_back(trading: Desk, ref: OrderRef) -> OrderView | None:
    """Ask as the daemon does: connect again after the fault, then ask until there is an answer."""
    for _ in range(200):
        try:
            if trading.gap:
                await trading.executor.connect()
                trading.gap = ""
            return await trading.executor.query(ref)
        except (VenueUnavailable, OutcomeUnknown):
            await asyncio.sleep(0.05)
    raise AssertionError("it never came back")


async def test_every_command_is_one_request(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        if subject.wire_commands is None:
            pytest.skip("it has no wire")
        refs = [(await trading.place())[0] for _ in range(3)]
        counts = [subject.wire_commands(ref.venue_cl_ord_id) for ref in refs]
        await trading.cancel(refs[0])
    assert counts == [1, 1, 1]


# The stream


async def test_a_cut_stream_says_so_and_a_new_connection_goes_on(
    make: Make, directory: Path
) -> None:
    async with make(directory) as subject:
        executor = subject.executor
        try:
            trading = Desk(subject, executor)
            await executor.connect()
            async with listening(trading):
                subject.cut()
                await until(lambda: bool(trading.gap), "a gap")
            async with asyncio.timeout(30):
                await _connect(trading)
            async with listening(trading):
                ref, _ = await trading.place()
                await trading.until_report(ref, E.NEW)
        finally:
            await executor.aclose()


async def _connect(trading: Desk) -> None:
    while True:
        try:
            await trading.executor.connect()
        except VenueUnavailable:
            await asyncio.sleep(0.05)
        else:
            return


async def test_a_snapshot_has_what_happened_while_nobody_listened(
    make: Make, directory: Path
) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        since_ns = CLOCK.now_ns() - 60 * 10**9
        _, view = await trading.fill()
        ref, _ = await trading.place()
        await trading.until_view(ref, S.NEW)
        began_ns = CLOCK.now_ns()
        snapshot = await trading.executor.snapshot(since_ns)
    assert [each.venue_cl_ord_id for each in snapshot.orders] == [ref.venue_cl_ord_id]
    filled = [each.execution for each in snapshot.executions if each.execution is not None]
    assert {each.exec_id for each in view.executions} <= {each.exec_id for each in filled}
    assert snapshot.since_ns <= since_ns
    assert began_ns <= snapshot.began_ns <= CLOCK.now_ns()


# What it promises


async def test_its_promises_hold_together(make: Make, directory: Path) -> None:
    async with make(directory) as subject:
        promised = subject.executor.capabilities
        await subject.executor.aclose()
    assert promised.ord_types
    assert promised.times_in_force
    for bound_s in (promised.processing_bound_s, promised.query_lag_s, promised.clock_error_s):
        assert 0 <= bound_s < math.inf
    if promised.validity_window_s is not None:
        assert 0 < promised.validity_window_s < math.inf
    if not promised.query_closed:
        # Else "not found" of an order that has come and gone would be taken for proof.
        assert promised.weaknesses


async def test_its_standing_can_be_shown(make: Make, directory: Path) -> None:
    async with make(directory) as subject, desk(subject) as trading:
        standing = trading.executor.standing()
    if standing.clock_offset_s is not None:
        assert standing.clock_error_s is not None
        assert abs(standing.clock_offset_s) <= standing.clock_error_s + 0.5
    assert all(left >= 0 for left in standing.budget_left.values())
    assert all(sentence.strip() for sentence in standing.weaknesses)


@pytest.mark.parametrize("skew_s", [-2.5, 0.0, 2.5])
async def test_it_signs_with_the_venues_time_and_says_how_far_off_that_is(
    make: Make, directory: Path, skew_s: float
) -> None:
    async with make(directory) as subject:
        if subject.skew is None:
            pytest.skip("its venue has no clock of its own")
        subject.skew(skew_s)
        async with desk(subject) as trading:
            standing = trading.executor.standing()
            _, outcome = await trading.place()
    assert isinstance(outcome, Accepted), outcome
    if standing.clock_offset_s is None:
        return  # a venue whose requests carry no time
    assert standing.clock_error_s is not None
    assert abs(standing.clock_offset_s - skew_s) <= standing.clock_error_s + 0.01


async def test_two_executors_of_one_account_share_one_budget(make: Make, directory: Path) -> None:
    async with make(directory) as subject:
        if subject.another is None:
            pytest.skip("there is no other on its account")
        other = subject.another()
        try:
            async with desk(subject) as trading:
                await other.connect()
                await trading.place()
                mine, theirs = trading.executor.standing(), other.standing()
                assert mine.budget_left
                assert mine.budget_left == theirs.budget_left
                other.resume(CLOCK.now_ns() + 3_600 * 10**9, "banned: 418")
                _, outcome = await trading.place()
                assert isinstance(outcome, NotSent)
                assert outcome.retry_after_s is not None
        finally:
            await other.aclose()


async def test_a_pause_of_an_earlier_run_is_shown_and_kept(make: Make, directory: Path) -> None:
    async with make(directory) as subject:
        executor, until_ns = subject.executor, CLOCK.now_ns() + 3_600 * 10**9
        executor.resume(until_ns, "banned: 418")
        try:
            standing = executor.standing()
            assert standing.paused_until_ns is not None
            assert abs(standing.paused_until_ns - until_ns) < 10**9
            assert "418" in standing.pause_reason
            if subject.wire_commands is not None:
                with pytest.raises(VenueUnavailable):
                    await executor.connect()
        finally:
            await executor.aclose()


async def test_it_leaves_no_task_and_can_be_closed_unconnected(make: Make, directory: Path) -> None:
    async with make(directory) as subject:
        before = asyncio.all_tasks()
        async with desk(subject) as trading:
            await trading.place()
        await until(lambda: asyncio.all_tasks() <= before | _venues_own(), "no task is left")


def _venues_own() -> set["asyncio.Task[object]"]:
    """Tasks of the server, which is in the same loop."""
    return {each for each in asyncio.all_tasks() if "brokerd" not in repr(each.get_coro())}


# Keys


async def test_no_key_is_ever_shown(make: Make, directory: Path, lines: list[str]) -> None:
    """Neither in a log line, nor an error, an outcome, a repr, a report, nor an attribute's text."""
    told: list[object] = []
    async with make(directory) as subject, desk(subject) as trading:
        told += [trading.executor, trading.executor.standing()]
        for fault in ("none", *subject.befall):
            if fault in subject.befall:
                subject.befall[fault]()
            ref, outcome = await trading.place()
            told.append(outcome)
            try:
                told += [await trading.cancel(ref), await trading.executor.query(ref)]
                told.append(await trading.executor.snapshot(0))
            except BrokerdError as error:
                told += [error, error.data, error.__cause__, error.__context__]
            if trading.gap:
                subject.heal()
                await _connect(trading)
                trading.gap = ""
        told += trading.reports
        told.append(vars(trading.executor))
    text = " ".join([*lines, *map(repr, told), *map(str, told)])
    for secret in subject.secrets:
        assert secret not in text
