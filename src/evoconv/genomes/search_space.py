"""Where topologies are searched: the options of the space, and random topologies in it.

Source: Vidnerová & Neruda 2018, section 3; the defaults are those of the authors' public code.
Differs: every random topology has a convolution, and a pooling that does not fit its input is made
smaller or left out where the topology is made, not silently skipped where it is built.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from numpy.random import Generator

from evoconv.errors import ConfigError
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
from evoconv.genomes.shapes import output_size
from evoconv.genomes.topology import REDUCTIONS, Topology
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
    square: bool = option(True, "kernels and pools have equal sides; else each side is drawn")
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
        "share of convolutions among new feature layers",
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
    mutation_spread: float = option(
        0.15,
        "standard deviation of Gaussian mutation, as a share of the range of the number",
        at_least=0.001,
        at_most=1,
        unit="percent",
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
        if abs(self.change_share + self.add_share + self.delete_share - 1) > 1e-9:
            raise ConfigError("change_share, add_share and delete_share must add up to 100 %")


def draw_side_pair(low: int, high: int, options: SpaceOptions, rng: Generator) -> Pair:
    """Return the sides (height, width) of a kernel or pool, drawn uniformly from [low, high]."""
    height = int(rng.integers(low, high + 1))
    return height, height if options.square else int(rng.integers(low, high + 1))


def draw_activation(options: SpaceOptions, rng: Generator) -> str:
    """Return one of the activations."""
    return options.activations[int(rng.integers(len(options.activations)))]


def draw_convolution(options: SpaceOptions, rng: Generator) -> Convolution:
    """Return a random convolution; it has a bias unless normalisation makes that useless."""
    return Convolution(
        filters=int(rng.integers(options.min_filters, options.max_filters + 1)),
        kernel=draw_side_pair(options.min_kernel, options.max_kernel, options, rng),
        padding=options.padding,
        activation=draw_activation(options, rng),
        bias=options.normalisation == "none",
        normalisation=options.normalisation,
    )


def draw_pooling(options: SpaceOptions, rng: Generator) -> Pooling:
    """Return a random max-pooling."""
    size = draw_side_pair(options.min_pool, options.max_pool, options, rng)
    return Pooling(size=size, padding=options.pool_padding)


def draw_feature_layer(options: SpaceOptions, rng: Generator) -> FeatureLayer:
    """Return a random convolution or pooling."""
    if rng.random() < options.convolution_share:
        return draw_convolution(options, rng)
    return draw_pooling(options, rng)


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
    """Return a random topology with at least one convolution, whose layers fit the input."""
    num_features = int(
        rng.integers(options.min_features_at_birth, options.max_features_at_birth + 1)
    )
    features = [draw_feature_layer(options, rng) for _ in range(num_features)]
    if not any(isinstance(layer, Convolution) for layer in features):
        features[int(rng.integers(num_features))] = draw_convolution(options, rng)
    num_dense = int(rng.integers(options.min_classifier, options.max_classifier_at_birth + 1))
    return Topology(
        features=fit_features(features, input_shape),
        classifier=tuple(draw_dense(options, rng) for _ in range(num_dense)),
        reduction=options.reduction,
    )


def fit_features(
    features: Iterable[FeatureLayer], input_shape: tuple[int, int, int]
) -> tuple[FeatureLayer, ...]:
    """Return the layers with windows cut to their input; a pooling of one value is left out.

    Kernels that pad are never too large. A window that is cut to its input may be smaller than the
    options allow: that is the only way to fit it.
    """
    fitted: list[FeatureLayer] = []
    _, height, width = input_shape
    for layer in features:
        if isinstance(layer, Pooling):
            if (height, width) == (1, 1):
                continue
            if layer.padding == "valid" and (layer.size[0] > height or layer.size[1] > width):
                layer = replace(layer, size=(min(layer.size[0], height), min(layer.size[1], width)))
            window, stride, padding = layer.size, layer.steps, layer.padding
        elif isinstance(layer, Residual):
            window, stride, padding = layer.kernel, layer.stride, "same"
        else:
            kernel = layer.kernel
            if layer.padding == "valid" and (kernel[0] > height or kernel[1] > width):
                kernel = (min(kernel[0], height), min(kernel[1], width))
                layer = replace(layer, kernel=kernel)
            window, stride, padding = layer.kernel, layer.stride, layer.padding
        height = output_size(height, window[0], stride[0], padding)
        width = output_size(width, window[1], stride[1], padding)
        fitted.append(layer)
    return tuple(fitted)
