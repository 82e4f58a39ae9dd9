"""Backbones and weights of timm and torchvision, where those packages are installed.

Named ``timm:resnet18`` or ``torchvision:resnet18``. Weights by such a name are downloaded by the
package, with its own checks.
"""

import re
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from evoconv.errors import ConfigError, DataError, MissingExtra
from evoconv.networks.staged import StagedBackbone

# No other: timm would look "hf-hub:…" up on the network.
_NAME = re.compile(r"(timm|torchvision):[A-Za-z0-9_.]+")


@dataclass(frozen=True, kw_only=True)
class ForeignWeights:
    """Tensors by name, and the images that they are for: size in pixels, colours as shares."""

    tensors: dict[str, Tensor]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def is_foreign(name: str) -> bool:
    """Return whether a name is that of a network of another package."""
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=32)
def foreign_backbone(name: str) -> StagedBackbone:
    """Return a network of another package as a backbone.

    Raises:
        MissingExtra: the package isn't installed, or can't be used beside this torch.
        ConfigError: it has no such network, or one that can't be cut.
    """
    package, _, own_name = name.partition(":")
    make = partial(_models(package).create_model, own_name, pretrained=False)
    if package == "torchvision":
        make = partial(_models(package).get_model, own_name, weights=None)
    backbone = StagedBackbone(name, partial(_made, name, make))
    _ = backbone.row  # whether it can be cut shows at once
    return backbone


def foreign_weights(name: str) -> ForeignWeights:
    """Return the weights that a package gives a network, downloaded by it.

    Raises:
        MissingExtra: the package isn't installed, or can't be used beside this torch.
        ConfigError: it has no such network.
        DataError: there are no weights, or they couldn't be had.
    """
    package, _, own_name = name.partition(":")
    models = _models(package)
    try:
        return (
            _of_timm(models, own_name) if package == "timm" else _of_torchvision(models, own_name)
        )
    except Exception as error:  # whatever a package, a network or a server comes up with
        first = str(error).partition("\n")[0]
        raise DataError(f"the weights of {name} can't be had: {first:.200}") from error


def _of_timm(timm: Any, own_name: str) -> ForeignWeights:
    network = timm.create_model(own_name, pretrained=True)
    about = network.pretrained_cfg
    return ForeignWeights(
        tensors=dict(network.state_dict()),
        size=tuple(about["input_size"][1:]),
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
    )


def _of_torchvision(models: Any, own_name: str) -> ForeignWeights:
    weights = models.get_model_weights(own_name).DEFAULT
    about = weights.transforms()
    (side,) = about.crop_size
    return ForeignWeights(
        tensors=dict(weights.get_state_dict(progress=False, check_hash=True)),
        size=(side, side),
        mean=tuple(about.mean),
        std=tuple(about.std),
    )


def _made(name: str, make: Any) -> nn.Module:
    try:
        network: nn.Module = make()
    except Exception as error:  # each package has its own way to say that it has none
        raise ConfigError(f"no backbone is called {name} ({error!s:.100})") from error
    return network


def _models(package: str) -> Any:
    """Return the module that makes a package's networks."""
    try:
        return import_module("timm" if package == "timm" else "torchvision.models")
    except (ImportError, RuntimeError) as error:
        # torchvision raises RuntimeError where it was built for another torch.
        raise MissingExtra(
            f"{package} can't be imported ({error!s:.100}): pip install 'evoconv[backbones]'"
        ) from error
