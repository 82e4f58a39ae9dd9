from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from evoconv.errors import ConfigError, StudyError
from evoconv.genomes.alignment import align
from evoconv.genomes.cross_topology import cross
from evoconv.genomes.draw_topology import draw_topology
from evoconv.genomes.layers import Convolution, Dense, Layer, Pooling, Residual
from evoconv.genomes.shapes import feature_shapes
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import build
from evoconv.networks.inherit import Inheritance, inherit
from evoconv.networks.initialise import initialise
from tests.genomes.strategies import feature_layers, input_shapes, topologies

SHAPE = (2, 11, 10)
CLASSES = 3
sizes = st.integers(1, 9)
Parents = list[tuple[Topology, Mapping[str, Tensor]]]

pairs_and_triples = input_shapes.flatmap(
    lambda shape: st.tuples(
        st.just(shape), topologies(shape), st.lists(topologies(shape), min_size=1, max_size=3)
    )
)


def ready(topology: Topology, shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> nn.Sequential:
    """Build a network that looks trained: no bias is zero and no normalisation does nothing."""
    network = build(topology, shape, CLASSES)
    generator = torch.Generator().manual_seed(seed)
    initialise(network, "torch", generator)
    for one in network.modules():
        if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d):
            assert one.running_mean is not None
            assert one.running_var is not None
            assert one.num_batches_tracked is not None
            nn.init.normal_(one.weight, 1, 0.3, generator=generator)
            nn.init.normal_(one.bias, 0, 0.3, generator=generator)
            one.running_mean.normal_(0, 0.3, generator=generator)
            one.running_var.uniform_(0.5, 2, generator=generator)
            one.num_batches_tracked.fill_(7)
    return network.eval()


def images(shape: tuple[int, int, int] = SHAPE, count: int = 4) -> Tensor:
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(2))


def child_of(
    child: Topology,
    *parents: Topology,
    shape: tuple[int, int, int] = SHAPE,
    sample: Tensor | None = None,
) -> tuple[nn.Sequential, Inheritance, Parents]:
    """Return a child with inherited weights, what it inherited, and its parents."""
    given: Parents = [
        (one, ready(one, shape, seed).state_dict()) for seed, one in enumerate(parents)
    ]
    network = ready(child, shape, 99)
    generator = torch.Generator().manual_seed(3)
    told = inherit(child, network, given, shape, CLASSES, generator, sample)
    return network, told, given


def outputs(topology: Topology, state: Mapping[str, Tensor], shape: Any, x: Tensor) -> Tensor:
    network = build(topology, shape, CLASSES).eval()
    network.load_state_dict(dict(state))
    with torch.no_grad():
        result: Tensor = network(x)
    return result


def check_preserved(
    child: Topology, parent: Topology, shape: tuple[int, int, int] = SHAPE
) -> Inheritance:
    network, told, parents = child_of(child, parent, shape=shape)
    x = images(shape)
    with torch.no_grad():
        torch.testing.assert_close(
            network(x), outputs(parent, parents[0][1], shape, x), rtol=1e-5, atol=1e-5
        )
    assert told.preserves
    assert not told.partial
    assert not told.new
    return told


CONVOLUTION = Convolution(filters=4, kernel=(3, 3), normalisation="batch", bias=False)
PLAIN = Convolution(filters=5, kernel=(2, 3), activation="tanh")
STRIDED = Convolution(filters=4, kernel=(2, 1), stride=(2, 3), activation="elu")
BLOCK = Residual(filters=4, kernel=(3, 2), normalisation="batch", bias=False)
PROJECTED = Residual(filters=6, kernel=(2, 3), stride=(2, 1), normalisation="batch")
POOL = Pooling(size=(2, 2))
DENSE = Dense(units=7, normalisation="batch")

PARENT = Topology(
    features=(CONVOLUTION, POOL, BLOCK, PLAIN, PROJECTED, STRIDED),
    classifier=(DENSE, Dense(units=5, activation="gelu")),
)


