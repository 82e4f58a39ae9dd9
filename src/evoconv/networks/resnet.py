"""ResNet-20, the residual network of 20 layers for images of about 32×32.

Source: He, Zhang, Ren & Sun 2015, "Deep Residual Learning for Image Recognition", section 4.2 with
n = 3; its shortcuts have no parameters (option A): where maps get smaller and more, every second
pixel of every second row is taken, and maps of zeros are added.

The paper leaves open where those go: half of them are before the others, half after, as in
Idelbayev's "Proper ResNet Implementation for CIFAR10/CIFAR100 in PyTorch", whose names the
parameters have.

Shapes: N images, C maps, H rows, W columns.
"""

from torch import Tensor, nn
from torch.nn import functional

from evoconv.networks.cnn import GlobalAverage, Parts

_MAPS = (16, 32, 64)  # of each group of blocks; before them as many as in the first
_BLOCKS = 3  # of each group, of two convolutions each


class PaddedShortcut(nn.Module):
    """Every ``stride``-th pixel and row, and maps of zeros on both sides up to ``made`` maps."""

    def __init__(self, maps: int, made: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (made - maps) // 2
        self.after = made - maps - self.before

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return maps of shape (N, made, H / stride, W / stride), rounded up."""
        y_NCHW = x_NCHW[:, :, :: self.stride, :: self.stride]
        return functional.pad(y_NCHW, (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions, added to the block's input."""

    def __init__(self, maps: int, made: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(maps, made, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(made)
        self.conv2 = nn.Conv2d(made, made, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(made)
        is_same = stride == 1 and maps == made
        self.shortcut = nn.Identity() if is_same else PaddedShortcut(maps, made, stride)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return maps of shape (N, made, H / stride, W / stride), rounded up."""
        y_NCHW = functional.relu(self.bn1(self.conv1(x_NCHW)))
        y_NCHW = self.bn2(self.conv2(y_NCHW))
        return functional.relu(y_NCHW + self.shortcut(x_NCHW))


def build_resnet20(num_classes: int = 10) -> nn.Sequential:
    """Return the whole network: images (N, 3, H, W) to logits (N, num_classes).

    Its parts are ``conv1``, ``bn1``, ``relu``, the groups ``layer1`` to ``layer3``, ``reduction``
    and ``linear``; its weights are torch's.
    """
    maps = _MAPS[0]
    parts = Parts(
        conv1=nn.Conv2d(3, maps, 3, 1, 1, bias=False),
        bn1=nn.BatchNorm2d(maps),
        relu=nn.ReLU(inplace=True),
    )
    for group, made in enumerate(_MAPS, start=1):
        blocks = []
        for place in range(_BLOCKS):
            halves = group > 1 and place == 0
            blocks.append(BasicBlock(maps, made, stride=2 if halves else 1))
            maps = made
        parts[f"layer{group}"] = nn.Sequential(*blocks)
    parts["reduction"] = GlobalAverage()
    parts["linear"] = nn.Linear(maps, num_classes)
    return nn.Sequential(parts)
