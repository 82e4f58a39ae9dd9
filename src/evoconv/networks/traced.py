"""A torch module of one's own as a graph: its ``forward`` is traced, nothing of its code is kept.

Tracing is that of ``torch.fx`` (Reed et al. 2022, "torch.fx: Practical Program Capture and
Transformation for Deep Learning in Python"): the steps must not depend on what is in the images.
"""

import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from evoconv.errors import ConfigError
from evoconv.genomes.network_graph import Layer, Made, NetworkGraph, Span, Step, Value
from evoconv.networks.evaluation_mode import in_evaluation
from evoconv.networks.graph_network import KINDS, OPERATIONS, build_graph

# Of the largest logit: the same operations in the same order round alike, but for fused ones.
_DIFFERENCE = 1e-4
# Of a number: half precision rounds so coarsely that the steps can't be compared.
_LEAST_BYTES = 4

# Functions by the operation that they are; some are found under another name, or checked there.
_NAMES: dict[Callable[..., Any], str] = {
    **{function: name for name, function in OPERATIONS.items()},
    **dict.fromkeys((operator.add, operator.iadd, torch.add), "add"),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub), "sub"),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul), "mul"),
    **dict.fromkeys((operator.truediv, torch.div, torch.true_divide), "truediv"),
    **dict.fromkeys((operator.neg, torch.neg), "neg"),
    operator.floordiv: "floordiv",
    getattr: "getattr",
    torch.reshape: "reshape",
    torch.permute: "permute",
    torch.chunk: "chunk",
    torch.split: "split",
    torch.concat: "cat",
    torch.relu: "relu",
    torch.softmax: "softmax",
    torch.log_softmax: "log_softmax",
    F.sigmoid: "sigmoid",
    F.tanh: "tanh",
    F.dropout: "dropout",
    F.dropout2d: "dropout2d",
}


def traced(
    network: nn.Module, input_shape: tuple[int, int, int], num_classes: int
) -> tuple[NetworkGraph, dict[str, Tensor]]:
    """Return the graph of a network in evaluation mode, and the weights of its layers.

    Functional dropout is left out: a trace can't switch it on and off.

    Args:
        network: takes images (N, C, H, W), gives logits (N, K); it is left as it was.
        input_shape: channels, rows, columns.
        num_classes: K.

    Raises:
        ConfigError: it does something that no graph here can say, or other numbers come out.
    """
    with in_evaluation(network):
        graph = _graph(network)
        rebuilt = build_graph(graph, input_shape, num_classes)
        state = network.state_dict()
        weights = {
            name: _usable(name, state).detach().to("cpu", own.dtype, copy=True)
            for name, own in rebuilt.state_dict().items()
        }
        rebuilt.load_state_dict(weights)
        _require_same(rebuilt.eval(), network, input_shape)
    return graph, weights


def _usable(name: str, state: Mapping[str, Tensor]) -> Tensor:
    """Return a layer's own tensor; ``ConfigError`` unless it can be stored as it is."""
    if name not in state:
        raise ConfigError(
            f"{name} isn't stored but made anew whenever the network runs: make it a tensor of its"
            " own first, by prune.remove, remove_weight_norm or remove_spectral_norm of"
            " torch.nn.utils"
        )
    tensor = state[name]
    if tensor.is_floating_point() and tensor.element_size() < _LEAST_BYTES:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ConfigError(f"{name} is of {kind}: give the network in float32, by its .float()")
    if not bool(torch.isfinite(tensor).all()):
        raise ConfigError(f"{name} holds values that are not finite numbers")
    return tensor