def changed(parent: Topology, index: int, **values: Any) -> Topology:
    layers: list[Any] = [*parent.features, *parent.classifier]
    layers[index] = replace(layers[index], **values)
    return with_layers(parent, layers)


def inserted(parent: Topology, index: int, layer: Layer) -> Topology:
    layers: list[Any] = [*parent.features, *parent.classifier]
    layers.insert(index, layer)
    return with_layers(parent, layers)


def with_layers(parent: Topology, layers: list[Any]) -> Topology:
    return replace(
        parent,
        features=tuple(one for one in layers if not isinstance(one, Dense)),
        classifier=tuple(one for one in layers if isinstance(one, Dense)),
    )


@pytest.mark.parametrize("reduction", ["flatten", "global-average"])
@pytest.mark.parametrize(
    ("index", "values"),
    [
        (0, {"filters": 9}),  # the block after it now needs a projection
        (2, {"filters": 9}),
        (3, {"filters": 6}),
        (4, {"filters": 7}),
        (5, {"filters": 13}),
        (6, {"units": 8}),
        (7, {"units": 23}),
        (0, {"kernel": (5, 4)}),
        (2, {"kernel": (4, 4)}),
        (3, {"kernel": (3, 6)}),
        (4, {"kernel": (5, 5)}),
        (5, {"kernel": (5, 4)}),
        (5, {"filters": 7, "kernel": (3, 3)}),
        (0, {"normalisation": "none", "bias": True}),
        (0, {"bias": True}),
        (2, {"normalisation": "none", "bias": True}),
        (3, {"normalisation": "batch"}),
        (3, {"normalisation": "batch", "bias": False}),
        (4, {"bias": False}),
        (6, {"normalisation": "none"}),
        (6, {"bias": False}),
        (1, {"dropout": 0.5}),
        (4, {"dropout": 0.5}),
        (7, {"dropout": 0.0}),
    ],
)
def test_a_changed_layer_can_keep_the_function(
    index: int, values: dict[str, Any], reduction: Any
) -> None:
    parent = replace(PARENT, reduction=reduction)
    child = changed(parent, index, **values)
    if child == parent:
        child = changed(parent, index, dropout=0.3)
    told = check_preserved(child, parent)
    names = [f"features.{one}" for one in range(6)] + ["classifier.0", "classifier.1"]
    assert names[index] in told.exact


def test_many_layers_can_grow_at_once() -> None:
    child = PARENT
    for index in (0, 2, 3, 4, 5):
        child = changed(child, index, filters=16, kernel=(5, 5))
    for index in (6, 7):
        child = changed(child, index, units=40)
    check_preserved(child, PARENT)


def test_a_block_grows_with_what_it_adds_to() -> None:
    child = changed(changed(PARENT, 0, filters=9), 2, filters=9)
    network, _, _ = child_of(child, PARENT)
    assert isinstance(network.get_submodule("features.2.skip"), nn.Identity)
    check_preserved(child, PARENT)


@pytest.mark.parametrize("reduction", ["flatten", "global-average"])
@pytest.mark.parametrize(
    ("index", "layer"),
    [
        (1, Convolution(filters=4, kernel=(3, 3))),
        (1, Convolution(filters=11, kernel=(4, 1), normalisation="batch")),
        (2, Convolution(filters=4, kernel=(1, 1), padding="valid", activation="leaky-relu")),
        (3, Convolution(filters=6, kernel=(5, 5), normalisation="batch", bias=False)),
        (4, Convolution(filters=5, kernel=(2, 2), activation="linear", dropout=0.2)),
        (0, Convolution(filters=2, kernel=(3, 3), activation="linear")),
        (1, Residual(filters=4, kernel=(3, 3))),
        (2, Residual(filters=4, kernel=(2, 4), normalisation="batch", activation="elu")),
        (3, Residual(filters=9, kernel=(3, 3), normalisation="batch")),
        (3, Residual(filters=9, kernel=(3, 3), bias=False)),
        (4, Pooling(size=(1, 1), dropout=0.1)),
        (7, Dense(units=7)),
        (7, Dense(units=16, normalisation="batch")),
        (8, Dense(units=5, activation="linear", bias=False)),
    ],
)
def test_an_inserted_layer_can_keep_the_function(index: int, layer: Layer, reduction: Any) -> None:
    parent = replace(PARENT, reduction=reduction)
    told = check_preserved(inserted(parent, index, layer), parent)
    part = "classifier" if isinstance(layer, Dense) else "features"
    place = index - len(parent.features) if isinstance(layer, Dense) else index
    assert f"{part}.{place}" in told.exact


