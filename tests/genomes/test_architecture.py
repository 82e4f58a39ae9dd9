"""What networks are built from, as text: it survives, and nothing from outside is trusted."""

import json

import pytest

from evoconv.errors import ConfigError
from evoconv.genomes.architecture import read_architecture, read_genome
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.layers import Convolution
from evoconv.genomes.topology import Topology
from evoconv.genomes.vector import Vector

CUT = BackboneCut(backbone="densenet-small", included=7, excited_from=2, dropout=0.25)
TOPOLOGY = Topology(features=(Convolution(filters=3, kernel=(3, 3)),))


@pytest.mark.parametrize("one", [CUT, TOPOLOGY, BackboneCut(backbone="densenet121", included=58)])
def test_architectures_survive_their_text(one: BackboneCut | Topology) -> None:
    assert read_architecture(one.to_json()) == one


@pytest.mark.parametrize("one", [Vector((3, 1, 0.1, 0.5)), TOPOLOGY])
def test_genomes_survive_their_text(one: Vector | Topology) -> None:
    assert read_genome(one.to_json()) == one


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"included": 0}, "included must be a whole number of at least 1, got 0"),
        ({"included": True}, "included must be a whole number"),
        ({"included": 10**9}, "included must be a whole number"),
        ({"excited_from": -1}, "excited_from must be a whole number of at least 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"dropout": "much"}, "dropout must be"),
        ({"backbone": "../../etc; rm -rf"}, "a backbone's name must be a word"),
        ({"backbone": ["densenet121"]}, "a backbone's name must be a word"),
        ({"surplus": 1}, "unknown or missing fields"),
    ],
)
def test_a_cut_that_is_none_is_refused(change: dict[str, object], sentence: str) -> None:
    content = json.loads(CUT.to_json()) | change
    with pytest.raises(ConfigError, match=sentence):
        read_architecture(json.dumps(content))
