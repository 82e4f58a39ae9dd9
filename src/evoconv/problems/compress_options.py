"""How small a trained network is to become, and at what price."""

from dataclasses import dataclass

from evoconv.options import Options, option


@dataclass(frozen=True, kw_only=True)
class Uncompressed:
    """The network that a compression begins with.

    Attributes:
        model: the run folder that it came from, or its ``best/``.
        architecture: what it is built from, as JSON; found out at the beginning, like the rest.
        accuracy: on the validation images, in [0, 1].
    """

    model: str
    architecture: str = ""
    accuracy: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CompressOptions(Options):
    """The compression of one trained network."""

    max_accuracy_drop: float = option(
        0.01,
        "points of validation accuracy that the smallest file may cost",
        at_least=0,
        at_most=1,
        unit="percent",
    )
    range_drop: float | None = option(
        None,
        "points that a layer alone may cost: numbers of clusters that cost more are not tried"
        " [--max-accuracy-drop]",
        at_least=0,
        at_most=1,
        unit="percent",
    )
    max_bytes: int | None = option(
        None, "most bytes of the file, as the search estimates them", at_least=1, unit="bytes"
    )
    most_clusters: int = option(
        64, "most different weights that a layer may have", at_least=2, at_most=4096
    )
    codebook_bits: int = option(16, "bits of a shared weight in the file", choices=(8, 16, 32))
    bias_bits: int = option(
        16, "bits of each bias and statistic, which aren't shared", choices=(8, 16, 32)
    )

    @property
    def largest_range_drop(self) -> float:
        """What a layer alone may cost, in [0, 1]."""
        return self.max_accuracy_drop if self.range_drop is None else self.range_drop
