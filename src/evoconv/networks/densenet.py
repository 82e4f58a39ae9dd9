"""DenseNet, whole or cut after some dense layer, with or without squeeze-and-excitation.

Sources: Huang, Liu & Weinberger 2017, "Densely Connected Convolutional Networks" (layout, with
bottlenecks and a compression of 0.5); Hu, Shen & Sun 2018, "Squeeze-and-Excitation Networks";
Safiuddin 2021, "Genetic Algorithm for Transfer Learning in a Deep CNN", section 4.1 (the cut, and
squeeze-and-excitation in what learns). Parameters are called as in torchvision's ``densenet121``.

Differs: an excitation is twice the sigmoid, so that with zero weights it is the identity and a
pretrained network stays what it was.

Shapes: N images, C maps, H rows, W columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from evoconv.errors import ConfigError
from evoconv.networks.cnn import GlobalAverage, Parts, Steps
from evoconv.networks.initialise import initialise

_BOTTLENECK = 4  # growths that the 1×1 convolution of a dense layer gives
_REDUCTION = 16  # of the maps that are squeezed
_LEAST_SQUEEZED = 4


@dataclass(frozen=True, kw_only=True)
class DenseNetLayout:
    """What a DenseNet is made of.

    Attributes:
        blocks: dense layers of each dense block.
        growth: maps that a dense layer adds.
        stem: maps of the first convolution.
        is_small: for images of about 32×32 to 64×64: the first convolution is 3×3 with stride 2 and
            no pooling follows; else it is 7×7 with stride 2, and a pooling halves once more.
    """

    blocks: tuple[int, ...]
    growth: int
    stem: int
    is_small: bool = False

    @property
    def num_layers(self) -> int:
        """How many dense layers there are: 58 in DenseNet-121."""
        return sum(self.blocks)


LAYOUTS: Mapping[str, DenseNetLayout] = {
    "densenet121": DenseNetLayout(blocks=(6, 12, 24, 16), growth=32, stem=64),
    "densenet161": DenseNetLayout(blocks=(6, 12, 36, 24), growth=48, stem=96),
    "densenet169": DenseNetLayout(blocks=(6, 12, 32, 32), growth=32, stem=64),
    "densenet201": DenseNetLayout(blocks=(6, 12, 48, 32), growth=32, stem=64),
    "densenet-small": DenseNetLayout(blocks=(6, 6, 6), growth=12, stem=24, is_small=True),
}


class SqueezeExcitation(nn.Module):
    """Scales each map, by what all maps say, with a factor in (0, 2); by 1 at first."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        squeezed = max(_LEAST_SQUEEZED, maps // _REDUCTION)
        self.squeeze = nn.Linear(maps, squeezed)
        self.excite = nn.Linear(squeezed, maps)
        self.be_identity()

    def be_identity(self) -> None:
        """Let all factors be 1."""
        nn.init.zeros_(self.excite.weight)
        nn.init.zeros_(self.excite.bias)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return maps of the same shape."""
        squeezed = torch.relu(self.squeeze(x_NCHW.mean(dim=(2, 3))))
        factors_NC = 2 * torch.sigmoid(self.excite(squeezed))
        return x_NCHW * factors_NC[:, :, None, None]


class DenseLayer(nn.Module):
    """Appends ``growth`` maps to those that it is given."""

    def __init__(self, maps: int, growth: int, *, excited: bool) -> None:
        super().__init__()
        inner = _BOTTLENECK * growth
        self.norm1 = nn.BatchNorm2d(maps)
        self.conv1 = nn.Conv2d(maps, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, growth, 3, padding=1, bias=False)
        self.excitation = SqueezeExcitation(growth) if excited else nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return maps of shape (N, C + growth, H, W)."""
        y_NCHW = self.conv1(torch.relu(self.norm1(x_NCHW)))
        y_NCHW = self.conv2(torch.relu(self.norm2(y_NCHW)))
        return torch.cat([x_NCHW, self.excitation(y_NCHW)], dim=1)


