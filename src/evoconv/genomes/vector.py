"""Genomes of a fixed number of cells, each a number with a name and a range."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from numpy.random import Generator

from evoconv.errors import ConfigError
from evoconv.genomes.genome_text import read_genome_text

_MAX_CELLS = 10_000
_BELOW_ONE = math.nextafter(1.0, 0.0)

Value = int | float


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One place of a vector.

    Attributes:
        low, high: its range, both included.
        kind: ``integer``, ``linear`` for real numbers, or ``logarithmic`` for positive ones whose
            orders of magnitude are alike.
    """

    name: str
    low: Value
    high: Value
    kind: str = "integer"

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for a range that is none."""
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ConfigError(f"the range of {self.name} is upside down: {self.low} to {self.high}")
        if self.kind == "logarithmic" and self.low <= 0:
            raise ConfigError(f"the range of {self.name} must be above 0, got {self.low}")

    def at(self, place: float) -> Value:
        """Return the value at a place in [0, 1) of the range."""
        if self.kind == "integer":
            return int(self.low) + int(place * (int(self.high) - int(self.low) + 1))
        if self.kind == "linear":
            return self.low + place * (self.high - self.low)
        return float(self.low * (self.high / self.low) ** place)

    def place(self, value: Value) -> float:
        """Return where a value is in the range, in [0, 1]; of an integer the middle of its part."""
        if self.kind == "integer":
            return (value - self.low + 0.5) / (self.high - self.low + 1)
        if self.low == self.high:
            return 0.0
        if self.kind == "linear":
            return (value - self.low) / (self.high - self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)

    def holds(self, value: Value) -> bool:
        """Return whether the value is one of the range."""
        return self.low <= value <= self.high and (self.kind != "integer" or value == int(value))


@dataclass(frozen=True)
class Vector:
    """Values of cells, in their order."""

    values: tuple[Value, ...]

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digest: equal for equal values."""
        return sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Canonical JSON: a list of numbers."""
        return json.dumps(self.values, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Vector":
        """Return the vector that the text describes.

        Raises:
            ConfigError: the text is no list of finite numbers. It may come from anywhere.
        """
        data = read_genome_text(text)
        if not isinstance(data, list) or not 0 < len(data) <= _MAX_CELLS:
            raise ConfigError(f"a genome must be a list of 1 to {_MAX_CELLS:,} numbers")
        for one in data:
            if isinstance(one, bool) or not isinstance(one, int | float) or not _is_finite(one):
                raise ConfigError(f"a genome holds finite numbers, got {one!r:.50}")
        return cls(tuple(data))


def draw_vector(cells: Sequence[Cell], rng: Generator) -> Vector:
    """Return a vector with each value drawn from its cell's range."""
    return vector_at([rng.random() for _ in cells], cells)


def vector_at(places: Sequence[float], cells: Sequence[Cell]) -> Vector:
    """Return the vector whose values are at these places in [0, 1] of their cells' ranges."""
    inside = (min(place, _BELOW_ONE) for place in places)
    return Vector(tuple(cell.at(place) for cell, place in zip(cells, inside, strict=True)))


def places_of(vector: Vector, cells: Sequence[Cell]) -> list[float]:
    """Return where each value is in its cell's range, in [0, 1]."""
    return [cell.place(value) for cell, value in zip(cells, vector.values, strict=True)]


def _is_finite(number: Value) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond all floats
        return False
