"""Golden trajectories: what methods bear on the toy problem, and what operators make of layers.

They fix what must not change by accident, above all the order in which randomness is used. After a
change that is meant to alter a search, look at the difference that this makes::

    python -m tests.golden.bless
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from evoconv.configure import configure
from evoconv.evolution.catalogue import METHODS
from evoconv.genomes.blocks import cross_strides
from evoconv.genomes.constraints import Limits
from evoconv.genomes.space import TopologySpace
from evoconv.recipes import recipes_of
from evoconv.study.stop import StopRules
from tests.simulation import ToyRun, ToySpace

PATH = Path(__file__).with_name("trajectories.json")


def trajectory(method: str) -> list[str]:
    """Return a line for each individual: integers and operators, no floats."""
    run = ToyRun(method=method, slots=3, space=ToySpace(limit=22), stop=StopRules(evaluations=60))
    run.go()
    lines = []
    for trial in run.log.trials():
        one = trial.individual
        genome = one.genome.to_json()
        parents = ",".join(map(str, one.parents))
        ending = "failed" if one.failure else "complete" if one.measurement else "none"
        lines.append(f"{genome} of [{parents}] by {one.operator} after {one.redraws} {ending}")
    return lines


def variation(recipe: str) -> list[str]:
    """Return a line for each step of a walk through the recipe's topologies, steps decaying."""
    config = configure("digits", {}, recipe=recipe, seed=0)
    space = TopologySpace(config.space, (1, 28, 28), 10, Limits())
    rng = np.random.default_rng(20)
    walker, partner = (space.repair(space.sample(rng), rng) for _ in range(2))
    lines = []
    for number in range(40):
        if number % 4 == 3:
            walker, operator = space.cross(walker, partner, rng), "crossover"
        else:
            walker, operator = space.mutate(walker, rng, config.evolution.step_scale(10 * number))
        if not space.is_feasible(walker):
            walker, operator = space.repair(walker, rng), f"{operator}+repair"
        lines.append(f"{operator}: {walker.to_json()}")
    return lines


def block_variation() -> list[str]:
    """Return a line for each step of a walk through blocks, made feasible under tight limits."""
    config = configure("digits", {}, recipe="gradient", seed=0)
    limits = Limits(max_parameters=20_000, max_macs=1_000_000)
    space = TopologySpace(config.space, (1, 28, 28), 10, limits)
    rng = np.random.default_rng(21)
    walker, partner = (space.draw_blocks(rng) for _ in range(2))
    lines = []
    for number in range(30):
        if number % 3 == 2:
            walker = cross_strides(walker, partner, rng)
        else:
            walker = space.mutate_blocks(walker, rng)
        shrunk = space.shrink(walker, rng)
        walker = walker if shrunk is None else shrunk
        lines.append(space.decode(walker).to_json())
    return lines


def main() -> None:
    """Write the file anew."""
    golden: dict[str, Any] = {"numpy": np.__version__}
    golden["recipes"] = {recipe: variation(recipe) for recipe in recipes_of("evolve")}
    golden["blocks"] = block_variation()
    golden["methods"] = {method: trajectory(method) for method in METHODS}
    PATH.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
