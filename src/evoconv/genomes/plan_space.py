"""The space of transfer plans: how much of a backbone is kept, what of it is frozen, how it learns.

Source: Safiuddin 2021, "Genetic Algorithm for Transfer Learning in a Deep CNN", section 4: included
layers, frozen layers, learning rate and dropout are the genes; two-point crossover, and mutation
that draws genes again.

It has the methods of evolution.strategy.Space. In every plan that it returns no more layers are
frozen than included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from evoconv.errors import ConfigError
from evoconv.genomes.constraints import Limits, violations
from evoconv.genomes.shapes import Cost
from evoconv.genomes.vary_vector import cross_vectors, mutate_vector
from evoconv.genomes.vector import Cell, Vector, draw_vector, places_of, vector_at


@dataclass(frozen=True, kw_only=True)
class TransferPlan:
    """What a genome means.

    Attributes:
        included: how many layers of the backbone the network has, from the first.
        frozen: how many of them never learn, from the first.
        learning_rate: of those that do.
        dropout: of the averaged maps, before the classifier.
    """

    included: int
    frozen: int
    learning_rate: float
    dropout: float


@dataclass(frozen=True, kw_only=True)
class PlanSpace:
    """Transfer plans.

    Attributes:
        cells: included and frozen layers, learning rate, dropout.
        cost_of: says what the network of a plan costs.
        limits: on those costs.
        seeds: plans that a search begins with.

    Raises:
        ConfigError: no plan keeps the limits.
    """

    cells: tuple[Cell, Cell, Cell, Cell]
    cost_of: Callable[[TransferPlan], Cost]
    limits: Limits
    seeds: tuple[Vector, ...] = ()

    def __post_init__(self) -> None:
        for seed in self.seeds:
            self._check_seed(seed)
        smallest = self.smallest()
        if broken := violations(self.cost(smallest), self.limits):
            raise ConfigError(f"{broken[0]}, and no plan has fewer layers")

    def sample(self, rng: Generator) -> Vector:
        """Return a random plan, within the limits or not."""
        return self.tidied(draw_vector(self.cells, rng))

    def mutate(self, genome: Vector, rng: Generator, scale: float = 1.0) -> tuple[Vector, str]:
        """Return the plan with some genes drawn again, and which."""
        mutated, operator = mutate_vector(genome, self.cells, rng, scale)
        return self.tidied(mutated), operator

    def cross(self, first: Vector, second: Vector, rng: Generator) -> Vector:
        """Return the first plan with the genes between two points of the second."""
        return self.tidied(cross_vectors(first, second, rng))

    def places(self, genome: Vector) -> list[float]:
        """Return where each gene is in its range, in [0, 1]."""
        return places_of(genome, self.cells)

    def genome_at(self, places: Sequence[float]) -> Vector:
        """Return the plan whose genes are at these places in [0, 1] of their ranges."""
        return self.tidied(vector_at(places, self.cells))

    def tidied(self, genome: Vector) -> Vector:
        """Return the plan with no more layers frozen than included, and three digits of numbers.

        Numbers are kept in their ranges. No training tells more digits apart, and people read them.
        """
        included, frozen, *others = genome.values
        rounded = (
            min(max(float(f"{value:.3g}"), cell.low), cell.high)
            for value, cell in zip(others, self.cells[2:], strict=True)
        )
        return Vector((included, min(included, frozen), *rounded))

    def is_feasible(self, genome: Vector) -> bool:
        """Return whether the plan's network keeps all limits."""
        return not violations(self.cost(genome), self.limits)

    def repair(self, genome: Vector, rng: Generator) -> Vector:  # noqa: ARG002 - one way is enough
        """Return the plan with as many layers fewer as the limits ask for."""
        least = self.cells[0].low
        while not self.is_feasible(genome) and genome.values[0] > least:
            genome = self.tidied(Vector((genome.values[0] - 1, *genome.values[1:])))
        # What is frozen has no squeeze-and-excitation.
        return genome if self.is_feasible(genome) else self.smallest()

    def cost(self, genome: Vector) -> Cost:
        """Return what the plan's network costs."""
        return self.cost_of(plan_of(genome))

    def smallest(self) -> Vector:
        """Return a plan of fewest layers, all of them frozen that may be."""
        included, frozen, rate, dropout = self.cells
        values = (int(included.low), int(frozen.high), rate.high, dropout.low)
        return self.tidied(Vector(values))

    def _check_seed(self, seed: Vector) -> None:
        if len(seed.values) != len(self.cells):
            raise ConfigError(
                f"a plan has {len(self.cells)} values, {', '.join(one.name for one in self.cells)}:"
                f" got {seed.to_json()}"
            )
        for cell, value in zip(self.cells, seed.values, strict=True):
            if not cell.holds(value):
                raise ConfigError(
                    f"{cell.name} {value:g} of a plan is not in [{cell.low:g}, {cell.high:g}]"
                )
        if seed.values[1] > seed.values[0]:
            raise ConfigError(f"a plan can't freeze more layers than it has: {seed.to_json()}")
        if broken := violations(self.cost(seed), self.limits):
            raise ConfigError(f"the plan {plan_text(seed)}: {broken[0]}")


def plan_of(genome: Vector) -> TransferPlan:
    """Return what a genome of this space means."""
    included, frozen, rate, dropout = genome.values
    return TransferPlan(
        included=int(included), frozen=int(frozen), learning_rate=rate, dropout=dropout
    )


def plan_text(genome: Vector) -> str:
    """Return the plan in a few words."""
    plan = plan_of(genome)
    return (
        f"{plan.included} layers, {plan.frozen} frozen, learning rate"
        f" {plan.learning_rate:.2g}, dropout {plan.dropout:.2g}"
    )
