"""Streams are fixed by what they are for, and by nothing else."""

import os
import subprocess
import sys

import pytest

from evoconv.seeds import Purpose, seed_for, stream


def test_a_stream_is_fixed_by_seed_purpose_and_number() -> None:
    draw = stream(3, Purpose.BIRTH, 7).integers(2**62, size=4).tolist()
    assert draw == stream(3, Purpose.BIRTH, 7).integers(2**62, size=4).tolist()
    others = [
        stream(4, Purpose.BIRTH, 7),
        stream(3, Purpose.EVALUATE, 7),
        stream(3, Purpose.BIRTH, 8),
    ]
    for other in others:
        assert draw != other.integers(2**62, size=4).tolist()


def test_streams_of_neighbours_are_independent() -> None:
    firsts = [stream(0, purpose, n).random() for purpose in Purpose for n in range(2000)]
    assert len(set(firsts)) == len(firsts)
    mean = sum(firsts) / len(firsts)
    assert abs(mean - 0.5) < 4 * (1 / 12 / len(firsts)) ** 0.5


def test_another_process_gets_the_same_seed() -> None:
    code = "from evoconv.seeds import *; print(seed_for(5, Purpose.FINAL, 2))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, env=environment
    )
    assert int(answer.stdout) == seed_for(5, Purpose.FINAL, 2)


def test_a_seed_fits_torch() -> None:
    assert all(0 <= seed_for(1, Purpose.EVALUATE, n) < 2**63 for n in range(100))


def test_purposes_keep_their_values_because_studies_are_stored_with_them() -> None:
    assert {one.name: one.value for one in Purpose} == {
        "BIRTH": 1,
        "EVALUATE": 2,
        "SPLIT": 3,
        "FINAL": 4,
        "BASELINE": 5,
        "FINALIST": 6,
        "AUGMENTATION": 7,
        "RETRAIN": 8,
        "ACCEPT": 9,
    }


@pytest.mark.parametrize("seed", [0, 2**64, 10**30])
def test_any_natural_number_is_a_seed(seed: int) -> None:
    assert stream(seed, Purpose.BIRTH, 0).random() < 1


def test_a_negative_seed_is_no_seed() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        stream(-1, Purpose.BIRTH, 0)
