"""What every test shares."""

import os
import signal
from collections.abc import Generator, Iterator
from decimal import localcontext

import pytest
from tests import laws

laws.load()


# A shell that starts us in the background lets us, and all that we start, pass over Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


UNMEASURED = {
    "test_broker_laws",
    "test_crash",
    "test_failing_sync",
    "test_history",
    "test_history_query",
    "test_hostile",
    "test_journal",
    "test_mutants",
    "test_orders_laws",
    "test_paper_laws",
    "test_power_cut",
    "test_server",
    "test_simulation",
    "test_stats_independent",
    "test_subscriptions",
    "test_wire_seeds",
}
"""
Tests that work hard in this process, and that `coverage_floor` does not need: measured, Python is
two and a half times as slow.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure coverage where it is asked for alone."""
    for item in items:
        if item.path.stem in UNMEASURED:
            item.add_marker(pytest.mark.no_cover)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Give each test an arithmetic of its own: ccxt changes how its thread's Decimals round."""
    with localcontext():
        return (yield)


@pytest.fixture(autouse=True, scope="session")
def _weakened() -> Iterator[None]:
    """Weaken the build where a mutant is hunted by a named test: see tests/simulation/mutants.py."""
    name = os.environ.get("BROKERD_MUTANT")
    if name is None:
        yield
        return
    from tests.simulation.mutants import MUTANTS, applied

    with applied(next(each for each in MUTANTS if each.name == name)):
        yield
