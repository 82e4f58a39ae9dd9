"""From a topology to a plain torch module.

The module is a Sequential of ``features``, ``reduction``, ``classifier`` and ``output`` (logits);
layer i of a part is its child i, so weights are called ``features.0.convolution.weight`` and so on.

Differs from torch's own layers, to be Keras 2's and TensorFlow's where the published networks are:
'same' padding with any stride and kernel, pooling that rounds up, average pooling that leaves
padding out, hard sigmoid 0.2 x + 0.5, leaky ReLU with slope 0.1 (that of the published
Fashion-MNIST baseline). Batch normalisation keeps torch's momentum and epsilon; in training it
raises on one value per map (a batch of one image whose maps are 1×1).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from evoconv.genomes.layers import Convolution, Dense, Pair, Pooling, Residual
from evoconv.genomes.shapes import feature_shapes, output_size, reduced_size, same_padding
from evoconv.genomes.topology import Topology

# N images, C maps, H rows, W columns
Parts = OrderedDict[str, nn.Module]
LEAKY_SLOPE = 0.1


class HardSigmoid(nn.Module):
    """Keras 2's hard sigmoid: 0.2 x + 0.5, clipped to [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Return values in [0, 1], of the same shape."""
        # torch's is x / 6 + 0.5 in one step; 1.2 / 6 = 0.2.
        return functional.hardsigmoid(1.2 * x)


class GlobalAverage(nn.Module):
    """The mean of each map."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return means of shape (N, C)."""
        return x_NCHW.mean(dim=(2, 3))


class CropBefore(nn.Module):
    """Leaves out the first row, the first column, or both."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows = rows
        self.columns = columns

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return maps of (H - rows) × (W - columns)."""
        return x_NCHW[:, :, self.rows :, self.columns :]


class Steps(nn.Sequential):
    """Layers that run one after another, each of them a layer of the whole network."""


