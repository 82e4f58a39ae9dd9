"""Modules of one's own as graphs: they give what they gave, and no graph can do harm."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from evoconv.errors import ConfigError
from evoconv.genomes.architecture import read_architecture
from evoconv.genomes.network_graph import Layer, Made, NetworkGraph, Step
from evoconv.networks.build import build_network
from evoconv.networks.graph_network import KINDS, OPERATIONS
from evoconv.networks.measured_cost import measured_cost
from evoconv.networks.traced import traced
from evoconv.networks.weights import tensors_to_bytes

SHAPE = (3, 16, 16)
CLASSES = 5


class Block(nn.Module):
    """A residual block that adds in place, as many do."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(maps)
        self.active = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.active(self.norm(self.first(x)))
        y += x
        return F.relu(y)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), Block(8), Block(8))
        self._head = nn.Linear(8, CLASSES)
        self.dropout = nn.Dropout(0.2)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.features(x), 2)
        x = F.adaptive_avg_pool2d(x, (1, 1)).view(x.shape[0], -1)
        left, right = x.chunk(2, dim=1)
        x = F.dropout(torch.cat([left, right], 1), 0.1, self.training)
        logits: Tensor = self._head(self.dropout(x))
        return logits


class PaddedShortcut(nn.Module):
    """Every other pixel, and maps of zeros: the shortcut of ResNets for CIFAR-10."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3), "constant", 0)
        x = torch.relu(self.convolution(x) + short)
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


class Gated(nn.Module):
    """Squeeze-and-excitation, groups of maps, depthwise kernels, and one layer run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, 2, 2)
        self.norm = nn.GroupNorm(2, 8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.squeeze = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.SiLU()),
            *(nn.Conv2d(4, 8, 1), nn.Sigmoid()),
        )
        self.end = nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 8, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.norm(self.stem(x)))
        x = self.depthwise(self.depthwise(x)) * self.squeeze(x)
        logits: Tensor = self.end(x)
        return logits


