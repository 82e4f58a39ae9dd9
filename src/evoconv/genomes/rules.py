"""Named rules that force common topologies; each is switched on by its name in ``rules``.

A rule tells whether it holds, and changes a topology as little as possible so that it does. Applied
in the order of ``RULES``, no rule breaks an earlier one: the later ones only take poolings away or
lower strides, kernels, filters and units. That dense layers come last holds by construction.

Source: Litzinger, Klos & Schiffmann name constraints that force 'common' CNN topologies, without a
list. Filters and units are moved to the nearest monotone sequence (least squares) by pooling
adjacent violators: Ayer et al. 1955, "An empirical distribution function for sampling with
incomplete information". Differs: the means are rounded down, so what a repair takes away from one
layer is never given back by the others.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from evoconv.genomes.fitting import window_of
from evoconv.genomes.layers import FeatureLayer, Pair, Pooling
from evoconv.genomes.shapes import feature_shapes, output_size
from evoconv.genomes.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What rules need to know besides the topology: images of shape (C, H, W), and a number."""

    input_shape: tuple[int, int, int]
    least_side: int = 1


@dataclass(frozen=True, kw_only=True)
class TopologyRule:
    """One rule. ``holds`` may raise ``ConfigError`` for a topology that does not fit the images."""

    holds: Callable[[Topology, Frame], bool]
    enforce: Callable[[Topology, Frame], Topology]


def enforce_rules(topology: Topology, names: Iterable[str], frame: Frame) -> Topology:
    """Return a similar topology that keeps the rules; the same one if it does already.

    Its windows may still have to be cut to their input, which breaks no rule.
    """
    wanted = set(names)
    for name, rule in RULES.items():
        if name in wanted:
            topology = rule.enforce(topology, frame)
    return topology


def broken_rules(topology: Topology, names: Iterable[str], frame: Frame) -> list[str]:
    """Return the names of the rules that do not hold.

    Raises:
        ConfigError: a window does not fit its input.
    """
    return [name for name in names if not RULES[name].holds(topology, frame)]


def _starts_with_convolution(topology: Topology, _: Frame) -> bool:
    return not topology.features or not isinstance(topology.features[0], Pooling)


def _move_convolution_first(topology: Topology, frame: Frame) -> Topology:
    if _starts_with_convolution(topology, frame):
        return topology
    layers = topology.features
    for place, layer in enumerate(layers):
        if not isinstance(layer, Pooling):
            return replace(topology, features=(layer, *layers[:place], *layers[place + 1 :]))
    return topology


def _has_single_poolings(topology: Topology, _: Frame) -> bool:
    return not any(_are_poolings(*pair) for pair in pairwise(topology.features))


def _leave_single_poolings(topology: Topology, _: Frame) -> Topology:
    kept: list[FeatureLayer] = []
    for layer in topology.features:
        if not (kept and _are_poolings(kept[-1], layer)):
            kept.append(layer)
    return topology if len(kept) == len(topology.features) else replace(topology, features=(*kept,))


def _are_poolings(first: FeatureLayer, second: FeatureLayer) -> bool:
    return isinstance(first, Pooling) and isinstance(second, Pooling)


def _has_growing_filters(topology: Topology, _: Frame) -> bool:
    return _never_falls(_filters(topology))


def _let_filters_grow(topology: Topology, _: Frame) -> Topology:
    filters = _filters(topology)
    if _never_falls(filters):
        return topology
    grown = iter(nearest_rising(filters))
    features = tuple(
        layer if isinstance(layer, Pooling) else replace(layer, filters=next(grown))
        for layer in topology.features
    )
    return replace(topology, features=features)


def _filters(topology: Topology) -> list[int]:
    return [layer.filters for layer in topology.features if not isinstance(layer, Pooling)]


def _has_falling_units(topology: Topology, _: Frame) -> bool:
    return _never_falls([dense.units for dense in reversed(topology.classifier)])


def _let_units_fall(topology: Topology, frame: Frame) -> Topology:
    if _has_falling_units(topology, frame):
        return topology
    fallen = nearest_rising([dense.units for dense in reversed(topology.classifier)])[::-1]
    classifier = tuple(
        replace(dense, units=units)
        for dense, units in zip(topology.classifier, fallen, strict=True)
    )
    return replace(topology, classifier=classifier)


