"""HOW it is searched: the protocols of strategies and of the spaces they search.

A strategy is asked for individuals and told their measurements. It holds nothing that replaying
the same asks and tells can't rebuild: numbers count up from 0 in the order of birth, and all
randomness of a birth comes from the stream keyed by the individual's number.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from numpy.random import Generator

from evoconv.genomes.blocks import Blocks, Counts
from evoconv.records import Genome, Individual

G = TypeVar("G", bound=Genome)


class Space(Protocol[G]):
    """What can be searched. All methods are pure; genomes given are never altered."""

    @property
    def seeds(self) -> Sequence[G]:
        """Genomes that every search measures first, in this order."""

    def sample(self, rng: Generator) -> G:
        """Return a random genome, feasible or not."""

    def mutate(self, genome: G, rng: Generator, scale: float = 1.0) -> tuple[G, str]:
        """Return a changed genome, feasible or not, and the name of the operator used.

        ``scale`` in (0, 1] is the length of steps where the space takes any, 1 for the longest.
        """

    def cross(self, first: G, second: G, rng: Generator) -> G:
        """Return a child of two genomes, feasible or not."""

    def is_feasible(self, genome: G) -> bool:
        """Return whether the genome keeps all hard limits; by arithmetic, nothing is built."""

    def repair(self, genome: G, rng: Generator) -> G:
        """Return a feasible genome made from this one in small steps."""


class CellSpace(Space[G], Protocol):
    """A space of genomes of a fixed number of values, each with a range."""

    def places(self, genome: G) -> Sequence[float]:
        """Return where each value is in its range, in [0, 1]."""

    def genome_at(self, places: Sequence[float]) -> G:
        """Return the genome whose values are at these places in [0, 1], feasible or not."""


class BlockSpace(Space[G], Protocol):
    """A space of genomes that a few numbers describe: see ``genomes.blocks``."""

    def draw_blocks(self, rng: Generator) -> Blocks:
        """Return random blocks."""

    def decode(self, blocks: Blocks) -> G:
        """Return the genome that the blocks describe, feasible or not."""

    def encode(self, genome: G) -> Blocks:
        """Return the blocks that describe a genome best."""

    def resize(self, blocks: Blocks, counts: Counts, rng: Generator) -> Blocks:
        """Return the blocks with so many of each kind, as far as the space allows."""

    def mutate_blocks(self, blocks: Blocks, rng: Generator) -> Blocks:
        """Return the blocks with everything changed at random."""

    def bounded(self, blocks: Blocks) -> Blocks:
        """Return the blocks with their numbers kept in the ranges of the space."""

    def shrink(self, blocks: Blocks, rng: Generator) -> Blocks | None:
        """Return feasible blocks of the same counts made from these; None where there are none."""


class Strategy(Protocol):
    """Ask for individuals, tell what they measured."""

    def ask(self, slots: int) -> list[Individual]:
        """Return at most ``slots`` (1 or more) new individuals; fewer, or none, while it waits.

        An empty answer changes nothing, so it needs no place in the log; it is given only while
        individuals asked earlier are still to be told.
        """

    def tell(self, individual: Individual) -> None:
        """Take an individual that was asked, now with a measurement or a failure."""

    def members(self) -> list[Individual]:
        """Return the individuals that may still become parents, the best first."""

    def settled(self) -> list[Individual]:
        """Return those members that are the same however many workers there are, the best first.

        Where nobody waits for the others that is nobody's promise, and it is all of them.
        """

    def entry(self) -> float | None:
        """Return the fitness that a newcomer must exceed to live; None where all are let in."""

    def num_generations(self) -> int | None:
        """Return how many generations are complete; None where there are none."""
