"""The simulator catches what it was built to catch; `make mutants` hunts all of them."""

import pytest
from tests.simulation.hunt import hunt
from tests.simulation.mutants import MUTANTS
from tests.simulation.pinned import Pin, pins

QUICKLY_CAUGHT = (
    "send before journal",
    "reply before commit",
    "synchronous=OFF",
    "retry on timeout",
    "not found means rejected",
    "no dedup of executions",
    "resume subscription from memory",
    "resubmit after doubt",
    "forget requests at restart",
    "unknown order means canceled",
    "epoch reused after restart",
)
SEEDS_MAX = 60


@pytest.mark.parametrize("name", QUICKLY_CAUGHT)
def test_a_weakened_build_is_caught_within_a_few_seeds(name: str) -> None:
    (mutant,) = [each for each in MUTANTS if each.name == name]
    caught = hunt(mutant, range(SEEDS_MAX))
    assert caught.by == "simulator", f"{name} survives {SEEDS_MAX} seeds"


@pytest.mark.parametrize("pin", [each for each in pins() if each.mutant], ids=str)
def test_a_pinned_seed_catches_its_mistake_when_that_comes_back(pin: Pin) -> None:
    """A seed that lives otherwise since it failed would be run in vain."""
    (mutant,) = [each for each in MUTANTS if each.name == pin.mutant]
    caught = hunt(mutant, [pin.seed])
    assert caught.by == "simulator", f"{pin.mutant} survives seed {pin.seed}"


def test_every_mutant_has_a_name_of_its_own_and_says_what_it_breaks() -> None:
    names = [each.name for each in MUTANTS]
    assert len(names) == len(set(names)) >= 15
    assert all(each.breaks and each.patches for each in MUTANTS)
