"""MobileNetV2: blocks that widen, filter each map by itself, and end narrow and linear.

Source: Sandler, Howard, Zhu, Zhmoginov & Chen 2018, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", table 2, of width 1. Parameters are called as in torchvision's ``mobilenet_v2``.

Shapes: N images, C maps, H rows, W columns.
"""

from torch import Tensor, nn

from evoconv.networks.cnn import GlobalAverage, Parts

_STEM, _LAST = 32, 1280  # maps of the first and the last convolution
# By what a block widens, its maps, how many such blocks there are, and the stride of the first.
_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_DROPOUT = 0.2


class InvertedResidual(nn.Module):
    """1×1 to more maps, 3×3 within each, 1×1 to ``made``; added to the input if of its shape."""

    def __init__(self, maps: int, made: int, *, widening: int, stride: int) -> None:
        super().__init__()
        wide = widening * maps
        self.conv = nn.Sequential(
            *([] if widening == 1 else [_unit(maps, wide, 1)]),
            _unit(wide, wide, 3, stride=stride, groups=wide),
            nn.Conv2d(wide, made, 1, bias=False),
            nn.BatchNorm2d(made),
        )
        self.adds = stride == 1 and maps == made

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return maps of shape (N, made, H / stride, W / stride), rounded up."""
        y_NCHW: Tensor = self.conv(x_NCHW)
        return x_NCHW + y_NCHW if self.adds else y_NCHW


def build_mobilenetv2(num_classes: int = 1000) -> nn.Sequential:
    """Return the whole network: images (N, 3, H, W) to logits (N, num_classes).

    Its parts are ``features``, ``reduction`` and ``classifier``; its weights are torch's.
    """
    features: list[nn.Module] = [_unit(3, _STEM, 3, stride=2)]
    maps = _STEM
    for widening, made, count, stride in _BLOCKS:
        for place in range(count):
            features.append(
                InvertedResidual(maps, made, widening=widening, stride=stride if place == 0 else 1)
            )
            maps = made
    features.append(_unit(maps, _LAST, 1))
    return nn.Sequential(
        Parts(
            features=nn.Sequential(*features),
            reduction=GlobalAverage(),
            classifier=nn.Sequential(nn.Dropout(_DROPOUT), nn.Linear(_LAST, num_classes)),
        )
    )


def _unit(maps: int, made: int, size: int, *, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(maps, made, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(made),
        nn.ReLU6(inplace=True),
    )