def build_densenet(
    layout: DenseNetLayout,
    in_channels: int,
    num_classes: int,
    *,
    included: int | None = None,
    excited_from: int | None = None,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return a DenseNet: images (N, C, H, W) to logits (N, K).

    Its parts are ``features``, ``reduction``, ``dropout`` and ``classifier``. A network cut at the
    end of a block has no transition after it; ``norm5`` follows the last dense layer, wherever
    that is.

    Args:
        layout: an entry of ``LAYOUTS``, or another.
        in_channels: of the images.
        num_classes: K, the length of the logits.
        included: how many dense layers there are, in [1, layout.num_layers]; None for all.
        excited_from: dense layers from this one on, counted from 0, have squeeze-and-excitation;
            None for none.
        dropout: share of the averaged maps set to zero in training, in [0, 1).

    Raises:
        ConfigError: as many layers can't be included.
    """
    wanted = layout.num_layers if included is None else included
    if not 1 <= wanted <= layout.num_layers:
        raise ConfigError(
            f"included layers must be in [1, {layout.num_layers}] for this network, got {wanted}"
        )
    features = _stem(layout, in_channels)
    maps, built = layout.stem, 0
    for block, num_layers in enumerate(layout.blocks, start=1):
        layers = Parts()
        for layer in range(1, min(num_layers, wanted - built) + 1):
            excited = excited_from is not None and built + layer > excited_from
            layers[f"denselayer{layer}"] = DenseLayer(maps, layout.growth, excited=excited)
            maps += layout.growth
        built += len(layers)
        features[f"denseblock{block}"] = Steps(layers)
        if built == wanted:
            break
        features[f"transition{block}"] = _transition(maps)
        maps //= 2
    features["norm5"] = nn.BatchNorm2d(maps)
    features["relu5"] = nn.ReLU(inplace=True)
    return nn.Sequential(
        Parts(
            features=Steps(features),
            reduction=GlobalAverage(),
            dropout=nn.Dropout(dropout),
            classifier=nn.Linear(maps, num_classes),
        )
    )


def initialise_densenet(network: nn.Module, scheme: str, generator: torch.Generator) -> None:
    """Set all weights as ``initialise`` does, but excitations as the identity.

    Raises:
        ConfigError: no scheme has that name.
    """
    initialise(network, scheme, generator)
    for one in network.modules():
        if isinstance(one, SqueezeExcitation):
            one.be_identity()


def leading_names(layout: DenseNetLayout, count: int) -> tuple[str, ...]:
    """Return the names of all parts up to and with a dense layer, in order; none for 0."""
    if count == 0:
        return ()
    names = [f"features.{one}" for one in _stem(layout, 1)]
    num_dense = 0
    for block, num_layers in enumerate(layout.blocks, start=1):
        for layer in range(1, num_layers + 1):
            names.append(f"features.denseblock{block}.denselayer{layer}")
            num_dense += 1
            if num_dense == count:
                return tuple(names)
        names.append(f"features.transition{block}")
    raise ConfigError(f"this network has {num_dense} dense layers, not {count}")


def _stem(layout: DenseNetLayout, in_channels: int) -> Parts:
    size = 3 if layout.is_small else 7
    parts = Parts(
        conv0=nn.Conv2d(in_channels, layout.stem, size, 2, size // 2, bias=False),
        norm0=nn.BatchNorm2d(layout.stem),
        relu0=nn.ReLU(inplace=True),
    )
    if not layout.is_small:
        parts["pool0"] = nn.MaxPool2d(3, stride=2, padding=1)
    return parts


def _transition(maps: int) -> nn.Module:
    return nn.Sequential(
        Parts(
            norm=nn.BatchNorm2d(maps),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(maps, maps // 2, 1, bias=False),
            pool=nn.AvgPool2d(2, 2),
        )
    )