@st.composite
def grown(draw: st.DrawFn) -> tuple[tuple[int, int, int], Topology, Topology]:
    """Draw a parent, and a child of which each layer may be wider, with larger kernels."""
    shape = draw(input_shapes)
    parent = draw(topologies(shape))
    layers: list[Any] = []
    before = now = shape[0]
    for layer in (*parent.features, *parent.classifier):
        if isinstance(layer, Dense):
            layers.append(replace(layer, units=layer.units + draw(st.integers(0, 5))))
        elif isinstance(layer, Pooling):
            layers.append(layer)
        else:
            kernel = layer.kernel
            if getattr(layer, "padding", "same") == "same":
                kernel = (kernel[0] + draw(st.integers(0, 3)), kernel[1] + draw(st.integers(0, 3)))
            filters = layer.filters + draw(st.integers(0, 5))
            # A projection can't become a plain skip.
            filters += isinstance(layer, Residual) and before != layer.filters and now == filters
            layers.append(replace(layer, filters=filters, kernel=kernel))
            before, now = layer.filters, filters
        if draw(st.booleans()):
            layers[-1] = replace(layers[-1], dropout=0.4)
    return shape, parent, with_layers(parent, layers)


@settings(max_examples=60)
@given(case=grown())
def test_whatever_grows_keeps_the_function(
    case: tuple[tuple[int, int, int], Topology, Topology],
) -> None:
    shape, parent, child = case
    # A layer that grew into an equal of the next one is taken for it.
    assume(align(child, [parent]) == align(parent, [parent]))
    check_preserved(child, parent, shape)


@settings(max_examples=60)
@given(case=pairs_and_triples, with_sample=st.booleans())
def test_any_child_can_inherit_from_any_parents(
    case: tuple[tuple[int, int, int], Topology, list[Topology]], with_sample: bool
) -> None:
    shape, child, parents = case
    sample = images(shape) if with_sample else None
    network, told, inputs = child_of(child, *parents, shape=shape, sample=sample)
    with torch.no_grad():
        result = network(images(shape))
    assert result.shape == (4, CLASSES)
    assert bool(result.isfinite().all())
    for seed, (topology, state) in enumerate(inputs):
        before = ready(topology, shape, seed).state_dict()
        assert all(torch.equal(tensor, before[name]) for name, tensor in state.items())
    names = [f"features.{index}" for index in range(len(child.features))]
    names += [f"classifier.{index}" for index in range(len(child.classifier))]
    assert sorted(told.unchanged + told.exact + told.partial + told.new) == sorted(
        [*names, "output"]
    )
    if told.preserves:
        # Nobody but a parent computes this.
        found = [outputs(one, state, shape, images(shape)) for one, state in inputs]
        assert any(torch.allclose(result, one, atol=1e-4, rtol=1e-4) for one in found)


@st.composite
def edited(draw: st.DrawFn) -> tuple[tuple[int, int, int], Topology, Topology]:
    """Draw a parent, and a child with layers varied, inserted, deleted and switched."""
    shape = draw(input_shapes)
    parent = draw(topologies(shape))
    layers: list[Any] = [*parent.features, *parent.classifier]
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(layers)))
        edit = draw(st.sampled_from(("insert", "delete", "vary", "switch")))
        if edit == "insert":
            layers.insert(place, draw(feature_layers(shape[1:]) | st.builds(Dense, units=sizes)))
        elif layers:
            place = min(place, len(layers) - 1)
            if edit == "delete":
                del layers[place]
            elif edit == "switch":
                layers[place], layers[0] = layers[0], layers[place]
            else:
                drawn = draw(feature_layers(shape[1:]) | st.builds(Dense, units=sizes))
                names = draw(st.sets(st.sampled_from([one.name for one in fields(drawn)])))
                if type(drawn) is type(layers[place]):
                    values = {name: getattr(drawn, name) for name in names}
                    layers[place] = replace(layers[place], **values)
    child = with_layers(parent, layers)
    try:
        feature_shapes(child, shape)
    except ConfigError:
        child = replace(child, features=parent.features)
    return shape, parent, child


