"""Tensors through the stream and back: exact, for any shapes, alphabets and bytes."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.compression.entropy import SymbolReader, SymbolWriter, entropy_bits
from evoconv.compression.number_formats import rounded
from evoconv.compression.tensor_stream import read_tensors, write_tensors
from evoconv.compression.tensors import Bits, DenseTensor, SharedTensor, StoredTensor
from evoconv.errors import DataError

BITS: st.SearchStrategy[Bits] = st.sampled_from(get_args(Bits))
SHAPES = st.sampled_from([(), (1,), (7,), (3, 4), (6, 1, 5, 5), (16, 6, 5, 5), (12, 400), (5, 12)])
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def stored_tensors(draw: st.DrawFn) -> StoredTensor:
    shape: tuple[int, ...] = draw(SHAPES)
    bits = draw(BITS)
    rng = np.random.default_rng(draw(SEEDS))
    if draw(st.booleans()):
        return DenseTensor(values=rounded(rng.normal(size=shape), bits).reshape(shape), bits=bits)
    size = draw(st.integers(1, max(2, int(np.prod(shape)) // max(1, len(shape) and shape[0]))))
    by_rows, has_zero = draw(st.booleans()), draw(st.booleans())
    groups = shape[0] if shape and by_rows else 1
    codebooks = rounded(rng.normal(size=(groups, size)), bits).reshape(groups, size)
    if has_zero:
        codebooks[:, 0] = 0
    indices = rng.integers(0, size, shape)
    if has_zero:
        indices *= rng.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    return SharedTensor(codebooks=codebooks, indices=indices, has_zero=has_zero, bits=bits)


@st.composite
def some_coupled(draw: st.DrawFn) -> list[StoredTensor]:
    """Return tensors, of which some have the codebook of one before."""
    found: list[StoredTensor] = []
    for one in draw(st.lists(stored_tensors(), max_size=6)):
        books = [
            other
            for other in found
            if isinstance(other, SharedTensor) and len(other.codebooks) == 1
        ]
        rng = np.random.default_rng(draw(SEEDS))
        if books and rng.random() < 0.5:
            book = books[int(rng.integers(len(books)))]
            indices = rng.integers(0, book.codebooks.shape[1], one.values.shape)
            found.append(replace(book, indices=indices))
        else:
            found.append(one)
    return found


@given(some_coupled())
def test_tensors_come_back(tensors: list[StoredTensor]) -> None:
    shapes = {f"t{number}": one.values.shape for number, one in enumerate(tensors)}
    back = read_tensors(write_tensors(tensors), shapes)
    assert list(back) == list(shapes)
    for before, after in zip(tensors, back.values(), strict=True):
        assert type(before) is type(after)
        assert before.bits == after.bits
        np.testing.assert_array_equal(before.values, after.values)
        if isinstance(before, SharedTensor) and isinstance(after, SharedTensor):
            np.testing.assert_array_equal(before.indices, after.indices)
            assert before.has_zero == after.has_zero
    assert [_same_book_as(tensors, one) for one in tensors] == [
        _same_book_as(list(back.values()), one) for one in back.values()
    ]


def _same_book_as(tensors: list[StoredTensor], one: StoredTensor) -> int | None:
    """Return the place of the first tensor with the same codebook."""
    if isinstance(one, DenseTensor):
        return None
    return next(
        place
        for place, other in enumerate(tensors)
        if isinstance(other, SharedTensor) and other.codebooks is one.codebooks
    )


@given(st.binary(max_size=60), st.integers(0, 4))
@settings(max_examples=300)
def test_any_bytes_are_tensors_or_a_clear_error(content: bytes, num_tensors: int) -> None:
    shapes = {f"t{number}": (4, 3, 5, 5) for number in range(num_tensors)}
    try:
        back = read_tensors(content, shapes)
    except DataError as error:
        message = str(error)
        known = ("more shared values than", "comes after", "damaged", "aren't finite")
        assert any(one in message for one in known)
        return
    assert [one.values.shape for one in back.values()] == list(shapes.values())


@given(st.integers(1, 300), st.integers(0, 3_000), SEEDS, st.floats(0.05, 5))
def test_symbols_come_back(alphabet: int, count: int, seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    symbols = np.minimum(rng.exponential(spread, count).astype(np.int64), alphabet - 1)
    writer = SymbolWriter()
    writer.write(symbols, alphabet)
    np.testing.assert_array_equal(SymbolReader(writer.to_bytes()).read(count, alphabet), symbols)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_many_symbols_take_little_more_than_their_entropy(share: float) -> None:
    rng = np.random.default_rng(0)
    symbols = (rng.random(100_000) < share).astype(np.int64)
    writer = SymbolWriter()
    writer.write(symbols, 2)
    assert 8 * len(writer.to_bytes()) < entropy_bits(np.bincount(symbols)) * 1.01 + 64


def test_rows_and_columns_of_zeros_cost_little() -> None:
    rng = np.random.default_rng(0)
    indices = np.zeros((100, 400), np.int64)
    indices[:10, :40] = rng.integers(0, 4, (10, 40))
    shared = SharedTensor(
        codebooks=np.arange(4, dtype=np.float32)[None], indices=indices, has_zero=True
    )
    size = len(write_tensors([shared]))
    # 400 symbols of two bits each; where the live rows and columns are; three values.
    assert 100 < size < 100 + 50
    scattered = rng.permutation(indices.reshape(-1)).reshape(indices.shape)
    more = SharedTensor(codebooks=shared.codebooks, indices=scattered, has_zero=True)
    assert len(write_tensors([more])) > 2 * size


def test_columns_of_dead_inputs_are_foretold_by_the_rows_before() -> None:
    rng = np.random.default_rng(0)
    alive = rng.random(120) < 0.6
    codebooks = np.array([[0.0, 1.0]], np.float32)
    first = np.ones((120, 30), np.int64) * alive[:, None]

    def size(columns: np.ndarray) -> int:
        second = np.ones((20, 120), np.int64) * columns[None, :]
        pair = [
            SharedTensor(codebooks=codebooks, indices=one, has_zero=True) for one in (first, second)
        ]
        return len(write_tensors(pair))

    assert size(alive) + 8 < size(rng.permutation(alive))


@pytest.mark.parametrize(("bits", "largest"), [(16, 65504.0), (8, 448.0)])
def test_numbers_beyond_a_format_become_its_largest(bits: Bits, largest: float) -> None:
    given_values = np.array([1e30, -1e30, 1.0, 0.0], np.float32)
    np.testing.assert_array_equal(rounded(given_values, bits), [largest, -largest, 1, 0])
