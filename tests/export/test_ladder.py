"""The smallest network that reaches a target, sought by dividing sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.export.ladder import next_sizes, parameters_of, plausible
from evoconv.problems.objectives import TargetAccuracy
from evoconv.records import Individual, Measurement
from tests.study.text_genome import TextGenome

TARGET = TargetAccuracy(name="validation_accuracy", direction="maximize", target=0.99)


def individual(number: int, parameters: float, accuracy: float = 0.99) -> Individual:
    values = {"parameters": parameters, "validation_accuracy": accuracy}
    return Individual(
        number=number, genome=TextGenome(str(number)), measurement=Measurement(values=values)
    )


def search(sizes: list[float], enough: float, slots: int) -> tuple[float | None, int]:
    """Return the smallest size found to reach the target, and how many were tried."""
    ladder = [individual(number, size) for number, size in enumerate(sizes)]
    reached: list[Individual] = []
    failed: list[Individual] = []
    while tried := next_sizes(ladder, reached, failed, slots):
        assert not {one.number for one in tried} & {one.number for one in (*reached, *failed)}
        for one in tried:
            (reached if parameters_of(one) >= enough else failed).append(one)
    return min((parameters_of(one) for one in reached), default=None), len(reached) + len(failed)


@given(
    st.lists(st.floats(1, 1e7), min_size=1, max_size=40, unique=True),
    st.floats(1, 1e7),
    st.integers(1, 5),
)
def test_in_the_end_the_smallest_that_reaches_it_is_known(
    sizes: list[float], enough: float, slots: int
) -> None:
    found, _ = search(sizes, enough, slots)
    assert found == min((size for size in sizes if size >= enough), default=None)


@pytest.mark.parametrize("slots", [1, 2])
def test_few_trainings_are_needed(slots: int) -> None:
    sizes = [1_000 * 1.1**step for step in range(30)]
    for enough in (900.0, 3_000.0, 9_000.0, 16_000.0):
        assert search(sizes, enough, slots)[1] <= 8


def test_sizes_are_divided_on_a_logarithmic_scale() -> None:
    ladder = [individual(number, 10.0**number) for number in range(1, 8)]
    assert [one.number for one in next_sizes(ladder, [], [], 2)] == [3, 5]
    assert [one.number for one in next_sizes(ladder, [], [], 1)] == [4]
    assert [one.number for one in next_sizes(ladder, [ladder[2]], [], 1)] in ([1], [2])
    assert [one.number for one in next_sizes(ladder, [], [ladder[4]], 5)] == [6, 7]


def test_the_hopeless_are_left_out_unless_all_are() -> None:
    near, far = individual(1, 1e4, accuracy=0.97), individual(2, 1e3, accuracy=0.95)
    assert plausible([near, far], TARGET) == [near]
    assert plausible([far], TARGET) == [far]


def test_who_is_larger_and_no_more_accurate_is_left_out() -> None:
    small, large = individual(1, 3_942, accuracy=0.9902), individual(2, 7_384, accuracy=0.9911)
    cheaper = individual(3, 6_091, accuracy=0.9892)  # on the front for its multiply-accumulates
    equal = individual(4, 5_000, accuracy=0.9902)
    assert plausible([large, cheaper, equal, small], TARGET) == [small, large]