_POOL = Pooling(size=(1, 1), stride=(1, 2), padding="same")
_BLOCK = Residual(filters=1, kernel=(1, 1), stride=(1, 2), activation="linear", bias=False)


@settings(max_examples=100)
@given(case=edited())
@example(case=((1, 1, 2), Topology(features=(_POOL, _BLOCK)), Topology(features=(_BLOCK,))))
def test_what_is_told_is_true_after_any_edits(
    case: tuple[tuple[int, int, int], Topology, Topology],
) -> None:
    shape, parent, child = case
    network, told, parents = child_of(child, parent, shape=shape)
    x, given = images(shape), parents[0][1]
    with torch.no_grad():
        result = network(x)
    assert bool(result.isfinite().all())
    if told.preserves:
        torch.testing.assert_close(result, outputs(parent, given, shape, x), rtol=1e-5, atol=1e-5)
    sources = align(child, [parent])
    state = network.state_dict()
    for name in told.unchanged:
        part, _, index = name.partition(".")
        source = getattr(sources, part)[int(index)] if index else None
        before = f"{part}.{source.index}." if source else "output."
        for key in [one for one in state if one.startswith(f"{name}.")]:
            assert torch.equal(state[key], given[before + key.removeprefix(f"{name}.")])


@settings(max_examples=40)
@given(case=input_shapes.flatmap(lambda shape: st.tuples(st.just(shape), topologies(shape))))
def test_a_copy_inherits_everything_bit_by_bit(
    case: tuple[tuple[int, int, int], Topology],
) -> None:
    shape, topology = case
    network, told, parents = child_of(topology, topology, shape=shape, sample=images(shape))
    assert told.preserves
    assert not told.exact
    assert not told.partial
    assert not told.new
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, parents[0][1][name]), name


def test_layers_named_unchanged_hold_exactly_the_tensors_of_a_parent() -> None:
    child = changed(PARENT, 3, filters=8)
    network, told, parents = child_of(child, PARENT)
    assert told.unchanged == (
        "features.0",
        "features.1",
        "features.2",
        "features.5",
        "classifier.0",
        "classifier.1",
        "output",
    )
    assert told.exact == ("features.3", "features.4")
    state = network.state_dict()
    for name in told.unchanged:
        for key in [one for one in state if one.startswith(f"{name}.")]:
            assert torch.equal(state[key], parents[0][1][key])


def test_copies_of_a_channel_leave_the_layer_with_unequal_weights() -> None:
    parent = Topology(features=(replace(CONVOLUTION, filters=1), PLAIN))
    network, _, parents = child_of(changed(parent, 0, filters=2), parent)
    weight = network.get_submodule("features.1.convolution").weight
    assert isinstance(weight, Tensor)
    before = parents[0][1]["features.1.convolution.weight"]
    share = (weight[:, 0] / before[:, 0]).flatten()
    torch.testing.assert_close(share, share[:1].expand_as(share))
    assert 0.3 <= float(share[0].detach()) <= 0.7
    assert not torch.allclose(weight[:, 0], weight[:, 1])
    torch.testing.assert_close(weight.sum(1, keepdim=True), before)


