"""A part of a known network with a head of its own: what transfer learning builds."""

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from evoconv.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9_.:\-/]{1,100}")
_MOST_LAYERS = 100_000


@dataclass(frozen=True, kw_only=True)
class BackboneCut:
    """A backbone up to and with some of its layers, and a classifier on the mean of their maps.

    Attributes:
        backbone: its name, such as ``densenet121``.
        included: how many of its layers there are, at least 1.
        excited_from: layers from this one on, counted from 0, have squeeze-and-excitation; None
            for none.
        dropout: share of the averaged maps that is set to zero in training, in [0, 1).

    Raises:
        ConfigError: a value out of range.
    """

    backbone: str
    included: int
    excited_from: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, str) or not _NAME.fullmatch(self.backbone):
            raise ConfigError(f"a backbone's name must be a word, got {self.backbone!r:.40}")
        _check_count("included", self.included, 1)
        if self.excited_from is not None:
            _check_count("excited_from", self.excited_from, 0)
        if type(self.dropout) not in (int, float) or not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")

    def to_json(self) -> str:
        """Return canonical JSON: equal cuts give equal text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "BackboneCut":
        """Return the cut of parsed JSON, which may come from anywhere; raises ``ConfigError``."""
        if content.keys() != {one.name for one in fields(cls)}:
            raise ConfigError(f"unknown or missing fields in a backbone: {sorted(content)}")
        return cls(**content)


def _check_count(name: str, value: object, least: int) -> None:
    if type(value) is not int or not least <= value <= _MOST_LAYERS:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r:.40}")
