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