def _graph(network: nn.Module) -> NetworkGraph:
    try:
        nodes = list(torch.fx.Tracer().trace(network).nodes)
    except Exception as error:  # whatever the code of a person's module comes up with
        first = str(error).partition("\n")[0]
        raise ConfigError(
            "the network can't be traced: what it does must not depend on what is in the images"
            f" ({first:.200})"
        ) from error
    images = [node for node in nodes if node.op == "placeholder"]
    *steps, output = (node for node in nodes if node.op != "placeholder")
    if not images or any(not node.args for node in images[1:]):
        raise ConfigError("the network must take a batch of images and nothing else")
    numbers = {images[0]: 0} | {node: number for number, node in enumerate(steps, 1)}
    if not isinstance(output.args[0], torch.fx.Node) or numbers.get(output.args[0], 0) == 0:
        raise ConfigError("the network must give logits (N, K) and nothing else")
    used = {node.target for node in steps if node.op == "call_module"}
    return NetworkGraph(
        # In the order of the network, so that its weights keep theirs.
        layers=tuple(
            _layer(path, module) for path, module in network.named_modules() if path in used
        ),
        steps=tuple(_step(node, numbers) for node in steps),
        gives=numbers[output.args[0]],
    )


def _layer(path: str, module: nn.Module) -> Layer:
    name = type(module).__name__
    kind = KINDS.get(name)
    if parametrize.is_parametrized(module):
        raise ConfigError(
            f"{path} has parametrizations: make what they give its own tensors first, by"
            " torch.nn.utils.parametrize.remove_parametrizations"
        )
    if kind is None or type(module) is not kind.make:
        raise ConfigError(
            f"{path} is a {name}, which can't be stored; known are {', '.join(KINDS)}"
        )
    options = {option: _value(getattr(module, option)) for option in kind.options}
    if kind.has_bias:
        options["bias"] = module.bias is not None
    usual = inspect.signature(kind.make).parameters
    unusual = ((option, one) for option, one in options.items() if one != usual[option].default)
    return Layer(path=path, kind=name, options=tuple(unusual))


def _step(node: torch.fx.Node, numbers: dict[torch.fx.Node, int]) -> Step:
    if node.op == "get_attr":
        raise ConfigError(
            f"the network uses its tensor {node.target} outside of a layer of torch's"
        )
    is_layer = node.op == "call_module"
    named = {name: _value(one, numbers) for name, one in node.kwargs.items()}
    takes = [_value(one, numbers) for one in node.args]
    if not is_layer and "input" in named:  # what methods, which some operations are, call self
        takes.insert(0, named.pop("input"))
    return Step(
        does=str(node.target) if is_layer else _operation(node),
        is_layer=is_layer,
        takes=tuple(takes),
        named=tuple(named.items()),
    )


def _operation(node: torch.fx.Node) -> str:
    """Return the name of the operation that a function or a tensor's method is."""
    if callable(node.target):
        found = _NAMES.get(node.target)
        called = getattr(node.target, "__name__", str(node.target))
    else:
        called = str(node.target)
        found = called.removesuffix("_") if called.removesuffix("_") in OPERATIONS else None
    if found is None:
        raise ConfigError(
            f"the network calls {called}, which can't be stored; known are {', '.join(OPERATIONS)}"
        )
    return found


def _value(given: object, numbers: dict[torch.fx.Node, int] | None = None) -> Value:
    match given:
        case torch.fx.Node() if numbers is not None and given in numbers:
            return Made(numbers[given])
        case None | bool() | int() | float() | str():
            return given
        case slice():
            start, stop, stride = (
                _value(one, numbers) for one in (given.start, given.stop, given.step)
            )
            return Span(start, stop, stride)
        case tuple() | list():
            return tuple(_value(one, numbers) for one in given)
        case _:
            raise ConfigError(f"the network uses {given!s:.60}, which can't be stored")


def _require_same(
    rebuilt: nn.Module, network: nn.Module, input_shape: tuple[int, int, int]
) -> None:
    """Raise ``ConfigError`` unless both give the same logits for noise."""
    first = next(network.parameters(), torch.zeros(1))
    noise = torch.randn(4, *input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = network(noise.to(first.device, first.dtype)).float().cpu()
        given = rebuilt(noise)
    if not bool(torch.isfinite(wanted).all()):
        raise ConfigError("the network's logits for noise are not finite numbers")
    size = float(wanted.abs().max())
    if given.shape != wanted.shape or not torch.allclose(
        given, wanted, rtol=0, atol=_DIFFERENCE * max(size, 1e-12)
    ):
        raise ConfigError("the network gives other numbers when its traced steps are run")
