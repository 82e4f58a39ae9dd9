"""How small a trained network is to become, and at what price."""

from dataclasses import dataclass

from evoconv.errors import ConfigError
from evoconv.options import Options, option


@dataclass(frozen=True, kw_only=True)
class Uncompressed:
    """The network that a compression begins with.

    Attributes:
        model: the run folder that it came from, or its ``best/``.
        architecture: what it is built from, as JSON; found out at the beginning, like the rest.
        accuracy: on the validation images, in [0, 1].
        description_bytes: what its file will take beside the tensors.
        trained_here: whether this study trained it first, so that it has seen no other images.
    """

    model: str
    architecture: str = ""
    accuracy: float = 0.0
    description_bytes: int = 0
    trained_here: bool = False


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """What is trained beside the weights' numbers: see the options of the same names."""

    least_kept: float | None = None
    concentrates: bool = False
    bias_clusters: int = 0
    reassigns: bool = False
    distillation: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CompressOptions(Options):
    """The compression of one trained network."""

    base_weights: str | None = option(
        None, "weights of a network that is given by its name: a .safetensors or .pth file"
    )
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
        None,
        "most bytes of the file; candidates that are larger are only kept if all are",
        at_least=1,
        unit="bytes",
    )
    most_clusters: int = option(
        64, "most different weights that a layer may have", at_least=2, at_most=4096
    )
    aim: str = option(
        "bytes",
        "what the search improves: bytes at the accuracy that is wanted; or, as published, the"
        " distance to an accuracy and a ratio that move when they are surpassed",
        choices=("bytes", "moving-targets"),
    )
    ratio_target: float = option(
        10.0, "ratio that moving targets begin with", at_least=1, at_most=1e6
    )
    modulate: bool = option(
        False, "search each layer's spread and focus, too: where clusters are close together"
    )
    depthwise: str = option(
        "shared",
        "depthwise convolutions: shared as others, with a codebook for each channel, or not at all",
        choices=("shared", "rows", "skipped"),
    )
    couple: str = option(
        "none",
        "layers that have one codebook together: none, those of a kind (convolutions, depthwise"
        " convolutions, dense layers), or all; what isn't a weight has one together, then",
        choices=("none", "kinds", "all"),
    )
    codebook_bits: int = option(16, "bits of a shared weight in the file", choices=(8, 16, 32))
    bias_bits: int = option(
        16, "bits of each bias and statistic, which aren't shared", choices=(8, 16, 32)
    )

    fold: bool = option(False, "fold batch normalisations into the layers before them")
    fine_tune: bool = option(False, "train each candidate while its weights are pruned and shared")
    least_kept: float | None = option(
        None,
        "least share of its weights that a layer may keep in fine-tuning; unset: none is pruned",
        at_least=1e-6,
        at_most=1,
        unit="percent",
    )
    concentrate: bool = option(
        False, "prune weights first whose output or input has small ones: whole rows cost few bytes"
    )
    bias_clusters: int = option(
        0,
        "different values of a layer's biases after fine-tuning; 0: stored one by one",
        at_least=0,
        at_most=4096,
    )
    reassign: bool = option(False, "let weights go over to other clusters while these are trained")
    distillation: float = option(
        0.0,
        "share of each label that is what the network before thinks",
        at_least=0,
        at_most=1,
        unit="percent",
    )

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for a value out of range, or values that contradict each other."""
        super().__post_init__()
        for name, is_set in (
            ("--modulate", self.modulate),
            ("--depthwise rows", self.depthwise == "rows"),
        ):
            if is_set and self.fine_tune:
                raise ConfigError(f"{name} is for clusters that stay as they are: --no-fine-tune")
        if self.modulate and self.depthwise == "rows":
            raise ConfigError(
                "--modulate can't be combined with --depthwise rows: what has a codebook for each"
                " channel has no spread and no focus"
            )

    @property
    def tuning(self) -> "FineTuning | None":
        """How candidates are trained; None where they aren't."""
        if not self.fine_tune:
            return None
        return FineTuning(
            least_kept=self.least_kept,
            concentrates=self.concentrate,
            bias_clusters=self.bias_clusters,
            reassigns=self.reassign,
            distillation=self.distillation,
        )

    @property
    def largest_range_drop(self) -> float:
        """What a layer alone may cost, in [0, 1]."""
        return self.max_accuracy_drop if self.range_drop is None else self.range_drop
