"""A reader of .evo files made from docs/evo-format.md alone: nothing of evoconv, no packages."""

import json
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tests.export.evo_shapes import shapes_of

MASK = (1 << 64) - 1


def preset_dictionary(source: str) -> bytes:
    """Return the bytes that the page points to, from the text of that file."""
    block = re.search(r"_LIKELY = \((.*?)\n\)\n", source, re.DOTALL)
    assert block is not None
    return "".join(re.findall(r"b'(.*)'", block[1])).encode()


class Decoder:
    """The range coder, and the models of arrays."""

    def __init__(self, content: bytes) -> None:
        padded = content + bytes(-len(content) % 4)
        self.words = [word for (word,) in struct.iter_unpack(">I", padded)]
        self.lower, self.range, self.point = 0, MASK, 0
        for _ in range(2):
            self.point = self.point << 32 | self.word()

    def word(self) -> int:
        return self.words.pop(0) if self.words else 0

    def symbol(self, begins: list[int]) -> int:
        scale = self.range >> 24
        q = (self.point - self.lower & MASK) // scale
        assert q < 1 << 24, "damaged"
        found = max(number for number, begin in enumerate(begins[:-1]) if begin <= q)
        self.lower = self.lower + scale * begins[found] & MASK
        self.range = scale * (begins[found + 1] - begins[found])
        if self.range < 1 << 32:
            self.lower = self.lower << 32 & MASK
            self.range <<= 32
            self.point = (self.point << 32 & MASK) | self.word()
        return found

    def array(self, count: int, alphabet: int) -> list[int]:
        if alphabet == 1:
            return [0] * count
        counts = [0] * alphabet
        symbols: list[int] = []
        while len(symbols) < count:
            begins = _begins(counts)
            size = min(1 + len(symbols) // 16, count - len(symbols))
            block = [self.symbol(begins) for _ in range(size)]
            for one in block:
                counts[one] += 1
            symbols += block
        return symbols

    def values(self, count: int, width: int) -> list[float]:
        planes = [self.array(count, 256) for _ in range(width // 8)]
        return [_number(bytes(some), width) for some in zip(*planes, strict=True)]


def _begins(counts: list[int]) -> list[int]:
    weights = [2 * count + 1 for count in counts]
    size, total = len(weights), sum(weights)
    parts = [weight * ((1 << 20) - size) // total + 1 for weight in weights]
    parts[parts.index(max(parts))] += (1 << 20) - sum(parts)
    free = (1 << 24) - size
    before = [sum(parts[:number]) for number in range(size)]
    return [(free * sum_before >> 20) + i for i, sum_before in enumerate(before)] + [1 << 24]


def _number(content: bytes, width: int) -> float:
    if width == 8:
        sign = -1 if content[0] & 0x80 else 1
        exponent, fraction = content[0] >> 3 & 0xF, content[0] & 7
        if exponent == 0:
            return sign * fraction / 8 * 2.0**-6
        return sign * (1 + fraction / 8) * 2.0 ** (exponent - 7)
    return float(struct.unpack({32: "<f", 16: "<e"}[width], content)[0])


@dataclass
class Known:
    """What the lists at the beginning of the tensors say."""

    forms: list[int]
    widths: Iterator[int]
    zeros: Iterator[int]
    sizes: Iterator[int]
    numbers: Iterator[int]


def read(content: bytes, dictionary: bytes) -> tuple[Any, list[list[float]]]:
    """Return the description, and the values of each tensor, row by row."""
    assert content[:4] == b"EVO\x02"
    assert zlib.crc32(content[8:]) == int.from_bytes(content[4:8], "big")
    place, length, shift = 8, 0, 0
    while True:
        length |= (content[place] & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if content[place - 1] < 0x80:
            break
    inflate = zlib.decompressobj(wbits=-15, zdict=dictionary)
    description = json.loads(inflate.decompress(content[place : place + length]))
    shapes = shapes_of(description)
    coder = Decoder(content[place + length :])
    forms = coder.array(len(shapes), 4)
    own = sum(form != 3 for form in forms)
    widths = [(32, 16, 8)[one] for one in coder.array(own, 3)]
    shared = sum(form in (1, 2) for form in forms)
    zeros = coder.array(shared, 2)
    high, middle, low = (coder.array(shared, 16) for _ in range(3))
    sizes = [h * 256 + m * 16 + n + 1 for h, m, n in zip(high, middle, low, strict=True)]
    numbers = coder.array(len(shapes) - own, max(1, forms.count(1)))
    known = Known(forms, iter(widths), iter(zeros), iter(sizes), iter(numbers))
    return description, list(_tensors(coder, known, shapes))


def _tensors(coder: Decoder, known: Known, shapes: list[tuple[int, ...]]) -> Iterator[list[float]]:
    before: list[int] | None = None
    books: list[tuple[int, list[list[float]]]] = []
    for form, shape in zip(known.forms, shapes, strict=True):
        count = prod(shape)
        if form == 0:
            yield coder.values(count, next(known.widths))
            continue
        if form == 3:
            zero, codebooks = books[next(known.numbers)]
        else:
            zero = next(known.zeros)
            step = next(known.sizes) - zero
            groups = shape[0] if form == 2 else 1
            stored = coder.values(groups * step, next(known.widths))
            codebooks = [[0.0] * zero + stored[g * step : (g + 1) * step] for g in range(groups)]
            if form == 1:
                books.append((zero, codebooks))
        size = len(codebooks[0])
        if zero and len(shape) > 1:
            indices, before = _matrix(coder, shape[0], count // shape[0], size, before)
        else:
            indices = coder.array(count, size)
        each = count // len(codebooks)
        yield [codebooks[place // each][index] for place, index in enumerate(indices)]


def _matrix(
    coder: Decoder, num_rows: int, num_columns: int, size: int, before: list[int] | None
) -> tuple[list[int], list[int]]:
    rows = coder.array(num_rows, 2)
    columns = [0] * num_columns
    kinds = [list(range(num_columns))]
    if before is not None and num_columns % len(before) == 0:
        each = num_columns // len(before)
        kinds = [[c for c in range(num_columns) if before[c // each] == fed] for fed in (1, 0)]
    for kind in kinds:
        for column, flag in zip(kind, coder.array(len(kind), 2), strict=True):
            columns[column] = flag
    inner = iter(coder.array(sum(rows) * sum(columns), size))
    indices = [next(inner) if row and column else 0 for row in rows for column in columns]
    return indices, rows


def dictionary_of(package: Path) -> bytes:
    """Return the preset dictionary, read from the file that the page names."""
    return preset_dictionary((package / "export/evo_file.py").read_text("utf-8"))
