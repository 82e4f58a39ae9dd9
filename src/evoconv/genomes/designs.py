"""Hand-made topologies to begin a search with: the usual forms, as wide as the limits allow.

3×3 convolutions in stages; between stages the maps get half as large and the filters twice as many,
as in Simonyan & Zisserman 2014, "Very Deep Convolutional Networks". Forms differ in the number of
stages, in convolutions per stage, in what makes the maps smaller, a pooling or the stride of a
stage's last convolution, and in what becomes of the last maps: their mean, or all their values,
before which they may be made smaller once more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from evoconv.genomes.draw_topology import (
    assemble,
    make_convolution,
    make_dense,
    make_pooling,
    nearest_within,
)
from evoconv.genomes.layers import Dense, FeatureLayer
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Reduction, Topology

# The last stage's maps have at most so many values a side.
_LAST_SIDE = 8
# Filters of the first stage, whatever the limits: wider ones are left to evolution.
_WIDEST = 16
_KERNEL = 3


@dataclass(frozen=True, kw_only=True)
class _Form:
    num_stages: int
    convolutions: int
    is_strided: bool
    reduction: Reduction
    is_reduced: bool = False


def usual_designs(
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
    is_feasible: Callable[[Topology], bool],
) -> tuple[Topology, ...]:
    """Return each form as wide as it is feasible; none of what no width makes feasible."""
    designs: dict[Topology, None] = {}
    for form in _forms(options, input_shape):
        for width in range(_WIDEST, 0, -1):
            topology = _design(form, width, options, input_shape)
            if len(topology.features) > options.max_features:
                break
            if is_feasible(topology):
                designs[topology] = None
                break
    return tuple(designs)


def _forms(options: SpaceOptions, input_shape: tuple[int, int, int]) -> Iterator[_Form]:
    """Yield those whose kinds of layers the space has, the likeliest first."""
    side, most_stages = min(input_shape[1:]), 1
    while side > _LAST_SIDE:
        side, most_stages = -(-side // 2), most_stages + 1
    ways = []
    if options.convolution_share < 1 and options.min_pool <= 2:
        ways.append(False)
    if options.max_stride >= 2:
        ways.append(True)
    ends = [
        (reduction, is_reduced)
        for reduction in options.reductions(input_shape)
        for is_reduced in ((False, True) if reduction == "flatten" else (False,))
    ]
    for num_stages, count, is_strided, (reduction, is_reduced) in product(
        (most_stages, most_stages - 1), (1, 2), ways, ends
    ):
        if num_stages >= 1:
            yield _Form(
                num_stages=num_stages,
                convolutions=count,
                is_strided=is_strided,
                reduction=reduction,
                is_reduced=is_reduced,
            )


def _design(
    form: _Form, width: int, options: SpaceOptions, input_shape: tuple[int, int, int]
) -> Topology:
    features: list[FeatureLayer] = []
    filters = width
    for stage in range(form.num_stages):
        filters = nearest_within(width * 2**stage, options.min_filters, options.max_filters)
        shrinks = stage < form.num_stages - 1 or form.is_reduced
        for number in range(form.convolutions):
            is_last = number == form.convolutions - 1
            stride = 2 if form.is_strided and shrinks and is_last else 1
            features.append(_convolution(filters, stride, options))
        if shrinks and not form.is_strided:
            features.append(make_pooling(options, 2))
    classifier = _classifier(filters, form.reduction, options)
    return assemble(features, classifier, form.reduction, options, input_shape)


def _convolution(filters: int, stride: int, options: SpaceOptions) -> FeatureLayer:
    side = nearest_within(_KERNEL, options.min_kernel, options.max_kernel)
    return make_convolution(
        options,
        is_residual=options.residual_share == 1,
        filters=filters,
        kernel=(side, side),
        stride=(stride, stride),
        activation=_activation(options),
    )


def _classifier(filters: int, reduction: Reduction, options: SpaceOptions) -> tuple[Dense, ...]:
    """Return as few layers as the space allows, but one behind flattened maps."""
    wanted = max(options.min_classifier, 1 if reduction == "flatten" else 0)
    units = nearest_within(filters, options.min_units, options.max_units)
    dense = make_dense(options, units=units, activation=_activation(options))
    return (dense,) * min(wanted, options.max_classifier)


def _activation(options: SpaceOptions) -> str:
    return "relu" if "relu" in options.activations else options.activations[0]
