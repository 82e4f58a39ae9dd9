"""Whole numbers as bits: arrays of symbols through a range coder, whose model learns on the way.

The coder is constriction's range coder; the model is the one below. Both are integer arithmetic
only, so that every machine decodes the same:

- A symbol of an alphabet of ``a`` that was seen ``c`` times among ``n`` has the weight
  ``2 · c + 1`` (Krichevsky & Trofimov 1981). The weights are scaled to sum up to 2²⁰, rounded
  down, and what is left over goes to the first of the likeliest symbols.
- After each block of ``1 + n // 16`` symbols the model counts them; so the first ones are learned
  from one by one, and a million cost some hundred steps.

Every array has a model of its own. docs/evo-format.md has the coder's own arithmetic.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evoconv.compression.packages import find_package
from evoconv.errors import DataError

Symbols = NDArray[np.integer[Any]]

LARGEST_ALPHABET = 1 << 12
_TOTAL = 1 << 20
_WORD = 4  # bytes
# What a reader does at most: making a model takes as long as some thousand symbols of an alphabet.
# All of it takes about 15 seconds; a network of a thousand tensors, stored whole, a quarter.
_MOST_WORK = 1 << 32
_WORK_OF_A_MODEL = 3_000


class SymbolWriter:
    """Writes arrays of symbols, to be read in the same order."""

    def __init__(self) -> None:
        self._coder = _queue().RangeEncoder()

    def write(self, symbols: Symbols, alphabet: int) -> None:
        """Add symbols in [0, alphabet), flat; an alphabet of one costs nothing."""
        assert symbols.size == 0 or 0 <= symbols.min() <= symbols.max() < alphabet
        if alphabet == 1:
            return
        model = _Model(alphabet)
        for start, end in _blocks(symbols.size):
            block = symbols[start:end]
            self._coder.encode(block.astype(np.int32), model.probabilities())
            model.count(block)

    def to_bytes(self) -> bytes:
        """Return all that was written; zeros at the end are left out, the reader adds them."""
        return bytes(self._coder.get_compressed().astype(">u4").tobytes().rstrip(b"\0"))


class SymbolReader:
    """Reads what a ``SymbolWriter`` wrote. Other bytes give other symbols, or ``DataError``."""

    def __init__(self, content: bytes | memoryview) -> None:
        stored = np.zeros(-(-len(content) // _WORD), ">u4")
        stored.view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)
        words = stored.astype(np.uint32)
        del stored  # the coder makes one more copy
        self._coder = _queue().RangeDecoder(words)
        self._work_left = _MOST_WORK

    def read(self, count: int, alphabet: int) -> Symbols:
        """Return the next so many symbols in [0, alphabet), in as few bytes as these need.

        Raises:
            DataError: there can't be any, or all arrays together take too long.
        """
        symbols = np.zeros(count, np.min_scalar_type(alphabet - 1))
        if alphabet == 1:
            return symbols
        model = _Model(alphabet)
        for start, end in _blocks(count):
            self._work_left -= _WORK_OF_A_MODEL + alphabet
            if self._work_left < 0:
                raise DataError("its tensors would take too long to read")
            try:
                symbols[start:end] = self._coder.decode(model.probabilities(), end - start)
            except AssertionError as error:  # the coder's word for what no writer can have written
                raise DataError("the symbols are damaged") from error
            model.count(symbols[start:end])
        return symbols


def entropy_bits(counts: NDArray[np.number]) -> float:
    """Return the bits of symbols that occur so often, by their order-0 entropy."""
    seen = counts[counts > 0].astype(np.float64)
    return float(np.sum(seen * np.log2(seen.sum() / seen)))


class _Model:
    """How likely each symbol is, by how often it has come."""

    def __init__(self, alphabet: int) -> None:
        self._counts = np.zeros(alphabet, np.int64)
        # Looked up once: an array takes hundreds of models.
        self._categorical = find_package("constriction", _PURPOSE).stream.model.Categorical

    def count(self, symbols: Symbols) -> None:
        self._counts += np.bincount(symbols, minlength=self._counts.size)

    def probabilities(self) -> Any:
        """Return the coder's model; each probability is a multiple of 2⁻²⁰, so exact as a float."""
        weights = 2 * self._counts + 1
        scaled = weights * (_TOTAL - weights.size) // weights.sum() + 1
        scaled[np.argmax(scaled)] += _TOTAL - scaled.sum()
        return self._categorical(scaled / _TOTAL, perfect=False)


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < count:
        end = min(count, start + 1 + start // 16)
        yield start, end
        start = end


def _queue() -> Any:
    return find_package("constriction", _PURPOSE).stream.queue


_PURPOSE = "a compressed file"
