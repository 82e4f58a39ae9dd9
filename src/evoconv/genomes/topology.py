"""A convolutional classifier as a value with canonical JSON and a digest.

A topology has a feature part (convolution, pooling, residual block), a reduction of the last maps
to a vector, and a classifier part (hidden dense layers). The output layer, one unit per class, is
implied.

Source: the two parts are those of Vidnerová & Neruda 2018, section 3.1.
"""

import json
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal

from evoconv.errors import ConfigError
from evoconv.genomes.genome_text import read_genome_text
from evoconv.genomes.layers import (
    LAYER_KINDS,
    Convolution,
    Dense,
    FeatureLayer,
    Layer,
    Pooling,
    Residual,
    check_choice,
)

Reduction = Literal["flatten", "global-average"]
REDUCTIONS: tuple[Reduction, ...] = ("flatten", "global-average")
MAX_LAYERS = 1_000

_KIND_NAMES = {kind: name for name, kind in LAYER_KINDS.items()}
_FIELDS = {kind: tuple(one.name for one in fields(kind)) for kind in _KIND_NAMES}
_REQUIRED = {
    kind: {one.name for one in fields(kind) if one.default is MISSING} for kind in _KIND_NAMES
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """A convolutional classifier but for its output layer. Bad values raise ``ConfigError``."""

    features: tuple[FeatureLayer, ...]
    classifier: tuple[Dense, ...] = ()
    reduction: Reduction = "flatten"
    _digest: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_part("features", self.features, Convolution | Residual | Pooling)
        _check_part("classifier", self.classifier, Dense)
        check_choice("reduction", self.reduction, REDUCTIONS)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the SHA-256 of what is built, not of how it is written."""
        if not self._digest:
            # One way of writing for all topologies that build the same network.
            built = [one for one in self.features if not _is_nothing(one)]
            text = _as_text(map(_normal_text, built), self.classifier, self.reduction)
            object.__setattr__(self, "_digest", sha256(text.encode()).hexdigest()[:16])
        return self._digest

    def to_json(self) -> str:
        """Canonical JSON, every field written: equal topologies give equal text."""
        return _as_text(map(_layer_text, self.features), self.classifier, self.reduction)

    @classmethod
    def from_json(cls, text: str) -> "Topology":
        """Return the topology that the text describes; fields left out take their defaults.

        Raises:
            ConfigError: the text is no topology, or holds an unknown or absurd value. It may come
                from anywhere, so nothing in it is trusted.
        """
        data = read_genome_text(text)
        if not isinstance(data, dict) or "features" not in data:
            raise ConfigError("a genome must be a JSON object with 'features'")
        if unknown := data.keys() - {"features", "classifier", "reduction"}:
            raise ConfigError(f"a genome has no {min(unknown)!r:.50}")
        return cls(
            features=_part_from("features", data["features"]),
            classifier=_part_from("classifier", data.get("classifier", [])),
            reduction=data.get("reduction", "flatten"),
        )


def _as_text(features: Iterable[str], classifier: Iterable[Dense], reduction: str) -> str:
    first, second = ",".join(features), ",".join(map(_layer_text, classifier))
    return f'{{"features":[{first}],"classifier":[{second}],"reduction":"{reduction}"}}'


# Children share most layers with their parents, and a long study is replayed in one go.
@lru_cache(maxsize=100_000)
def _layer_text(layer: Layer) -> str:
    return json.dumps(_as_data(layer), separators=(",", ":"))


@lru_cache(maxsize=100_000)
def _normal_text(layer: FeatureLayer) -> str:
    return _layer_text(_normal_form(layer))


def _as_data(layer: Layer) -> dict[str, Any]:
    kind = type(layer)
    data: dict[str, Any] = {"layer": _KIND_NAMES[kind]}
    for name in _FIELDS[kind]:
        data[name] = getattr(layer, name)
    return data


def _part_from(part: str, data: object) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise ConfigError(f"{part} must be a list of layers, got {data!r:.50}")
    if len(data) > MAX_LAYERS:
        raise ConfigError(f"{part} must have at most {MAX_LAYERS} layers, got {len(data)}")
    return tuple(_layer_from(f"{part}.{index}", one) for index, one in enumerate(data))


def _layer_from(where: str, data: object) -> Layer:
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: a layer must be an object, got {data!r:.50}")
    name: Any = data.get("layer")
    check_choice(f"{where}: layer", name, tuple(LAYER_KINDS))
    kind: Any = LAYER_KINDS[name]
    values = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in data.items()
        if key != "layer"
    }
    if unknown := values.keys() - set(_FIELDS[kind]):
        raise ConfigError(f"{where}: {name} has no {min(unknown)!r:.50}")
    if missing := _REQUIRED[kind] - values.keys():
        raise ConfigError(f"{where}: {name} needs {min(missing)}")
    try:
        layer: Layer = kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return layer


def _is_nothing(layer: FeatureLayer) -> bool:
    return isinstance(layer, Pooling) and layer.is_nothing


def _normal_form(layer: FeatureLayer) -> FeatureLayer:
    """A window of one value needs no padding, and neither maximum nor average changes it."""
    if isinstance(layer, Pooling):
        if layer.size == (1, 1):
            return replace(layer, stride=layer.steps, kind="max", padding="valid")
        return replace(layer, stride=layer.steps)
    if isinstance(layer, Convolution) and layer.kernel == (1, 1):
        return replace(layer, padding="valid")
    return layer


def _check_part(part: str, layers: object, allowed: Any) -> None:
    if not isinstance(layers, tuple) or len(layers) > MAX_LAYERS:
        raise ConfigError(f"{part} must be a tuple of at most {MAX_LAYERS} layers")
    for index, layer in enumerate(layers):
        if not isinstance(layer, allowed):
            kind = _KIND_NAMES.get(type(layer), type(layer).__name__)
            raise ConfigError(f"{part}.{index}: {part} can't hold a layer of kind {kind}")
