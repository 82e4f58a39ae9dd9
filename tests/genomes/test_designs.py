from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.genomes.constraints import Limits
from evoconv.genomes.layers import Convolution, Pooling
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from tests.genomes.membership import check_membership
from tests.genomes.strategies import space_options

OPTIONS = SpaceOptions(
    usual_designs=True, normalisation="batch", min_filters=4, max_filters=128, min_classifier=0
)


def space_of(
    limits: Limits,
    options: SpaceOptions = OPTIONS,
    shape: tuple[int, int, int] = (1, 28, 28),
) -> TopologySpace:
    return TopologySpace(options, shape, 10, limits)


def widths(one: Topology) -> list[int]:
    return [layer.filters for layer in one.features if isinstance(layer, Convolution)]


def test_there_are_forms_with_two_and_three_stages_of_one_and_two_convolutions() -> None:
    designs = space_of(Limits(max_macs=20_000_000)).seeds
    assert sorted(len(widths(one)) for one in designs) == [2, 2, 3, 3, 4, 4, 6, 6]
    assert len({one.digest for one in designs}) == 8
    first = designs[0]
    assert widths(first) == [16, 32, 64]
    assert [layer.size for layer in first.features if isinstance(layer, Pooling)] == [(2, 2)] * 2
    assert [one.units for one in first.classifier] == [64]
    assert first.classifier[0].normalisation == "batch"


def test_designs_are_as_wide_as_the_limits_allow() -> None:
    space = space_of(Limits(max_parameters=40_000, max_macs=500_000))
    assert len(space.seeds) == 8
    for one in space.seeds:
        cost = space.cost(one)
        assert 0.6 < max(cost.parameters / 40_000, cost.macs / 500_000) <= 1


def test_strides_stand_for_poolings_where_there_are_none() -> None:
    options = replace(OPTIONS, convolution_share=1.0, max_stride=2, reduction="global-average")
    for one in space_of(Limits(max_macs=1_300_000), options).seeds:
        assert not any(isinstance(layer, Pooling) for layer in one.features)
        assert any(layer.stride == (2, 2) for layer in one.features)
        assert one.classifier == ()


def test_larger_images_have_more_stages_and_what_does_not_fit_the_limits_is_left_out() -> None:
    large = space_of(Limits(max_macs=50_000_000), shape=(3, 200, 200)).seeds
    assert max(len(widths(one)) for one in large) == 5  # with poolings, ten layers hold no more
    assert space_of(Limits(max_macs=10_000)).seeds == ()


def test_seeds_of_ones_own_are_instead_of_designs_and_by_default_there_are_none() -> None:
    own = space_of(Limits()).seeds[0]
    assert space_of(Limits(), replace(OPTIONS, seeds=(own.to_json(),))).seeds == (own,)
    assert space_of(Limits(), SpaceOptions()).seeds == ()


@given(
    options=space_options(),
    max_macs=st.integers(200_000, 50_000_000),
    shape=st.sampled_from([(1, 28, 28), (3, 32, 32), (1, 64, 40), (3, 8, 8)]),
)
@settings(deadline=None)
def test_designs_belong_to_the_space(
    options: SpaceOptions, max_macs: int, shape: tuple[int, int, int]
) -> None:
    space = space_of(Limits(max_macs=max_macs), options, shape)
    for one in replace(space, options=replace(options, usual_designs=True)).seeds:
        assert space.is_feasible(one)
        check_membership(one, options, shape)
