"""From a network's graph to a torch module, and which layers and operations a graph can have.

Graphs may come from anywhere. Only what is listed here is ever called, on tensors and numbers, and
a graph is tried on torch's ``meta`` device, where nothing is computed, before it gets memory.

Shapes: N images, C channels, H rows, W columns, K classes.
"""

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evoconv.errors import ConfigError
from evoconv.genomes.network_graph import Layer, Made, NetworkGraph, Span, Value
from evoconv.networks.moderation import Counted, check_weights

# Of one image, in all operations together.
_MOST_VALUES = 1 << 28
_MOST_PIECES = 10_000
_LARGEST_NUMBER = 1 << 40


@dataclass(frozen=True)
class Kind:
    """A class of layers.

    Attributes:
        make: the class.
        options: what it is made with: parameters that are attributes, too.
        has_bias: whether it is also made with or without a ``bias``.
    """

    make: Callable[..., nn.Module]
    options: tuple[str, ...] = ()
    has_bias: bool = False


_BATCH_NORM = ("num_features", "eps", "momentum", "affine", "track_running_stats")

KINDS: Mapping[str, Kind] = {
    "Conv2d": Kind(
        nn.Conv2d,
        (
            *("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation"),
            *("groups", "padding_mode"),
        ),
        has_bias=True,
    ),
    "Linear": Kind(nn.Linear, ("in_features", "out_features"), has_bias=True),
    "BatchNorm1d": Kind(nn.BatchNorm1d, _BATCH_NORM),
    "BatchNorm2d": Kind(nn.BatchNorm2d, _BATCH_NORM),
    "GroupNorm": Kind(nn.GroupNorm, ("num_groups", "num_channels", "eps", "affine")),
    "LayerNorm": Kind(
        nn.LayerNorm, ("normalized_shape", "eps", "elementwise_affine"), has_bias=True
    ),
    "LocalResponseNorm": Kind(nn.LocalResponseNorm, ("size", "alpha", "beta", "k")),
    "MaxPool2d": Kind(nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode")),
    "AvgPool2d": Kind(
        nn.AvgPool2d,
        (
            *("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
            "divisor_override",
        ),
    ),
    "AdaptiveAvgPool2d": Kind(nn.AdaptiveAvgPool2d, ("output_size",)),
    "AdaptiveMaxPool2d": Kind(nn.AdaptiveMaxPool2d, ("output_size",)),
    "ReLU": Kind(nn.ReLU, ("inplace",)),
    "ReLU6": Kind(nn.ReLU6, ("inplace",)),
    "LeakyReLU": Kind(nn.LeakyReLU, ("negative_slope", "inplace")),
    "PReLU": Kind(nn.PReLU, ("num_parameters",)),
    "ELU": Kind(nn.ELU, ("alpha", "inplace")),
    "GELU": Kind(nn.GELU, ("approximate",)),
    "SiLU": Kind(nn.SiLU, ("inplace",)),
    "Mish": Kind(nn.Mish, ("inplace",)),
    "Hardswish": Kind(nn.Hardswish, ("inplace",)),
    "Hardsigmoid": Kind(nn.Hardsigmoid, ("inplace",)),
    "Hardtanh": Kind(nn.Hardtanh, ("min_val", "max_val", "inplace")),
    "Sigmoid": Kind(nn.Sigmoid),
    "Tanh": Kind(nn.Tanh),
    "Softplus": Kind(nn.Softplus, ("beta", "threshold")),
    "Softmax": Kind(nn.Softmax, ("dim",)),
    "LogSoftmax": Kind(nn.LogSoftmax, ("dim",)),
    "Dropout": Kind(nn.Dropout, ("p", "inplace")),
    "Dropout2d": Kind(nn.Dropout2d, ("p", "inplace")),
    "Flatten": Kind(nn.Flatten, ("start_dim", "end_dim")),
    "ZeroPad2d": Kind(nn.ZeroPad2d, ("padding",)),
    "Identity": Kind(nn.Identity),
}


_Operation = Callable[..., Any]


def _of_numbers(function: _Operation) -> _Operation:
    """Return the arithmetic of tensors and numbers only: tuples would grow."""

    def checked(*given: Tensor | float) -> Any:
        if not all(isinstance(one, Tensor | int | float) for one in given):
            raise ConfigError(f"a network's step can't reckon with {given!s:.60}")
        return function(*given)

    return checked


def _in_few_pieces(function: _Operation) -> _Operation:
    """Return a function that cuts a tensor along an axis, but not into dust."""

    def checked(given: Tensor, size: Value, dim: int = 0) -> Any:
        if given.shape[dim] > _MOST_PIECES:
            raise ConfigError(f"a network's step can't cut {given.shape[dim]:,} values apart")
        return function(given, size, dim)

    return checked


def _as_it_is(given: Tensor, *_: Any, **__: Any) -> Tensor:
    return given


def _attribute(given: Tensor, name: str) -> Any:
    if name != "shape":
        raise ConfigError(f"a network's step can only ask for a shape, not for {name!r:.40}")
    return given.shape


OPERATIONS: Mapping[str, _Operation] = {
    "add": _of_numbers(operator.add),
    "sub": _of_numbers(operator.sub),
    "mul": _of_numbers(operator.mul),
    "truediv": _of_numbers(operator.truediv),
    "floordiv": _of_numbers(operator.floordiv),
    "neg": _of_numbers(operator.neg),
    "getitem": operator.getitem,
    "getattr": _attribute,
    "size": Tensor.size,
    "dim": Tensor.dim,
    "view": Tensor.view,
    "reshape": Tensor.reshape,
    "flatten": torch.flatten,
    "permute": Tensor.permute,
    "transpose": torch.transpose,
    "unsqueeze": torch.unsqueeze,
    "squeeze": torch.squeeze,
    "contiguous": Tensor.contiguous,
    "chunk": _in_few_pieces(torch.chunk),
    "split": _in_few_pieces(torch.split),
    "cat": torch.cat,
    "mean": torch.mean,
    "sum": torch.sum,
    "amax": torch.amax,
    "clamp": torch.clamp,
    "pad": F.pad,
    "max_pool2d": F.max_pool2d,
    "avg_pool2d": F.avg_pool2d,
    "adaptive_avg_pool2d": F.adaptive_avg_pool2d,
    "adaptive_max_pool2d": F.adaptive_max_pool2d,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    # A trace fixes whether it is a training, so these do nothing.
    "dropout": _as_it_is,
    "dropout2d": _as_it_is,
}
"""What steps can do beside running layers. Methods of tensors have the names of functions."""


class GraphNetwork(nn.Module):
    """Runs the steps of a graph; its layers have the names that they had in their network.

    Raises:
        ConfigError: a layer, an option or an operation that is unknown.
    """

    def __init__(self, graph: NetworkGraph) -> None:
        super().__init__()
        self._graph = graph
        for step in graph.steps:
            if not step.is_layer and step.does not in OPERATIONS:
                raise ConfigError(f"no operation of networks is called {step.does!r:.40}")
        for layer in graph.layers:
            _put(self, layer)
        # What nobody needs after a step.
        last_use = {
            source: number
            for number, step in enumerate(graph.steps, 1)
            for source in step.sources()
        }
        self._done_with = [
            [
                one
                for one in (*step.sources(), number)
                if last_use.get(one, number) == number and one != graph.gives
            ]
            for number, step in enumerate(graph.steps, 1)
        ]

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, K)."""
        logits: Tensor = self.run_steps(images_NCHW, lambda _: None)
        return logits

    def run_steps(self, images_NCHW: Tensor, look: Callable[[object], None]) -> Any:
        """Return what the last step makes; every step's result is looked at."""
        made: list[Any] = [images_NCHW]
        for step, done_with in zip(self._graph.steps, self._done_with, strict=True):
            takes = [_filled(one, made) for one in step.takes]
            named = {name: _filled(one, made) for name, one in step.named}
            does = self.get_submodule(step.does) if step.is_layer else OPERATIONS[step.does]
            result = does(*takes, **named)
            look(result)
            made.append(result)
            del takes, named, result
            for source in done_with:
                made[source] = None
        return made[self._graph.gives]


def build_graph(
    graph: NetworkGraph, input_shape: tuple[int, int, int], num_classes: int
) -> GraphNetwork:
    """Return the network of a graph, which may come from anywhere; its weights are torch's.

    Raises:
        ConfigError: it can't be built, doesn't fit the images or the classes, or is too large.
    """
    _try_out(graph.to_json(), input_shape, num_classes)
    return GraphNetwork(graph)


# A trial takes longer than a building, and each network is built many times. By its text, for
# ``True`` and ``1`` are equal in Python and not to torch.
@lru_cache(maxsize=8)
def _try_out(graph: str, input_shape: tuple[int, int, int], num_classes: int) -> None:
    try:
        with torch.device("meta"), torch.inference_mode():
            network = GraphNetwork(NetworkGraph.from_dict(json.loads(graph))).eval()
            check_weights(network)
            # What holds for one image need not for more: its number may be amid the steps.
            for num_images in (1, 2):
                _try(network, torch.zeros(num_images, *input_shape), num_classes)
    except ConfigError:
        raise
    except Exception as error:  # torch has many ways to refuse what it is given
        first = str(error).partition("\n")[0]
        raise ConfigError(f"the network doesn't fit together: {first:.200}") from error


def _try(network: GraphNetwork, images: Tensor, num_classes: int) -> None:
    def look(result: object) -> None:
        for one in result if isinstance(result, tuple | list) else (result,):
            is_number = isinstance(one, int | float) and abs(one) <= _LARGEST_NUMBER
            if not is_number and not isinstance(one, Tensor):
                raise ConfigError(f"a network's step can't make {one!s:.40}")

    with Counted(_MOST_VALUES * len(images)):
        logits = network.run_steps(images, look)
    wanted = (len(images), num_classes)
    if not isinstance(logits, Tensor) or logits.shape != wanted:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        number = "one image" if len(images) == 1 else f"{len(images)} images"
        raise ConfigError(
            f"the network gives {given} for {number}, not logits of {num_classes} classes, {wanted}"
        )


def _put(network: nn.Module, layer: Layer) -> None:
    """Add a layer by its path, within modules that only hold others."""
    kind = KINDS.get(layer.kind)
    if kind is None:
        raise ConfigError(f"no layer of networks is called {layer.kind!r:.40}")
    options = dict(layer.options)
    known = {*kind.options, *(("bias",) if kind.has_bias else ())}
    if not options.keys() <= known:
        raise ConfigError(f"{layer.kind} has no {sorted(options.keys() - known)[0]!r:.40}")
    holder = network
    *outer, name = layer.path.split(".")
    for one in outer:
        if not isinstance(getattr(holder, one, None), nn.Module):
            holder.add_module(one, nn.Module())
        holder = holder.get_submodule(one)
    holder.add_module(name, kind.make(**options))


def _filled(value: Value, made: list[Any]) -> Any:
    """Return an argument with what was made in its place."""
    match value:
        case Made():
            return made[value.step]
        case Span():
            return slice(*(_filled(one, made) for one in (value.start, value.stop, value.stride)))
        case tuple():
            return tuple(_filled(one, made) for one in value)
        case _:
            return value
