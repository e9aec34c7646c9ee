"""Faults on command: by script, by seeded rate, and what they do to a stream."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from brokerd.executor import Report
from brokerd.states import ExecType
from brokerd_adapters.paper import Fault, Faults, Misbehaviour
from brokerd_adapters.paper.misbehaviour import Carried


def reports(count: int) -> list[Report]:
    return [
        Report(exec_type=ExecType.NEW, symbol="BTCUSDT", venue_order_id=str(i))
        for i in range(count)
    ]


def numbers(carried: Carried) -> list[int]:
    return [int(report.venue_order_id) for report in carried.items]


def test_no_plan_means_no_fault() -> None:
    calm = Misbehaviour(Faults())
    assert {calm.next_fault() for _ in range(100)} == {Fault.NONE}
    assert numbers(calm.streamed(reports(5))) == [0, 1, 2, 3, 4]


def test_a_script_is_worked_off_first_then_the_rates_rule() -> None:
    plan = Misbehaviour(Faults(script=(Fault.LATE, Fault.NONE, Fault.FORGET), unavailable=1.0))
    assert [plan.next_fault() for _ in range(5)] == [
        Fault.LATE,
        Fault.NONE,
        Fault.FORGET,
        Fault.UNAVAILABLE,
        Fault.UNAVAILABLE,
    ]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_every_fault_has_a_rate(fault: Fault) -> None:
    plan = Misbehaviour(msgspec.convert({fault.value: 0.5}, Faults))
    told = Counter(plan.next_fault() for _ in range(400))
    assert set(told) == {fault, Fault.NONE}
    assert 120 < told[fault] < 280


def test_the_same_seed_gives_the_same_faults() -> None:
    def drawn(seed: int) -> list[tuple[Fault, list[int]]]:
        plan = Misbehaviour(Faults(seed=seed, lose_reply=0.3, late=0.3, drop_report=0.2))
        return [(plan.next_fault(), numbers(plan.streamed(reports(3)))) for _ in range(50)]

    assert drawn(4) == drawn(4)
    assert drawn(4) != drawn(5)


def test_a_stream_can_repeat_drop_and_reorder_reports() -> None:
    assert numbers(Misbehaviour(Faults(repeat_report=1)).streamed(reports(2))) == [0, 0, 1, 1]
    assert numbers(Misbehaviour(Faults(drop_report=1)).streamed(reports(2))) == []
    assert numbers(Misbehaviour(Faults(reorder_report=1)).streamed(reports(4))) == [1, 0, 3, 2]


def test_a_reordered_report_may_come_with_a_later_batch() -> None:
    plan = Misbehaviour(Faults(reorder_report=1))
    assert numbers(plan.streamed(reports(1))) == []
    assert len(plan.streamed(reports(1)).items) == 2


def test_a_stream_that_breaks_loses_the_rest() -> None:
    carried = Misbehaviour(Faults(drop_stream=1)).streamed(reports(3))
    assert (carried.items, carried.breaks) == ([], True)


@pytest.mark.parametrize("plan", [{"late": 1.5}, {"late": -0.1}, {"lat": 1}, {"script": ["boom"]}])
def test_a_plan_that_cannot_be_is_refused(plan: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plan, Faults)
