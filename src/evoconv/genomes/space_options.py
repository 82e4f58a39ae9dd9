"""The options of the space of topologies: what random ones look like, and how they are varied.

Source: Vidnerová & Neruda 2018, section 3; the defaults are those of the authors' public code.
Average poolings, residual blocks, strides and rules are those of Litzinger, Klos & Schiffmann; by
default there are none, and then no randomness is spent on them.
"""

from dataclasses import dataclass
from typing import Literal

from evoconv.errors import ConfigError
from evoconv.genomes.layers import (
    ACTIVATIONS,
    MAX_FILTERS,
    MAX_UNITS,
    MAX_WINDOW,
    NORMALISATIONS,
    PADDINGS,
)
from evoconv.genomes.rules import RULES
from evoconv.genomes.topology import REDUCTIONS, Reduction
from evoconv.options import Options, option

# So large are images whose maps had better be flattened, as measured: docs/method-async.md.
_SMALL_SIDE = 32


@dataclass(frozen=True, kw_only=True)
class SpaceOptions(Options):
    """What random topologies look like, and how they are varied."""

    seeds: tuple[str, ...] = option(
        (), "a JSON file of genomes to begin with, instead of random ones [none]"
    )
    usual_designs: bool = option(
        False, "without --seeds, begin with hand-made designs, as wide as the limits allow"
    )
    min_filters: int = option(10, "fewest filters", at_least=1, at_most=MAX_FILTERS)
    max_filters: int = option(50, "most filters", at_least=1, at_most=MAX_FILTERS)
    min_kernel: int = option(2, "smallest kernel side", at_least=1, at_most=MAX_WINDOW)
    max_kernel: int = option(5, "largest kernel side", at_least=1, at_most=MAX_WINDOW)
    min_pool: int = option(2, "smallest pool side", at_least=2, at_most=MAX_WINDOW)
    max_pool: int = option(3, "largest pool side", at_least=2, at_most=MAX_WINDOW)
    max_stride: int = option(
        1, "longest stride of convolutions; drawn from 1 up", at_least=1, at_most=16
    )
    pool_stride: Literal["size", "either"] = option(
        "size", "poolings stride by their size, or by either 1 or it", choices=("size", "either")
    )
    min_units: int = option(10, "fewest units of a dense layer", at_least=1, at_most=MAX_UNITS)
    max_units: int = option(300, "most units of a dense layer", at_least=1, at_most=MAX_UNITS)
    sizes: Literal["linear", "log"] = option(
        "linear",
        "how numbers of filters and units are drawn and changed: all alike, or in proportion",
        choices=("linear", "log"),
    )
    dropouts: tuple[float, ...] = option(
        (0.0, 0.2, 0.3, 0.4), "dropout rates at birth", at_least=0, at_most=0.9
    )
    max_dropout: float = option(
        0.9, "highest dropout rate after mutation", at_least=0, at_most=0.99
    )
    activations: tuple[str, ...] = option(
        ("relu", "tanh", "sigmoid", "hard-sigmoid", "linear"),
        "activations drawn from",
        choices=ACTIVATIONS,
    )
    square: bool = option(
        True, "kernels, pools and strides have equal sides; else each side is drawn"
    )
    min_features_at_birth: int = option(1, "fewest feature layers at birth", at_least=1)
    max_features_at_birth: int = option(3, "most feature layers at birth", at_least=1, at_most=100)
    max_features: int = option(10, "most feature layers", at_least=1, at_most=100)
    min_classifier: int = option(1, "fewest hidden dense layers", at_least=0, at_most=100)
    max_classifier_at_birth: int = option(
        3, "most hidden dense layers at birth", at_least=0, at_most=100
    )
    max_classifier: int = option(4, "most hidden dense layers", at_least=0, at_most=100)
    convolution_share: float = option(
        0.7,
        "share of convolutions and residual blocks among new feature layers",
        at_least=0,
        at_most=1,
        unit="percent",
    )
    residual_share: float = option(
        0.0, "share of residual blocks among those", at_least=0, at_most=1, unit="percent"
    )
    average_share: float = option(
        0.0,
        "share of average poolings among new poolings; the others take the maximum",
        at_least=0,
        at_most=1,
        unit="percent",
    )
    change_share: float = option(
        0.5, "share of mutations that change a layer", at_least=0, at_most=1, unit="percent"
    )
    add_share: float = option(
        0.25, "share of mutations that add a layer", at_least=0, at_most=1, unit="percent"
    )
    delete_share: float = option(
        0.25, "share of mutations that delete a layer", at_least=0, at_most=1, unit="percent"
    )
    switch_share: float = option(
        0.0,
        "share of mutations that let two layers exchange places",
        at_least=0,
        at_most=1,
        unit="percent",
    )
    scale_share: float = option(
        0.0,
        "share of mutations that give all layers more, or fewer, filters and units in proportion",
        at_least=0,
        at_most=1,
        unit="percent",
    )
    modification: Literal["gaussian", "stepwise"] = option(
        "gaussian",
        "how numbers mutate: by a random step, or up or down by a step that decays over the run",
        choices=("gaussian", "stepwise"),
    )
    step_share: float = option(
        0.25,
        "largest step of stepwise mutation, as a share of the range of the number",
        at_least=0.001,
        at_most=1,
        unit="percent",
    )
    mutation_spread: float = option(
        0.15,
        "standard deviation of Gaussian mutation, as a share of the range of the number",
        at_least=0.001,
        at_most=1,
        unit="percent",
    )
    crossover_points: int = option(
        1, "points of crossover, fewer between short networks", at_least=1, at_most=10
    )
    new_blocks: Literal["last", "anywhere"] = option(
        "last",
        "gradient: where blocks are added and taken away",
        choices=("last", "anywhere"),
    )
    rules: tuple[str, ...] = option(
        (), f"rules that all networks keep: {', '.join(RULES)}", choices=tuple(RULES)
    )
    least_side: int = option(
        1, "shortest side of maps under the rule least-resolution", at_least=1, at_most=MAX_WINDOW
    )
    normalisation: Literal["none", "batch"] = option(
        "none", "normalisation of convolutions and hidden dense layers", choices=NORMALISATIONS
    )
    padding: Literal["same", "valid"] = option("same", "padding of convolutions", choices=PADDINGS)
    pool_padding: Literal["same", "valid"] = option(
        "valid", "poolings round down (valid) or up (same)", choices=PADDINGS
    )
    reduction: Literal["flatten", "global-average", "either", "by-size"] = option(
        "flatten",
        "how the last maps become a vector; either: of each newborn a coin says, and children have"
        f" it from their first parent; by-size: flatten up to {_SMALL_SIDE}×{_SMALL_SIDE} pixels,"
        " else either",
        choices=(*REDUCTIONS, "either", "by-size"),
    )

    def reductions(self, input_shape: tuple[int, int, int]) -> tuple[Reduction, ...]:
        """Return all that a topology for such images (C, H, W) may have."""
        is_small = max(input_shape[1:]) <= _SMALL_SIDE
        if self.reduction == "either" or (self.reduction == "by-size" and not is_small):
            return REDUCTIONS
        return ("flatten",) if self.reduction == "by-size" else (self.reduction,)

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` where two options contradict each other."""
        super().__post_init__()
        for low, high in (
            ("min_filters", "max_filters"),
            ("min_kernel", "max_kernel"),
            ("min_pool", "max_pool"),
            ("min_units", "max_units"),
            ("min_features_at_birth", "max_features_at_birth"),
            ("max_features_at_birth", "max_features"),
            ("min_classifier", "max_classifier_at_birth"),
            ("max_classifier_at_birth", "max_classifier"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ConfigError(
                    f"{low} {getattr(self, low)} must not be above {high} {getattr(self, high)}"
                )
        for name in ("dropouts", "activations"):
            if not getattr(self, name):
                raise ConfigError(f"{name} must name at least one")
        if max(self.dropouts) > self.max_dropout:
            raise ConfigError(
                f"dropouts must be in [0, max_dropout={self.max_dropout:g}], "
                f"got {max(self.dropouts):g}"
            )
        of_kinds = (
            *(self.change_share, self.add_share, self.delete_share),
            *(self.switch_share, self.scale_share),
        )
        if abs(sum(of_kinds) - 1) > 1e-9:
            raise ConfigError(
                "change_share, add_share, delete_share, switch_share and scale_share must add up "
                f"to 100 %, got {100 * sum(of_kinds):g} %"
            )
        if ("least-resolution" in self.rules) != (self.least_side > 1):
            raise ConfigError(
                "least_side must be above 1 with the rule least-resolution, and 1 without it, "
                f"got {self.least_side}"
            )
