"""Genomes from a person's file: read, checked, measured first."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evoconv.configure import configure
from evoconv.errors import ConfigError
from evoconv.genomes.constraints import Limits
from evoconv.genomes.layers import Convolution, Dense, Pooling
from evoconv.genomes.seed_list import MAX_BYTES, read_seeds
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.topology import Topology

SMALL = Topology(features=(Convolution(filters=4, kernel=(3, 3)),), reduction="global-average")
LARGE = replace(SMALL, classifier=(Dense(units=500),))


def space_of(*seeds: Topology, max_parameters: int | None = None) -> TopologySpace:
    options = configure("digits", {}, seed=0).space
    texts = tuple(one.to_json() for one in seeds)
    return TopologySpace(
        replace(options, seeds=texts), (1, 8, 8), 10, Limits(max_parameters=max_parameters)
    )


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_a_list_one_genome_and_a_result_are_read(tmp_path: Path) -> None:
    small, large = (json.loads(one.to_json()) for one in (SMALL, LARGE))
    for content, wanted in (
        ([small, large], (SMALL, LARGE)),
        (small, (SMALL,)),
        ({"trial": 3, "genome": large}, (LARGE,)),
        ([{"features": [{"layer": "convolution", "filters": 4, "kernel": [3, 3]}]}], None),
    ):
        texts = read_seeds(write(tmp_path / "seeds.json", content))
        if wanted is not None:
            assert texts == tuple(one.to_json() for one in wanted)
        assert all(Topology.from_json(text).to_json() == text for text in texts)


def test_they_are_stored_with_the_configuration(tmp_path: Path) -> None:
    path = write(tmp_path / "seeds.json", [json.loads(SMALL.to_json())])
    assert configure("digits", {"seeds": str(path)}, seed=0).space.seeds == (SMALL.to_json(),)
    assert configure("digits", {"seeds": path}, seed=0).space.seeds == (SMALL.to_json(),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[]", "names no genome"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[3]", "genome 1: a genome must be a JSON object with 'features'"),
        (b'[{"features": [{"layer": "pool"}]}]', "genome 1: features.0: layer must be one of"),
        (b'[{"features": []}]', "genome 1 has no convolution"),
        (b'[{"features": [{"layer": "pooling", "size": [2, 2]}]}]', "genome 1 has no convolution"),
        (b" " * (MAX_BYTES + 1), "has more than 10,000,000 bytes"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "seeds.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        configure("digits", {"seeds": str(path)}, seed=0)
    assert str(caught.value).startswith("--seeds: ")
    assert said in str(caught.value)


def test_python_gives_a_list_of_topologies_objects_or_their_json() -> None:
    text = SMALL.to_json()
    for seeds in ([SMALL], [json.loads(text)], (text,)):
        assert configure("digits", {"seeds": seeds}, seed=0).space.seeds == (text,)
    for wrong, said in (
        ([], "--seeds: the list names no genome"),
        ([SMALL, 3], "--seeds: the list, genome 2: a genome must be a JSON object"),
        (["nonsense"], "--seeds: the list, genome 1: "),
    ):
        with pytest.raises(ConfigError, match=said):
            configure("digits", {"seeds": wrong}, seed=0)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--seeds: .*no\.json can't be read: No such file"):
        configure("digits", {"seeds": str(tmp_path / "no.json")}, seed=0)


def test_seeds_must_keep_the_limits_and_fit_the_images() -> None:
    space_of(SMALL, LARGE).check_seeds()
    with pytest.raises(ConfigError, match=r"--seeds, genome 2: --max-parameters 1,000: the netw"):
        space_of(SMALL, LARGE, max_parameters=1000).check_seeds()
    huge = replace(SMALL, features=(*SMALL.features, Pooling(size=(99, 99))))
    with pytest.raises(ConfigError, match=r"--seeds, genome 1: features.1 .* doesn't fit"):
        space_of(huge).check_seeds()


def test_seeds_have_no_more_layers_than_the_space() -> None:
    deep = replace(SMALL, features=SMALL.features * 11)
    with pytest.raises(
        ConfigError, match="--seeds, genome 2: it has 11 feature layers, and --max-features is 10"
    ):
        space_of(SMALL, deep).check_seeds()
    long = replace(LARGE, classifier=LARGE.classifier * 5)
    with pytest.raises(
        ConfigError, match="it has 5 hidden dense layers, and --max-classifier is 4"
    ):
        space_of(long).check_seeds()


def test_seeds_must_keep_the_rules() -> None:
    space = space_of(Topology(features=(Pooling(size=(2, 2)), *SMALL.features)))
    with_rule = replace(space, options=replace(space.options, rules=("convolution-first",)))
    with pytest.raises(ConfigError, match="--seeds, genome 1: it breaks a rule"):
        with_rule.check_seeds()
