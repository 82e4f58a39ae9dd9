"""Tied tensors by definition: zeros stay zero, shared values learn by summed gradients."""

import pytest
import torch
from torch import Tensor, nn

from evoconv.compression.tensors import Bits
from evoconv.compression.tied import Coupled


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(8, 4)


def tied(layer: nn.Module, most: int = 5, bits: Bits = 32, *, reassigns: bool = False) -> Coupled:
    return Coupled(layer, ["weight"], most, bits, reassigns=reassigns)


def values_of(tensor: Tensor) -> list[float]:
    return sorted(set(tensor.flatten().tolist()))


def different(values: Tensor) -> int:
    return len(values_of(values))


def test_a_new_tie_changes_nothing(layer: nn.Linear) -> None:
    before = layer.weight.detach().clone()
    own = tied(layer)
    assert torch.equal(layer.weight, before)
    own.end()
    assert torch.equal(layer.weight, before)
    assert isinstance(layer.weight, nn.Parameter)
    assert set(dict(layer.named_parameters())) == {"weight", "bias"}, "no codebook is left"


def test_what_is_not_kept_is_zero_and_learns_on(layer: nn.Linear) -> None:
    own = tied(layer)
    kept = (torch.rand(4, 8) < 0.5).float()
    own.keep("weight", kept)
    assert torch.equal(layer.weight != 0, kept.bool())
    layer(torch.randn(3, 8)).square().sum().backward()
    gradient = own.free("weight").grad
    assert gradient is not None
    assert gradient.all()
    own.share()
    assert torch.equal(layer.weight != 0, kept.bool())
    own.free("weight").grad = None
    layer(torch.randn(3, 8)).square().sum().backward()
    assert own.free("weight").grad is None, "zeros stay"


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("pruned", [False, True])
def test_shared_weights_have_as_many_values_as_asked_for(
    layer: nn.Linear, bits: Bits, pruned: bool
) -> None:
    own = tied(layer, 5, bits)
    if pruned:
        own.keep("weight", (torch.arange(32).reshape(4, 8) % 3 > 0).float())
    own.share()
    assert own.is_shared
    assert different(layer.weight) == 5
    assert bool((layer.weight == 0).any()) == pruned


def test_a_shared_value_learns_by_the_sum_of_its_gradients(layer: nn.Linear) -> None:
    own = tied(layer, 3)
    own.share()
    before = layer.weight.detach().clone()
    inputs, wanted = torch.randn(6, 8), torch.randn(6, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    bias = layer.bias.detach().clone()
    (layer(inputs) - wanted).square().sum().backward()
    optimizer.step()
    plain = nn.Linear(8, 4)
    plain.load_state_dict({"weight": before, "bias": bias})
    (plain(inputs) - wanted).square().sum().backward()
    assert plain.weight.grad is not None
    for value in values_of(before):
        chosen = before == value
        expected = value - 0.01 * plain.weight.grad[chosen].sum()
        assert torch.allclose(layer.weight[chosen], expected, atol=1e-5)


def test_a_value_is_rounded_and_learns_all_the_same(layer: nn.Linear) -> None:
    own = tied(layer, 3, 8)
    own.share()
    before = layer.weight.detach().clone()
    assert torch.equal(before, before.to(torch.float8_e4m3fn).float())
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-4)
    for _ in range(200):
        optimizer.zero_grad()
        layer.weight.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    # Each value goes down by its number of weights in each step, which is finer than its bits.
    assert (layer.weight < before).all()
    assert torch.equal(layer.weight, layer.weight.to(torch.float8_e4m3fn).float())


def test_reassigned_weights_go_to_the_nearest_value(layer: nn.Linear) -> None:
    own = tied(layer, 3, reassigns=True)
    own.share()
    free = own.free("weight")
    shared = values_of(layer.weight)
    with torch.no_grad():
        free[0, 0] = shared[2] if layer.weight[0, 0] != shared[2] else shared[0]
    wanted = free[0, 0].item()
    own.reassign()
    assert layer.weight[0, 0].item() == wanted
    layer(torch.randn(3, 8)).square().sum().backward()
    assert free.grad is not None
    assert different(free.grad) > 3, "each free value learns by its own gradient"


def test_who_may_not_go_over_stays(layer: nn.Linear) -> None:
    own = tied(layer, 3)
    own.share()
    before = layer.weight.detach().clone()
    with torch.no_grad():
        own.free("weight").neg_()
    own.reassign()
    assert torch.equal(layer.weight, before)


def test_a_layer_of_which_nothing_is_kept_is_zero(layer: nn.Linear) -> None:
    own = tied(layer, 4, 16)
    own.keep("weight", torch.zeros(4, 8))
    own.share()
    assert own.is_shared
    assert not layer.weight.any()
    own.end()
    assert not layer.weight.any()


def test_coupled_tensors_have_one_codebook_and_come_apart() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 5))
    names = ("0.weight", "2.weight")
    own = Coupled(net, names, 4, 16)
    own.keep("0.weight", torch.zeros(3, 2, 3, 3))
    own.share()

    def values() -> Tensor:
        return torch.cat([getattr(net[place], "weight").flatten() for place in (0, 2)])  # noqa: B009

    assert different(values()) == 4
    assert not values()[: 3 * 2 * 9].any()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    net(torch.randn(7, 2, 4, 4)).square().sum().backward()
    optimizer.step()
    assert different(values()) == 4
    before = values().detach().clone()
    own.end()
    assert torch.equal(values(), before)
    assert [name for name, _ in net.named_parameters()] == [
        *("0.bias", "0.weight", "2.bias", "2.weight")
    ]
