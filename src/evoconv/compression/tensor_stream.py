"""A network's stored tensors as one stream of bits, and back.

In the stream come, for all tensors, how they are stored; then each tensor: its values or codebooks
as bytes, and its indices. Where a value is zero, rows and columns of nothing else are left out of
these: a pruned network has many. (A tensor's rows are its first axis, its columns all others; for
a layer these are the outputs and the inputs.) An input whose own layer gives nothing is likely not
used, so those columns have a model of their own. Tensors that hold the same codebook are coupled:
it is written with the first of them. docs/evo-format.md describes it byte by byte.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evoconv.compression.entropy import (
    LARGEST_ALPHABET,
    SymbolReader,
    Symbols,
    SymbolWriter,
)
from evoconv.compression.number_formats import from_bytes, to_bytes
from evoconv.compression.tensors import (
    Bits,
    DenseTensor,
    SharedTensor,
    StoredTensor,
    codebook_holders,
)
from evoconv.errors import DataError

Shape = tuple[int, ...]
Flags = NDArray[np.bool_]

_DENSE, _SHARED, _SHARED_BY_ROWS, _COUPLED = range(4)
_FORMS = 4
_WIDTHS: tuple[Bits, ...] = (32, 16, 8)
_BYTE = 256
_NIBBLE = 16


def write_tensors(tensors: Sequence[StoredTensor]) -> bytes:
    """Return the tensors as bytes; their shapes are not in them."""
    writer = SymbolWriter()
    holders = codebook_holders(tensors)
    forms = [
        _COUPLED if holder != place else _form(tensors[place])
        for place, holder in enumerate(holders)
    ]
    writer.write(np.array(forms, np.int64), _FORMS)
    pairs = list(zip(tensors, forms, strict=True))
    own = [one for one, form in pairs if form != _COUPLED]
    writer.write(np.array([_WIDTHS.index(one.bits) for one in own], np.int64), len(_WIDTHS))
    shared = [one for one in own if isinstance(one, SharedTensor)]
    writer.write(np.array([one.has_zero for one in shared], np.int64), 2)
    # Sizes as three hexadecimal digits: the upper ones are mostly alike, and soon cost nothing.
    sizes = np.array([one.codebooks.shape[1] - 1 for one in shared], np.int64)
    for shift in (8, 4, 0):
        writer.write(np.asarray(sizes >> shift & (_NIBBLE - 1)), _NIBBLE)
    books = [place for place, form in enumerate(forms) if form == _SHARED]
    numbers = [
        books.index(holder) for holder, form in zip(holders, forms, strict=True) if form == _COUPLED
    ]
    writer.write(np.array(numbers, np.int64), max(1, len(books)))
    before: Flags | None = None
    for one, form in pairs:
        if isinstance(one, DenseTensor):
            _write_bytes(writer, to_bytes(one.values, one.bits), one.bits)
            continue
        if form != _COUPLED:
            stored = one.codebooks[:, int(one.has_zero) :]
            _write_bytes(writer, to_bytes(stored, one.bits), one.bits)
        before = _write_indices(writer, one, before)
    return writer.to_bytes()


def read_tensors(
    content: bytes | memoryview, shapes: Mapping[str, Shape]
) -> dict[str, StoredTensor]:
    """Return the tensors of these shapes, whose order is that of the writing.

    Raises:
        DataError: what the stream says of a tensor can't be so.
    """
    reader = SymbolReader(content)
    forms = reader.read(len(shapes), _FORMS)
    num_own = int(np.count_nonzero(forms != _COUPLED))
    widths = iter([_WIDTHS[one] for one in reader.read(num_own, len(_WIDTHS))])
    num_shared = num_own - int(np.count_nonzero(forms == _DENSE))
    zeros = reader.read(num_shared, 2).astype(bool)
    sizes = np.zeros(num_shared, np.int64)
    for shift in (8, 4, 0):
        sizes += reader.read(num_shared, _NIBBLE).astype(np.int64) << shift
    heads = zip(zeros, sizes + 1, strict=True)
    num_books = int(np.count_nonzero(forms == _SHARED))
    numbers = iter(reader.read(len(shapes) - num_own, max(1, num_books)))
    # Codebooks take no more memory than what they stand for.
    room = sum(
        max(_NIBBLE, int(np.prod(shape)))
        for shape, form in zip(shapes.values(), forms, strict=True)
        if form != _DENSE
    )
    books: list[SharedTensor] = []
    before: Flags | None = None
    tensors: dict[str, StoredTensor] = {}
    for (name, shape), form in zip(shapes.items(), forms, strict=True):
        if form == _DENSE:
            bits = next(widths)
            values = _read_values(reader, name, int(np.prod(shape)), bits).reshape(shape)
            tensors[name] = DenseTensor(values=values, bits=bits)
            continue
        if form == _COUPLED:
            number = int(next(numbers))
            if number >= len(books):
                raise DataError(f"{name} would have the values of a tensor that comes after it")
            book = books[number]
        else:
            has_zero, size = next(heads)
            groups = shape[0] if form == _SHARED_BY_ROWS and shape else 1
            room -= groups * int(size)
            if room < 0:
                raise DataError(f"{name} would have more shared values than there are weights")
            book = _read_codebooks(reader, name, groups, int(size), bool(has_zero), next(widths))
            if form == _SHARED:
                books.append(book)
        indices, before = _read_indices(reader, book, shape, before)
        tensors[name] = replace(book, indices=indices)
    return tensors


def _form(tensor: StoredTensor) -> int:
    """Return how a tensor that isn't coupled is stored."""
    if isinstance(tensor, DenseTensor):
        return _DENSE
    assert tensor.codebooks.shape[1] <= LARGEST_ALPHABET
    return _SHARED if len(tensor.codebooks) == 1 else _SHARED_BY_ROWS


