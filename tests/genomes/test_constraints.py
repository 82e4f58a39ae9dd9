from dataclasses import replace

import pytest

from evoconv.errors import ConfigError
from evoconv.genomes.constraints import Limits, violations
from evoconv.genomes.shapes import Cost

COST = Cost(parameters=1_000, macs=5_000, weight_bytes=4_000, peak_activation_bytes=600)


def test_no_limits_are_always_kept() -> None:
    assert not violations(COST, Limits())


def test_a_value_at_its_limit_keeps_it() -> None:
    assert not violations(COST, Limits(max_parameters=1_000, max_macs=5_000, max_memory=4_600))


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (
            Limits(max_parameters=800),
            "--max-parameters 800: the network has 1,000 parameters, 25.0% over",
        ),
        (
            Limits(max_macs=1_000),
            "--max-macs 1,000: the network has 5,000 multiply-accumulates, 5.0 times that",
        ),
        (Limits(max_memory=4_000), "--max-memory 4,000: the network has 4,600 bytes, 15.0% over"),
    ],
)
def test_a_violation_is_told_in_a_sentence(limits: Limits, sentence: str) -> None:
    (one,) = violations(COST, limits)
    assert str(one) == sentence


def test_all_violations_are_told() -> None:
    limits = Limits(max_parameters=10, max_macs=10, max_memory=10)
    assert len(violations(COST, limits)) == 3
    assert len(violations(replace(COST, macs=10), limits)) == 2


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_parameters must be in"):
        Limits(max_parameters=0)
