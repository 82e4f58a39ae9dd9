"""Every method still bears the individuals that it did, every operator still does what it did."""

import json

import numpy as np
import pytest

from evoconv.evolution.catalogue import METHODS
from evoconv.recipes import recipes_of
from tests.golden.bless import PATH, block_variation, trajectory, variation

GOLDEN = json.loads(PATH.read_text(encoding="utf-8"))


def test_every_method_has_a_golden_trajectory_and_every_trajectory_a_method() -> None:
    assert set(GOLDEN["methods"]) == set(METHODS)


HINT = (
    f"the golden trajectories are of numpy {GOLDEN['numpy']}, this is {np.__version__}; if the "
    "change is meant, run: python -m tests.golden.bless"
)


@pytest.mark.parametrize("method", METHODS)
def test_the_trajectory_is_the_golden_one(method: str) -> None:
    assert trajectory(method) == GOLDEN["methods"][method], HINT


@pytest.mark.parametrize("recipe", recipes_of("evolve"))
def test_operators_change_topologies_as_they_did(recipe: str) -> None:
    assert variation(recipe) == GOLDEN["recipes"][recipe], HINT


def test_blocks_vary_and_shrink_as_they_did() -> None:
    assert block_variation() == GOLDEN["blocks"], HINT


def test_the_golden_variations_of_compact_show_its_operators() -> None:
    operators = {line.partition(":")[0] for line in GOLDEN["recipes"]["compact"]}
    for name in ("insert", "delete", "switch", "scale", "crossover"):
        assert any(one.startswith(name) for one in operators), name
    steps = [
        abs(int(one.partition("+")[0].rpartition(" ")[2]))
        for one in operators
        if one.startswith("modify filters by")
    ]
    assert max(steps) > min(steps)


@pytest.mark.parametrize("method", METHODS)
def test_the_golden_trajectories_show_all_that_can_happen(method: str) -> None:
    lines = GOLDEN["methods"][method]
    assert any(line.endswith("failed") for line in lines)
    assert any("repair" in line for line in lines)
    ways = {"random": "by random", "gradient": "by step +1"}
    ways |= dict.fromkeys(("aging", "annealing"), "by step")
    ways |= {"swarm": "by fly", "black-hole": "by fall"}
    assert any(ways.get(method, "crossover+step") in line for line in lines)
