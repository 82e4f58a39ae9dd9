"""Where targets move, all who live are compared by where these are now."""

from dataclasses import replace

import pytest

from evoconv.evolution.catalogue import build_strategy, methods_for
from evoconv.evolution.options import EvolutionOptions
from evoconv.genomes.sharing_space import SharingSpace
from evoconv.problems.objectives import MovingTargets, TargetAccuracy, moving_targets
from evoconv.records import Individual, Measurement

SPACE = SharingSpace(
    layers=("a", "b", "c"),
    codebooks=("a", "b", "c"),
    ranges=((2, 40), (2, 40), (2, 40)),
    bytes_of=lambda sharing: float(sum(sharing.clusters)),
)


def objective() -> MovingTargets:
    smallest = TargetAccuracy(
        name="validation_accuracy", direction="maximize", target=0.9, size="bytes"
    )
    return moving_targets(smallest, accuracy=0.99, ratio=2.0)


def measured(individual: Individual, ratio: float) -> Individual:
    # The later, the smaller and the less accurate: each moves the ratio's target.
    values = {
        "validation_accuracy": 0.99 - ratio / 100,
        "ratio_formula": ratio,
        "bytes": 1000 / ratio,
        "parameters": 1000.0,
        "macs": 1000.0,
    }
    return replace(individual, measurement=Measurement(values=values))


@pytest.mark.parametrize("method", methods_for("compress"))
def test_members_are_ranked_by_the_targets_of_today(method: str) -> None:
    if method in ("nsga2", "random"):
        pytest.skip("it ranks by no fitness")
    aim = objective()
    strategy = build_strategy(method, SPACE, EvolutionOptions(population=6), aim, 0)
    for number in range(30):
        for born in strategy.ask(1):
            told = measured(born, 2.0 + number)
            assert told.measurement is not None
            aim.told(told.measurement)
            strategy.tell(told)
    fitness = [
        aim.fitness(one.measurement) for one in strategy.members() if one.measurement is not None
    ]
    assert len(fitness) > 1
    assert fitness == sorted(fitness, reverse=True)
    # By the targets of then, the first ones were the fittest.
    assert max(one.number for one in strategy.members()) > 20