class ResidualBlock(nn.Module):
    """last(second(first(x)) + skip(x)), where ``last`` is activation and dropout."""

    def __init__(
        self, *, first: nn.Module, second: nn.Module, skip: nn.Module, last: nn.Module
    ) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.skip = skip
        self.last = last

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return maps of shape (N, filters, H', W')."""
        y_NCHW: Tensor = self.second(self.first(x_NCHW))
        z_NCHW: Tensor = self.last(y_NCHW + self.skip(x_NCHW))
        return z_NCHW


ACTIVATION_MODULES: Mapping[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky-relu": lambda: nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
    "relu6": nn.ReLU6,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hard-swish": nn.Hardswish,
    "mish": nn.Mish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hard-sigmoid": HardSigmoid,
    "softplus": nn.Softplus,
}


def build(topology: Topology, input_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Return the network: images (N, C, H, W) to logits (N, num_classes).

    All convolution and dense weights are zero: ``initialise`` it or load weights before use. The
    global random state is left as it was.

    Raises:
        ConfigError: a window without padding does not fit its input.
    """
    shapes = feature_shapes(topology, input_shape)
    # Torch draws initial weights from its global generator; what it drew is not wanted.
    with torch.random.fork_rng(devices=[]):
        features = [
            FEATURE_BUILDERS[type(layer)](layer, shape)
            for layer, shape in zip(topology.features, shapes, strict=False)
        ]
        size = reduced_size(topology, shapes[-1])
        classifier = []
        for dense in topology.classifier:
            classifier.append(_build_dense(dense, size))
            size = dense.units
        output = nn.Linear(size, num_classes)
    reduction = nn.Flatten() if topology.reduction == "flatten" else GlobalAverage()
    network = nn.Sequential(
        Parts(
            features=Steps(*features),
            reduction=reduction,
            classifier=Steps(*classifier),
            output=output,
        )
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
    return network


def _build_convolution(layer: Convolution, shape: tuple[int, int, int]) -> nn.Module:
    parts = _convolve(shape, layer.filters, layer.kernel, layer.stride, layer.padding, layer.bias)
    if layer.normalisation == "batch":
        parts["normalisation"] = nn.BatchNorm2d(layer.filters)
    return nn.Sequential(parts | _finish(layer.activation, layer.dropout))


def _build_residual(layer: Residual, shape: tuple[int, int, int]) -> nn.Module:
    _, height, width = shape
    inner = (layer.filters, -(-height // layer.stride[0]), -(-width // layer.stride[1]))

    def unit(shape: tuple[int, int, int], kernel: Pair, stride: Pair) -> Parts:
        parts = _convolve(shape, layer.filters, kernel, stride, "same", layer.bias)
        if layer.normalisation == "batch":
            parts["normalisation"] = nn.BatchNorm2d(layer.filters)
        return parts

    first = unit(shape, layer.kernel, layer.stride) | _finish(layer.activation)
    return ResidualBlock(
        first=nn.Sequential(first),
        second=nn.Sequential(unit(inner, layer.kernel, (1, 1))),
        skip=nn.Identity() if inner == shape else nn.Sequential(unit(shape, (1, 1), layer.stride)),
        last=nn.Sequential(_finish(layer.activation, layer.dropout)),
    )


def _build_pooling(layer: Pooling, shape: tuple[int, int, int]) -> nn.Module:
    if layer.is_nothing:
        return nn.Identity()
    padding, crop, rounds_up = [0, 0], [0, 0], False
    if layer.padding == "same":
        for axis in range(2):
            stride = layer.steps[axis]
            before, after = same_padding(shape[1 + axis], layer.size[axis], stride)
            # Torch pads both sides alike. One more value is wanted after: with a stride, rounding
            # up adds it; without one, pad that much on both sides and leave the first output out.
            padding[axis] = after if stride == 1 else before
            crop[axis] = after - before if stride == 1 else 0
            rounds_up |= after != before and stride > 1
    pads = (padding[0], padding[1])
    pooling: nn.Module
    if layer.kind == "max":
        pooling = nn.MaxPool2d(layer.size, layer.steps, pads, ceil_mode=rounds_up)
    else:
        pooling = nn.AvgPool2d(
            layer.size, layer.steps, pads, ceil_mode=rounds_up, count_include_pad=False
        )
    parts: Parts = OrderedDict(pooling=pooling)
    if any(crop):
        parts["crop"] = CropBefore(*crop)
    return nn.Sequential(parts | _finish("linear", layer.dropout))


def _build_dense(layer: Dense, size: int) -> nn.Module:
    parts: Parts = OrderedDict(linear=nn.Linear(size, layer.units, bias=layer.bias))
    if layer.normalisation == "batch":
        parts["normalisation"] = nn.BatchNorm1d(layer.units)
    return nn.Sequential(parts | _finish(layer.activation, layer.dropout))


def _convolve(
    shape: tuple[int, int, int],
    filters: int,
    kernel: Pair,
    stride: Pair,
    padding: str,
    bias: bool,
) -> Parts:
    """Return a convolution, after explicit padding only where both sides of an axis differ.

    Torch's own padding='same' refuses strides and, for even kernels, pads a copy just like this.
    """
    (rows, row_stride), (columns, column_stride) = (
        _pads(*axis, padding) for axis in zip(shape[1:], kernel, stride, strict=True)
    )
    stride = row_stride, column_stride
    if rows[0] == rows[1] and columns[0] == columns[1]:
        pads = (rows[0], columns[0])
        return OrderedDict(
            convolution=nn.Conv2d(shape[0], filters, kernel, stride, pads, bias=bias)
        )
    return OrderedDict(
        padding=nn.ZeroPad2d((*columns, *rows)),
        convolution=nn.Conv2d(shape[0], filters, kernel, stride, bias=bias),
    )


def _pads(size: int, window: int, stride: int, padding: str) -> tuple[Pair, int]:
    """Return how many values to pad (before, after) along one axis, and the stride.

    A window that fits once makes no step: it gets exactly its values (a negative pad takes some
    away) and no stride, since for a single column oneDNN's bfloat16 gradients hold whatever lay in
    memory, if there is a stride (torch 2.13; on some processors only if it is longer than the map).
    """
    before, after = same_padding(size, window, stride) if padding == "same" else (0, 0)
    if output_size(size, window, stride, padding) == 1:
        return (before, window - size - before), 1
    return (before, after), stride


def _finish(activation: str, dropout: float = 0.0) -> Parts:
    parts: Parts = OrderedDict()
    if activation != "linear":
        parts["activation"] = ACTIVATION_MODULES[activation]()
    if dropout:
        parts["dropout"] = nn.Dropout(dropout)
    return parts


FEATURE_BUILDERS: Mapping[type, Callable[[Any, tuple[int, int, int]], nn.Module]] = {
    Convolution: _build_convolution,
    Residual: _build_residual,
    Pooling: _build_pooling,
}
