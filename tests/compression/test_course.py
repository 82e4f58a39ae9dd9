"""The way to shared weights: pruned by and by, then shared layer by layer, as the goals say."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evoconv.compression.course import Course, Goal

STEPS = 100
GOALS = (
    Goal(clusters=4, kept={"0.weight": 0.25}),
    Goal(clusters=3, kept={"2.weight": 1.0}),
)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4))


def course_of(net: nn.Module, goals: Sequence[Goal] = GOALS) -> Course:
    return Course(net, goals, num_steps=STEPS, bits=16)


def first(kept: float, clusters: int = 4) -> list[Goal]:
    return [Goal(clusters=clusters, kept={"0.weight": kept})]


def layer(net: nn.Sequential, place: int) -> nn.Linear:
    found = net[place]
    assert isinstance(found, nn.Linear)
    return found


def weight(net: nn.Sequential, place: int) -> Tensor:
    return layer(net, place).weight


def different(values: Tensor) -> int:
    return len(set(values.flatten().tolist()))


def share_kept(values: Tensor) -> float:
    return float((values != 0).float().mean())


def test_the_goals_are_reached_in_the_end() -> None:
    net = network()
    course = course_of(net)
    for _ in range(STEPS):
        course.before_step()
    course.end()
    assert share_kept(weight(net, 0)) == 0.25
    assert different(weight(net, 0)) == 4
    assert different(weight(net, 2)) == 3
    assert share_kept(weight(net, 2)) == 1.0
    assert isinstance(weight(net, 0), nn.Parameter), "no tie is left"


def test_goals_are_reached_by_a_training_that_was_cut_short() -> None:
    net = network()
    course = course_of(net)
    course.before_step()
    course.end()
    assert share_kept(weight(net, 0)) == 0.25
    assert different(weight(net, 2)) == 3


def test_weights_are_pruned_more_and_more_and_the_largest_are_kept() -> None:
    net = network()
    before = weight(net, 0).detach().abs().clone()
    course = course_of(net)
    shares = []
    for _ in range(STEPS // 2 + 8):
        course.before_step()
        shares.append(share_kept(weight(net, 0)))
    assert shares == sorted(shares, reverse=True)
    assert len(set(shares)) > 4
    kept = (weight(net, 0) != 0).flatten()
    assert before.flatten()[kept].min() >= before.flatten()[~kept].max()


def test_whole_outputs_are_pruned_where_their_weights_together_are_small() -> None:
    net = network()
    goals = first(0.25)
    course = Course(net, goals, num_steps=STEPS, bits=16, concentrates=True)
    for _ in range(STEPS):
        course.before_step()
    course.end()
    kept = weight(net, 0) != 0
    assert share_kept(weight(net, 0)) == 0.25
    alone = network()
    course_of(alone, goals).end()
    assert share_kept(weight(alone, 0)) == 0.25
    used = [int((one.any(1)).sum() + one.any(0).sum()) for one in (kept, weight(alone, 0) != 0)]
    assert used[0] < used[1] - 4, used


def test_weights_to_what_nothing_uses_are_pruned_first() -> None:
    net = network()
    with torch.no_grad():
        weight(net, 0)[3] *= 10
        weight(net, 2)[:, 3] = 0.0
    goals = first(0.5)
    course = Course(net, goals, num_steps=STEPS, bits=16, concentrates=True)
    for _ in range(STEPS):
        course.before_step()
        net.zero_grad()
        net(torch.randn(64, 16, generator=torch.Generator().manual_seed(1))).sum().backward()
    course.end()
    assert not weight(net, 0)[3].any()
    assert weight(net, 0).any(1).sum() > 6


def test_layers_are_shared_one_after_the_other_and_later_than_pruned() -> None:
    net = network()
    course = course_of(net)
    when: dict[str, int] = {}
    for step in range(STEPS):
        course.before_step()
        for name, place, count in (("first", 0, 4), ("second", 2, 3)):
            if different(weight(net, place)) == count:
                when.setdefault(name, step)
    assert STEPS // 2 <= when["first"] < when["second"] < STEPS


def test_an_heir_begins_with_the_zeros_of_its_parent() -> None:
    net = network()
    with torch.no_grad():
        weight(net, 0)[:, ::2] = 0.0
    course = course_of(net, first(0.5))
    course.before_step()
    assert not weight(net, 0)[:, ::2].any()
    course.end()
    assert not weight(net, 0)[:, ::2].any()


def test_who_may_keep_more_than_its_parent_begins_with_all() -> None:
    net = network()
    with torch.no_grad():
        weight(net, 0)[:, 1:] = 0.0
    course = course_of(net, first(0.5, clusters=200))
    course.before_step()
    net(torch.randn(5, 16)).sum().backward()
    gradient = net.get_parameter("0.parametrizations.weight.original").grad
    assert gradient is not None
    assert gradient[:, 1:].any(), "what was zero can learn"


def test_biases_are_shared_and_those_of_dead_outputs_are_zero() -> None:
    net = network()
    with torch.no_grad():
        weight(net, 0)[:6] = 0.0
    course = Course(
        net,
        first(0.4, clusters=8),
        biases=(["0.bias"], ["2.bias"]),
        bias_clusters=3,
        num_steps=STEPS,
        bits=16,
    )
    course.end()
    dead = ~weight(net, 0).any(1)
    assert dead[:6].all()
    bias = layer(net, 0).bias
    assert not bias[dead].any()
    assert different(bias) == 3
    assert different(layer(net, 2).bias) == 3
    assert layer(net, 2).bias.all(), "nothing is known of its outputs"


def test_coupled_layers_and_biases_are_shared_together() -> None:
    net = network()
    goals = [Goal(clusters=5, kept={"0.weight": 0.5, "2.weight": 1.0})]
    biases = (["0.bias", "2.bias"],)
    course = Course(net, goals, biases=biases, bias_clusters=3, num_steps=STEPS, bits=16)
    for _ in range(STEPS):
        course.before_step()
    assert different(together(net, "weight")) == 5
    assert share_kept(weight(net, 0)) == 0.5
    assert share_kept(weight(net, 2)) == 1.0
    assert different(together(net, "bias")) == 3
    course.end()
    assert different(together(net, "weight")) == 5


def together(net: nn.Sequential, name: str) -> Tensor:
    return torch.cat([getattr(layer(net, place), name).flatten() for place in (0, 2)])
