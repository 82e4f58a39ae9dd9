"""What frozen leading layers make of images, in the place of the images.

It holds for images without augmentation, which never changes what frozen layers give.

Shapes: N images, B batch, C channels, H height, W width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from evoconv.data.batches import Source, inference_batches
from evoconv.execution.executor import Control
from evoconv.networks.cnn import Steps
from evoconv.training.precision import Precision


def named_layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers of a network that is a row of them, in order of execution."""
    found: list[tuple[str, nn.Module]] = []
    for part, module in network.named_children():
        if isinstance(module, Steps):
            found += [(f"{part}.{name}", layer) for name, layer in named_layers(module)]
        else:
            found.append((part, module))
    return found


def rest_after(network: nn.Module, count: int) -> nn.Sequential:
    """Return a row of layers without its first ``count``; it shares them with the network."""
    return nn.Sequential(*[layer for _, layer in named_layers(network)[count:]])


@dataclass(frozen=True, kw_only=True)
class LeadingLayers:
    """The first layers of a network, in use, and what they are fed."""

    layers: nn.Sequential
    source: Source
    precision: Precision

    @classmethod
    def of(cls, network: nn.Module, count: int, source: Source, precision: Precision) -> Self:
        """Return the first ``count`` layers of a row of them, on the device of the source."""
        layers = nn.Sequential(*[layer for _, layer in named_layers(network)[:count]])
        layers.to(source.device, memory_format=precision.memory_format)  # type: ignore[call-overload]
        return cls(layers=layers.eval(), source=source, precision=precision)

    def outputs(self, images: Tensor) -> Tensor:
        """Return what they make of images (B, C, H, W), as ``Features`` keeps it."""
        # Not inference_mode: what it makes can't be learnt from.
        with torch.no_grad(), self.precision.autocast(self.source.device):
            outputs: Tensor = self.layers(self.precision.arranged(images))
        if self.is_last(outputs):
            outputs = outputs.permute(0, 2, 3, 1)
        return outputs.contiguous()

    def in_parts(self, rows: Tensor, control: Control) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield outputs and labels of many images; ``Cancelled`` where that is asked."""
        for images, labels_B in inference_batches(self.source, rows):
            control.checkpoint()
            yield self.outputs(images), labels_B

    def is_last(self, outputs: Tensor) -> bool:
        """Return whether maps are kept with channels last: no batch needs to be rearranged."""
        return self.precision.channels_last and outputs.ndim == 4


class Features:
    """Outputs of leading layers in the place of images: has what ``Batches`` asks of a source.

    Args:
        values: outputs (N, C, H, W), (N, H, W, C) if ``is_last``, or (N, units).
        labels: (N,).
        rows: which images they are of, (N,), ascending.
        device: where batches of them are wanted.
        is_last: whether channels come last in ``values``.
    """

    def __init__(
        self, values: Tensor, labels: Tensor, rows: Tensor, device: torch.device, *, is_last: bool
    ) -> None:
        self.device = device
        self._values, self._labels, self._rows, self._is_last = values, labels, rows, is_last

    @classmethod
    def computed(cls, leading: LeadingLayers, rows: Tensor, control: Control) -> Self:
        """Return what the layers make of images, kept in the memory of their device.

        Raises:
            Cancelled: the coordinator asked for it.
        """
        rows = rows.sort().values.to(leading.source.device)
        parts = list(leading.in_parts(rows, control))
        values = torch.cat([outputs for outputs, _ in parts])
        labels = torch.cat([some for _, some in parts])
        is_last = leading.is_last(values)
        return cls(values, labels, rows, leading.source.device, is_last=is_last)

    def cut(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs (B, C, H, W) or (B, units), and labels (B,), of images by their rows."""
        places = torch.searchsorted(self._rows, rows.to(self._rows.device))
        outputs = self._values.index_select(0, places).to(self.device)
        if self._is_last:
            outputs = outputs.permute(0, 3, 1, 2)
        return outputs, self._labels[places].to(self.device)
