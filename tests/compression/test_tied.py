"""Tied tensors by definition: zeros stay zero, shared values learn by summed gradients."""

import pytest
import torch
from torch import Tensor, nn

from evoconv.compression.tied import free_values, tie, untie


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(8, 4)


def different(values: Tensor) -> int:
    return len(set(values.flatten().tolist()))


def test_a_new_tie_changes_nothing(layer: nn.Linear) -> None:
    before = layer.weight.detach().clone()
    tie(layer, "weight", 32)
    assert torch.equal(layer.weight, before)
    untie(layer, "weight")
    assert torch.equal(layer.weight, before)
    assert isinstance(layer.weight, nn.Parameter)


def test_what_is_not_kept_is_zero_and_learns_nothing(layer: nn.Linear) -> None:
    own = tie(layer, "weight", 32)
    kept = (torch.rand(4, 8) < 0.5).float()
    own.keep(kept)
    assert torch.equal(layer.weight != 0, kept.bool())
    layer(torch.randn(3, 8)).square().sum().backward()
    gradient = free_values(layer, "weight").grad
    assert gradient is not None
    assert torch.equal(gradient != 0, kept.bool())


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("pruned", [False, True])
def test_shared_weights_have_as_many_values_as_asked_for(
    layer: nn.Linear,
    bits: int,
    pruned: bool,
) -> None:
    own = tie(layer, "weight", bits)  # type: ignore[arg-type]
    if pruned:
        own.keep((torch.arange(32).reshape(4, 8) % 3 > 0).float())
    own.share(free_values(layer, "weight"), 5)
    assert different(layer.weight) == 5 + pruned
    assert bool((layer.weight == 0).any()) == pruned


def test_a_shared_value_moves_by_the_mean_of_its_gradients(layer: nn.Linear) -> None:
    own = tie(layer, "weight", 32)
    own.share(free_values(layer, "weight"), 3)
    before, places = layer.weight.detach().clone(), own.places.reshape(4, 8)
    inputs, wanted = torch.randn(6, 8), torch.randn(6, 4)
    optimizer = torch.optim.SGD([free_values(layer, "weight")], lr=0.1)
    (layer(inputs) - wanted).square().sum().backward()
    optimizer.step()
    plain = nn.Linear(8, 4)
    plain.load_state_dict({"weight": before, "bias": layer.bias.detach()})
    (plain(inputs) - wanted).square().sum().backward()
    assert plain.weight.grad is not None
    for place in range(3):
        chosen = places == place
        # Each of n free values gets 1/n of the sum; their mean moves by that.
        moved = -0.1 * plain.weight.grad[chosen].sum() / chosen.sum()
        expected = before[chosen][0] + moved
        assert torch.allclose(layer.weight[chosen], expected, atol=1e-5)


def test_reassigned_weights_go_to_the_nearest_value(layer: nn.Linear) -> None:
    own = tie(layer, "weight", 32, reassigns=True)
    free = free_values(layer, "weight")
    own.share(free, 3)
    shared = torch.tensor(sorted(set(layer.weight.flatten().tolist())))
    with torch.no_grad():
        free[0, 0] = shared[2] if layer.weight[0, 0] != shared[2] else shared[0]
    wanted = free[0, 0].item()
    own.reassign(free)
    assert layer.weight[0, 0].item() == pytest.approx(wanted, abs=0.1)
    layer(torch.randn(3, 8)).square().sum().backward()
    assert free.grad is not None
    assert different(free.grad) > 3, "each free value learns by its own gradient"


def test_a_layer_of_which_nothing_is_kept_is_zero(layer: nn.Linear) -> None:
    own = tie(layer, "weight", 16)
    own.keep(torch.zeros(4, 8))
    own.share(free_values(layer, "weight"), 4)
    assert not layer.weight.any()
    untie(layer, "weight")
    assert not layer.weight.any()
