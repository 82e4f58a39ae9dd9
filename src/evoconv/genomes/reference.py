"""Published and hand-made networks as topologies, with the parameter counts they are known for.

The listings of Vidnerová & Neruda 2018 (Tables 2 and 3) say nothing of padding; the counts tell it.
The baseline for Fashion-MNIST has the dropout rates and the leaky ReLU slope (0.1) of the authors'
public code; the listing shows only the last rate.
"""

import math
from dataclasses import dataclass
from typing import Literal

from evoconv.errors import ConfigError
from evoconv.genomes.layers import (
    Convolution,
    Dense,
    FeatureLayer,
    Padding,
    Pair,
    Pooling,
    Residual,
)
from evoconv.genomes.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A known network: what it was made for, and its number of trainable parameters."""

    topology: Topology
    input_shape: tuple[int, int, int]
    num_classes: int = 10
    parameters: int
    source: str


def _convolution(
    filters: int, side: int, activation: str = "relu", padding: Padding = "same"
) -> Convolution:
    return Convolution(filters=filters, kernel=(side, side), activation=activation, padding=padding)


def _pooling(side: int, padding: Padding = "valid", dropout: float = 0.0) -> Pooling:
    return Pooling(size=(side, side), padding=padding, dropout=dropout)


def _strided(filters: int, kernel: Pair, stride: Pair) -> Convolution:
    return Convolution(filters=filters, kernel=kernel, stride=stride, normalisation="batch")


def _block(filters: int, kernel: Pair, stride: Pair) -> Residual:
    return Residual(filters=filters, kernel=kernel, stride=stride, normalisation="batch")


def _lenet5(activation: str, pooling: Literal["max", "average"]) -> Topology:
    return Topology(
        features=(
            _convolution(6, 5, activation),
            Pooling(kind=pooling, size=(2, 2)),
            _convolution(16, 5, activation, "valid"),
            Pooling(kind=pooling, size=(2, 2)),
        ),
        classifier=(
            Dense(units=120, activation=activation),
            Dense(units=84, activation=activation),
        ),
    )


_MNIST = (1, 28, 28)
_PAPER = "Vidnerová & Neruda 2018"

REFERENCES = {
    "async-mnist-baseline": Reference(
        topology=Topology(
            features=(
                _convolution(32, 3, padding="valid"),
                _convolution(32, 3, padding="valid"),
                _pooling(2),
            ),
            classifier=(Dense(units=128, dropout=0.5),),
        ),
        input_shape=_MNIST,
        parameters=600_810,
        source=f"{_PAPER}, Table 2",
    ),
    "async-mnist-evolved": Reference(
        topology=Topology(
            features=(
                _convolution(22, 2, "tanh"),
                _convolution(31, 5, "linear"),
                _pooling(3),
                _convolution(33, 5),
            ),
            classifier=(Dense(units=143, dropout=0.4), Dense(units=42, activation="tanh")),
        ),
        input_shape=_MNIST,
        parameters=431_659,
        source=f"{_PAPER}, Table 2",
    ),
    "async-fashion-baseline": Reference(
        topology=Topology(
            features=(
                _convolution(32, 3, "leaky-relu"),
                _pooling(2, "same", dropout=0.25),
                _convolution(64, 3, "leaky-relu"),
                _pooling(2, "same", dropout=0.25),
                _convolution(128, 3, "leaky-relu"),
                _pooling(2, "same", dropout=0.4),
            ),
            classifier=(Dense(units=128, activation="leaky-relu", dropout=0.3),),
        ),
        input_shape=_MNIST,
        parameters=356_234,
        source=f"{_PAPER}, Table 3",
    ),
    "async-fashion-evolved": Reference(
        topology=Topology(
            features=(
                _convolution(46, 3),
                _convolution(15, 3),
                _convolution(36, 4),
                _convolution(13, 3),
                _convolution(36, 3),
                _pooling(2),
            ),
            classifier=(
                Dense(units=235, activation="hard-sigmoid", dropout=0.4),
                Dense(units=130, activation="tanh", dropout=0.3),
            ),
        ),
        input_shape=_MNIST,
        parameters=1_714_219,
        source=f"{_PAPER}, Table 3",
    ),
    "compact-scenario-1": Reference(
        topology=Topology(
            features=(
                _strided(52, (5, 5), (2, 1)),
                Pooling(kind="average", size=(2, 3), stride=(1, 1), padding="same"),
                _strided(50, (3, 2), (1, 1)),
                _strided(24, (5, 3), (2, 2)),
                _strided(33, (2, 5), (2, 1)),
            ),
        ),
        input_shape=_MNIST,
        parameters=61_787,
        source="Litzinger, Klos & Schiffmann, Table 2",
    ),
    # One label of Table 3 is lost: six feature layers, five labels. The published 2.5M fit the
    # reading residual, convolution, two residuals, convolution, residual, with blocks as in
    # ``Residual`` and bias and normalisation everywhere. Other readings give 2.33M to 2.66M.
    "compact-scenario-2": Reference(
        topology=Topology(
            features=(
                _block(254, (3, 7), (2, 1)),
                _strided(102, (2, 3), (1, 1)),
                _block(86, (6, 7), (1, 1)),
                _block(16, (5, 4), (4, 4)),
                _strided(114, (4, 3), (3, 2)),
                _block(170, (1, 2), (3, 1)),
            ),
            classifier=(Dense(units=172),),
        ),
        input_shape=_MNIST,
        parameters=2_499_788,
        source="Litzinger, Klos & Schiffmann, Table 3",
    ),
    "tensorflow-tutorial": Reference(
        topology=Topology(
            features=(_convolution(32, 5), _pooling(2), _convolution(64, 5), _pooling(2)),
            classifier=(Dense(units=1024, dropout=0.5),),
        ),
        input_shape=_MNIST,
        parameters=3_274_634,
        source="TensorFlow's MNIST tutorial for experts, 2016",
    ),
    "lenet5": Reference(
        topology=_lenet5("relu", "max"),
        input_shape=_MNIST,
        parameters=61_706,
        source="LeCun et al. 1998, with the activations and poolings of today",
    ),
    "lenet5-tanh": Reference(
        topology=_lenet5("tanh", "average"),
        input_shape=_MNIST,
        parameters=61_706,
        source="LeCun et al. 1998, on 28×28 images padded to 32×32 by the first convolution",
    ),
}


def reference(name: str) -> Reference:
    """Return the reference network of that name. Raises ``ConfigError`` naming the known ones."""
    if name not in REFERENCES:
        raise ConfigError(f"reference must be one of {', '.join(REFERENCES)}, got {name}")
    return REFERENCES[name]


def baseline(input_shape: tuple[int, int, int], num_classes: int) -> Topology:
    """Return a small hand-made network for images of shape (C, H, W): the row a search has to beat.

    3×3 convolutions with batch normalisation, two per resolution, halved (rounding up) until the
    shorter side is at most eight; filters double towards the end, where the maps are averaged.
    About 31,000 parameters for small images with ten classes.
    """
    _, height, width = input_shape
    if num_classes < 2 or min(input_shape) < 1:
        raise ConfigError(f"no network for {num_classes} classes of images of shape {input_shape}")
    num_poolings = max(math.ceil(math.log2(min(height, width) / 8)), 1)
    features: list[FeatureLayer] = []
    for to_go in range(num_poolings, 0, -1):
        filters = max(32 >> (to_go - 1), 8)
        features += [_small_convolution(filters), _small_convolution(filters), _pooling(2, "same")]
    features.append(_small_convolution(48))
    return Topology(features=tuple(features), reduction="global-average")


def _small_convolution(filters: int) -> Convolution:
    return Convolution(filters=filters, kernel=(3, 3), bias=False, normalisation="batch")
