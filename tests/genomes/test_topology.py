import json
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.genomes.genome_text import MAX_JSON_CHARACTERS
from evoconv.genomes.layers import (
    LAYER_KINDS,
    Convolution,
    Dense,
    FeatureLayer,
    Pooling,
    Residual,
)
from evoconv.genomes.topology import Topology
from tests.genomes.strategies import input_shapes, topologies

any_topology = input_shapes.flatmap(topologies)
LAYER = {"layer": "convolution", "filters": 8, "kernel": [3, 3]}


def with_features(*features: FeatureLayer) -> Topology:
    return Topology(features=features)


def text_of(**changes: Any) -> str:
    return json.dumps({"features": [LAYER | changes]})


@settings(max_examples=200)
@given(any_topology)
def test_json_round_trip_gives_an_equal_topology_with_equal_text_and_digest(one: Topology) -> None:
    again = Topology.from_json(one.to_json())
    assert again == one
    assert again.to_json() == one.to_json()
    assert again.digest == one.digest


@settings(max_examples=50)
@given(any_topology)
def test_pickling_keeps_a_topology(one: Topology) -> None:
    digest = one.digest
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert again.digest == digest


def test_layers_and_topologies_never_change() -> None:
    one = with_features(Convolution(filters=4, kernel=(3, 3)))
    with pytest.raises(FrozenInstanceError):
        one.features = ()  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        one.features[0].dropout = 0.5  # type: ignore[misc]


def test_a_digest_is_not_carried_over_to_a_changed_topology() -> None:
    one = with_features(Convolution(filters=4, kernel=(3, 3)))
    assert len(one.digest) == 16
    assert replace(one, features=()).digest != one.digest


def test_fields_left_out_of_json_take_their_defaults() -> None:
    assert Topology.from_json(text_of()) == with_features(Convolution(filters=8, kernel=(3, 3)))


CONVOLUTION = Convolution(filters=8, kernel=(3, 5))
SAME_PHENOTYPE = {
    "a pooling of one value builds nothing": (
        with_features(CONVOLUTION, Pooling(size=(1, 1))),
        with_features(CONVOLUTION),
    ),
    "no stride of a pooling is its size": (
        with_features(Pooling(size=(2, 3))),
        with_features(Pooling(size=(2, 3), stride=(2, 3))),
    ),
    "maximum and average of one value are the same": (
        with_features(Pooling(size=(1, 1), stride=(2, 2), kind="average")),
        with_features(Pooling(size=(1, 1), stride=(2, 2), kind="max", padding="same")),
    ),
    "a kernel of one value needs no padding": (
        with_features(Convolution(filters=8, kernel=(1, 1), padding="same")),
        with_features(Convolution(filters=8, kernel=(1, 1), padding="valid")),
    ),
    "no dropout is no dropout": (
        with_features(replace(CONVOLUTION, dropout=0)),
        with_features(replace(CONVOLUTION, dropout=-0.0)),
    ),
}


@pytest.mark.parametrize("name", SAME_PHENOTYPE)
def test_digests_agree_where_the_same_is_built(name: str) -> None:
    first, second = SAME_PHENOTYPE[name]
    assert first.digest == second.digest


def test_digests_differ_where_something_else_is_built() -> None:
    different = [
        Topology(features=features, classifier=classifier, reduction=reduction)
        for features in (
            (CONVOLUTION,),
            (replace(CONVOLUTION, kernel=(5, 3)),),
            (replace(CONVOLUTION, stride=(2, 1)),),
            (replace(CONVOLUTION, padding="valid"),),
            (replace(CONVOLUTION, bias=False),),
            (replace(CONVOLUTION, normalisation="batch"),),
            (replace(CONVOLUTION, activation="tanh"),),
            (replace(CONVOLUTION, dropout=0.1),),
            (CONVOLUTION, Pooling(size=(2, 2))),
            (CONVOLUTION, Pooling(size=(2, 2), padding="same")),
            (CONVOLUTION, Pooling(size=(2, 2), kind="average")),
            (CONVOLUTION, Pooling(size=(1, 1), stride=(2, 2))),
            (Residual(filters=8, kernel=(3, 5)),),
        )
        for classifier in ((), (Dense(units=5),), (Dense(units=5, dropout=0.1),))
        for reduction in ("flatten", "global-average")
    ]
    assert len({one.digest for one in different}) == len(different)


