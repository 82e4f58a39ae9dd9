"""The problem of transfer: what is taken over from a backbone, what is held, what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evoconv.errors import ConfigError
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.constraints import Limits
from evoconv.genomes.vector import Vector
from evoconv.networks.densenet import LAYOUTS, build_densenet, initialise_densenet
from evoconv.networks.pretrained import with_channels
from evoconv.networks.weights import read_tensors, tensors_to_bytes
from evoconv.problems.transfer import TransferProblem
from evoconv.problems.transfer_options import TransferOptions
from evoconv.training.features import named_layers
from evoconv.training.freezing import leading_frozen
from evoconv.training.options import Recipe

SHAPE, NUM_CLASSES = (1, 16, 16), 3


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a whole densenet-small for grey images, with statistics that are no identity."""
    network = build_densenet(LAYOUTS["densenet-small"], SHAPE[0], 7)
    initialise_densenet(network, "he-normal", torch.Generator().manual_seed(3))
    with torch.no_grad():
        network(torch.randn(32, *SHAPE, generator=torch.Generator().manual_seed(4)))
    tensors = {
        name: one
        for name, one in network.state_dict().items()
        if not name.startswith("classifier") and "num_batches" not in name
    }
    file = tmp_path_factory.mktemp("weights") / "pretrained.safetensors"
    file.write_bytes(tensors_to_bytes(tensors))
    return file


def problem(pretrained: Path | None, **changes: Any) -> TransferProblem:
    return TransferProblem(
        backbone="densenet-small",
        pretrained=pretrained,
        options=TransferOptions(**changes),
        input_shape=SHAPE,
        num_classes=NUM_CLASSES,
        limits=Limits(),
    )


def test_ranges_come_from_the_backbone(pretrained: Path) -> None:
    included, frozen, rate, dropout = problem(pretrained).space.cells
    assert (included.low, included.high, frozen.low, frozen.high) == (1, 18, 0, 18)
    assert (rate.low, rate.high, dropout.low, dropout.high) == (1e-6, 0.1, 0.1, 0.9)
    large = replace(problem(pretrained), backbone="densenet121", input_shape=(3, 64, 64))
    included, frozen, _, _ = large.space.cells
    assert (included.high, frozen.high) == (58, 18)


def test_a_search_begins_with_what_people_do_without_one(pretrained: Path) -> None:
    as_published = problem(pretrained, rate_in_full=1.0).space.seeds
    assert [one.values for one in as_published] == [(18, 0, 0.001, 0.1), (18, 18, 0.01, 0.1)]
    seeds = problem(pretrained, rate_in_full=0.25).space.seeds  # for short trainings
    assert [one.values for one in seeds] == [(18, 0, 0.004, 0.1), (18, 18, 0.04, 0.1)]
    assert problem(pretrained, usual_plans=False).space.seeds == ()
    assert problem(None).space.seeds == (), "a backbone is trained, nothing is reused"

    narrow = problem(
        pretrained, included_range=(2, 18), frozen_range=(2, 2), rate_range=(1e-4, 1e-4)
    )
    assert [one.values for one in narrow.space.seeds] == [(18, 2, 1e-4, 0.1)]
    given = replace(problem(pretrained), seeds=(Vector((7, 3, 0.01, 0.5)),))
    assert [one.values[0] for one in given.space.seeds] == [7, 18, 18]
    costs = given.space.cost(given.space.seeds[0])
    large = replace(problem(pretrained), backbone="densenet121", input_shape=(3, 64, 64))
    seeds = large.space.seeds
    assert [one.values for one in seeds] == [(58, 0, 0.001, 0.1), (58, 18, 0.001, 0.1)]
    limited = replace(problem(pretrained), limits=Limits(max_macs=costs.macs))
    assert limited.space.seeds == (), "no limit is broken for their sake"


def test_images_decide_how_many_layers_there_can_be(pretrained: Path) -> None:
    small = replace(problem(pretrained), backbone="densenet121", input_shape=(1, 16, 16))
    with pytest.raises(ConfigError, match=r"16×16 images are too small .*-range 1,42"):
        small.space  # noqa: B018
    # 16 pixels are halved four times before the last block, and not once more.
    fewer = replace(small, options=TransferOptions(included_range=(1, 42)))
    assert fewer.space.cells[0].high == 42
    with pytest.raises(ConfigError, match="--included-range ends at 58: densenet121 has 42 layers"):
        replace(small, options=TransferOptions(included_range=(1, 58))).space  # noqa: B018


def test_a_plan_takes_over_all_but_the_head(pretrained: Path) -> None:
    subject = problem(pretrained).subject(Vector((10, 4, 0.02, 0.5)))
    assert subject.architecture == BackboneCut(
        backbone="densenet-small", included=10, excited_from=4, dropout=0.5
    )
    network = subject.new_network(SHAPE, NUM_CLASSES, Recipe(), seed=0)
    full = problem(pretrained).baseline().new_network(SHAPE, NUM_CLASSES, Recipe(), seed=1)
    seen: list[torch.Tensor] = []
    last = "features.denseblock2.denselayer4"
    images = torch.randn(5, *SHAPE)
    with torch.no_grad():
        for one in (network.eval(), full.eval()):
            one.get_submodule(last).register_forward_hook(lambda *parts: seen.append(parts[2]))
            one(images)
    assert torch.equal(seen[0], seen[1])
    # A norm in the middle is no end: statistics of the whole network's last one don't belong here.
    mean = network.get_submodule("features.norm5").get_buffer("running_mean")
    assert not mean.any()


