"""What a topology costs, by arithmetic: nothing is built.

- Parameters are the trainable ones; batch normalisation has two per map (its running statistics are
  not trained).
- Multiply-accumulates are those of convolutions and dense layers for one image; padding is
  multiplied like any other value. Pooling, normalisation and activations are not counted.
- Weights take ``bits`` per trainable parameter. A normalisation folded into its convolution needs
  no more than that.
- Peak activations are the most values alive at once for one image, in the order of execution, of
  ``bits`` each. A layer's input and output live together; normalisation and activation work in
  place; flattening and padding copy nothing. In a residual block the input lives until the skip is
  added.

'Same' padding is TensorFlow's: the output has ceil(size / stride) values, and of an odd number of
padded values the larger half comes after.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evoconv.errors import ConfigError
from evoconv.genomes.layers import Convolution, Dense, Layer, Pooling, Residual
from evoconv.genomes.topology import Topology

BITS = (8, 16, 32)
"""How wide a value can be, of weights and activations alike."""

COSTS = ("parameters", "macs", "weight_bytes", "peak_activation_bytes", "memory_bytes")
"""What a measurement holds of a cost."""

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerRow:
    """One line of the layer table: shapes without the batch, (C, H, W) or (units,)."""

    name: str
    description: str
    output_shape: Shape
    parameters: int
    macs: int
    peak_values: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a network costs: trainable parameters, multiply-accumulates and bytes for one image."""

    parameters: int
    macs: int
    weight_bytes: int
    peak_activation_bytes: int

    @property
    def memory_bytes(self) -> int:
        """Weights and peak activations together."""
        return self.weight_bytes + self.peak_activation_bytes

    def as_values(self) -> dict[str, float]:
        """Return the costs by name, as a measurement holds them."""
        return {name: float(getattr(self, name)) for name in COSTS}


@dataclass(frozen=True, kw_only=True, slots=True)
class _LayerCost:
    output_shape: Shape
    parameters: int = 0
    macs: int = 0
    peak_values: int


