"""A secret in a venue's words or an exception's comes out nowhere: on disk, in a line, at a bot."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.scripted import (
    CLOCK,
    House,
    ScriptedExecutor,
    answered,
    house,
    report,
    reported,
    submit,
    until,
)

from brokerd.errors import ConfigError, OutcomeUnknown, VenueRefused, VenueUnavailable
from brokerd.executor import Accepted, InDoubt, NotSent, Outcome, Refused, Standing
from brokerd.logs.lines import LoggedRow, json_line
from brokerd.rpc import failure
from brokerd.states import ExecType
from brokerd.views import show_entry, show_order

CANARY = "hunter2"
LEAKS = (
    f"POST /order?qty=1&signature={CANARY}: 400",
    f'{{"api_key": "{CANARY}"}}',
    f"cannot connect to wss://bot:{CANARY}@venue.example/ws",
)


async def shown_by(home: House) -> str:
    """Return whatever of the journal anybody gets to see: its rows, their lines, and bots' events."""
    rows = await home.journal.read(0, 1000)
    bodies = [row.body.decode() for row in rows]
    lines = [json_line((1, "info", LoggedRow(r.seq, r.entry, r.body))).decode() for r in rows]
    events = [str(show_entry(row.seq, row.entry)) for row in rows]
    return "\n".join([*bodies, *lines, *events])


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize(
    "outcome",
    [
        lambda text: Refused(reason=text, code=text, evidence=text),
        lambda text: NotSent(reason="busy", evidence=text),
        lambda text: InDoubt(evidence=text),
        lambda text: Accepted(evidence=text),
    ],
)
async def test_a_secret_in_a_reply_is_blanked(
    tmp_path: Path, outcome: Callable[[str], Outcome], leak: str
) -> None:
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        await home.engine.settle(answered(outcome(leak), at_ns=2))
        told = await shown_by(home) + str(show_order(home.order()))
        assert CANARY not in told
        assert "[redacted]" in told


@pytest.mark.parametrize("leak", LEAKS)
async def test_a_secret_in_a_report_or_a_dispute_is_blanked(tmp_path: Path, leak: str) -> None:
    async with house(tmp_path) as home:
        await home.engine.do(submit())
        await home.engine.settle(reported(report(ExecType.NEW), at_ns=2))
        await home.engine.settle(answered(Refused(reason="no", evidence=leak), at_ns=3))
        done = report(ExecType.CANCELED, reason=leak, code=leak)
        await home.engine.settle(reported(done, at_ns=4))
        told = await shown_by(home) + str(show_order(home.order()))
        assert "report_disputed" in told
        assert CANARY not in told


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("fault", [VenueUnavailable, VenueRefused, OutcomeUnknown, ConfigError])
async def test_a_secret_in_why_a_link_is_down_or_paused_is_blanked(
    tmp_path: Path, fault: type[VenueUnavailable], leak: str
) -> None:
    async with house(tmp_path) as home:
        venue = ScriptedExecutor()
        link = home.link(venue)
        venue.stands = Standing(
            paused_until_ns=CLOCK.now_ns() + 3_600 * 10**9, pause_reason=f"418: {leak}"
        )
        pausing = asyncio.get_running_loop().create_task(link.pauses.record())
        venue.connects.append(fault(leak, retry_after_s=600.0))
        running = asyncio.get_running_loop().create_task(link.listener.run())
        await until(lambda: {"executor_changed", "executor_paused"} <= {*home.events})
        for task in (pausing, running):
            task.cancel()
        told = await shown_by(home) + link.condition.reason + link.standing.pause_reason
        assert CANARY not in told


@pytest.mark.parametrize("leak", LEAKS)
def test_a_secret_in_an_error_is_not_answered_to_a_bot(leak: str) -> None:
    assert CANARY not in failure(b"1", VenueUnavailable(leak)).decode()