def test_a_narrower_layer_keeps_the_channels_with_the_largest_weights() -> None:
    parent = Topology(features=(replace(PLAIN, filters=4), PLAIN))
    given = ready(parent).state_dict()
    given["features.0.convolution.weight"][1] *= 1e-3
    given["features.1.convolution.weight"][:, 1] = 0
    child = changed(parent, 0, filters=3)
    network = ready(child, seed=9)
    told = inherit(
        child, network, [(parent, given)], SHAPE, CLASSES, torch.Generator().manual_seed(1)
    )
    state = network.state_dict()
    kept = [0, 2, 3]
    first, second = "features.0.convolution.weight", "features.1.convolution.weight"
    assert torch.equal(state[first], given[first][kept])
    assert torch.equal(state[second], given[second][:, kept])
    assert told.partial == ("features.0", "features.1")
    assert told.unchanged == ("output",)
    assert not told.preserves


def test_a_smaller_kernel_is_the_middle_of_the_larger_one() -> None:
    parent = Topology(features=(Convolution(filters=3, kernel=(5, 4)),))
    network, told, parents = child_of(changed(parent, 0, kernel=(3, 3)), parent)
    name = "features.0.convolution.weight"
    assert torch.equal(network.state_dict()[name], parents[0][1][name][:, :, 1:4, 0:3])
    assert told.partial == ("features.0",)
    assert told.unchanged == ("output",)


def test_flattened_maps_of_another_size_share_the_positions_that_both_have() -> None:
    parent = Topology(features=(Convolution(filters=3, kernel=(1, 1)), POOL))
    child = changed(parent, 1, size=(3, 2))
    network, told, parents = child_of(child, parent)
    before = parents[0][1]["output.weight"].reshape(CLASSES, 3, 5, 5)
    after = network.state_dict()["output.weight"].reshape(CLASSES, 3, 3, 5)
    assert torch.equal(after, before[:, :, :3])
    assert told.unchanged == ("features.0",)
    assert told.partial == ("features.1", "output")


@pytest.mark.parametrize("reduction", ["flatten", "global-average"])
def test_a_deleted_pooling_leaves_the_layers_after_it_as_they_were(reduction: Any) -> None:
    parent = replace(PARENT, reduction=reduction)
    layers = [*parent.features, *parent.classifier]
    _, told, _ = child_of(with_layers(parent, [layers[0], *layers[2:]]), parent)
    assert not told.preserves
    assert told.unchanged[:5] == tuple(f"features.{index}" for index in range(5))
    assert told.partial == (("classifier.0",) if reduction == "flatten" else ())


def test_after_a_deleted_convolution_inputs_are_matched_by_their_index() -> None:
    parent = Topology(features=(CONVOLUTION, replace(CONVOLUTION, filters=6), PLAIN))
    child = Topology(features=(CONVOLUTION, PLAIN))
    network, told, parents = child_of(child, parent)
    assert torch.equal(
        network.state_dict()["features.1.convolution.weight"],
        parents[0][1]["features.2.convolution.weight"][:, :4],
    )
    assert told.unchanged == ("features.0", "output")
    assert told.partial == ("features.1",)


def test_a_crossover_child_takes_each_part_from_the_parent_it_came_from() -> None:
    first = Topology(
        features=(CONVOLUTION, POOL, PLAIN), classifier=(Dense(units=6), Dense(units=4))
    )
    second = Topology(
        features=(STRIDED, replace(CONVOLUTION, filters=6), PROJECTED),
        classifier=(Dense(units=9), DENSE),
    )
    child = Topology(features=(CONVOLUTION, POOL, PROJECTED), classifier=(Dense(units=6), DENSE))
    network, told, parents = child_of(child, first, second)
    assert told.unchanged == ("features.0", "features.1", "output")
    assert told.partial == ("features.2", "classifier.0", "classifier.1")
    state, (one, two) = network.state_dict(), (parents[0][1], parents[1][1])
    name = "features.0.convolution.weight"
    assert torch.equal(state[name], one[name])
    name = "features.2.first.convolution.weight"
    assert torch.equal(state[name][:, :4], two[name][:, :4])
    name = "features.2.second.convolution.weight"
    assert torch.equal(state[name], two[name])
    name = "classifier.1.linear.weight"
    assert torch.equal(state[name], two[name][:, :6])
    assert torch.equal(state["output.weight"], two["output.weight"])
    assert not told.preserves


