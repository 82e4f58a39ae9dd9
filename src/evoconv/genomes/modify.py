"""Stepwise modification: one value of one layer goes up or down by a step, or all sizes do.

Source: Litzinger, Klos & Schiffmann: "in-/decrement of values decaying over time", from exploring
to refining. Which values, and how large the steps are, is not published. Here what is modified is
drawn uniformly among the properties of a layer that have a choice, and the direction among those
that the range leaves. Filters and units may go by a factor instead of a step: 2 are much to a
layer of 4, and nothing to one of 60. What has no order (activation, kind of a pooling, its stride
of 1 or its size) becomes another one.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from numpy.random import Generator

from evoconv.genomes.layers import Convolution, Dense, Layer, Pair, Pooling, Residual
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology

# Dropout moves in whole percents: finer differences can't be measured.
_PERCENT = 100


class _Mover(NamedTuple):
    """Moves numbers by a step of ``scale`` times the largest step of their range."""

    options: SpaceOptions
    rng: Generator
    scale: float

    def pick(self, count: int) -> int:
        return int(self.rng.integers(count))

    def move(self, value: int, low: int, high: int) -> int:
        """Return the value one step up or down, and no further than the end of its range.

        A value beyond the range, as of a window that was cut to its input, moves towards it.
        """
        step = max(1, round(self.scale * self.options.step_share * (high - low)))
        return _moved(value, self._direction(value, low, high) * step, low, high)

    def move_size(self, value: int, low: int, high: int) -> int:
        """Return the number of filters or units one step up or down, as ``move`` does.

        With sizes in proportion the step is a share of the value, the same at either end.
        """
        if self.options.sizes == "linear":
            return self.move(value, low, high)
        return self.scaled(value, low, high, self._direction(value, low, high))

    def scaled(self, value: int, low: int, high: int, sign: int) -> int:
        """Return the size in proportion larger (1) or smaller (-1), by at least 1, in its range."""
        factor: float = (high / low) ** (sign * self.scale * self.options.step_share)
        step = max(1, abs(round(value * factor) - value))
        return _moved(value, sign * step, low, high)

    def _direction(self, value: int, low: int, high: int) -> int:
        """Return 1 (up) or -1 (down), whatever the range leaves."""
        signs = [sign for sign, is_free in ((-1, value > low), (1, value < high)) if is_free]
        return signs[self.pick(len(signs))]

    def move_pair(self, pair: Pair, low: int, high: int) -> tuple[Pair, str]:
        """Return the pair with one side moved, or both where sides are equal; and how."""
        if self.options.square:
            side = self.move(max(pair), low, high)
            return (side, side), f"by {side - max(pair)}"
        axis = self.pick(2)
        side = self.move(pair[axis], low, high)
        moved = (side, pair[1]) if axis == 0 else (pair[0], side)
        return moved, f"{('height', 'width')[axis]} by {side - pair[axis]}"


def _moved(value: int, by: int, low: int, high: int) -> int:
    """Return the value after the move, no further beyond the range than it was."""
    return min(max(value + by, min(value, low)), max(value, high))


Modification = Callable[[Any, _Mover], tuple[Layer, str]]


def modify_layer(
    layer: Layer, options: SpaceOptions, rng: Generator, scale: float
) -> tuple[Layer, str]:
    """Return a layer with another value, and what was done: ``filters by -8``, ``activation``.

    ``scale`` in (0, 1] is the step as a share of the largest one; each step is at least 1. The
    layer must be modifiable.
    """
    choices = _choices(layer, options)
    return choices[int(rng.integers(len(choices)))](layer, _Mover(options, rng, scale))


def scale_layers(
    topology: Topology, options: SpaceOptions, rng: Generator, scale: float
) -> tuple[Topology, str]:
    """Return the topology with all filters and units larger, or smaller, by one factor; and how.

    The factor is that of a modification in proportion; each size moves by at least 1, within its
    range.
    """
    mover = _Mover(options, rng, scale)
    sign = (-1, 1)[mover.pick(2)]

    def scaled(layer: Any) -> Any:
        if isinstance(layer, Pooling):
            return layer
        if isinstance(layer, Dense):
            units = mover.scaled(layer.units, options.min_units, options.max_units, sign)
            return replace(layer, units=units)
        filters = mover.scaled(layer.filters, options.min_filters, options.max_filters, sign)
        return replace(layer, filters=filters)

    return replace(
        topology,
        features=tuple(map(scaled, topology.features)),
        classifier=tuple(map(scaled, topology.classifier)),
    ), f"scale {'down' if sign < 0 else 'up'}"


def is_modifiable(layer: Layer, options: SpaceOptions) -> bool:
    """Return whether any value of the layer has a range of more than one."""
    return bool(_choices(layer, options))


def resize_pooling(layer: Pooling, size: Pair) -> Pooling:
    """Return the pooling with another size: where it strides by its size, it goes on doing so."""
    if layer.stride is None:
        return replace(layer, size=size)
    rows, columns = (
        new if step == old > 1 else step
        for new, old, step in zip(size, layer.size, layer.stride, strict=True)
    )
    return replace(layer, size=size, stride=(rows, columns))


def _choices(layer: Layer, options: SpaceOptions) -> list[Modification]:
    return [modify for modify, has_choice in MODIFICATIONS[type(layer)] if has_choice(options)]


def _modify_filters(layer: Convolution | Residual, mover: _Mover) -> tuple[Layer, str]:
    filters = mover.move_size(layer.filters, mover.options.min_filters, mover.options.max_filters)
    return replace(layer, filters=filters), f"filters by {filters - layer.filters}"


def _modify_kernel(layer: Convolution | Residual, mover: _Mover) -> tuple[Layer, str]:
    low, high = mover.options.min_kernel, mover.options.max_kernel
    kernel, text = mover.move_pair(layer.kernel, low, high)
    return replace(layer, kernel=kernel), f"kernel {text}"


def _modify_stride(layer: Convolution | Residual, mover: _Mover) -> tuple[Layer, str]:
    stride, text = mover.move_pair(layer.stride, 1, mover.options.max_stride)
    return replace(layer, stride=stride), f"stride {text}"


def _modify_size(layer: Pooling, mover: _Mover) -> tuple[Layer, str]:
    size, text = mover.move_pair(layer.size, mover.options.min_pool, mover.options.max_pool)
    return resize_pooling(layer, size), f"pool {text}"


def _modify_pool_stride(layer: Pooling, mover: _Mover) -> tuple[Layer, str]:
    stride = list(layer.steps)
    for axis in (0, 1) if mover.options.square else (mover.pick(2),):
        stride[axis] = layer.size[axis] if stride[axis] == 1 else 1
    return replace(layer, stride=(stride[0], stride[1])), "pool stride"


def _modify_kind(layer: Pooling, _: _Mover) -> tuple[Layer, str]:
    return replace(layer, kind="max" if layer.kind == "average" else "average"), "pool kind"


def _modify_units(layer: Dense, mover: _Mover) -> tuple[Layer, str]:
    units = mover.move_size(layer.units, mover.options.min_units, mover.options.max_units)
    return replace(layer, units=units), f"units by {units - layer.units}"


def _modify_dropout(layer: Dense, mover: _Mover) -> tuple[Layer, str]:
    percent = round(layer.dropout * _PERCENT)
    # A grain more: 0.57 * 100 is below 57.
    most = int(mover.options.max_dropout * _PERCENT + 1e-9)
    moved = mover.move(percent, 0, most)
    return replace(layer, dropout=moved / _PERCENT), f"dropout by {moved - percent}%"


def _modify_activation(layer: Convolution | Residual | Dense, mover: _Mover) -> tuple[Layer, str]:
    others = [name for name in mover.options.activations if name != layer.activation]
    return replace(layer, activation=others[mover.pick(len(others))]), "activation"


_FILTERS = (_modify_filters, lambda options: options.min_filters < options.max_filters)
_KERNEL = (_modify_kernel, lambda options: options.min_kernel < options.max_kernel)
_STRIDE = (_modify_stride, lambda options: options.max_stride > 1)
_ACTIVATION = (_modify_activation, lambda options: len(set(options.activations)) > 1)

# What can be modified in each kind of layer, and whether the options leave a choice.
MODIFICATIONS: Mapping[type, tuple[tuple[Modification, Callable[[SpaceOptions], bool]], ...]] = {
    Convolution: (_FILTERS, _KERNEL, _STRIDE, _ACTIVATION),
    Residual: (_FILTERS, _KERNEL, _STRIDE, _ACTIVATION),
    Pooling: (
        (_modify_size, lambda options: options.min_pool < options.max_pool),
        (_modify_pool_stride, lambda options: options.pool_stride == "either"),
        (_modify_kind, lambda options: 0 < options.average_share < 1),
    ),
    Dense: (
        (_modify_units, lambda options: options.min_units < options.max_units),
        (_modify_dropout, lambda options: options.max_dropout >= 1 / _PERCENT),
        _ACTIVATION,
    ),
}
