"""WHAT is searched: the protocol between a search and the networks that its genomes stand for."""

from typing import Any, Protocol

from evoconv.evolution.strategy import Space
from evoconv.genomes.constraints import Limits
from evoconv.genomes.shapes import Cost
from evoconv.problems.subject import Subject
from evoconv.records import Genome


class Problem(Protocol):
    """A space of genomes, and what is trained for each of them. All methods are pure."""

    @property
    def space(self) -> Space[Any]:
        """What strategies search."""

    @property
    def limits(self) -> Limits:
        """The hard limits that the space keeps."""

    def within(self, limits: Limits) -> "Problem":
        """Return the same problem under other limits."""

    def cost(self, genome: Genome) -> Cost:
        """Return what the genome's network costs."""

    def least_macs(self) -> int:
        """Return the multiply-accumulates of a smallest network."""

    def subject(self, genome: Genome) -> Subject:
        """Return what is trained for a genome."""

    def baseline(self) -> Subject:
        """Return what a person would have trained without a search, for comparison."""

    def baseline_cost(self) -> Cost:
        """Return what that network costs."""