BAD_LAYERS: dict[str, dict[str, Any]] = {
    "unknown kind": {"layer": "attention"},
    "kind that is no text": {"layer": ["convolution"]},
    "dense among features": {"layer": "dense", "units": 4, "filters": None, "kernel": None},
    "unknown field": {"dilation": [2, 2]},
    "no filters": {"filters": 0},
    "absurd filters": {"filters": 10**9},
    "fraction of filters": {"filters": 8.0},
    "true filters": {"filters": True},
    "kernel of one side": {"kernel": [3]},
    "kernel that is a number": {"kernel": 3},
    "huge kernel": {"kernel": [3, 5000]},
    "negative stride": {"stride": [-1, 1]},
    "unknown padding": {"padding": "reflect"},
    "unknown activation": {"activation": "__import__('os')"},
    "list as activation": {"activation": ["relu"]},
    "object as normalisation": {"normalisation": {}},
    "number as bias": {"bias": 1},
    "certain dropout": {"dropout": 1.0},
    "dropout that is no number": {"dropout": float("nan")},
    "dropout as text": {"dropout": "0.5"},
}


@pytest.mark.parametrize("name", BAD_LAYERS)
def test_a_bad_layer_in_json_is_refused_with_its_place(name: str) -> None:
    with pytest.raises(ConfigError, match=r"features\.0: "):
        Topology.from_json(text_of(**BAD_LAYERS[name]))


BAD_TEXTS = {
    "nothing": "",
    "no JSON": "{features: []}",
    "a list": "[]",
    "no features": "{}",
    "features that are no list": '{"features": {}}',
    "a layer that is no object": '{"features": [3]}',
    "a convolution without kernel": '{"features": [{"layer": "convolution", "filters": 3}]}',
    "unknown part": '{"features": [], "head": []}',
    "a convolution as classifier": json.dumps({"features": [], "classifier": [LAYER]}),
    "unknown reduction": '{"features": [], "reduction": "max"}',
    "list as reduction": '{"features": [], "reduction": ["flatten"]}',
    "too many layers": json.dumps({"features": [LAYER] * 1001}),
    "too deep": '{"features": ' + "[" * 100_000,
    "a number of ten thousand digits": '{"features": [' + "1" * 10_000 + "]}",
    "too long": '{"features": [' + " " * MAX_JSON_CHARACTERS + "]}",
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_text_that_is_no_topology_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Topology.from_json(BAD_TEXTS[name])
    assert len(str(caught.value)) < 300


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=300)
@given(
    kind=st.sampled_from(sorted(LAYER_KINDS)),
    fields=st.dictionaries(
        st.sampled_from(("filters", "kernel", "size", "stride", "kind", "units", "dropout")),
        json_values,
    ),
)
def test_any_json_gives_a_topology_or_a_config_error(kind: str, fields: dict[str, Any]) -> None:
    text = json.dumps({"features": [fields | {"layer": kind}], "classifier": [fields]})
    try:
        Topology.from_json(text)
    except ConfigError:
        return
    raise AssertionError("a classifier layer without a kind can't be a topology")


def test_layers_made_in_python_are_checked_as_well() -> None:
    with pytest.raises(ConfigError, match="filters must be a whole number"):
        Convolution(filters=0, kernel=(3, 3))
    with pytest.raises(ConfigError, match="units must be a whole number"):
        Dense(units=10_000_000)
    with pytest.raises(ConfigError, match="features must be a tuple"):
        Topology(features=[CONVOLUTION])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"classifier\.0: .* convolution"):
        Topology(features=(), classifier=(CONVOLUTION,))  # type: ignore[arg-type]


def test_layers_describe_themselves_for_tables() -> None:
    assert str(Convolution(filters=52, kernel=(5, 5), stride=(2, 1), normalisation="batch")) == (
        "convolution 52 5×5/2×1 batch-norm relu"
    )
    assert str(Pooling(size=(2, 3), kind="average")) == "average pooling 2×3"
    assert str(Pooling(size=(2, 3), stride=(1, 1), padding="same")) == (
        "max pooling 2×3/1×1 ceiling"
    )
    assert str(Dense(units=9, activation="linear", dropout=0.25)) == "dense 9 dropout 0.25"
