"""WHAT is searched by ``compress``: how many different weights each layer of a network has.

Source: Čoupek, "Evolutionary Optimization of Convolutional Neural Networks".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from evoconv.compression.sharing import Shareable
from evoconv.compression.tensors import StoredTensor
from evoconv.genomes.constraints import Limits
from evoconv.genomes.shapes import Cost
from evoconv.genomes.sharing_space import Sharing, SharingSpace
from evoconv.genomes.vector import Vector
from evoconv.problems.compress_options import FineTuning
from evoconv.problems.shared_weights import Base, FindLeastClusters, MeasureShared
from evoconv.problems.subject import Subject
from evoconv.records import Genome

# Names of layers of one kind in a sentence.
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class WeightSharingProblem:
    """Numbers of clusters; has the methods of ``problems.problem.Problem``.

    Attributes:
        shareable: the network's tensors.
        unshared: names of layers that have weights which aren't shared, by their kind.
        base_cost: what the network costs.
        max_bytes: most bytes of the file; None for no limit.
        description_bytes: what it takes beside the tensors.
        most_clusters: of any codebook.
        largest_drop: of accuracy, that a layer shared alone may cost for its clusters to be tried.
        least_clusters: of each codebook; empty for 2 everywhere, 3 where weights are pruned.
        tuning: how candidates are trained; None where they aren't.
        modulated: whether clusters have a spread and a focus.
    """

    base: Base
    shareable: Shareable
    base_cost: Cost
    limits: Limits
    max_bytes: int | None
    most_clusters: int
    largest_drop: float
    least_clusters: tuple[int, ...] = ()
    tuning: FineTuning | None = None
    modulated: bool = False
    description_bytes: int = 0
    unshared: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def space(self) -> SharingSpace:
        """Numbers of clusters for all layers that can be shared."""
        books = tuple(self.shareable.codebooks)
        most = [min(self.most_clusters, self.shareable.most_clusters(one)) for one in books]
        least_kept = None if self.tuning is None else self.tuning.least_kept
        # Of pruned weights one value is zero, and weights of one sign make no network.
        fewest = 2 if least_kept is None else 3
        least = self.least_clusters or tuple(min(fewest, one) for one in most)
        return SharingSpace(
            layers=self.shareable.layers,
            codebooks=books,
            ranges=tuple(zip(least, most, strict=True)),
            bytes_of=self._bytes_of,
            max_bytes=self.max_bytes,
            least_kept=least_kept,
            proportions=None if least_kept is None else self.shareable.proportions,
            modulated=self.modulated,
        )

    def _bytes_of(self, sharing: Sharing) -> float:
        """Return what the file takes, as far as it can be told before anything is trained."""
        if self.tuning is None:
            tensors = self.shareable.account(sharing.clusters, sharing.modulation).bytes
        else:
            tensors = self.shareable.expected_bytes(
                sharing.clusters, sharing.kept, self.tuning.bias_clusters
            )
        return tensors + self.description_bytes

    def remarks(self) -> list[str]:
        """Return what a person should know before the search, a sentence each."""
        if not self.unshared:
            return []
        kinds = (f"{len(names)} {kind} ({_few(names)})" for kind, names in self.unshared.items())
        return [f"layers whose weights are not shared, but stored one by one: {'; '.join(kinds)}"]

    def within(self, limits: Limits) -> "WeightSharingProblem":  # noqa: ARG002
        """Return the same: sharing changes nothing of what a network computes."""
        return self

    def starting_at(self, least_clusters: tuple[int, ...]) -> "WeightSharingProblem":
        """Return the same with fewest clusters of each codebook."""
        return replace(self, least_clusters=least_clusters)

    def range_tasks(self) -> dict[str, FindLeastClusters]:
        """Return the tasks that find the fewest clusters of each codebook, by its name."""
        return {
            book: FindLeastClusters(
                base=self.base,
                book=book,
                most=self.most_clusters,
                largest_drop=self.largest_drop,
            )
            for book in self.shareable.codebooks
        }

    def task(self, genome: Genome) -> MeasureShared:
        """Return the task that measures a genome without training."""
        return MeasureShared(
            base=self.base,
            cost=self.base_cost,
            sharing=sharing_of(genome),
            exact=self.max_bytes is not None,
        )

    def tensors(self, genome: Genome) -> dict[str, StoredTensor]:
        """Return all tensors of the network as a genome shares them, without training."""
        sharing = sharing_of(genome)
        return self.shareable.stored(sharing.clusters, sharing.modulation)

    def trained_tensors(self, weights: bytes) -> dict[str, StoredTensor]:
        """Return all tensors of a network that was trained, from the content of its file.

        Raises:
            StudyError: that is no file of this network's.
        """
        return self.base.as_stored(self.base.with_weights(weights))

    def cost(self, genome: Genome) -> Cost:  # noqa: ARG002 - sharing changes the file only
        """Return what the network costs."""
        return self.base_cost

    def least_macs(self) -> int:
        """Return the network's multiply-accumulates."""
        return self.base_cost.macs

    def subject(self, genome: Genome) -> Subject:  # noqa: ARG002 - nor what is computed
        """Return the network."""
        return self.base.subject

    def baseline(self) -> Subject:
        """Return the network: nobody trains it again."""
        return self.base.subject

    def baseline_cost(self) -> Cost:
        """Return what it costs."""
        return self.base_cost


def _few(names: Sequence[str]) -> str:
    return ", ".join((*names[:_SHOWN], "…") if len(names) > _SHOWN else names)


def sharing_of(genome: Genome) -> Sharing:
    """Return what a genome of this problem stands for."""
    assert isinstance(genome, Vector), "this space has no others"
    return Sharing.of(genome)
