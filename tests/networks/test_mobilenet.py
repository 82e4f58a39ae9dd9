"""MobileNetV2: counts as published, names and shapes as torchvision's."""

import pytest
import torch
from torch import nn

from evoconv.networks.measured_cost import measured_cost
from evoconv.networks.mobilenet import InvertedResidual, build_mobilenetv2

# As in torchvision's mobilenet_v2, for 1000 classes.
NAMES = {
    "features.0.0.weight": (32, 3, 3, 3),
    "features.0.1.running_mean": (32,),
    "features.1.conv.0.0.weight": (32, 1, 3, 3),
    "features.1.conv.0.1.bias": (32,),
    "features.1.conv.1.weight": (16, 32, 1, 1),
    "features.1.conv.2.running_var": (16,),
    "features.2.conv.0.0.weight": (96, 16, 1, 1),
    "features.2.conv.0.1.weight": (96,),
    "features.2.conv.1.0.weight": (96, 1, 3, 3),
    "features.2.conv.1.1.num_batches_tracked": (),
    "features.2.conv.2.weight": (24, 96, 1, 1),
    "features.2.conv.3.bias": (24,),
    "features.4.conv.2.weight": (32, 144, 1, 1),
    "features.7.conv.2.weight": (64, 192, 1, 1),
    "features.11.conv.2.weight": (96, 384, 1, 1),
    "features.14.conv.2.weight": (160, 576, 1, 1),
    "features.17.conv.1.0.weight": (960, 1, 3, 3),
    "features.17.conv.3.weight": (320,),
    "features.18.0.weight": (1280, 320, 1, 1),
    "features.18.1.bias": (1280,),
    "classifier.1.weight": (1000, 1280),
    "classifier.1.bias": (1000,),
}


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    with torch.device("meta"):
        return build_mobilenetv2()


def test_it_has_the_published_parameters_and_work(network: nn.Sequential) -> None:
    cost = measured_cost(network, (3, 224, 224))
    assert cost.parameters == 3_504_872
    assert round(cost.macs / 1e6) == 301


def test_names_and_shapes_are_torchvisions(network: nn.Sequential) -> None:
    state = network.state_dict()
    # 52 convolutions and as many normalisations, and the classifier.
    assert len(state) == 52 * (1 + 5) + 2
    assert {name: tuple(state[name].shape) for name in NAMES} == NAMES


def test_sides_are_halved_five_times(network: nn.Sequential) -> None:
    images = torch.empty(1, 3, 224, 224, device="meta")
    assert network.get_submodule("features")(images).shape == (1, 1280, 7, 7)


def test_a_block_adds_its_input_only_where_shapes_are_the_same(network: nn.Sequential) -> None:
    blocks = [one for one in network.modules() if isinstance(one, InvertedResidual)]
    adds = [place for place, one in enumerate(blocks, start=1) if one.adds]
    assert adds == [3, 5, 6, 8, 9, 10, 12, 13, 15, 16]
    block = InvertedResidual(4, 4, widening=6, stride=1).eval()
    maps = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    nn.init.zeros_(block.get_parameter("conv.3.weight"))
    assert torch.equal(block(maps), maps)
