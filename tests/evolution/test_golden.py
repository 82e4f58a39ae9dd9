"""Every method still bears the individuals that it did."""

import json

import numpy as np
import pytest

from evoconv.evolution.catalogue import METHODS
from tests.golden.bless import PATH, trajectory

GOLDEN = json.loads(PATH.read_text(encoding="utf-8"))


def test_every_method_has_a_golden_trajectory_and_every_trajectory_a_method() -> None:
    assert set(GOLDEN["methods"]) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_the_trajectory_is_the_golden_one(method: str) -> None:
    hint = (
        f"the golden trajectories are of numpy {GOLDEN['numpy']}, this is {np.__version__}; if the "
        "change is meant, run: python -m tests.golden.bless"
    )
    assert trajectory(method) == GOLDEN["methods"][method], hint


@pytest.mark.parametrize("method", METHODS)
def test_the_golden_trajectories_show_all_that_can_happen(method: str) -> None:
    lines = GOLDEN["methods"][method]
    assert any(line.endswith("failed") for line in lines)
    assert any("repair" in line for line in lines)
    assert method == "random" or any("crossover+step" in line for line in lines)
