"""
The rules against the FIX 4.4 order state change matrices: every row, every alternative, both orders
of every crossing. What deviates is listed in fix/deviations.toml, and nothing else may.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby

import pytest
from tests.fix.matrix import Deviation, Row, paths, read_deviations, read_rows

from brokerd.blotter import Blotter, Stage
from brokerd.broker import decide
from brokerd.errors import BrokerdError
from brokerd.events import FillsMissed, ReportDisputed, RequestKind, Road
from brokerd.executor import Execution, Refused, Report
from brokerd.messages import Answered, Cancel, Decision, Message, Replace, Reported, Send, Submit
from brokerd.orders import Order
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import OrdType, Side, Terms

PX, NEW_PX = Decimal(10), Decimal(11)
ROWS = read_rows()
SCENARIOS = {name: list(rows) for name, rows in groupby(ROWS, key=lambda row: row.scenario)}

EXEC_TYPES = {
    "new": ExecType.NEW,
    "trade": ExecType.TRADE,
    "replaced": ExecType.REPLACED,
    "canceled": ExecType.CANCELED,
    "done_for_day": ExecType.EXPIRED,
    "rejected": ExecType.REJECTED,
}
"""What a venue's report means to us; pending ones and order_status tell nothing new."""

ASKED = {
    "new_order": OrdStatus.PENDING_NEW,
    "cancel_request": OrdStatus.PENDING_CANCEL,
    "replace_request": OrdStatus.PENDING_REPLACE,
}


class Player:
    """
    Both sides of one order's conversation, played through `decide` as the engine would.

    A request that the broker refuses never reaches the venue, so the venue's no to it is skipped;
    a replace that had to wait for another is asked again when the matrix has the venue take it.
    """

    def __init__(self) -> None:
        self.stage = Stage(Blotter(), 1)
        self.order_id: dict[str, str] = {}
        self.requests: dict[str, Row] = {}
        self.unsent: dict[str, Row] = {}
        self.at_ns = 0

    def play(self, row: Row) -> str:
        """Play one message; return what is true after it, in the words of `Row.printed`."""
        self.at_ns += 1
        if row.sender == "bot":
            return self.ask(row)
        if row.sender == "phone":
            return "asked"
        self.answer(row)
        order = self.order(row)
        if order is None:
            return "no such order"
        if row.message == "cancel_reject":
            return order.shown_status
        return f"{order.shown_status} {order.qty}/{order.cum_qty}/{order.leaves_qty}"

    def order(self, row: Row) -> Order | None:
        return self.stage.get(self.order_id[row.id])

    def decide(self, message: Message) -> Decision:
        return decide(self.stage, message)

    def ask(self, row: Row) -> str:
        """Let the bot ask; return "asked", "queued", "answered" or the reason it is refused."""
        self.order_id[row.id] = self.order_id.get(row.orig_id, row.orig_id or row.id)
        count = len(self.stage.changes)
        decision = self.decide(self.command(row))
        if isinstance(decision.reply, BrokerdError):
            self.unsent[row.id] = row
            return decision.reply.reason
        if len(self.stage.changes) == count:
            self.unsent[row.id] = row
            return "answered"
        self.unsent.pop(row.id, None)
        self.requests[row.id] = row
        order = self.order(row)
        assert order is not None
        assert order.shown_status is ASKED[row.message]
        return "asked" if any(isinstance(action, Send) for action in decision.actions) else "queued"

    def command(self, row: Row) -> Message:
        cl_ord_id, qty = self.order_id[row.id], Decimal(row.order_qty)
        if row.message == "cancel_request":
            return Cancel(cl_ord_id, self.at_ns)
        if row.message == "replace_request":
            px = NEW_PX if row.note == "price change only" else PX
            return Replace(cl_ord_id, qty, px, self.at_ns)
        terms = Terms("paper", "BTCUSDT", Side.BUY, OrdType.LIMIT, qty, PX)
        return Submit(cl_ord_id, f"v-{cl_ord_id}", terms, None, self.at_ns)

    def answer(self, row: Row) -> None:
        """Let the venue speak, as far as it would have been asked."""
        if row.id in self.unsent and row.exec_type in {"pending_replace", "replaced"}:
            self.ask(self.unsent[row.id])
        elif row.id in self.unsent and row.exec_type not in {"new", "trade"}:
            del self.unsent[row.id]
            return
        if row.message == "cancel_reject":
            self.refuse(row)
        elif row.exec_type in EXEC_TYPES:
            self.report(row)

    def refuse(self, row: Row) -> None:
        is_cancel = self.requests[row.id].message == "cancel_request"
        kind = RequestKind.CANCEL if is_cancel else RequestKind.REPLACE
        refused = Refused(reason="too_late")
        self.decide(Answered(self.order_id[row.id], kind, 1, refused, self.at_ns))

    def report(self, row: Row) -> None:
        exec_type = EXEC_TYPES[row.exec_type]
        execution = None
        if exec_type is ExecType.TRADE:
            execution = Execution(
                exec_id=f"t{row.step}", last_qty=Decimal(row.last_qty), last_px=PX
            )
        report = Report(
            exec_type=exec_type,
            symbol="BTCUSDT",
            venue_cl_ord_id=f"v-{self.order_id[row.id]}",
            venue_order_id=f"1-{self.order_id[row.id]}",
            execution=execution,
            qty=Decimal(row.order_qty),
            px=PX,
            cum_qty=Decimal(row.cum_qty),
            reason="done_for_day" if row.exec_type == "done_for_day" else "",
        )
        self.decide(Reported("paper", report, Road.STREAM, self.at_ns))


def played(rows: list[Row]) -> Iterator[tuple[Row, str, Player]]:
    """Play every way through a scenario; yield each row with what we show after it."""
    for path in paths(rows):
        player = Player()
        for row in path:
            yield row, player.play(row), player


def deviations_in(rows: list[Row]) -> set[Deviation]:
    return {
        Deviation(row.scenario, row.step, row.sender, row.printed, ours)
        for row, ours, _player in played(rows)
        if ours != row.printed
    }


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fix_scenario_shows_what_fix_prints_but_for_the_listed_deviations(scenario: str) -> None:
    """Equality both ways: a deviation that is new fails, and so does one that no longer occurs."""
    listed = {deviation for deviation in read_deviations() if deviation.scenario == scenario}
    assert deviations_in(SCENARIOS[scenario]) == listed


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fix_scenario_contradicts_nothing_and_misses_no_fill(scenario: str) -> None:
    for _row, _ours, player in played(SCENARIOS[scenario]):
        events = [change.entry.event for change in player.stage.changes]
        assert not [event for event in events if isinstance(event, FillsMissed | ReportDisputed)]


def test_every_row_of_the_matrices_is_accounted_for() -> None:
    visited = {row for rows in SCENARIOS.values() for row, _ours, _player in played(rows)}
    assert len(visited) == len(ROWS)
    senders = Counter(row.sender for row in ROWS)
    listed = {
        (deviation.scenario, deviation.step, deviation.sender) for deviation in read_deviations()
    }
    assert (
        f"{len(ROWS)} rows: {senders['venue']} of venues, {senders['bot']} of bots, "
        f"{senders['phone']} by phone; {len(listed)} deviate"
    ) == "215 rows: 157 of venues, 57 of bots, 1 by phone; 28 deviate"


def test_a_done_for_day_order_keeps_its_reason() -> None:
    *_, (_row, _ours, player) = played(SCENARIOS["A.1.b"])
    order = player.stage.get("X")
    assert order is not None
    assert (order.ord_status, order.reason) == (OrdStatus.EXPIRED, "done_for_day")