def _never_falls(values: Sequence[int]) -> bool:
    return all(first <= second for first, second in pairwise(values))


def nearest_rising(values: Sequence[int]) -> list[int]:
    """Return the non-decreasing sequence nearest in squares, rounded down.

    >>> nearest_rising([10, 30, 20, 40, 10])
    [10, 25, 25, 25, 25]
    """
    blocks: list[tuple[int, int]] = []  # sum and count of values that share their mean
    for value in values:
        total, count = value, 1
        while blocks and blocks[-1][0] * count > total * blocks[-1][1]:
            before, num_before = blocks.pop()
            total, count = total + before, count + num_before
        blocks.append((total, count))
    return [total // count for total, count in blocks for _ in range(count)]


def _skips_nothing(topology: Topology, _: Frame) -> bool:
    return all(_strides_within_window(layer) is layer for layer in topology.features)


def _let_strides_skip_nothing(topology: Topology, frame: Frame) -> Topology:
    if _skips_nothing(topology, frame):
        return topology
    return replace(topology, features=tuple(map(_strides_within_window, topology.features)))


def _strides_within_window(layer: FeatureLayer) -> FeatureLayer:
    window, stride, _ = window_of(layer)
    if stride[0] <= window[0] and stride[1] <= window[1]:
        return layer
    return replace(layer, stride=(min(stride[0], window[0]), min(stride[1], window[1])))


def _has_resolution(topology: Topology, frame: Frame) -> bool:
    shapes = feature_shapes(topology, frame.input_shape)
    return all(min(shape[1:]) >= frame.least_side for shape in shapes)


def _keep_resolution(topology: Topology, frame: Frame) -> Topology:
    """Lower strides and unpadded windows where maps would become too small, poolings to nothing."""
    size: Pair = frame.input_shape[1:]
    kept: list[FeatureLayer] = []
    for layer in topology.features:
        window, stride, padding = window_of(layer)
        rows, row_stride = _gentle(size[0], window[0], stride[0], layer, frame.least_side)
        columns, column_stride = _gentle(size[1], window[1], stride[1], layer, frame.least_side)
        gentle = (rows, columns), (row_stride, column_stride)
        if gentle != (window, stride):
            if isinstance(layer, Pooling):
                # A pooling that strides by its size goes on doing so.
                own = None if gentle[0] == gentle[1] else gentle[1]
                layer = replace(layer, size=gentle[0], stride=own)
                if layer.is_nothing:
                    continue
            else:
                layer = replace(layer, kernel=gentle[0], stride=gentle[1])
        kept.append(layer)
        size = (
            output_size(size[0], rows, row_stride, padding),
            output_size(size[1], columns, column_stride, padding),
        )
    features = tuple(kept)
    return topology if features == topology.features else replace(topology, features=features)


def _gentle(
    size: int, window: int, stride: int, layer: FeatureLayer, least_side: int
) -> tuple[int, int]:
    """Return the largest window and stride up to those given that leave ``least_side`` values."""
    padding = window_of(layer)[2]
    if isinstance(layer, Pooling) and window == stride:
        while window > 1 and output_size(size, window, window, padding) < least_side:
            window -= 1
        return window, window
    if padding == "valid" and window > size - least_side + 1:
        window = max(size - least_side + 1, 1)
        stride = min(stride, window)
    while stride > 1 and output_size(size, window, stride, padding) < least_side:
        stride -= 1
    return window, stride


RULES: Mapping[str, TopologyRule] = {
    # The image itself is not pooled.
    "convolution-first": TopologyRule(
        holds=_starts_with_convolution, enforce=_move_convolution_first
    ),
    "no-consecutive-poolings": TopologyRule(
        holds=_has_single_poolings, enforce=_leave_single_poolings
    ),
    "filters-never-shrink": TopologyRule(holds=_has_growing_filters, enforce=_let_filters_grow),
    "units-never-grow": TopologyRule(holds=_has_falling_units, enforce=_let_units_fall),
    # No value of a map is skipped by a stride longer than its window.
    "strides-within-windows": TopologyRule(holds=_skips_nothing, enforce=_let_strides_skip_nothing),
    # No map has a side shorter than ``least_side``.
    "least-resolution": TopologyRule(holds=_has_resolution, enforce=_keep_resolution),
}
