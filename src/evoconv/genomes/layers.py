"""The layers that topologies are made of: immutable values, checked when they are made.

``LAYER_KINDS`` is the one table of kinds; shapes.py, vary_topology.py and networks/cnn.py have an
entry for each of them. A value out of range raises ``ConfigError``.

Source: Vidnerová & Neruda 2018, section 3.1. Differs: more general (kernel and stride per axis,
padding, bias, normalisation, pooling kind, residual blocks).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evoconv.errors import ConfigError

ACTIVATIONS = (
    "linear", "relu", "leaky-relu", "relu6", "elu", "selu", "gelu", "silu", "hard-swish", "mish",
    "tanh", "sigmoid", "hard-sigmoid", "softplus",
)  # fmt: skip
PADDINGS = ("same", "valid")
NORMALISATIONS = ("none", "batch")
POOLINGS = ("max", "average")

# Beyond anything sensible, yet small enough that arithmetic on a hostile genome stays cheap.
MAX_FILTERS = 65_536
MAX_UNITS = 1_000_000
MAX_WINDOW = 1_024

Padding = Literal["same", "valid"]
Normalisation = Literal["none", "batch"]
Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Convolution:
    """Convolution, then normalisation, activation and dropout. Pairs are (height, width)."""

    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = "same"
    activation: str = "relu"
    bias: bool = True
    normalisation: Normalisation = "none"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check_int("filters", self.filters, MAX_FILTERS)
        _check_pair("kernel", self.kernel)
        _check_pair("stride", self.stride)
        check_choice("padding", self.padding, PADDINGS)
        _check_unit(self)

    def __str__(self) -> str:
        window = _window_text(self.kernel, self.stride, self.padding)
        return f"convolution {self.filters} {window}{_unit_text(self)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Residual:
    """Block of two convolutions and a skip: act(norm(conv(act(norm(conv(x))))) + skip(x)).

    Both convolutions have the same filters and kernel and pad to the 'same' size; the first one
    strides. The skip is a strided 1×1 convolution, normalised like the others, where the shape
    changes, else x itself. Dropout comes last.
    """

    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    activation: str = "relu"
    bias: bool = True
    normalisation: Normalisation = "none"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check_int("filters", self.filters, MAX_FILTERS)
        _check_pair("kernel", self.kernel)
        _check_pair("stride", self.stride)
        _check_unit(self)

    def __str__(self) -> str:
        window = _window_text(self.kernel, self.stride, "same")
        return f"residual {self.filters} {window}{_unit_text(self)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pooling:
    """Pooling with floor ('valid') or ceiling ('same'), then dropout. No stride means the size."""

    size: Pair
    kind: Literal["max", "average"] = "max"
    stride: Pair | None = None
    padding: Padding = "valid"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check_pair("size", self.size)
        check_choice("kind", self.kind, POOLINGS)
        if self.stride is not None:
            _check_pair("stride", self.stride)
        check_choice("padding", self.padding, PADDINGS)
        object.__setattr__(self, "dropout", _checked_dropout(self.dropout))

    @property
    def steps(self) -> Pair:
        """Stride per axis."""
        return self.size if self.stride is None else self.stride

    @property
    def is_nothing(self) -> bool:
        """True for 1×1 windows at every position without dropout: they change no value."""
        return self.size == (1, 1) and self.steps == (1, 1) and self.dropout == 0

    def __str__(self) -> str:
        stride = "" if self.steps == self.size else f"/{_pair_text(self.steps)}"
        ceiling = " ceiling" if self.padding == "same" else ""
        dropout = f" dropout {self.dropout:g}" if self.dropout else ""
        return f"{self.kind} pooling {_pair_text(self.size)}{stride}{ceiling}{dropout}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dense:
    """Fully connected layer, then normalisation, activation and dropout."""

    units: int
    activation: str = "relu"
    dropout: float = 0.0
    bias: bool = True
    normalisation: Normalisation = "none"

    def __post_init__(self) -> None:
        _check_int("units", self.units, MAX_UNITS)
        _check_unit(self)

    def __str__(self) -> str:
        return f"dense {self.units}{_unit_text(self)}"


FeatureLayer = Convolution | Residual | Pooling
Layer = FeatureLayer | Dense

LAYER_KINDS: Mapping[str, type[Layer]] = {
    "convolution": Convolution,
    "residual": Residual,
    "pooling": Pooling,
    "dense": Dense,
}


def _check_unit(layer: Convolution | Residual | Dense) -> None:
    check_choice("activation", layer.activation, ACTIVATIONS)
    check_choice("normalisation", layer.normalisation, NORMALISATIONS)
    if not isinstance(layer.bias, bool):
        raise ConfigError(f"bias must be true or false, got {layer.bias!r:.50}")
    object.__setattr__(layer, "dropout", _checked_dropout(layer.dropout))


def _checked_dropout(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1:  # type: ignore[operator]
        raise ConfigError(f"dropout must be in [0, 1), got {value!r:.50}")
    # Equal values must be written alike: 0, 0.0 and -0.0 all become 0.0.
    return float(value) + 0.0  # type: ignore[arg-type]


def _check_int(name: str, value: object, high: int) -> None:
    if type(value) is not int or not 1 <= value <= high:
        raise ConfigError(f"{name} must be a whole number in [1, {high}], got {value!r:.50}")


def _check_pair(name: str, value: object) -> None:
    if type(value) is not tuple or len(value) != 2:
        raise ConfigError(f"{name} must be a pair (height, width), got {value!r:.50}")
    _check_int(name, value[0], MAX_WINDOW)
    _check_int(name, value[1], MAX_WINDOW)


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ``ConfigError`` unless the value is one of the names; it may be of any type."""
    if type(value) is not str or value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r:.50}")


def _pair_text(pair: Pair) -> str:
    return f"{pair[0]}×{pair[1]}"


def _window_text(kernel: Pair, stride: Pair, padding: str) -> str:
    text = _pair_text(kernel)
    if stride != (1, 1):
        text += f"/{_pair_text(stride)}"
    return text if padding == "same" else f"{text} {padding}"


def _unit_text(layer: Convolution | Residual | Dense) -> str:
    text = "" if layer.normalisation == "none" else " batch-norm"
    text += "" if layer.activation == "linear" else f" {layer.activation}"
    return f"{text} dropout {layer.dropout:g}" if layer.dropout else text
