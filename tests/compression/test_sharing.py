"""A network with shared weights: which values it has, and what they take."""

from math import log2

import numpy as np
import pytest

from evoconv.compression.sharing import Shareable
from evoconv.compression.tensor_stream import read_tensors, write_tensors
from evoconv.compression.tensors import DenseTensor, SharedTensor
from evoconv.errors import ConfigError

LENET = {
    "c1.weight": (6, 1, 5, 5),
    "c1.bias": (6,),
    "c2.weight": (16, 6, 5, 5),
    "c2.bias": (16,),
    "f1.weight": (120, 400),
    "f1.bias": (120,),
    "f2.weight": (84, 120),
    "f2.bias": (84,),
    "f3.weight": (10, 84),
    "f3.bias": (10,),
}
WEIGHTS = [name for name in LENET if name.endswith("weight")]
APART = {name: (name,) for name in WEIGHTS}


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in LENET.items()}


def test_each_layer_has_as_many_values_as_it_is_given(tensors: dict[str, np.ndarray]) -> None:
    clusters = (2, 3, 5, 8, 13)
    stored = Shareable(tensors, APART).stored(clusters)
    assert list(stored) == list(tensors)
    for name, one in stored.items():
        assert one.values.shape == tensors[name].shape
        assert one.values.dtype == np.float32
        if name in WEIGHTS:
            count = clusters[WEIGHTS.index(name)]
            assert np.unique(one.values).size == count
            assert isinstance(one, SharedTensor)
            error = np.square(one.values - tensors[name]).mean() / tensors[name].var()
            # The error of a normal distribution's best quantiser is about 2.7 / k².
            assert error < 2.8 / count**2
        else:
            assert isinstance(one, DenseTensor)
            np.testing.assert_array_equal(one.values, tensors[name])


@pytest.mark.parametrize(
    ("clusters", "bits", "mean", "true"),
    [((3, 4, 6, 4, 7), 32, 12.753, 10.96), ((3, 5, 3, 2, 2), 16, 20.545, 16.15)],
)
def test_the_account_has_the_published_ratio_and_the_true_one(
    clusters: tuple[int, ...],
    bits: int,
    mean: float,
    true: float,
    tensors: dict[str, np.ndarray],
) -> None:
    account = Shareable(tensors, APART, bits=bits).account(clusters)  # type: ignore[arg-type]
    assert account.ratio_layer_mean == pytest.approx(mean, abs=5e-3)
    assert account.ratio_formula == pytest.approx(true, abs=5e-3)


@pytest.mark.parametrize("clusters", [(2, 2, 2, 2, 2), (3, 4, 6, 4, 7), (32, 32, 32, 32, 32)])
def test_the_estimated_bytes_are_those_of_the_stream(
    clusters: tuple[int, ...], tensors: dict[str, np.ndarray]
) -> None:
    network = Shareable(tensors, APART, bits=16, dense_bits=8)
    real = len(write_tensors(list(network.stored(clusters).values())))
    assert network.account(clusters).bytes == pytest.approx(real, rel=0.01, abs=40)


def test_less_precise_values_are_rounded(tensors: dict[str, np.ndarray]) -> None:
    stored = Shareable(tensors, APART, bits=8, dense_bits=16).stored((4,) * 5)
    codebook = stored["f1.weight"]
    assert isinstance(codebook, SharedTensor)
    # Three bits after the first one.
    fractions, _ = np.frexp(codebook.codebooks)
    assert (fractions * 16 == np.round(fractions * 16)).all()
    dense = stored["f1.bias"].values
    np.testing.assert_array_equal(dense, tensors["f1.bias"].astype(np.float16))


def test_of_tensors_whose_values_are_all_equal_one_value_is_stored(
    tensors: dict[str, np.ndarray],
) -> None:
    given = tensors | {
        "f1.bias": np.full(120, 0.3, np.float32),
        "f2.bias": np.array([0.0, -0.0] * 42, np.float32),
        "f3.bias": np.linspace(1, 1.0001, 10, dtype=np.float32),
        "c1.bias": np.full(6, np.nan, np.float32),
        "scale": np.ones(1, np.float32),
        "table": np.full((4, 5), -2, np.float32),
    }
    network = Shareable(given, APART, bits=16, dense_bits=16)
    stored = network.stored((4,) * 5)
    alike = {"f1.bias": 0.3, "f2.bias": 0.0, "f3.bias": 1.0, "table": -2.0}
    for name, value in alike.items():
        one = stored[name]
        assert isinstance(one, SharedTensor), name
        assert one.codebooks.shape == (1, 1)
        assert one.bits == 16
        assert one.has_zero == (value == 0)
        assert one.values.shape == given[name].shape
        assert (one.values == np.float32(np.float16(value))).all()
    # The last bias is so only after rounding; these are not, or would not be smaller.
    assert all(isinstance(stored[name], DenseTensor) for name in ("c1.bias", "c2.bias", "scale"))


