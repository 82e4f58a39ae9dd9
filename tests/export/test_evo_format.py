"""The format stays what it is, and its page says enough for other programs."""

import json
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import evoconv
from evoconv.compression.tensor_stream import write_tensors
from evoconv.export.evo_file import MOST_BYTES, MOST_WEIGHTS, read_evo, tensor_shapes
from evoconv.export.model_file import ModelDescription
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.reference import REFERENCES
from evoconv.networks import moderation
from evoconv.networks.backbone import BACKBONES
from evoconv.networks.moderation import MOST_TENSORS, MOST_VALUES
from evoconv.networks.traced import traced
from tests.export.evo_decoder import dictionary_of, read
from tests.export.evo_shapes import shapes_of
from tests.export.test_evo_file import described
from tests.genomes.strategies import topologies
from tests.golden.evo import PATH, golden_network

PACKAGE = Path(evoconv.__file__).parent
PAGE = (Path(__file__).parents[2] / "docs" / "evo-format.md").read_text("utf-8")
# SHA-256 of all values of the golden file, as little-endian float32, one tensor after the other.
VALUES = "f7af1f4d61580d2d2d590c832858766e517e21bc1e376886347305ab305c6159"
# Of the file, and of the preset dictionary.
FILE = "519166d06ddd77604723bd923acafc5bddc90f576009a79e9111f3473d038a41"
DICTIONARY = "5d5b835e5e0e710e6e12a44f8173ae9c16eeddf67a460b5895de619c7e5a6305"


def require_same_shapes(description: ModelDescription) -> None:
    content = json.loads(json.dumps(description.to_dict()))
    assert shapes_of(content) == list(tensor_shapes(description).values())


@given(st.data())
def test_shapes_of_topologies_follow_from_the_page(data: st.DataObject) -> None:
    channels, height, width = data.draw(
        st.tuples(st.sampled_from([1, 3]), st.integers(1, 17), st.integers(1, 17))
    )
    shape = (channels, height, width)
    require_same_shapes(described(data.draw(topologies(shape)), shape))


@pytest.mark.parametrize("name", REFERENCES)
def test_shapes_of_known_networks_follow_from_the_page(name: str) -> None:
    require_same_shapes(described(REFERENCES[name].topology, REFERENCES[name].input_shape))


def test_what_is_left_out_of_a_topology_is_as_the_page_says() -> None:
    features = [
        {"layer": "convolution", "filters": 3, "kernel": [3, 2]},
        {"layer": "pooling", "size": [2, 3]},
        {"layer": "residual", "filters": 4, "kernel": [1, 1]},
    ]
    bare = {"features": features, "classifier": [{"layer": "dense", "units": 5}]}
    for genome in (bare, {"features": features}):
        whole = type(REFERENCES["lenet5"].topology).from_json(json.dumps(genome))
        content = {**described(whole, (1, 9, 9)).to_dict(), "genome": genome}
        assert shapes_of(content) == list(tensor_shapes(described(whole, (1, 9, 9))).values())


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_of_backbones_follow_from_the_page(name: str, channels: int) -> None:
    most = BACKBONES[name].num_layers
    for included in {1, most // 2, most}:
        for excited_from in (None, 0, included - 1):
            cut = BackboneCut(backbone=name, included=included, excited_from=excited_from)
            require_same_shapes(described(cut, (channels, 64, 64)))


def test_shapes_of_graphs_follow_from_the_page() -> None:
    network = nn.Sequential(
        *(nn.Conv2d(3, 6, (3, 2), groups=3, bias=False), nn.BatchNorm2d(6), nn.PReLU(6)),
        *(nn.Conv2d(6, 4, 3), nn.GroupNorm(2, 4), nn.GroupNorm(2, 4, affine=False), nn.PReLU()),
        *(nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4, track_running_stats=False)),
        *(
            nn.LocalResponseNorm(1),
            nn.Flatten(),
            nn.Linear(80, 6, bias=False),
            nn.BatchNorm1d(6),
            nn.LayerNorm(6),
        ),
        *(nn.LayerNorm((6,), bias=False), nn.LayerNorm(6, elementwise_affine=False)),
        *(nn.Tanh(), nn.Linear(6, 10)),
    )
    graph, _ = traced(network.eval(), (3, 8, 8), 10)
    require_same_shapes(described(graph, (3, 8, 8)))


def test_a_file_of_this_version_is_read_as_ever() -> None:
    description, tensors = golden_network()
    found, theirs = read_evo(PATH)
    assert found == description
    values = [one.values.astype("<f4") for one in theirs.values()]
    assert sha256(b"".join(one.tobytes() for one in values)).hexdigest() == VALUES
    for name, one in tensors.items():
        np.testing.assert_array_equal(theirs[name].values, one.values)
    _, flat = read(PATH.read_bytes(), dictionary_of(PACKAGE))
    assert flat == [one.reshape(-1).tolist() for one in values]


def test_a_file_is_written_as_ever() -> None:
    _, tensors = golden_network()
    # What comes before depends on the zlib that is installed.
    assert PATH.read_bytes().endswith(write_tensors(list(tensors.values())))
    assert sha256(PATH.read_bytes()).hexdigest() == FILE


def test_the_page_pins_the_dictionary() -> None:
    dictionary = dictionary_of(PACKAGE)
    assert sha256(dictionary).hexdigest() == DICTIONARY
    assert f"{len(dictionary):,} bytes with the SHA-256\n`{DICTIONARY}`" in PAGE


def test_the_page_has_the_limits() -> None:
    for limit in (MOST_BYTES, MOST_WEIGHTS, MOST_TENSORS, moderation.MOST_WEIGHTS, MOST_VALUES):
        assert re.search(rf"\b{limit:,}\b", PAGE), f"{limit:,}"
    assert f"{24 * MOST_WEIGHTS / 1e9 + 0.3:.1f} GB in all" in PAGE
