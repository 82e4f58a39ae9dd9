from dataclasses import replace
from itertools import product

import pytest

from evoconv.errors import ConfigError
from evoconv.genomes.layers import Convolution, Residual
from evoconv.genomes.reference import REFERENCES, baseline, reference
from evoconv.genomes.shapes import cost, layer_table

PUBLISHED = {
    "async-mnist-baseline": 600_810,
    "async-mnist-evolved": 431_659,
    "async-fashion-baseline": 356_234,
    "async-fashion-evolved": 1_714_219,
    "compact-scenario-1": 61_787,
    "compact-scenario-2": 2_499_788,
    "tensorflow-tutorial": 3_274_634,
    "lenet5": 61_706,
    "lenet5-tanh": 61_706,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_networks_have_the_published_parameter_counts(name: str) -> None:
    one = reference(name)
    assert cost(one.topology, one.input_shape, one.num_classes).parameters == PUBLISHED[name]
    assert one.parameters == PUBLISHED[name]


def test_the_shapes_of_scenario_1_are_those_of_its_table() -> None:
    rows = layer_table(reference("compact-scenario-1").topology, (1, 28, 28), 10)
    sizes = [row.output_shape[1:] for row in rows[:5]]
    assert sizes == [(14, 28), (14, 28), (14, 28), (7, 14), (4, 14)]


def test_the_shapes_of_scenario_2_are_those_of_its_table() -> None:
    rows = layer_table(reference("compact-scenario-2").topology, (1, 28, 28), 10)
    sizes = [row.output_shape[1:] for row in rows[:6]]
    assert sizes == [(14, 28), (14, 28), (14, 28), (4, 7), (2, 4), (1, 4)]


def test_only_one_reading_of_the_lost_label_gives_the_published_size() -> None:
    """About 2.5M: between 2.45 and 2.55. Each place where the lost label can have been."""
    table = reference("compact-scenario-2").topology
    found = []
    for place, kind in product(range(6), "rc"):
        labels = [*"rcrrr"]
        labels.insert(place, kind)
        features = tuple(
            (Residual if label == "r" else Convolution)(
                filters=layer.filters,
                kernel=layer.kernel,
                stride=layer.stride,
                normalisation="batch",
            )
            for label, layer in zip(labels, table.features, strict=True)
            if isinstance(layer, Convolution | Residual)
        )
        parameters = cost(replace(table, features=features), (1, 28, 28), 10).parameters
        if 2_450_000 <= parameters < 2_550_000:
            found.append(features)
    assert found == [table.features]


def test_an_unknown_reference_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"lenet5-tanh, got resnet"):
        reference("resnet")


@pytest.mark.parametrize(
    "input_shape",
    [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 200, 200), (1, 28, 300), (1, 1, 1)],
)
def test_the_baseline_adapts_to_any_image(input_shape: tuple[int, int, int]) -> None:
    topology = baseline(input_shape, 10)
    assert 10_000 <= cost(topology, input_shape, 10).parameters <= 60_000
    last = layer_table(topology, input_shape, 10)[len(topology.features) - 1]
    assert min(last.output_shape[1:]) <= 8


def test_a_baseline_for_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 classes"):
        baseline((1, 28, 28), 1)
