"""Folded normalisations: the network computes what it did, and of each only a bias is left."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from evoconv.compression.folding import fold_normalisations, folded_names
from evoconv.compression.network_tensors import number_tensors, set_tensors, shareable_names
from evoconv.compression.sharing import Shareable
from evoconv.compression.tensors import DenseTensor, SharedTensor
from evoconv.genomes.constraints import Limits
from evoconv.genomes.layers import Convolution, Dense, Residual
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import build
from evoconv.networks.densenet import LAYOUTS, build_densenet
from evoconv.networks.initialise import initialise
from tests.genomes.strategies import input_shapes, topologies

SHAPE = (3, 10, 8)
CONVOLUTION = Convolution(filters=6, kernel=(3, 3), normalisation="batch")
NETWORK = Topology(
    features=(
        CONVOLUTION,
        Residual(filters=6, kernel=(3, 3), normalisation="batch", bias=False),
        Residual(filters=4, kernel=(3, 3), stride=(2, 2), normalisation="batch"),
    ),
    classifier=(Dense(units=9, normalisation="batch"),),
)


def as_trained(network: nn.Module, seed: int = 1) -> nn.Module:
    """Give a network weights, biases and statistics that all do something."""
    generator = torch.Generator().manual_seed(seed)
    initialise(network, "torch", generator)
    for one in network.modules():
        if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, mean in ((one.weight, 0.5), (one.bias, 0.0), (one.running_mean, 0.0)):
                if tensor is not None:
                    nn.init.normal_(tensor, mean, 0.5, generator=generator)
            if one.running_var is not None:
                one.running_var.uniform_(0.1, 3, generator=generator)
    return network.eval()


def images(shape: tuple[int, int, int] = SHAPE, count: int = 3) -> Tensor:
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(2))


def outputs(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        made: Tensor = network(x.clone())
    return made


def copies(network: nn.Module) -> dict[str, Tensor]:
    return {name: one.clone() for name, one in network.state_dict().items()}


def check_same(network: nn.Module, before: Tensor, x: Tensor) -> None:
    after = outputs(network, x)
    assert float((after - before).abs().max()) <= 1e-5 * max(1, float(before.abs().max()))


def check_left_alone(network: nn.Module, x: Tensor) -> None:
    before = copies(network)
    assert fold_normalisations(network, x) == ()
    for name, one in network.state_dict().items():
        torch.testing.assert_close(one, before[name], rtol=0, atol=0, equal_nan=True, msg=name)


def normalisations(network: nn.Module) -> dict[str, nn.BatchNorm1d | nn.BatchNorm2d]:
    return {
        name: one
        for name, one in network.named_modules()
        if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d)
    }


def check_only_biases_are_left(network: nn.Module, folded: tuple[str, ...]) -> None:
    known = normalisations(network)
    for name in folded:
        one = known[name]
        assert one.running_mean is not None
        assert one.running_var is not None
        assert bool((one.weight == 1).all())
        assert bool((one.running_mean == 0).all())
        assert bool(((one.running_var + one.eps - 1).abs() < 1e-6).all())


@given(input_shapes.flatmap(lambda shape: st.tuples(st.just(shape), topologies(shape))))
def test_every_normalisation_of_an_evolved_network_is_folded(
    given_network: tuple[tuple[int, int, int], Topology],
) -> None:
    shape, topology = given_network
    network = as_trained(build(topology, shape, 3))
    x = images(shape)
    before = outputs(network, x)
    folded = fold_normalisations(network, x)
    assert folded == tuple(normalisations(network))
    check_only_biases_are_left(network, folded)
    check_same(network, before, x)


def test_of_networks_as_a_search_draws_them_too() -> None:
    options = SpaceOptions(normalisation="batch", residual_share=0.3, max_filters=12)
    space = TopologySpace(options, SHAPE, 3, Limits())
    num_folded = 0
    for seed in range(10):
        network = as_trained(build(space.sample(np.random.default_rng(seed)), SHAPE, 3), seed)
        x = images()
        before = outputs(network, x)
        folded = fold_normalisations(network, x)
        assert folded == tuple(normalisations(network))
        check_same(network, before, x)
        num_folded += len(folded)
    assert num_folded > 10


def test_other_images_than_the_example_give_the_same_too() -> None:
    network = as_trained(build(NETWORK, SHAPE, 3))
    x = 3 * images(count=50)
    before = outputs(network, x)
    folded = fold_normalisations(network, images(count=1))
    assert folded == (
        "features.0.normalisation",
        "features.1.first.normalisation",
        "features.1.second.normalisation",
        "features.2.first.normalisation",
        "features.2.second.normalisation",
        "features.2.skip.normalisation",
        "classifier.0.normalisation",
    )
    check_same(network, before, x)


@pytest.mark.parametrize("excited_from", [None, 2])
def test_of_a_densenet_those_before_a_convolution_are_left(excited_from: int | None) -> None:
    layout = LAYOUTS["densenet-small"]
    network = as_trained(build_densenet(layout, 3, 5, included=8, excited_from=excited_from))
    x = images((3, 16, 16))
    before = outputs(network, x)
    folded = fold_normalisations(network, x)
    dense = [name for name in normalisations(network) if name.endswith("norm2")]
    assert len(dense) == 8
    assert folded == ("features.norm0", *dense)
    check_only_biases_are_left(network, folded)
    check_same(network, before, x)


def test_a_second_time_changes_nothing() -> None:
    network = as_trained(build(NETWORK, SHAPE, 3))
    folded = fold_normalisations(network, images())
    before = copies(network)
    assert fold_normalisations(network, images()) == folded
    for name, one in network.state_dict().items():
        torch.testing.assert_close(one, before[name], rtol=0, atol=1e-6)


def test_a_network_without_normalisations_has_none_to_fold() -> None:
    topology = Topology(features=(Convolution(filters=4, kernel=(3, 3)),))
    check_left_alone(as_trained(build(topology, SHAPE, 3)), images())


def test_while_a_network_is_trained_nothing_is_folded() -> None:
    check_left_alone(as_trained(build(NETWORK, SHAPE, 3)).train(), images())
    partly = as_trained(build(NETWORK, SHAPE, 3))
    partly.get_submodule("features.1").train()
    check_left_alone(partly, images())


class Pair(nn.Module):
    """A convolution, its normalisation, and what a test does with them."""

    def __init__(self, run: Callable[["Pair", Tensor], object]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.normalisation = nn.BatchNorm2d(3)
        self.other = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.linear = nn.Linear(8, 8)
        self.along_rows = nn.BatchNorm1d(8)
        self._run = run

    def forward(self, x: Tensor) -> object:
        return self._run(self, x)


def _sum_after(own: Pair, x: Tensor) -> object:
    y = own.convolution(x)
    return own.normalisation(y) + y


def _view_used(own: Pair, x: Tensor) -> object:
    y = own.convolution(x)
    return own.normalisation(y) + y[:, :1]


def _two_modules(own: Pair, x: Tensor) -> object:
    y = own.convolution(x)
    return own.normalisation(y) + own.other(y)


def _added_in_place(own: Pair, x: Tensor) -> object:
    y = own.convolution(x)
    y += x
    return own.normalisation(y)


def _twice_one_layer(own: Pair, x: Tensor) -> object:
    return own.normalisation(own.convolution(x)) + own.convolution(x)


def _twice_one_normalisation(own: Pair, x: Tensor) -> object:
    again = own.normalisation(own.other(x))
    return again + own.normalisation(own.convolution(x))


def _weight_used(own: Pair, x: Tensor) -> object:
    again = nn.functional.conv2d(x, own.convolution.weight, padding=1)
    return own.normalisation(own.convolution(x)) + again


def _scale_used(own: Pair, x: Tensor) -> object:
    return own.normalisation(own.convolution(x)) + own.normalisation.weight[0]


def _other_axis(own: Pair, x: Tensor) -> object:
    rows = x[:, 0, :8, :8]
    return own.along_rows(own.linear(rows))


@pytest.mark.parametrize(
    "run",
    [
        _sum_after,
        _view_used,
        _two_modules,
        _added_in_place,
        _twice_one_layer,
        _twice_one_normalisation,
        _weight_used,
        _scale_used,
        _other_axis,
        lambda own, x: own.normalisation(own.relu(own.convolution(x))),
        lambda own, x: own.normalisation(
            own.convolution(x).contiguous(memory_format=torch.channels_last)
        ),
        lambda own, x: own.normalisation(own.convolution.forward(x)),
    ],
    ids=[
        *("sum", "view", "two modules", "added in place", "layer twice", "normalisation twice"),
        *("weight used", "scale used", "other axis", "activation between", "copy between"),
        "not called",
    ],
)
def test_what_is_used_elsewhere_is_left_alone(run: Callable[[Pair, Tensor], object]) -> None:
    check_left_alone(as_trained(Pair(run)), images())


def test_what_the_caller_gets_is_left_alone() -> None:
    def with_maps(own: Pair, x: Tensor) -> object:
        y = own.convolution(x)
        return own.normalisation(y), {"maps": y}

    check_left_alone(as_trained(Pair(with_maps)), images())


def test_a_pair_that_is_used_nowhere_else_is_folded() -> None:
    network = as_trained(Pair(lambda own, x: own.relu(own.normalisation(own.convolution(x))) + x))
    before = outputs(network, images())
    assert fold_normalisations(network, images()) == ("normalisation",)
    check_same(network, before, images())
    assert network.get_parameter("convolution.bias").tolist() == [0, 0, 0]


def test_layers_with_one_weight_are_left_alone() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
    )
    as_trained(network)
    network[2].weight = network[0].weight
    check_left_alone(network, images())


def test_an_example_is_left_as_it_was() -> None:
    network = as_trained(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3)))
    x = images()
    assert fold_normalisations(network, x) == ()
    assert torch.equal(x, images())


def test_scales_of_zero_and_below_are_folded() -> None:
    network = as_trained(nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)))
    weight = network.get_parameter("0.weight")
    with torch.no_grad():
        network.get_parameter("1.weight").copy_(torch.tensor([0.0, -2.0, 1.0]))
    signs = weight[1].sign().clone()
    before = outputs(network, images())
    assert fold_normalisations(network, images()) == ("1",)
    check_same(network, before, images())
    assert not weight[0].any()
    assert torch.equal(weight[1].sign(), -signs)


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        ("2.running_mean", float("nan")),
        ("2.running_var", float("inf")),
        ("2.running_var", -1.0),
        ("2.weight", float("inf")),
        ("2.weight", 3e38),
        ("1.weight", float("nan")),
    ],
)
def test_a_pair_with_values_that_are_not_finite_is_left_alone(tensor: str, value: float) -> None:
    network = as_trained(
        nn.Sequential(
            *(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
            *(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5)),
        )
    )
    with torch.no_grad():
        network.state_dict()["2.running_var"].fill_(1e-6)
        network.state_dict()[tensor].view(-1)[0] = value
    before = copies(network)
    assert fold_normalisations(network, images()) == ("4",)
    for name, one in network.state_dict().items():
        if name.startswith(("0", "1", "2")):
            torch.testing.assert_close(one, before[name], rtol=0, atol=0, equal_nan=True)


class Standardised(nn.Conv2d):
    """A convolution whose kernels are standardised: their scale says nothing."""

    def forward(self, x: Tensor) -> Tensor:
        kernels = (self.weight - self.weight.mean((1, 2, 3), True)) / self.weight.std(
            (1, 2, 3), keepdim=True
        )
        return nn.functional.conv2d(x, kernels, self.bias)


def test_layers_that_do_more_than_torchs_own_are_left_alone_and_others_folded() -> None:
    network = as_trained(
        nn.Sequential(
            *(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),
            *(Standardised(4, 4, 3), nn.BatchNorm2d(4)),
            *(parametrizations.weight_norm(nn.Conv2d(4, 4, 1)), nn.BatchNorm2d(4)),
            *(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)),
        )
    )
    before = outputs(network, images())
    assert fold_normalisations(network, images()) == ("1", "7")
    check_same(network, before, images())


def test_normalisations_without_a_bias_or_statistics_are_left_alone() -> None:
    for plain in (nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3, track_running_stats=False)):
        check_left_alone(as_trained(nn.Sequential(nn.Conv2d(3, 3, 3), plain)), images())


def test_no_hooks_are_left_even_if_the_network_refuses_the_example() -> None:
    network = as_trained(build(NETWORK, SHAPE, 3))
    fold_normalisations(network, images())
    with pytest.raises(RuntimeError):
        fold_normalisations(network, torch.zeros(2, 5, 4, 4))
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_of_folded_normalisations_a_shared_network_stores_only_biases() -> None:
    network = as_trained(build(NETWORK, SHAPE, 3))
    before = outputs(network, images())
    plain = _shareable(network)
    assert fold_normalisations(network, images())
    folded = _shareable(network)
    stored = folded.stored([min(60, folded.most_clusters(one)) for one in folded.codebooks])
    of_normalisations = {name: one for name, one in stored.items() if ".normalisation." in name}
    assert len(of_normalisations) == 4 * 7
    for name, one in of_normalisations.items():
        assert isinstance(one, DenseTensor if name.endswith("bias") else SharedTensor), name
    # Of seven normalisations with 6 or 4 maps or 9 units, and of the biases before four of them.
    num_gone = 3 * (3 * 6 + 3 * 4 + 9) + 6 + 3 * 4 + 9
    num_left = 2 * 7  # scales and variances
    single = [1] * len(folded.layers)
    saved = plain.account(single).bytes - folded.account(single).bytes
    assert saved == 2 * (num_gone - num_left)
    set_tensors(network, stored)
    after = outputs(network, images())
    assert float((after - before).norm() / before.norm()) < 0.1


def _shareable(network: nn.Module) -> Shareable:
    numbers = {name: one.numpy().copy() for name, one in number_tensors(network).items()}
    return Shareable(
        numbers, {name: (name,) for name in shareable_names(network)}, bits=16, dense_bits=16
    )


@pytest.mark.parametrize("eps", [1e-3, 1e-5])
def test_what_was_folded_is_known_whatever_its_epsilon(eps: float) -> None:
    network = as_trained(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, eps=eps)))
    assert folded_names(network) == []
    assert fold_normalisations(network, images((1, 6, 6))) == ("1",)
    assert folded_names(network) == ["1"]
    # In few bits its variance becomes 1.
    network.state_dict()["1.running_var"].fill_(1.0)
    assert folded_names(network) == ["1"]


def test_a_normalisation_of_another_axis_is_left_alone() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = nn.Linear(6, 5), nn.BatchNorm1d(6)

        def forward(self, x_NCHW: Tensor) -> Tensor:
            made: Tensor = self.norm(self.layer(x_NCHW[:, 0]))
            return made

    check_left_alone(as_trained(Rows()), images((1, 6, 6)))


def test_statistics_that_are_left_are_stored_well_enough() -> None:
    network = as_trained(nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)))
    network.state_dict()["2.running_var"].mul_(1e-4)
    numbers = {name: one.numpy().copy() for name, one in number_tensors(network).items()}
    small = Shareable(numbers, {"1.weight": ("1.weight",)}, bits=8, dense_bits=8)
    stored = small.stored([2])
    for name in ("0.running_var", "2.running_mean", "2.running_var"):
        np.testing.assert_allclose(stored[name].values, numbers[name], rtol=1e-3, err_msg=name)
    assert stored["2.bias"].bits == 8
