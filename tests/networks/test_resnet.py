"""ResNet-20: counts as published, shortcuts without parameters."""

import pytest
import torch
from torch import nn

from evoconv.networks.measured_cost import measured_cost
from evoconv.networks.resnet import BasicBlock, PaddedShortcut, build_resnet20

# As in Idelbayev's resnet20.
NAMES = {
    "conv1.weight": (16, 3, 3, 3),
    "bn1.running_var": (16,),
    "layer1.0.conv1.weight": (16, 16, 3, 3),
    "layer1.2.bn2.bias": (16,),
    "layer2.0.conv1.weight": (32, 16, 3, 3),
    "layer2.0.conv2.weight": (32, 32, 3, 3),
    "layer3.0.bn1.weight": (64,),
    "layer3.2.conv2.weight": (64, 64, 3, 3),
    "linear.weight": (10, 64),
    "linear.bias": (10,),
}


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    with torch.device("meta"):
        return build_resnet20()


def test_it_has_the_published_parameters_and_work(network: nn.Sequential) -> None:
    cost = measured_cost(network, (3, 32, 32))
    assert cost.parameters == 269_722
    # Of the first convolution, the three groups and the classifier.
    assert cost.macs == 442_368 + 14_155_776 + 2 * 12_976_128 + 640


def test_twenty_layers_learn_and_no_shortcut_does(network: nn.Sequential) -> None:
    state = network.state_dict()
    assert sum(isinstance(one, nn.Conv2d | nn.Linear) for one in network.modules()) == 20
    assert len(state) == 19 * (1 + 5) + 2
    assert {name: tuple(state[name].shape) for name in NAMES} == NAMES
    biases = [name for name in state if name.endswith("bias") and "bn" not in name]
    assert biases == ["linear.bias"]


def test_sides_are_halved_twice(network: nn.Sequential) -> None:
    images = torch.empty(1, 3, 32, 32, device="meta")
    made = [layer(images).shape for layer in (network[:4], network[:5], network[:6])]
    assert made == [(1, 16, 32, 32), (1, 32, 16, 16), (1, 64, 8, 8)]


@pytest.mark.parametrize("side", [1, 5, 6])
def test_a_shortcut_takes_every_second_pixel_between_maps_of_zeros(side: int) -> None:
    maps = torch.arange(2 * 2 * side * side, dtype=torch.float32).reshape(2, 2, side, side) + 1
    made = PaddedShortcut(2, 5, stride=2)(maps)
    assert torch.equal(made[:, 1:3], maps[:, :, 0::2, 0::2])
    assert not made[:, [0, 3, 4]].any()


def test_a_block_that_learned_nothing_is_its_shortcut() -> None:
    maps = torch.rand(2, 4, 7, 7, generator=torch.Generator().manual_seed(1))
    for block in (BasicBlock(4, 4, 1).eval(), BasicBlock(4, 8, 2).eval()):
        nn.init.zeros_(block.bn2.weight)
        assert torch.equal(block(maps), block.shortcut(maps))