@pytest.mark.parametrize(
    ("index", "values"),
    [
        (0, {"activation": "tanh"}),
        (0, {"padding": "valid"}),
        (1, {"kind": "average"}),
        (1, {"padding": "same", "size": (3, 3), "stride": (2, 2)}),
        (2, {"activation": "tanh"}),
        (2, {"kernel": (2, 2)}),
        (2, {"filters": 3}),
        (3, {"bias": False}),
        (4, {"stride": (2, 2)}),
        (5, {"stride": (2, 2)}),
        (6, {"units": 6}),
        (7, {"activation": "silu"}),
    ],
)
def test_a_change_that_can_not_keep_the_function_is_partial(
    index: int, values: dict[str, Any]
) -> None:
    _, told, _ = child_of(changed(PARENT, index, **values), PARENT)
    names = [f"features.{one}" for one in range(6)] + ["classifier.0", "classifier.1"]
    assert names[index] in told.partial
    assert not told.preserves


def test_a_mean_instead_of_flattened_maps_is_partial() -> None:
    _, told, _ = child_of(replace(PARENT, reduction="global-average"), PARENT)
    assert told.partial == ("classifier.0",)
    assert not told.preserves


def test_before_flattening_the_channels_with_the_largest_weights_are_kept_too() -> None:
    parent = Topology(features=(replace(PLAIN, filters=3), POOL))
    given = ready(parent).state_dict()
    given["output.weight"].reshape(CLASSES, 3, -1)[:, 0] = 0
    network = ready(changed(parent, 0, filters=2), seed=9)
    generator = torch.Generator().manual_seed(1)
    child = changed(parent, 0, filters=2)
    inherit(child, network, [(parent, given)], SHAPE, CLASSES, generator)
    name = "features.0.convolution.weight"
    assert torch.equal(network.state_dict()[name], given[name][1:])


def test_a_narrower_block_keeps_its_strongest_inner_channels() -> None:
    parent = Topology(features=(replace(BLOCK, filters=5), PLAIN))
    given = ready(parent).state_dict()
    first, second = (f"features.0.{part}.convolution.weight" for part in ("first", "second"))
    given[second][:, 2] = 0
    network = ready(changed(parent, 0, filters=4), seed=9)
    generator = torch.Generator().manual_seed(1)
    child = changed(parent, 0, filters=4)
    inherit(child, network, [(parent, given)], SHAPE, CLASSES, generator)
    assert torch.equal(network.state_dict()[first], given[first][[0, 1, 3, 4]])


def test_a_pooling_after_the_seam_does_not_make_channels_known() -> None:
    first = Topology(features=(CONVOLUTION, STRIDED))
    second = Topology(features=(replace(PLAIN, filters=4), POOL, PLAIN))
    _, told, _ = child_of(replace(second, features=(CONVOLUTION, POOL, PLAIN)), first, second)
    assert told.unchanged == ("features.0", "output")
    assert told.partial == ("features.2",)


def test_at_the_seam_of_a_crossover_as_many_channels_are_not_the_same_channels() -> None:
    first = Topology(features=(CONVOLUTION, PLAIN))
    second = Topology(features=(replace(CONVOLUTION, kernel=(2, 2)), STRIDED, BLOCK, BLOCK))
    child = Topology(features=(CONVOLUTION, *second.features[1:]))
    network, told, parents = child_of(child, first, second)
    assert told.partial == ("features.1",)
    assert told.unchanged == ("features.0", "features.2", "features.3", "output")
    name = "features.1.convolution.weight"
    assert torch.equal(network.state_dict()[name], parents[1][1][name])
    child = Topology(features=(CONVOLUTION, BLOCK, BLOCK))
    _, told, _ = child_of(child, first, second)
    # The blocks add to what they were not made for.
    assert told.partial == ("features.1", "features.2", "output")


