"""From a topology that exceeds the limits to a similar one within them, in small random steps.

Throwing infeasible draws away skews a search to the few shapes that happen to be small. Repair
keeps the layers of a topology and makes it smaller. Near the limits it takes gentle steps: fewer
filters or units. Far from them gentle steps are larger, and half of the steps are coarse (a smaller
kernel, a larger or an added pooling, a longer stride), because only these shrink a large flattened
map without starving every layer. A layer is left out, and a residual block made a convolution, only
when nothing else helps. Every step keeps the rules, and none is taken that does not lower the
excess.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from numpy.random import Generator

from evoconv.genomes.draw_topology import assemble, draw_pooling, make_convolution
from evoconv.genomes.layers import Convolution, Pooling, Residual
from evoconv.genomes.modify import resize_pooling
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology

# Twice a limit is 'far'; nearer, only gentle steps are taken while they help.
FAR = math.log(2)


class _Step(NamedTuple):
    """What to do with the layer at a place."""

    what: str
    place: int


def repair_topology(
    topology: Topology,
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
    excess_of: Callable[[Topology], float],
    rng: Generator,
) -> Topology | None:
    """Return a topology without excess, made in small random steps; None where no step helps.

    ``excess_of`` tells by how much a topology exceeds the limits: 0 if it keeps them, and a sum of
    logarithms of the ratios, so that it falls with every step in the right direction.
    """
    now = assemble(topology.features, topology.classifier, topology.reduction, options, input_shape)
    excess = excess_of(now)
    while excess > 0:
        is_far = excess > FAR
        for step in _draw_steps(now, options, is_far=is_far, rng=rng):
            after = _take(step, now, options, input_shape, is_far=is_far, rng=rng)
            after_excess = excess_of(after)
            if after_excess < excess:
                now, excess = after, after_excess
                break
        else:
            return None
    return now


def _draw_steps(
    topology: Topology, options: SpaceOptions, *, is_far: bool, rng: Generator
) -> Iterator[_Step]:
    """Yield every possible step: gentle before coarse when near, mixed when far; losses last."""
    gentle = _shuffled(_gentle_steps(topology, options), rng)
    coarse = _shuffled(_coarse_steps(topology, options), rng)
    while gentle or coarse:
        takes_coarse = not gentle or (is_far and coarse and rng.random() < 0.5)
        yield (coarse if takes_coarse else gentle).pop()
    yield from _shuffled(_last_steps(topology, options), rng)


def _shuffled(steps: list[_Step], rng: Generator) -> list[_Step]:
    return [steps[place] for place in rng.permutation(len(steps))]


def _gentle_steps(topology: Topology, options: SpaceOptions) -> list[_Step]:
    steps = [
        _Step("fewer filters", place)
        for place, layer in enumerate(topology.features)
        if not isinstance(layer, Pooling) and layer.filters > options.min_filters
    ]
    steps += [
        _Step("fewer units", place)
        for place, dense in enumerate(topology.classifier)
        if dense.units > options.min_units
    ]
    return steps


def _coarse_steps(topology: Topology, options: SpaceOptions) -> list[_Step]:
    steps = []
    for place, layer in enumerate(topology.features):
        if isinstance(layer, Pooling):
            if max(layer.size) < options.max_pool:
                steps.append(_Step("larger pooling", place))
            if options.pool_stride == "either" and layer.steps != layer.size:
                steps.append(_Step("pooling by its size", place))
            continue
        if max(layer.kernel) > options.min_kernel:
            steps.append(_Step("smaller kernel", place))
        if min(layer.stride) < options.max_stride:
            steps.append(_Step("longer stride", place))
    if options.convolution_share < 1 and len(topology.features) < options.max_features:
        steps += [_Step("added pooling", place) for place in range(1, len(topology.features) + 1)]
    return steps


def _last_steps(topology: Topology, options: SpaceOptions) -> list[_Step]:
    """Return steps that lose much: a layer left out, or a pooling of the image itself."""
    convolutions = [
        place
        for place, layer in enumerate(topology.features)
        if isinstance(layer, Convolution | Residual)
    ]
    steps = [_Step("no convolution", place) for place in convolutions if len(convolutions) > 1]
    if options.residual_share < 1:
        steps += [
            _Step("plain convolution", place)
            for place in convolutions
            if isinstance(topology.features[place], Residual)
        ]
    if len(topology.classifier) > options.min_classifier:
        steps += [_Step("no dense", place) for place in range(len(topology.classifier))]
    if options.convolution_share < 1 and len(topology.features) < options.max_features:
        steps.append(_Step("added pooling", 0))
    return steps


def _take(
    step: _Step,
    topology: Topology,
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
    *,
    is_far: bool,
    rng: Generator,
) -> Topology:
    """Return the topology after the step."""
    features, classifier = list(topology.features), list(topology.classifier)
    place = step.place
    share = float(rng.uniform(0.6, 0.9) if is_far else rng.uniform(0.85, 1.0))
    layer: Any = features[place] if place < len(features) else None
    match step.what:
        case "fewer filters":
            filters = _fewer(layer.filters, options.min_filters, share)
            features[place] = replace(layer, filters=filters)
        case "smaller kernel":
            kernel = tuple(max(side - 1, min(side, options.min_kernel)) for side in layer.kernel)
            features[place] = replace(layer, kernel=kernel)
        case "larger pooling":
            size = tuple(min(side + 1, max(side, options.max_pool)) for side in layer.size)
            features[place] = resize_pooling(layer, size)
        case "pooling by its size":
            features[place] = replace(layer, stride=None)
        case "longer stride":
            stride = tuple(min(side + 1, max(side, options.max_stride)) for side in layer.stride)
            features[place] = replace(layer, stride=stride)
        case "plain convolution":
            features[place] = make_convolution(
                options,
                is_residual=False,
                filters=layer.filters,
                kernel=layer.kernel,
                stride=layer.stride,
                activation=layer.activation,
            )
        case "added pooling":
            # By its size: one that strides by 1 would save nothing.
            side = options.min_pool
            pooling = draw_pooling((side, side), options, rng)
            features.insert(place, replace(pooling, stride=None))
        case "no convolution":
            del features[place]
        case "fewer units":
            dense = classifier[place]
            units = _fewer(dense.units, options.min_units, share)
            classifier[place] = replace(dense, units=units)
        case "no dense":
            del classifier[place]
    return assemble(features, tuple(classifier), topology.reduction, options, input_shape)


def _fewer(count: int, least: int, share: float) -> int:
    """Return that share of the count, at least one less, but no less than the least."""
    return max(min(round(count * share), count - 1), least)
