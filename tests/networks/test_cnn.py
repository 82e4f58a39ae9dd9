import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from evoconv.errors import ConfigError
from evoconv.genomes.draw_topology import draw_topology
from evoconv.genomes.layers import (
    ACTIVATIONS,
    LAYER_KINDS,
    Convolution,
    Dense,
    Pooling,
    Residual,
)
from evoconv.genomes.reference import REFERENCES, baseline
from evoconv.genomes.shapes import cost, layer_table
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import ACTIVATION_MODULES, FEATURE_BUILDERS, build
from evoconv.networks.initialise import initialise
from tests.genomes.strategies import input_shapes, topologies
from tests.networks import tensorflow_windows

cases = input_shapes.flatmap(lambda shape: st.tuples(st.just(shape), topologies(shape)))


def ready(topology: Topology, input_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    network = build(topology, input_shape, num_classes)
    initialise(network, "he-normal", torch.Generator().manual_seed(1))
    return network.eval()


def images(input_shape: tuple[int, int, int], count: int = 2) -> Tensor:
    return torch.randn((count, *input_shape), generator=torch.Generator().manual_seed(2))


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def output_shapes(network: nn.Module, names: list[str], x: Tensor) -> dict[str, tuple[int, ...]]:
    """Run the network and return what each named module gave, without the batch."""
    shapes: dict[str, tuple[int, ...]] = {}

    def remember(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            shapes[name] = tuple(output.shape[1:])

        return hook

    for name in names:
        network.get_submodule(name).register_forward_hook(remember(name))
    network(x)
    return shapes


@settings(max_examples=100)
@given(case=cases, num_classes=st.integers(2, 7))
def test_what_arithmetic_predicts_is_what_is_built(
    case: tuple[tuple[int, int, int], Topology], num_classes: int
) -> None:
    input_shape, topology = case
    network = ready(topology, input_shape, num_classes)
    rows = layer_table(topology, input_shape, num_classes)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        shapes = output_shapes(network, [row.name for row in rows], images(input_shape, 1))
    assert shapes == {row.name: row.output_shape for row in rows}
    for row in rows:
        assert num_parameters(network.get_submodule(row.name)) == row.parameters
    total = cost(topology, input_shape, num_classes)
    assert num_parameters(network) == total.parameters
    assert counter.get_total_flops() == 2 * total.macs


@pytest.mark.parametrize("input_shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (1, 64, 64)])
def test_random_topologies_of_the_space_cost_what_is_predicted(
    input_shape: tuple[int, int, int],
) -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        topology = draw_topology(SpaceOptions(), input_shape, rng)
        network = ready(topology, input_shape, 10)
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network(images(input_shape, 1))
        total = cost(topology, input_shape, 10)
        assert num_parameters(network) == total.parameters
        assert counter.get_total_flops() == 2 * total.macs


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_networks_are_built_with_the_published_counts(name: str) -> None:
    one = REFERENCES[name]
    network = build(one.topology, one.input_shape, one.num_classes)
    assert num_parameters(network) == one.parameters


@settings(max_examples=150)
@given(
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    kernel=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.sampled_from(("same", "valid")),
)
def test_convolutions_are_those_of_tensorflow(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: str
) -> None:
    if padding == "valid":
        kernel = (min(kernel[0], size[0]), min(kernel[1], size[1]))
    layer = Convolution(
        filters=3,
        kernel=kernel,
        stride=stride,
        padding=padding,  # type: ignore[arg-type]
        activation="linear",
    )
    network = ready(Topology(features=(layer,)), (2, *size), 2).double()
    convolution = network.get_submodule("features.0.convolution")
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    with torch.no_grad():
        convolution.bias.uniform_(generator=torch.Generator().manual_seed(3))
        x = images((2, *size), 1).double()
        built = network.get_submodule("features")(x)[0].numpy()
    expected = tensorflow_windows.convolve(
        x[0].numpy(),
        convolution.weight.detach().numpy(),
        convolution.bias.detach().numpy(),
        stride,
        padding,
    )
    np.testing.assert_allclose(built, expected, atol=1e-12)


@settings(max_examples=200)
@given(
    kind=st.sampled_from(("max", "average")),
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    window=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    stride=st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.sampled_from(("same", "valid")),
)
def test_poolings_are_those_of_tensorflow(
    kind: str,
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int] | None,
    padding: str,
) -> None:
    if padding == "valid":
        window = (min(window[0], size[0]), min(window[1], size[1]))
    layer = Pooling(kind=kind, size=window, stride=stride, padding=padding)  # type: ignore[arg-type]
    network = build(Topology(features=(layer,)), (2, *size), 2)
    # All values below zero: a zero of the padding would show in the maximum and in the average.
    x = -1 - images((2, *size), 1).double().abs()
    built = network.get_submodule("features")(x)[0].numpy()
    expected = tensorflow_windows.pool(x[0].numpy(), kind, window, layer.steps, padding)
    np.testing.assert_allclose(built, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("side", "window", "padding", "expected"),
    [(28, 3, "valid", 9), (28, 3, "same", 10), (7, 2, "valid", 3), (7, 2, "same", 4)],
)
def test_poolings_round_down_or_up(side: int, window: int, padding: str, expected: int) -> None:
    layer = Pooling(size=(window, window), padding=padding)  # type: ignore[arg-type]
    network = build(Topology(features=(layer,)), (1, side, side), 2)
    assert network.get_submodule("features")(images((1, side, side))).shape[2:] == (
        expected,
        expected,
    )


KERAS_2: dict[str, Callable[[Any], Any]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky-relu": lambda x: np.where(x > 0, x, 0.1 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "gelu": lambda x: x * 0.5 * (1 + np.array([math.erf(v / 2**0.5) for v in x])),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "hard-swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard-sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "softplus": lambda x: np.log1p(np.exp(x)),
}


def test_every_activation_has_a_module_and_a_definition_here() -> None:
    assert set(ACTIVATION_MODULES) == set(ACTIVATIONS) == set(KERAS_2)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_follow_their_definition(name: str) -> None:
    x = np.linspace(-8, 8, 321)
    built = ACTIVATION_MODULES[name]()(torch.from_numpy(x.copy())).numpy()
    np.testing.assert_allclose(built, KERAS_2[name](x), atol=1e-12)


def test_every_kind_of_feature_layer_has_a_builder() -> None:
    assert set(FEATURE_BUILDERS) | {Dense} == set(LAYER_KINDS.values())


def test_a_residual_block_adds_its_input_before_the_activation() -> None:
    block = Residual(filters=2, kernel=(3, 3), activation="relu")
    network = ready(Topology(features=(block,)), (2, 5, 5), 2)
    x = images((2, 5, 5))
    built = network.get_submodule("features.0")
    with torch.no_grad():
        for convolution in ("first.convolution", "second.convolution"):
            for parameter in built.get_submodule(convolution).parameters():
                parameter.zero_()
        assert torch.equal(built(x), x.clamp(min=0))


def test_a_residual_block_projects_its_input_where_the_shape_changes() -> None:
    block = Residual(filters=3, kernel=(3, 2), stride=(2, 1), normalisation="batch")
    names = set(build(Topology(features=(block,)), (2, 5, 5), 2).state_dict())
    assert "features.0.skip.convolution.weight" in names
    assert "features.0.skip.normalisation.weight" in names
    same = Residual(filters=2, kernel=(3, 2), stride=(1, 1))
    names = set(build(Topology(features=(same,)), (2, 5, 5), 2).state_dict())
    assert not any("skip" in name for name in names)


def test_weights_have_readable_names() -> None:
    topology = Topology(
        features=(
            Convolution(filters=4, kernel=(2, 2), normalisation="batch", bias=False),
            Pooling(size=(1, 1)),
            Residual(filters=4, kernel=(3, 3)),
        ),
        classifier=(Dense(units=5),),
    )
    network = build(topology, (1, 9, 9), 3)
    assert {name for name, _ in network.named_parameters()} == {
        "features.0.convolution.weight",
        "features.0.normalisation.weight",
        "features.0.normalisation.bias",
        "features.2.first.convolution.weight",
        "features.2.first.convolution.bias",
        "features.2.second.convolution.weight",
        "features.2.second.convolution.bias",
        "classifier.0.linear.weight",
        "classifier.0.linear.bias",
        "output.weight",
        "output.bias",
    }


def test_building_leaves_the_global_random_state_alone_and_weights_at_zero() -> None:
    before = torch.random.get_rng_state()
    network = build(baseline((1, 28, 28), 10), (1, 28, 28), 10)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not network(images((1, 28, 28))).any()


LAYERS_IN_TRAINING = (
    Convolution(filters=6, kernel=(4, 3), stride=(2, 1), normalisation="batch", dropout=0.1),
    Pooling(kind="average", size=(2, 3), stride=(1, 1), padding="same", dropout=0.1),
    Residual(filters=5, kernel=(2, 3), stride=(1, 2), normalisation="batch"),
    Pooling(size=(3, 2), padding="same"),
)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("reduction", ["flatten", "global-average"])
def test_networks_train_in_every_layout_and_precision(
    channels_last: bool, bfloat16: bool, reduction: str
) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for first, second, third in zip(*[iter((*ACTIVATIONS, "relu"))] * 3, strict=True):
        one, two, three, four = LAYERS_IN_TRAINING
        topology = Topology(
            features=(
                replace(one, activation=first),
                two,
                replace(three, activation=second),
                four,
            ),
            classifier=(Dense(units=7, activation=third, normalisation="batch"),),
            reduction=reduction,  # type: ignore[arg-type]
        )
        network = ready(topology, (2, 12, 11), 3).train()
        network.to(memory_format=layout)  # type: ignore[call-overload]
        x = images((2, 12, 11), 4).contiguous(memory_format=layout)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = nn.functional.cross_entropy(network(x), torch.tensor([0, 1, 2, 0]))
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name


def test_layouts_and_precisions_agree() -> None:
    network = ready(Topology(features=LAYERS_IN_TRAINING), (2, 12, 11), 3)
    x = images((2, 12, 11), 4)
    with torch.no_grad():
        plain = network(x)
        last = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(last(x.contiguous(memory_format=torch.channels_last)), plain)


def test_a_window_that_does_not_fit_is_refused() -> None:
    topology = Topology(features=(Convolution(filters=2, kernel=(5, 5), padding="valid"),))
    with pytest.raises(ConfigError, match=r"features\.0"):
        build(topology, (1, 4, 8), 2)


def test_normalising_one_value_per_map_raises_in_training() -> None:
    network = ready(baseline((1, 1, 1), 3), (1, 1, 1), 3)
    assert network(images((1, 1, 1), 1)).shape == (1, 3)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network.train()(images((1, 1, 1), 1))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 1), (1, 2), (2, 2), (4, 2), (3, 3)])
@pytest.mark.parametrize("stride", [(2, 2), (3, 3), (1, 3)])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 2)])
def test_gradients_are_no_leftovers_of_memory(
    rows: int, columns: int, stride: tuple[int, int], kernel: tuple[int, int]
) -> None:
    layer = Convolution(filters=39, kernel=kernel, stride=stride, bias=False)
    shape = (30, rows, columns)
    network = build(Topology(features=(layer,)), shape, 3)
    (weight,) = (one for one in network.parameters() if one.dim() == 4)
    nn.init.normal_(weight, generator=torch.Generator().manual_seed(0))
    pixels = torch.rand(64, *shape).to(memory_format=torch.channels_last)
    labels = torch.zeros(64, dtype=torch.long)
    for _ in range(20):
        # What a gradient would find, if it read what it hasn't written.
        junk = [torch.full((weight.numel(),), torch.nan, dtype=kind) for kind in LEFTOVERS]
        del junk
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(pixels)
        loss = nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        assert weight.grad is not None
        assert weight.grad.isfinite().all()
        assert weight.grad.abs().max() < 100


LEFTOVERS = (torch.float32, torch.float32, torch.bfloat16, torch.bfloat16)