def output_size(size: int, window: int, stride: int, padding: str) -> int:
    """Return the length of one axis after windows of that length; below 1 if none fits."""
    if padding == "same":
        return -(-size // stride)
    return (size - window) // stride + 1


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Return how many values TensorFlow's 'same' pads (before, after) one axis.

    >>> same_padding(28, 5, 1), same_padding(28, 2, 1), same_padding(28, 5, 2)
    ((2, 2), (0, 1), (1, 2))
    """
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def layer_table(
    topology: Topology, input_shape: tuple[int, int, int], num_classes: int
) -> list[LayerRow]:
    """Return one row per layer, with reduction and output; named like the modules built.

    Raises:
        ConfigError: a window without padding does not fit its input.
    """
    rows = []
    for name, layer, one in _walk(topology, input_shape, num_classes):
        description = topology.reduction if layer is None else str(layer)
        rows.append(
            LayerRow(
                name=name,
                description=description,
                output_shape=one.output_shape,
                parameters=one.parameters,
                macs=one.macs,
                peak_values=one.peak_values,
            )
        )
    return rows


def cost(
    topology: Topology, input_shape: tuple[int, int, int], num_classes: int, bits: int = 32
) -> Cost:
    """Return what the network costs for images of shape (C, H, W), values being so wide.

    Raises:
        ConfigError: a window without padding does not fit its input.
    """
    parameters = macs = peak_values = 0
    for _, _, one in _walk(topology, input_shape, num_classes):
        parameters += one.parameters
        macs += one.macs
        peak_values = max(peak_values, one.peak_values)
    return Cost(
        parameters=parameters,
        macs=macs,
        weight_bytes=bits // 8 * parameters,
        peak_activation_bytes=bits // 8 * peak_values,
    )


def feature_shapes(
    topology: Topology, input_shape: tuple[int, int, int]
) -> list[tuple[int, int, int]]:
    """Return the (C, H, W) that each feature layer receives, and last what the reduction does.

    Raises:
        ConfigError: a window without padding does not fit its input.
    """
    shapes = [input_shape]
    for index, layer in enumerate(topology.features):
        channels, height, width = _cost_of(f"features.{index}", layer, shapes[-1]).output_shape
        shapes.append((channels, height, width))
    return shapes


def reduced_size(topology: Topology, shape: tuple[int, int, int]) -> int:
    """Return how many values the reduction makes of the last maps of shape (C, H, W)."""
    channels, height, width = shape
    return channels if topology.reduction == "global-average" else channels * height * width


def _walk(
    topology: Topology, input_shape: tuple[int, int, int], num_classes: int
) -> list[tuple[str, Layer | None, _LayerCost]]:
    steps: list[tuple[str, Layer | None, _LayerCost]] = []
    shape: Any = input_shape
    for index, layer in enumerate(topology.features):
        name = f"features.{index}"
        one = _cost_of(name, layer, shape)
        steps.append((name, layer, one))
        shape = one.output_shape
    size = reduced_size(topology, shape)
    copied = 0 if topology.reduction == "flatten" else shape[0] * shape[1] * shape[2] + size
    steps.append(("reduction", None, _LayerCost(output_shape=(size,), peak_values=copied)))
    shape = (size,)
    for index, dense in enumerate(topology.classifier):
        steps.append((f"classifier.{index}", dense, _dense(dense, shape)))
        shape = (dense.units,)
    output = Dense(units=num_classes, activation="linear")
    steps.append(("output", output, _dense(output, shape)))
    return steps


def _cost_of(name: str, layer: Layer, shape: Shape) -> _LayerCost:
    one = _COSTS[type(layer)](layer, shape)
    if min(one.output_shape) < 1:
        raise ConfigError(f"{name} ({layer}) doesn't fit its input of {shape[1]}×{shape[2]}")
    return one


def _convolution(layer: Convolution, shape: Shape) -> _LayerCost:
    channels, height, width = shape
    rows = output_size(height, layer.kernel[0], layer.stride[0], layer.padding)
    columns = output_size(width, layer.kernel[1], layer.stride[1], layer.padding)
    weights = channels * layer.filters * layer.kernel[0] * layer.kernel[1]
    return _LayerCost(
        output_shape=(layer.filters, rows, columns),
        parameters=weights + layer.filters * _values_per_map(layer),
        macs=weights * rows * columns,
        peak_values=channels * height * width + layer.filters * rows * columns,
    )


def _residual(layer: Residual, shape: Shape) -> _LayerCost:
    channels, height, width = shape
    rows, columns = -(-height // layer.stride[0]), -(-width // layer.stride[1])
    output_shape = (layer.filters, rows, columns)
    window = layer.kernel[0] * layer.kernel[1]
    weights = (channels + layer.filters) * layer.filters * window
    maps = 2 * layer.filters
    if output_shape != shape:
        weights += channels * layer.filters
        maps += layer.filters
    return _LayerCost(
        output_shape=output_shape,
        parameters=weights + maps * _values_per_map(layer),
        macs=weights * rows * columns,
        # The second convolution, and then the projection, work while the block's input still lives.
        peak_values=channels * height * width + 2 * layer.filters * rows * columns,
    )


def _pooling(layer: Pooling, shape: Shape) -> _LayerCost:
    channels, height, width = shape
    rows = output_size(height, layer.size[0], layer.steps[0], layer.padding)
    columns = output_size(width, layer.size[1], layer.steps[1], layer.padding)
    copied = 0 if layer.is_nothing else channels * (height * width + rows * columns)
    return _LayerCost(output_shape=(channels, rows, columns), peak_values=copied)


def _dense(layer: Dense, shape: Shape) -> _LayerCost:
    (size,) = shape
    weights = size * layer.units
    return _LayerCost(
        output_shape=(layer.units,),
        parameters=weights + layer.units * _values_per_map(layer),
        macs=weights,
        peak_values=size + layer.units,
    )


def _values_per_map(layer: Convolution | Residual | Dense) -> int:
    return layer.bias + 2 * (layer.normalisation == "batch")


_COSTS: Mapping[type, Callable[[Any, Shape], _LayerCost]] = {
    Convolution: _convolution,
    Residual: _residual,
    Pooling: _pooling,
    Dense: _dense,
}
