"""Where topologies are searched: the options of the space, and random topologies in it.

Source: Vidnerová & Neruda 2018, section 3; the defaults are those of the authors' public code.
Average poolings, residual blocks, strides and rules are those of Litzinger, Klos & Schiffmann; by
default there are none, and then no randomness is spent on them.
Differs: every random topology has a convolution, and a pooling that does not fit its input is made
smaller or left out where the topology is made, not silently skipped where it is built.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from numpy.random import Generator

from evoconv.errors import ConfigError
from evoconv.genomes.fitting import fit_features
from evoconv.genomes.layers import (
    ACTIVATIONS,
    MAX_FILTERS,
    MAX_UNITS,
    MAX_WINDOW,
    NORMALISATIONS,
    PADDINGS,
    Convolution,
    Dense,
    FeatureLayer,
    Pair,
    Pooling,
    Residual,
)
from evoconv.genomes.rules import RULES, Frame, enforce_rules
from evoconv.genomes.topology import REDUCTIONS, Reduction, Topology
from evoconv.options import Options, option


@dataclass(frozen=True, kw_only=True)
class SpaceOptions(Options):
    """What random topologies look like, and how they are varied."""

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
    rules: tuple[str, ...] = option(
        (), f"rules that all networks keep: {', '.join(RULES)}", choices=tuple(RULES)
    )
    least_side: int = option(
        1, "shortest side of maps under the rule least-resolution", at_least=1, at_most=MAX_WINDOW
    )
    normalisation: Literal["none", "batch"] = option(
        "none", "normalisation of convolutions", choices=NORMALISATIONS
    )
    padding: Literal["same", "valid"] = option("same", "padding of convolutions", choices=PADDINGS)
    pool_padding: Literal["same", "valid"] = option(
        "valid", "poolings round down (valid) or up (same)", choices=PADDINGS
    )
    reduction: Literal["flatten", "global-average"] = option(
        "flatten", "how the last maps become a vector", choices=REDUCTIONS
    )

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
        shares = self.change_share + self.add_share + self.delete_share + self.switch_share
        if abs(shares - 1) > 1e-9:
            raise ConfigError(
                "change_share, add_share, delete_share and switch_share must add up to 100 %, "
                f"got {100 * shares:g} %"
            )
        if ("least-resolution" in self.rules) != (self.least_side > 1):
            raise ConfigError(
                "least_side must be above 1 with the rule least-resolution, and 1 without it, "
                f"got {self.least_side}"
            )


def draw_side_pair(low: int, high: int, options: SpaceOptions, rng: Generator) -> Pair:
    """Return the sides (height, width) of a kernel or pool, drawn uniformly from [low, high]."""
    height = int(rng.integers(low, high + 1))
    return height, height if options.square else int(rng.integers(low, high + 1))


def draw_activation(options: SpaceOptions, rng: Generator) -> str:
    """Return one of the activations."""
    return options.activations[int(rng.integers(len(options.activations)))]


def draw_strides(options: SpaceOptions, rng: Generator) -> Pair:
    """Return the strides of a convolution, drawn uniformly from 1 to the longest."""
    return (
        (1, 1) if options.max_stride == 1 else draw_side_pair(1, options.max_stride, options, rng)
    )


def draw_convolution(options: SpaceOptions, rng: Generator) -> Convolution | Residual:
    """Return a random convolution or residual block."""
    return make_convolution(
        options,
        is_residual=options.residual_share > 0 and rng.random() < options.residual_share,
        filters=int(rng.integers(options.min_filters, options.max_filters + 1)),
        kernel=draw_side_pair(options.min_kernel, options.max_kernel, options, rng),
        stride=draw_strides(options, rng),
        activation=draw_activation(options, rng),
    )


def make_convolution(
    options: SpaceOptions,
    *,
    is_residual: bool,
    filters: int,
    kernel: Pair,
    stride: Pair,
    activation: str = "relu",
) -> Convolution | Residual:
    """Return a convolution or residual block with the padding and normalisation of the space.

    It has a bias unless normalisation makes that useless.
    """
    bias = options.normalisation == "none"
    if is_residual:
        return Residual(
            filters=filters,
            kernel=kernel,
            stride=stride,
            activation=activation,
            bias=bias,
            normalisation=options.normalisation,
        )
    return Convolution(
        filters=filters,
        kernel=kernel,
        stride=stride,
        padding=options.padding,
        activation=activation,
        bias=bias,
        normalisation=options.normalisation,
    )


def draw_pooling(size: Pair, options: SpaceOptions, rng: Generator) -> Pooling:
    """Return a pooling of that size and of random kind and strides."""
    is_average = options.average_share > 0 and rng.random() < options.average_share
    return Pooling(
        size=size,
        kind="average" if is_average else "max",
        stride=draw_pool_strides(size, options, rng),
        padding=options.pool_padding,
    )


def draw_pool_strides(size: Pair, options: SpaceOptions, rng: Generator) -> Pair | None:
    """Return 1 or the size, per axis unless sides are equal; None, the size, where that is all."""
    if options.pool_stride == "size":
        return None
    height = bool(rng.integers(2))
    width = height if options.square else bool(rng.integers(2))
    return size[0] if height else 1, size[1] if width else 1


def draw_feature_layer(options: SpaceOptions, rng: Generator) -> FeatureLayer:
    """Return a random convolution, residual block or pooling."""
    if rng.random() < options.convolution_share:
        return draw_convolution(options, rng)
    size = draw_side_pair(options.min_pool, options.max_pool, options, rng)
    return draw_pooling(size, options, rng)


def draw_dense(options: SpaceOptions, rng: Generator) -> Dense:
    """Return a random hidden dense layer."""
    return Dense(
        units=int(rng.integers(options.min_units, options.max_units + 1)),
        activation=draw_activation(options, rng),
        dropout=options.dropouts[int(rng.integers(len(options.dropouts)))],
    )


def draw_topology(
    options: SpaceOptions, input_shape: tuple[int, int, int], rng: Generator
) -> Topology:
    """Return a random topology that has a convolution, fits the input and keeps the rules."""
    num_features = int(
        rng.integers(options.min_features_at_birth, options.max_features_at_birth + 1)
    )
    features = [draw_feature_layer(options, rng) for _ in range(num_features)]
    if all(isinstance(layer, Pooling) for layer in features):
        features[int(rng.integers(num_features))] = draw_convolution(options, rng)
    num_dense = int(rng.integers(options.min_classifier, options.max_classifier_at_birth + 1))
    return assemble(
        features,
        tuple(draw_dense(options, rng) for _ in range(num_dense)),
        options.reduction,
        options,
        input_shape,
    )


def assemble(
    features: Iterable[FeatureLayer],
    classifier: tuple[Dense, ...],
    reduction: Reduction,
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
) -> Topology:
    """Return the topology of these layers that keeps the rules and fits the input."""
    if options.rules:
        frame = Frame(input_shape=input_shape, least_side=options.least_side)
        whole = Topology(features=tuple(features), classifier=classifier, reduction=reduction)
        whole = enforce_rules(whole, options.rules, frame)
        features, classifier = whole.features, whole.classifier
    return Topology(
        features=fit_features(features, input_shape), classifier=classifier, reduction=reduction
    )
