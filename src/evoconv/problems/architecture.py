"""WHAT is searched by ``evolve``: the architecture of a CNN."""

from dataclasses import dataclass, replace

from evoconv.genomes.constraints import Limits
from evoconv.genomes.reference import baseline
from evoconv.genomes.shapes import Cost
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.topology import Topology
from evoconv.problems.subject import Subject
from evoconv.records import Genome


@dataclass(frozen=True)
class ArchitectureProblem:
    """Topologies for some images; has the methods of ``problems.problem.Problem``."""

    space: TopologySpace

    @property
    def limits(self) -> Limits:
        """The hard limits."""
        return self.space.limits

    def within(self, limits: Limits) -> "ArchitectureProblem":
        """Return the same under other limits."""
        return replace(self, space=replace(self.space, limits=limits))

    def cost(self, genome: Genome) -> Cost:
        """Return what the genome's network costs."""
        return self.space.cost(_topology(genome))

    def least_macs(self) -> int:
        """Return the multiply-accumulates of a smallest network."""
        return self.space.cost(self.space.smallest()).macs

    def subject(self, genome: Genome) -> Subject:
        """Return the network of a genome, to be trained from new weights."""
        return Subject(architecture=_topology(genome))

    def baseline(self) -> Subject:
        """Return a small hand-made network, for comparison."""
        return Subject(architecture=self._baseline())

    def baseline_cost(self) -> Cost:
        """Return what that network costs."""
        return self.space.cost(self._baseline())

    def _baseline(self) -> Topology:
        return baseline(self.space.input_shape, self.space.num_classes)


def _topology(genome: Genome) -> Topology:
    assert isinstance(genome, Topology), "this space has no others"
    return genome