def test_a_tensor_whose_values_are_all_equal_takes_what_one_value_takes(
    tensors: dict[str, np.ndarray],
) -> None:
    def bytes_with(bias: np.ndarray) -> tuple[float, int]:
        given = tensors | {"f1.bias": bias.astype(np.float32)}
        network = Shareable(given, APART, bits=16, dense_bits=16)
        clusters = (1,) * 5
        real = len(write_tensors(list(network.stored(clusters).values())))
        return network.account(clusters).bytes, real

    estimated, real = bytes_with(np.linspace(-1, 1, 120))
    for value, size in ((0.3, 2), (0.0, 0)):
        estimated_alike, real_alike = bytes_with(np.full(120, value))
        assert estimated - estimated_alike == 240 - size
        assert real - real_alike == pytest.approx(240 - size, abs=40)


def test_a_network_without_weights_to_share_is_refused() -> None:
    with pytest.raises(ConfigError, match="no weights that can be shared"):
        Shareable({"bias": np.zeros(3, np.float32)}, {})


KINDS = {"convolutions": ("c1.weight", "c2.weight"), "f1.weight": ("f1.weight",)}


@pytest.mark.parametrize("modulation", [(), ((0.5, 20.0), (0.5, 20.0))])
def test_coupled_layers_have_their_values_from_one_codebook(
    tensors: dict[str, np.ndarray], modulation: tuple[tuple[float, float], ...]
) -> None:
    network = Shareable(tensors, KINDS, bits=16, dense_bits=16)
    stored = network.stored((7, 4), modulation)
    assert list(stored) == list(tensors)
    first, second, alone = (stored[name] for name in network.layers)
    assert isinstance(first, SharedTensor)
    assert isinstance(second, SharedTensor)
    assert first.codebooks is second.codebooks
    assert first.codebooks.shape == (1, 7)
    for one, name in ((first, "c1.weight"), (second, "c2.weight")):
        # Each weight has the value that is nearest to it.
        distances = np.abs(tensors[name][..., None] - first.codebooks[0])
        chosen = np.abs(tensors[name] - one.values)
        assert modulation or (chosen <= distances.min(-1) + 2e-3).all()
    assert np.unique(alone.values).size == 4


def test_a_codebook_of_several_layers_counts_once(tensors: dict[str, np.ndarray]) -> None:
    layers = {name: tensors[name] for names in KINDS.values() for name in names}
    together = Shareable(layers, KINDS, bits=16)
    apart = Shareable(layers, {name: (name,) for name in layers}, bits=16)
    stored, account = together.stored((64, 4)), together.account((64, 4))
    assert account.bytes == pytest.approx(len(write_tensors(list(stored.values()))), rel=0.01)
    pair = [stored[name] for name in KINDS["convolutions"]]
    again = [
        SharedTensor(codebooks=one.codebooks.copy(), indices=one.indices, bits=16)
        for one in pair
        if isinstance(one, SharedTensor)
    ]
    assert len(write_tensors(again)) - len(write_tensors(pair)) == pytest.approx(2 * 64, abs=8)
    # Equation 2 has 6 bits for a key, and 16 for a value.
    whole = 32 * sum(one.size for one in layers.values())
    alone = apart.account((64, 64, 4))
    saved = whole / alone.ratio_formula - whole / account.ratio_formula
    assert saved == pytest.approx(64 * (16 + 6))


def test_what_coupled_layers_will_take_is_foreseen(tensors: dict[str, np.ndarray]) -> None:
    network = Shareable(tensors, KINDS, bits=8, dense_bits=8)
    kept = (0.5, 0.1, 0.02)
    few, many = (network.expected_bytes((5, count), kept, 0) for count in (3, 12))
    # A weight that is kept has one of 11 values, not of 2; each more has a byte.
    assert many - few == pytest.approx(0.02 * 48_000 * log2(11 / 2) / 8 + 9)


def test_a_row_has_no_more_values_than_weights_and_its_file_is_read() -> None:
    weights = np.random.default_rng(0).normal(size=(40, 1, 3, 3)).astype(np.float32)
    network = Shareable({"d": weights}, {"d": ("d",)}, bits=16, by_rows=["d"])
    assert network.most_clusters("d") == 9
    stored = network.stored((9,))
    back = read_tensors(write_tensors(list(stored.values())), {"d": weights.shape})
    np.testing.assert_array_equal(back["d"].values, stored["d"].values)
    np.testing.assert_array_equal(back["d"].values, weights.astype(np.float16))
