"""Transfer plans: ranges, order and limits hold after every operator; what breaks them is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.genomes.constraints import Limits
from evoconv.genomes.plan_space import PlanSpace, TransferPlan, plan_of, plan_text
from evoconv.genomes.shapes import Cost
from evoconv.genomes.vector import Cell, Vector

CELLS = (
    Cell(name="included", low=1, high=58),
    Cell(name="frozen", low=0, high=18),
    Cell(name="learning rate", low=1e-6, high=0.1, kind="logarithmic"),
    Cell(name="dropout", low=0.1, high=0.9, kind="linear"),
)


def cost_of(plan: TransferPlan) -> Cost:
    return Cost(
        parameters=100 * plan.included,
        macs=1000 * plan.included,
        weight_bytes=400 * plan.included,
        peak_activation_bytes=7,
    )


def space(limits: Limits = Limits(), seeds: tuple[Vector, ...] = ()) -> PlanSpace:  # noqa: B008
    return PlanSpace(cells=CELLS, cost_of=cost_of, limits=limits, seeds=seeds)


seeds_of_rng = st.integers(0, 2**32)


def keeps_all(genome: Vector) -> bool:
    in_range = all(cell.holds(one) for cell, one in zip(CELLS, genome.values, strict=True))
    return in_range and genome.values[1] <= genome.values[0]


@given(seeds_of_rng)
def test_all_operators_keep_the_ranges_and_freeze_no_more_than_there_is(seed: int) -> None:
    rng, plans = np.random.default_rng(seed), space()
    first, second = plans.sample(rng), plans.sample(rng)
    before = first.to_json(), second.to_json()
    mutated, operator = plans.mutate(first, rng)
    child = plans.cross(first, second, rng)
    assert all(map(keeps_all, (first, second, mutated, child)))
    assert (first.to_json(), second.to_json()) == before
    assert operator.startswith("redraw ")
    assert {type(one) for one in child.values[:2]} == {int}


@given(seeds_of_rng)
def test_a_plan_is_where_its_genes_are(seed: int) -> None:
    rng, plans = np.random.default_rng(seed), space()
    genome = plans.sample(rng)
    places = plans.places(genome)
    assert all(0 <= one <= 1 for one in places)
    back = plans.genome_at(places)
    assert back.values[:2] == genome.values[:2]
    assert back.values[2:] == pytest.approx(genome.values[2:], rel=2e-3)
    assert keeps_all(plans.genome_at([0.0] * 4))
    assert keeps_all(plans.genome_at([1.0] * 4))


@given(seeds_of_rng)
def test_repair_leaves_out_layers_until_the_limits_are_kept(seed: int) -> None:
    rng, plans = np.random.default_rng(seed), space(Limits(max_parameters=2_000))
    drawn = plans.sample(rng)
    repaired = plans.repair(drawn, rng)
    assert plans.is_feasible(repaired)
    assert keeps_all(repaired)
    if plans.is_feasible(drawn):
        assert repaired == drawn
    else:
        assert repaired.values[0] == 20
        assert repaired.values[2:] == drawn.values[2:]


def test_a_child_has_the_genes_between_two_points_of_the_other() -> None:
    plans = space()
    first, second = Vector((58, 18, 0.1, 0.1)), Vector((1, 0, 1e-6, 0.9))
    origins = set()
    for seed in range(200):
        child = plans.cross(first, second, np.random.default_rng(seed))
        taken = tuple(one == other for one, other in zip(child.values, second.values, strict=True))
        origins.add(taken)
    # Of four genes: none, or one run of them. A second plan's layers bring its frozen ones down.
    assert (False, False, False, False) in origins
    assert (False, True, True, False) in origins
    assert (False, False, True, True) in origins
    assert (False, True, False, True) not in origins


def test_limits_that_no_plan_keeps_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--max-parameters 50: the network has 100 param.*fewer"):
        space(Limits(max_parameters=50))


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ((3, 1, 0.01), "a plan has 4 values, included, frozen, learning rate, dropout"),
        ((59, 1, 0.01, 0.5), r"included 59 of a plan is not in \[1, 58\]"),
        ((9, 1, 0.5, 0.5), r"learning rate 0.5 of a plan is not in \[1e-06, 0.1\]"),
        ((4, 9, 0.01, 0.5), "a plan can't freeze more layers than it has"),
        ((30, 9, 0.01, 0.5), "the plan 30 layers, .*: --max-parameters 2,500: the network has 3,0"),
    ],
)
def test_a_plan_of_another_space_is_refused(plan: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        space(Limits(max_parameters=2_500), seeds=(Vector(plan),))


def test_a_plan_says_what_it_means() -> None:
    genome = Vector((14, 8, 0.003, 0.246))
    assert plan_of(genome) == TransferPlan(
        included=14, frozen=8, learning_rate=0.003, dropout=0.246
    )
    assert plan_text(genome) == "14 layers, 8 frozen, learning rate 0.003, dropout 0.25"