@pytest.mark.parametrize(
    "layer",
    [
        Convolution(filters=4, kernel=(3, 3), activation="tanh"),
        Convolution(filters=4, kernel=(3, 3), stride=(2, 1)),
        Convolution(filters=5, kernel=(3, 3), padding="valid"),
        Residual(filters=4, kernel=(3, 3), activation="sigmoid"),
        Residual(filters=4, kernel=(3, 3), stride=(1, 2)),
    ],
)
def test_an_inserted_layer_that_changes_what_comes_in_is_partial(layer: Layer) -> None:
    _, told, _ = child_of(inserted(PARENT, 1, layer), PARENT)
    assert "features.1" in told.partial
    assert not told.preserves


@pytest.mark.parametrize(
    "layer", [Convolution(filters=3, kernel=(3, 3)), Residual(filters=3, kernel=(3, 3))]
)
def test_an_inserted_layer_narrower_than_its_input_stays_as_it_is(layer: Layer) -> None:
    child = inserted(PARENT, 1, layer)
    network, told, _ = child_of(child, PARENT)
    assert told.new == ("features.1",)
    fresh = ready(child, SHAPE, 99).state_dict()
    for name, tensor in network.state_dict().items():
        assert not name.startswith("features.1.") or torch.equal(tensor, fresh[name])


@pytest.mark.parametrize(
    "layer",
    [
        Convolution(filters=4, kernel=(3, 3), normalisation="batch"),
        Convolution(filters=7, kernel=(3, 3), normalisation="batch", bias=False),
        Residual(filters=7, kernel=(3, 3), normalisation="batch"),
    ],
)
def test_with_a_sample_an_inserted_normalisation_changes_little_in_training_too(
    layer: Layer,
) -> None:
    parent = Topology(features=(Convolution(filters=4, kernel=(3, 3)), PLAIN))
    x = images(count=16)
    network, told, parents = child_of(inserted(parent, 1, layer), parent, sample=x)
    expected = outputs(parent, parents[0][1], SHAPE, x)
    assert told.preserves
    with torch.no_grad():
        torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(network.train()(x), expected, rtol=1e-4, atol=1e-4)


def test_a_deleted_pooling_of_single_values_changes_nothing() -> None:
    parent = inserted(PARENT, 3, Pooling(size=(1, 1), kind="average"))
    told = check_preserved(PARENT, parent)
    assert not told.exact


def test_a_mean_becomes_equal_weights_on_flattened_maps() -> None:
    parent = replace(PARENT, reduction="global-average")
    told = check_preserved(replace(PARENT, reduction="flatten"), parent)
    assert told.exact == ("classifier.0",)


def test_the_same_generator_gives_the_same_child() -> None:
    child = changed(PARENT, 3, filters=20)
    first, second = (child_of(child, PARENT)[0].state_dict() for _ in range(2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_children_of_the_search_space_inherit_by_crossover() -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(max_filters=12, max_units=20)
    shape = (1, 12, 12)
    for _ in range(10):
        first, second = (draw_topology(options, shape, rng) for _ in range(2))
        child = cross(first, second, options, shape, rng)
        network, told, _ = child_of(child, first, second, shape=shape)
        assert bool(network(images(shape)).isfinite().all())
        assert not told.new


def test_weights_that_are_not_the_parents_are_refused() -> None:
    child = PARENT
    good = ready(PARENT).state_dict()
    lacking = {name: one for name, one in good.items() if name != "output.bias"}
    cases = [
        (lacking, "parent 1 .* lack tensor output.bias"),
        ({**good, "extra": torch.ones(1)}, "unknown tensor extra"),
        ({**good, "output.bias": torch.ones(2)}, "output.bias is 2 float32, not 3"),
        ({**good, "output.bias": torch.ones(3).double()}, "float64"),
        ({**good, "output.bias": torch.tensor([0, 1, float("nan")])}, "aren't finite"),
    ]
    for state, message in cases:
        network = ready(child, seed=9)
        with pytest.raises(StudyError, match=message):
            inherit(
                child,
                network,
                [(PARENT, good), (PARENT, state)],
                SHAPE,
                CLASSES,
                torch.Generator(),
            )
        before = ready(child, seed=9).state_dict()
        assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
