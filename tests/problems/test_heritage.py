"""A child gets what there is of its parents' weights, and is trained without the rest."""

from pathlib import Path

import pytest
import torch
from torch import nn

from evoconv.artifacts import WeightFiles
from evoconv.genomes.layers import Convolution, Dense, Pooling
from evoconv.genomes.topology import Topology
from evoconv.networks.weights import weights_to_bytes
from evoconv.problems.heritage import Heritage, Parent, inherit_weights
from evoconv.problems.subject import Subject
from evoconv.training.options import Recipe

SHAPE, NUM_CLASSES = (1, 8, 8), 3
IMAGES = torch.randn(16, *SHAPE, generator=torch.Generator().manual_seed(1))


def topology(filters: int) -> Topology:
    return Topology(
        features=(
            Convolution(filters=filters, kernel=(3, 3), normalisation="batch"),
            Pooling(size=(2, 2)),
            Convolution(filters=6, kernel=(3, 3), normalisation="batch"),
        ),
        classifier=(Dense(units=7),),
    )


def network_of(genome: Topology, seed: int) -> nn.Module:
    return Subject(architecture=genome).new_network(SHAPE, NUM_CLASSES, Recipe(), seed)


@pytest.fixture
def weights(tmp_path: Path) -> WeightFiles:
    """The weights of parents 0 and 1."""
    files = WeightFiles(tmp_path / "weights")
    for number, filters in ((0, 4), (1, 5)):
        files.write(number, weights_to_bytes(network_of(topology(filters), number)))
    return files


PARENTS = (Parent(number=0, architecture=topology(4)), Parent(number=1, architecture=topology(5)))


def inherited(
    network: nn.Module, genome: Topology, weights: WeightFiles, parents: tuple[Parent, ...]
) -> Heritage:
    generator = torch.Generator().manual_seed(3)
    return inherit_weights(genome, network, parents, weights, SHAPE, NUM_CLASSES, generator, IMAGES)


def test_a_wider_child_begins_with_its_parents_function(weights: WeightFiles) -> None:
    child = network_of(topology(6), 9)
    found = inherited(child, topology(6), weights, PARENTS[:1])
    parent = network_of(topology(4), 0)
    assert torch.allclose(child.eval()(IMAGES), parent.eval()(IMAGES), atol=1e-5)
    assert found.share > 0.9
    assert found.remarks[0].startswith("layers inherited from 0: ")
    assert found.remarks[0].endswith("it computes what a parent did")


def test_a_missing_parent_is_left_out_and_remarked(weights: WeightFiles) -> None:
    path = weights.path(0)
    assert path is not None
    path.unlink()
    found = inherited(network_of(topology(5), 9), topology(5), weights, PARENTS)
    assert found.remarks[0] == (
        "nothing inherited from parent 0: the weights of trial 0 are missing"
    )
    assert found.remarks[1].startswith("layers inherited from 1: ")
    assert found.share == 1
    assert set(found.unchanged) >= {"features.0", "features.2", "classifier.0", "output"}


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_child_of_damaged_parents_starts_from_scratch(
    damage: bytes | None, weights: WeightFiles
) -> None:
    path = weights.path(0)
    assert path is not None
    # One byte in the middle, or another content under the name that holds the checksum.
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content if damage is None else damage)
    child = network_of(topology(5), 9)
    before = [one.clone() for one in child.state_dict().values()]
    found = inherited(child, topology(5), weights, PARENTS[:1])
    assert found.share == 0
    assert not found.unchanged
    assert "is damaged" in found.remarks[0]
    assert found.remarks[-1] == "trained from scratch"
    assert all(map(torch.equal, before, child.state_dict().values()))


def test_weights_of_another_network_are_refused_whatever_their_checksum(
    weights: WeightFiles,
) -> None:
    weights.write(0, weights_to_bytes(network_of(topology(9), 0)))
    found = inherited(network_of(topology(5), 9), topology(5), weights, PARENTS[:1])
    assert found.share == 0
    assert found.remarks[-1] == "trained from scratch"
