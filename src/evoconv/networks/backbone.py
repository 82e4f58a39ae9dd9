"""Backbones: known networks that can be cut after a layer and held still up to another one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from evoconv.errors import ConfigError
from evoconv.networks.densenet import LAYOUTS, DenseNetLayout, build_densenet, leading_names
from evoconv.networks.foreign import foreign_backbone, is_foreign
from evoconv.networks.mobilenet import build_mobilenetv2
from evoconv.networks.resnet import build_resnet20
from evoconv.networks.staged import StagedBackbone

# In files of old: denselayer1.norm.1 for denselayer1.norm1.
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


class Backbone(Protocol):
    """A network of numbered layers, from 1."""

    @property
    def num_layers(self) -> int:
        """How many layers there are to cut after."""

    @property
    def most_frozen(self) -> int:
        """How many layers a search may freeze unless it is told otherwise."""

    def build(
        self,
        in_channels: int,
        num_classes: int,
        *,
        included: int,
        excited_from: int | None,
        dropout: float,
    ) -> nn.Module:
        """Return the backbone up to and with a layer, and a classifier: see ``BackboneCut``.

        Raises:
            ConfigError: it has not so many layers.
        """

    def leading(self, count: int) -> tuple[str, ...]:
        """Return the names of what is computed up to and with a layer; none for a count of 0."""

    def named(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a file's tensors by the names that they have here."""

    def shared(self, tensors: Mapping[str, Tensor], included: int) -> dict[str, Tensor]:
        """Return those of the whole backbone's tensors that a cut of it has, too."""


@dataclass(frozen=True)
class DenseNet:
    """A DenseNet as a backbone; its layers are the dense layers: 58 in DenseNet-121."""

    layout: DenseNetLayout

    @property
    def num_layers(self) -> int:
        """How many dense layers there are."""
        return self.layout.num_layers

    @property
    def most_frozen(self) -> int:
        """18 of torchvision's, their first two blocks of four, as in the report; of others, all."""
        blocks = self.layout.blocks
        return sum(blocks[:2]) if len(blocks) == 4 else self.num_layers

    def build(
        self,
        in_channels: int,
        num_classes: int,
        *,
        included: int,
        excited_from: int | None,
        dropout: float,
    ) -> nn.Module:
        """Return the DenseNet, cut after a dense layer."""
        return build_densenet(
            self.layout,
            in_channels,
            num_classes,
            included=included,
            excited_from=excited_from,
            dropout=dropout,
        )

    def leading(self, count: int) -> tuple[str, ...]:
        """Return the names of the stem, dense layers and transitions up to a dense layer."""
        return leading_names(self.layout, count)

    def named(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors by torchvision's names, which once were spelt another way."""
        return {_OLD_NAME.sub(r"\1\2", name): one for name, one in given.items()}

    def shared(self, tensors: Mapping[str, Tensor], included: int) -> dict[str, Tensor]:
        """Return the tensors but for those of later layers; the last norm is the whole one's."""
        names = leading_names(self.layout, included)
        if included == self.num_layers:
            names = (*names, "features.norm5")
        return {
            name: one
            for name, one in tensors.items()
            if any(name.startswith(f"{layer}.") for layer in names)
        }


BACKBONES: Mapping[str, Backbone] = {
    **{name: DenseNet(layout) for name, layout in LAYOUTS.items()},
    "mobilenetv2": StagedBackbone("mobilenetv2", build_mobilenetv2),
    "resnet20": StagedBackbone("resnet20", build_resnet20),
}


def find_backbone(name: str) -> Backbone:
    """Return a backbone by its name, such as ``densenet121`` or ``timm:resnet18``.

    Raises:
        ConfigError: there is none of that name, or it can't be cut.
        MissingExtra: the package that it is from isn't installed.
    """
    own = name.removeprefix("torchvision:")
    if own in BACKBONES:
        return BACKBONES[own]
    if is_foreign(name):
        return foreign_backbone(name)
    raise ConfigError(
        f"no backbone is called {name}; there are {', '.join(BACKBONES)}, and with another package"
        " timm:NAME and torchvision:NAME"
    )