@pytest.fixture(params=[Residual, PaddedShortcut, Gated])
def module(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = request.param()
    for one in network.modules():
        if isinstance(one, nn.BatchNorm2d):
            nn.init.normal_(one.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(one.running_var, 0.5, 2)  # type: ignore[arg-type]
    return network


def test_a_graph_gives_what_its_module_gave(module: nn.Module) -> None:
    graph, weights = traced(module, SHAPE, CLASSES)
    network = build_network(read_architecture(graph.to_json()), SHAPE, CLASSES)
    network.load_state_dict(weights)
    images = torch.randn(7, *SHAPE)
    with torch.inference_mode():
        assert torch.equal(network.eval()(images), module.eval()(images))


def test_weights_keep_names_and_order_and_the_module_stays(module: nn.Module) -> None:
    module.train()
    module.get_submodule("head" if hasattr(module, "head") else "").eval()
    before = [one.training for one in module.modules()]
    graph, weights = traced(module, SHAPE, CLASSES)
    assert [one.training for one in module.modules()] == before
    theirs = [name for name in module.state_dict() if not name.startswith("unused.")]
    assert list(weights) == theirs
    assert list(build_network(graph, SHAPE, CLASSES).state_dict()) == theirs
    assert hash(graph) == hash(read_architecture(graph.to_json()))


def test_doubles_become_floats(module: nn.Module) -> None:
    _, weights = traced(module.double(), SHAPE, CLASSES)
    assert torch.float64 not in {one.dtype for one in weights.values()}
    assert next(module.parameters()).dtype == torch.float64


def test_it_learns_and_what_is_no_longer_needed_is_let_go(module: nn.Module) -> None:
    graph, _ = traced(module, SHAPE, CLASSES)
    network = build_network(graph, SHAPE, CLASSES).train()
    network(torch.randn(4, *SHAPE)).sum().backward()
    assert all(one.grad is not None for one in network.parameters())
    used = {one.split(".")[0] for one in network.state_dict()}
    for name, _ in list(module.named_children()):
        if name not in used and next(module.get_submodule(name).parameters(), None) is not None:
            delattr(module, name)
    with torch.device("meta"):
        mine = measured_cost(build_network(graph, SHAPE, CLASSES), SHAPE)
        theirs = measured_cost(module.to("meta"), SHAPE)
    assert (mine.parameters, mine.macs) == (theirs.parameters, theirs.macs)
    assert mine.peak_activation_bytes <= theirs.peak_activation_bytes


class OfModule(nn.Module):
    """Any function of a few layers and the images."""

    def __init__(self, function: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.head = nn.Linear(3 * 16 * 16, CLASSES)
        self.scale = nn.Parameter(torch.ones(1))
        self.recurrent = nn.GRU(16, 4)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda own, x: own.head(x.flatten(1)) if x.sum() > 0 else x, "can't be traced"),
        (lambda own, x: own.head(x.flatten(1)) * own.scale, "uses its tensor scale outside"),
        (lambda own, x: own.recurrent(x[:, 0])[0], "recurrent is a GRU, which can't be stored"),
        (lambda own, x: own.head(torch.fft.rfft(x).real.flatten(1)), "calls fft_rfft, which can't"),
        (lambda own, x: (own.head(x.flatten(1)), x), "must give logits"),
        (lambda own, x: {"out": own.head(x.flatten(1))}, "must give logits"),
        (lambda _, x: x, "must give logits"),
        (lambda own, x: own.head(x.flatten(1))[:, :4], r"gives \(1, 4\) for one image, not logits"),
        (lambda own, x: own.head(x.flatten(2)), "doesn't fit together: "),
    ],
)
def test_what_cant_be_stored_is_said(function: Callable[[Any, Tensor], Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        traced(OfModule(function), SHAPE, CLASSES)


@pytest.mark.parametrize(
    "function",
    [
        lambda own, x: own.head(x.reshape(x.shape[0], -1)),
        lambda own, x: own.head(x.reshape((x.shape[0], -1))),
        lambda own, x: own.head(torch.reshape(input=x, shape=(x.size(0), -1))),
        lambda own, x: own.head(x.permute(0, 2, 3, 1).flatten(1)),
        lambda own, x: own.head(torch.permute(x, dims=(0, 2, 3, 1)).flatten(1)),
    ],
)
def test_shapes_can_be_told_one_by_one_or_together(function: Callable[[Any, Tensor], Any]) -> None:
    network = OfModule(function)
    graph, weights = traced(network, SHAPE, CLASSES)
    rebuilt = build_network(read_architecture(graph.to_json()), SHAPE, CLASSES)
    rebuilt.load_state_dict(weights)
    images = torch.randn(7, *SHAPE)
    with torch.inference_mode():
        assert torch.equal(rebuilt(images), network(images))


def _pruned(network: OfModule) -> None:
    prune.l1_unstructured(network.head, "weight", 0.5)  # type: ignore[no-untyped-call]


def _with_weight_norm(network: OfModule) -> None:
    nn.utils.weight_norm(network.head)


def _with_spectral_norm(network: OfModule) -> None:
    nn.utils.spectral_norm(network.head)


def _with_parametrizations(network: OfModule) -> None:
    nn.utils.parametrizations.weight_norm(network.head)


def _with_nan(network: OfModule) -> None:
    nn.init.constant_(network.head.bias, math.nan)


def _too_large(network: OfModule) -> None:
    nn.init.constant_(network.head.weight, 3e38)


def _in_half_precision(network: OfModule) -> None:
    network.half()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_pruned, r"head.weight isn't stored but made anew .*: .* by prune.remove, "),
        (_with_weight_norm, "head.weight isn't stored but made anew .* remove_weight_norm"),
        (_with_spectral_norm, "head.weight isn't stored but made anew .* remove_spectral_norm"),
        (_with_parametrizations, "head has parametrizations: .* by .*remove_parametrizations"),
        (_with_nan, "head.bias holds values that are not finite numbers"),
        (_too_large, "logits for noise are not finite numbers"),
        (_in_half_precision, "head.weight is of float16: give the network in float32"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_that_cant_be_stored_as_they_are_are_named(
    change: Callable[[OfModule], None], sentence: str
) -> None:
    network = OfModule(lambda own, x: own.head(x.flatten(1)))
    change(network)
    with pytest.raises(ConfigError, match=sentence):
        traced(network, SHAPE, CLASSES)


def test_what_was_pruned_is_taken_once_that_is_for_good() -> None:
    network = OfModule(lambda own, x: own.head(x.flatten(1)))
    _pruned(network)
    prune.remove(network.head, "weight")  # type: ignore[no-untyped-call]
    _, weights = traced(network, SHAPE, CLASSES)
    assert int((weights["head.weight"] == 0).sum()) == network.head.weight.numel() // 2


def test_layers_that_only_look_like_torchs_are_refused() -> None:
    class Conv2d(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1

    Conv2d.__module__ = "torch.nn.modules.conv"
    network = nn.Sequential(Conv2d(3, CLASSES, 16), nn.Flatten())
    with pytest.raises(ConfigError, match="0 is a Conv2d, which can't be stored"):
        traced(network, SHAPE, CLASSES)


def test_a_module_that_takes_two_things_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    with pytest.raises(ConfigError, match="a batch of images and nothing else"):
        traced(Two(), SHAPE, CLASSES)


def test_every_layer_can_be_made_from_its_own_options() -> None:
    # What a kind lists must be an attribute of the module under the name of the parameter.
    needed = {
        "Conv2d": (3, 4, 3),
        "Linear": (3, 4),
        "GroupNorm": (1, 3),
        "LayerNorm": ((3, 4),),
        "LocalResponseNorm": (3,),
        "Softmax": (1,),
        "ZeroPad2d": (1,),
        **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), (3,)),
        **dict.fromkeys(("MaxPool2d", "AvgPool2d"), (2,)),
        **dict.fromkeys(("AdaptiveAvgPool2d", "AdaptiveMaxPool2d"), (1,)),
    }
    for name, kind in KINDS.items():
        made = kind.make(*needed.get(name, ()))
        again = kind.make(**{option: getattr(made, option) for option in kind.options})
        assert repr(again) == repr(made), name


def graph_of(*steps: Step, layers: tuple[Layer, ...] = ()) -> NetworkGraph:
    return NetworkGraph(layers=layers, steps=steps, gives=len(steps))


def does(operation: str, *takes: Any, **named: Any) -> Step:
    return Step(does=operation, is_layer=False, takes=takes, named=tuple(named.items()))


@pytest.mark.parametrize(
    "graph",
    [
        graph_of(does("__import__", "os")),
        graph_of(does("getattr", Made(0), "__class__")),
        graph_of(does("getattr", Made(0), "shape"), does("mul", Made(1), 1 << 30)),
        graph_of(does("pad", Made(0), (1 << 30, 1 << 30))),
        graph_of(does("pad", Made(0), (1 << 20, 1 << 20))),
        graph_of(does("size", Made(0), 2), *(does("mul", Made(n), Made(n)) for n in range(1, 40))),
        graph_of(
            *(does("flatten", Made(0)), does("pad", Made(1), (0, 20_000))),
            does("chunk", Made(2), 20_000),
        ),
        # Many small pieces that nobody takes.
        graph_of(
            *(does("flatten", Made(0)), does("pad", Made(1), (0, 8_000))),
            *(does("chunk", Made(2), 8_000) for _ in range(100)),
        ),
        graph_of(
            Step(does="a", is_layer=True, takes=(Made(0),)),
            layers=(Layer(path="a", kind="LocalResponseNorm", options=(("size", 1 << 30),)),),
        ),
        graph_of(does("cat", (Made(0),) * 10_000, 1), does("cat", (Made(1),) * 10_000, 1)),
        graph_of(
            Step(does="a", is_layer=True, takes=(Made(0),)),
            layers=(
                Layer(
                    path="a",
                    kind="Linear",
                    options=(("in_features", 16), ("out_features", 1 << 31)),
                ),
            ),
        ),
        graph_of(
            Step(does="a", is_layer=True, takes=(Made(0),)),
            layers=(Layer(path="a", kind="Tanh", options=(("device", "cuda"),)),),
        ),
        graph_of(
            Step(does="forward", is_layer=True, takes=(Made(0),)),
            layers=(Layer(path="forward", kind="Tanh"),),
        ),
    ],
)
def test_hostile_graphs_are_refused_before_they_cost_anything(graph: NetworkGraph) -> None:
    with pytest.raises(ConfigError):
        build_network(graph, SHAPE, CLASSES)


@pytest.mark.parametrize(
    "reshaping",
    [
        does("view", Made(0), 1, 768),
        does("view", Made(0), 2, 768),  # as many values as two images have
    ],
)
def test_a_graph_for_one_number_of_images_is_refused(reshaping: Step) -> None:
    head = Layer(path="head", kind="Linear", options=(("in_features", 768), ("out_features", 5)))
    end = Step(does="head", is_layer=True, takes=(Made(1),))
    with pytest.raises(ConfigError, match="doesn't fit together: "):
        build_network(graph_of(reshaping, end, layers=(head,)), SHAPE, CLASSES)
    flat = does("flatten", Made(0), 1)
    assert build_network(graph_of(flat, end, layers=(head,)), SHAPE, CLASSES)


def test_equal_numbers_of_other_kinds_are_tried_anew() -> None:
    def graph(number: float) -> NetworkGraph:
        head = Layer(
            path="head", kind="Linear", options=(("in_features", 768), ("out_features", number))
        )
        end = Step(does="head", is_layer=True, takes=(Made(1),))
        return graph_of(does("flatten", Made(0), 1), end, layers=(head,))

    assert graph(5) == graph(5.0)
    assert build_network(graph(5), SHAPE, CLASSES)
    with pytest.raises(ConfigError, match="doesn't fit together: "):
        build_network(graph(5.0), SHAPE, CLASSES)


def test_a_graph_of_very_many_operations_or_tensors_is_refused() -> None:
    many = [does("neg", Made(number)) for number in range(12_000)]
    with pytest.raises(ConfigError, match="makes more than 268,435,456 values"):
        build_network(graph_of(*many), SHAPE, CLASSES)
    layers = tuple(Layer(path=f"a{number}", kind="PReLU") for number in range(10_001))
    steps = (Step(does=one.path, is_layer=True, takes=(Made(0),)) for one in layers)
    with pytest.raises(ConfigError, match="10,001 tensors of weights, more than 10,000"):
        build_network(graph_of(*steps, layers=layers), SHAPE, CLASSES)


@pytest.mark.parametrize(
    "change",
    [
        {"gives": 0},
        {"gives": 99},
        {"gives": True},
        {"gives": "1"},
        {"steps": [{"layer": "b", "takes": []}]},
        {"steps": [{"operation": "relu", "takes": [{"step": 1}]}]},
        {"steps": [{"operation": "relu", "takes": [{"step": -1}]}]},
        {"steps": [{"operation": "relu", "takes": [{"step": True}]}]},
        {"steps": [{"operation": "relu", "takes": [{"other": 1}]}]},
        {"steps": [{"operation": "relu", "takes": [[[[[[[0]]]]]]]}]},
        {"steps": [{"operation": "relu", "takes": [1e300]}]},
        {"steps": [{"operation": "relu", "takes": [float("nan")]}]},
        {"steps": [{"operation": ["relu"], "takes": []}]},
        {"steps": ["relu"]},
        {"steps": {}},
        {"layers": []},
        {"layers": {"a": {"kind": "Tanh"}, "unused": {"kind": "Tanh"}}},
        {"layers": {"a..b": {"kind": "Tanh"}}},
        {"layers": {"a": {"kind": ["Tanh"]}}},
        {"layers": {"a": "Tanh"}},
        {"more": 1},
    ],
)
def test_text_that_is_no_graph_is_refused(change: dict[str, Any]) -> None:
    content = {
        "layers": {"a": {"kind": "Tanh"}},
        "steps": [{"layer": "a", "takes": [{"step": 0}]}],
        "gives": 1,
    }
    assert isinstance(read_architecture(json.dumps(content)), NetworkGraph)
    with pytest.raises(ConfigError):
        read_architecture(json.dumps(content | change))


numbers = st.integers(-(1 << 31), 1 << 31) | st.integers(-3, 20) | st.floats(-9, 9)
simple = st.none() | st.booleans() | numbers | st.sampled_from(["shape", "same", "zeros"])
refs = st.integers(0, 6).map(Made)
values = st.recursive(
    simple | refs, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=5
)
operations = st.builds(
    lambda name, takes: does(name, *takes),
    st.sampled_from(sorted(OPERATIONS)),
    st.lists(refs | values, max_size=4),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(operations, min_size=1, max_size=6))
def test_no_operations_do_more_than_be_refused(steps: list[Step]) -> None:
    try:
        network = build_network(graph_of(*steps), SHAPE, CLASSES)
    except ConfigError:
        return
    network.eval()(torch.zeros(2, *SHAPE))


def test_layers_that_have_one_weight_each_get_their_own_copy() -> None:
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    second.weight = first.weight
    network = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), 8), first, nn.ReLU(), second)
    network.append(nn.Linear(8, CLASSES))
    graph, weights = traced(network, SHAPE, CLASSES)
    assert tensors_to_bytes(weights)
    rebuilt = build_network(graph, SHAPE, CLASSES)
    rebuilt.load_state_dict(weights)
    assert torch.equal(weights["2.weight"], weights["4.weight"])
