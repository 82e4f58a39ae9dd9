"""How much of each layer to keep: by the definition of the scores, and between its points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.compression.layer_shares import LayerShares

SIZES = (150, 2_400, 48_000)


def layers(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1 / np.sqrt(size), size).astype(np.float32) for size in SIZES]


def test_the_weights_with_the_highest_scores_by_the_bit_are_kept() -> None:
    weights = [np.array([[3.0, -1.0], [2.0, 0.0]]), np.array([0.1, 0.2, -0.2])]
    # Squares 0, 1, 4, 9 and 0.01, 0.04, 0.04: over what is not smaller, as it is sorted.
    scores = [np.array([0, 1 / 14, 4 / 13, 1]), np.array([1 / 9, 0.5, 1])]
    # The first half of a layer's weights takes log2((1 - d) / d) bits more, at its middle d.
    more = [np.array([0, 0, np.log2(5 / 3), np.log2(7)]), np.array([0, 0, np.log2(5)])]
    worth = [one / (1.6 + bits) for one, bits in zip(scores, more, strict=True)]
    worth[1][1] = worth[1][2]  # 0.31 else: a smaller weight isn't worth more than a larger one
    found = LayerShares(weights)
    whole = np.sort(np.concatenate(worth))[::-1]
    for count in (3, 4, 5, 6, 7):
        kept = [float((one >= whole[count - 1]).mean()) for one in worth]
        assert found.at(count / 7) == pytest.approx(kept)
        assert found.total(kept) == pytest.approx(count / 7)


@given(st.floats(1e-4, 1), st.integers(0, 5))
def test_shares_of_layers_make_up_the_share_of_all(total: float, seed: int) -> None:
    found = LayerShares(layers(seed))
    shares = found.at(total)
    assert all(0 < one <= 1 for one in shares)
    # Each layer keeps a weight, and between the points is a straight line of logarithms.
    assert found.total(shares) == pytest.approx(total, rel=0.05, abs=3 / sum(SIZES))


def test_small_layers_keep_more_and_all_keep_less_when_all_is_less() -> None:
    found = LayerShares(layers())
    before = found.at(1.0)
    assert before == (1.0, 1.0, 1.0)
    for total in (0.5, 0.1, 0.02, 0.001):
        shares = found.at(total)
        assert shares[0] > shares[1] > shares[2]
        assert all(new < old for new, old in zip(shares, before, strict=True))
        before = shares


def test_layers_of_nothing_but_zeros_keep_one_weight_or_all() -> None:
    found = LayerShares([np.zeros(10), np.ones(10)])
    assert found.at(0.1) == pytest.approx((0.1, 0.2), rel=0.5)
    assert found.at(1.0) == (1.0, 1.0)