def _write_indices(writer: SymbolWriter, one: SharedTensor, before: Flags | None) -> Flags | None:
    """Write which value is where; return the rows that have anything, of the last such matrix."""
    size, matrix = one.codebooks.shape[1], _matrix(one.indices)
    if not one.has_zero or matrix is None:
        writer.write(one.indices.reshape(-1), size)
        return before
    rows: Flags = np.any(matrix != 0, axis=1)
    columns: Flags = np.any(matrix != 0, axis=0)
    writer.write(rows.astype(np.int64), 2)
    for chosen in _kinds_of_columns(columns.size, before):
        writer.write(columns[chosen].astype(np.int64), 2)
    writer.write(matrix[np.ix_(rows, columns)].reshape(-1), size)
    return rows


def _read_indices(
    reader: SymbolReader, book: SharedTensor, shape: Shape, before: Flags | None
) -> tuple[Symbols, Flags | None]:
    """Return which value is where, and what ``_write_indices`` does."""
    size = book.codebooks.shape[1]
    if not book.has_zero or len(shape) < 2 or not np.prod(shape):
        return reader.read(int(np.prod(shape)), size).reshape(shape), before
    matrix = np.zeros((shape[0], int(np.prod(shape[1:]))), np.min_scalar_type(size - 1))
    rows = reader.read(len(matrix), 2).astype(bool)
    columns = np.zeros(matrix.shape[1], bool)
    for chosen in _kinds_of_columns(columns.size, before):
        columns[chosen] = reader.read(int(np.count_nonzero(chosen)), 2)
    inner = (int(rows.sum()), int(columns.sum()))
    matrix[np.ix_(rows, columns)] = reader.read(inner[0] * inner[1], size).reshape(inner)
    return matrix.reshape(shape), rows


def _read_codebooks(
    reader: SymbolReader, name: str, groups: int, size: int, has_zero: bool, bits: Bits
) -> SharedTensor:
    """Return codebooks, with no indices yet."""
    codebooks = np.zeros((groups, size), np.float32)
    stored = _read_values(reader, name, groups * (size - has_zero), bits)
    codebooks[:, int(has_zero) :] = stored.reshape(groups, -1)
    return SharedTensor(
        codebooks=codebooks, indices=np.zeros(0, np.int64), has_zero=has_zero, bits=bits
    )


def _matrix(indices: Symbols) -> Symbols | None:
    """Return a view with rows and columns; None of a tensor that has no such."""
    if indices.ndim < 2 or not indices.size:
        return None
    return indices.reshape(len(indices), -1)


def _kinds_of_columns(count: int, before: Flags | None) -> tuple[Flags, ...]:
    """Return which columns belong to inputs that something comes from, and which to others."""
    if before is None or count % before.size:
        return (np.ones(count, bool),)
    fed = np.repeat(before, count // before.size)
    return (fed, ~fed)


def _write_bytes(writer: SymbolWriter, content: NDArray[np.uint8], bits: Bits) -> None:
    """Write first bytes of all values, then second bytes: each has its own likely ones."""
    for plane in content.reshape(-1, bits // 8).T:
        writer.write(plane.astype(np.int64), _BYTE)


def _read_values(reader: SymbolReader, name: str, count: int, bits: Bits) -> NDArray[np.float32]:
    content = np.zeros((count, bits // 8), np.uint8)
    for plane in content.T:
        plane[:] = reader.read(count, _BYTE)
    values = from_bytes(content.reshape(-1), bits)
    if not np.isfinite(values).all():
        raise DataError(f"{name} has values that aren't finite numbers")
    return values