def test_kernels_learned_in_colours_are_adapted_to_the_images(
    pretrained: Path, tmp_path: Path
) -> None:
    tensors = read_tensors(pretrained.read_bytes())
    name = "features.conv0.weight"
    colours = torch.randn(24, 3, 3, 3, generator=torch.Generator().manual_seed(6))
    file = tmp_path / "pretrained.safetensors"
    file.write_bytes(tensors_to_bytes({**tensors, name: colours}))
    for channels in (1, 3):
        subject = problem(file).subject(Vector((10, 4, 0.02, 0.5)))
        network = subject.new_network((channels, 16, 16), NUM_CLASSES, Recipe(), seed=0)
        expected = with_channels(colours, channels)
        assert torch.equal(network.state_dict()[name], expected)
    assert torch.equal(expected, colours), "in colours they are what was learned"


def test_what_is_held_is_all_before_a_layer_and_its_rate_is_the_plans(pretrained: Path) -> None:
    subject = problem(pretrained).subject(Vector((10, 7, 0.02, 0.5)))
    network = subject.new_network(SHAPE, NUM_CLASSES, Recipe(), seed=0)
    names = [name for name, _ in named_layers(network)]
    assert leading_frozen(network, subject.held) == names.index("features.denseblock2.denselayer2")
    assert len(subject.held) == leading_frozen(network, subject.held)
    recipe = subject.recipe(Recipe())
    assert (recipe.learning_rate, recipe.freeze_share) == (0.02, 1.0)
    free = problem(pretrained).subject(Vector((10, 0, 0.02, 0.5)))
    assert free.held == ()
    assert free.recipe(Recipe()).freeze_share == 0.0


def test_a_full_training_has_a_share_of_the_plans_rate(pretrained: Path) -> None:
    genome = Vector((18, 0, 0.01, 0.5))
    for changes, rate in (({}, 0.01), ({"rate_in_full": 0.25}, 0.0025)):
        subject = problem(pretrained, **changes).subject(genome)
        assert subject.learning_rate == 0.01
        assert subject.in_full() == replace(subject, learning_rate=rate)
    assert problem(None).subject(genome).in_full().learning_rate is None


def test_excitations_are_in_what_learns_or_nowhere(pretrained: Path) -> None:
    for switch, frozen, expected in ((True, 3, 3), (True, 5, None), (False, 3, None)):
        one = problem(pretrained, squeeze_excitation=switch)
        cut = one.subject(Vector((5, frozen, 0.02, 0.5))).architecture
        assert isinstance(cut, BackboneCut)
        assert cut.excited_from == expected


def test_the_baseline_is_what_people_do_without_a_search(pretrained: Path) -> None:
    one = problem(pretrained)
    subject = one.baseline()
    assert subject.architecture == BackboneCut(backbone="densenet-small", included=18)
    assert (subject.held, subject.learning_rate) == ((), 1e-3)
    assert one.baseline_cost().parameters == sum(
        p.numel() for p in subject.new_network(SHAPE, NUM_CLASSES, Recipe(), 0).parameters()
    )


def test_costs_are_those_of_the_plans_network(pretrained: Path) -> None:
    one, rng = problem(pretrained), np.random.default_rng(5)
    for _ in range(5):
        genome = one.space.sample(rng)
        network = one.subject(genome).new_network(SHAPE, NUM_CLASSES, Recipe(), 0)
        assert one.cost(genome).parameters == sum(p.numel() for p in network.parameters())
    assert one.least_macs() == one.cost(Vector((1, 1, 0.1, 0.1))).macs


def test_without_weights_the_whole_backbone_is_trained() -> None:
    space = problem(None, rate_range=(0.01, 0.01), dropout_range=(0.0, 0.0)).space
    assert space.sample(np.random.default_rng(0)).values == (18, 0, 0.01, 0.0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"included_range": (1, 19)}, "--included-range ends at 19: densenet-small has 18 layers"),
        ({"frozen_range": (0, 30)}, "--frozen-range ends at 30"),
        ({"frozen_range": (4, 6)}, "--frozen-range begins at 4, but a network may have 1 layers"),
    ],
)
def test_a_range_that_the_backbone_has_not_is_refused(
    options: dict[str, Any], sentence: str, pretrained: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        problem(pretrained, **options).space  # noqa: B018


@pytest.mark.parametrize("ends", [(3, 2), (1, 2, 3), (5,)])
def test_a_range_upside_down_is_refused(ends: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="included_range must be two numbers, the lower one fir"):
        TransferOptions(included_range=ends)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ConfigError, match="no backbone is called resnet; there are densenet121, "):
        replace(problem(None), backbone="resnet")
