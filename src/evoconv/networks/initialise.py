"""Initial weights, by named schemes, from a generator given.

Sources: Glorot & Bengio 2010; He et al. 2015. ``glorot-uniform`` with zero biases is the default of
Keras, ``torch`` that of torch (uniform in ±1/sqrt(fan-in), biases too).
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from evoconv.errors import ConfigError


def _glorot_uniform(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.xavier_uniform_(weight, generator=generator)


def _he_normal(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def _torch_uniform(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)


SCHEMES: Mapping[str, Callable[[Tensor, torch.Generator], None]] = {
    "glorot-uniform": _glorot_uniform,
    "he-normal": _he_normal,
    "torch": _torch_uniform,
}


def initialise(module: nn.Module, scheme: str, generator: torch.Generator) -> None:
    """Set all weights of a module on the generator's device, in place.

    Convolutions and dense layers follow the scheme; their biases are zero, except for ``torch``.
    Normalisation starts as the identity, with running statistics of mean 0 and variance 1.

    Raises:
        ConfigError: no scheme has that name.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"initialisation must be one of {', '.join(SCHEMES)}, got {scheme}")
    for one in module.modules():
        if isinstance(one, nn.Conv2d | nn.Linear):
            SCHEMES[scheme](one.weight, generator)
            if one.bias is not None and scheme == "torch":
                bound = 1 / math.sqrt(one.weight[0].numel())
                nn.init.uniform_(one.bias, -bound, bound, generator=generator)
            elif one.bias is not None:
                nn.init.zeros_(one.bias)
        elif isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d):
            one.reset_parameters()
