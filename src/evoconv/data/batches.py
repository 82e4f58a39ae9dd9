"""Device-resident shuffled batches, and augmentation of whole batches.

The decoded images stay one array (memory-mapped on a CPU, copied once to a GPU) from which
batches are cut by index; there are no loader processes. Augmentation uses nothing that needs to
know the classes unless it is asked for.

Shapes: B batch, C channels, H height, W width, N images.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from evoconv.data.augmentation import Augmentation


@dataclass(frozen=True, kw_only=True)
class Standardisation:
    """Mean and standard deviation per channel of the training images, in pixel values."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(
        cls, images: npt.NDArray[np.uint8 | np.uint16], indices: npt.NDArray[np.int64]
    ) -> "Standardisation":
        """Return the statistics of at most 10,000 of the images given, shape (N, H, W, C)."""
        # Every k-th image: sorted, so that the memory-mapped file is read in order.
        some = np.sort(indices)[:: max(1, len(indices) // 10_000)]
        pixels = images[some].reshape(-1, images.shape[-1]).astype(np.float64)
        # A constant channel carries nothing: dividing by 1 keeps it at 0 instead of NaN.
        std = np.maximum(pixels.std(axis=0), 1.0)
        return cls(mean=tuple(pixels.mean(axis=0).tolist()), std=tuple(std.tolist()))

    def rounded(self, digits: int) -> "Standardisation":
        """Return the same with so many digits that count."""
        return Standardisation(
            mean=tuple(float(f"{one:.{digits}g}") for one in self.mean),
            std=tuple(float(f"{one:.{digits}g}") for one in self.std),
        )


class ImageTensor:
    """All images of a set on one device, with their labels; rows are cut out as float batches."""

    def __init__(
        self,
        images: npt.NDArray[np.uint8 | np.uint16],
        labels: npt.NDArray[np.int64],
        standardisation: Standardisation,
        device: torch.device,
    ) -> None:
        # Torch can't index uint16, so those bits are carried as int16 and read back in cut().
        self._is_wide = images.dtype == np.uint16
        pixels = np.asarray(images).view(np.int16) if self._is_wide else np.asarray(images)
        with warnings.catch_warnings():
            # A memory-mapped array becomes a tensor without a copy; torch warns that it can't be
            # written to, and nobody does. On a GPU .to() makes the only copy.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self._images_NHWC = torch.from_numpy(pixels).to(device)
        self._labels_N = torch.from_numpy(np.asarray(labels)).to(device)
        self._mean_C = torch.tensor(standardisation.mean, device=device)
        self._scale_C = 1.0 / torch.tensor(standardisation.std, device=device)
        self.device = device
        self.standardisation = standardisation

    def cut(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised images, float32 (B, C, H, W), and their labels, int64 (B,)."""
        # index_select copies whole images; indexing with [] goes value by value.
        pixels_BHWC = self._images_NHWC.index_select(0, rows)
        if self._is_wide:
            pixels_BHWC = pixels_BHWC.to(torch.int32) & 0xFFFF
        images_BHWC = (pixels_BHWC.float() - self._mean_C) * self._scale_C
        return images_BHWC.permute(0, 3, 1, 2), self._labels_N[rows]

    def labels(self, rows: Tensor) -> Tensor:
        """Return the labels of the rows, int64 (B,)."""
        return self._labels_N[rows]


# On a CPU, maps of more at once are larger than what the allocator uses again: without
# ``keep_freed_memory`` 512 take up to four times as long as eight times 64, measured on networks
# for images of 32×32 and 64×64 pixels.
_AT_ONCE_ON_CPU = 64
_AT_ONCE = 500


class Source(Protocol):
    """What rows of inputs are cut out of: images, or what frozen layers made of them."""

    @property
    def device(self) -> torch.device:
        """Where they are."""

    def cut(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs, float (B, ...), and labels, int64 (B,), of the rows (B,)."""


def inference_batches(source: Source, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs (B, ...) and labels (B,) of the rows in order, to be used without learning.

    So many at once as use a network well and leave its maps small enough: 500 of up to 64×64 pixels
    in three channels, on a CPU 64; fewer of larger ones.
    """
    inputs, _ = source.cut(rows[:1].to(source.device))
    most = _AT_ONCE_ON_CPU if source.device.type == "cpu" else _AT_ONCE
    size = max(1, min(most, most * 3 * 64 * 64 // max(1, inputs.numel())))
    for some in torch.split(rows, size):
        yield source.cut(some.to(source.device))


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The training batches of one network: shuffled and augmented anew in each epoch."""

    source: Source
    rows: Tensor
    batch_size: int
    augmentation: Augmentation
    generator: torch.Generator

    @property
    def num_images(self) -> int:
        """Images per epoch."""
        return len(self.rows)

    @property
    def num_batches(self) -> int:
        """Batches per epoch."""
        full, rest = divmod(len(self.rows), self.batch_size)
        return max(1, full + (rest > 1))

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each image once, in a new order: float32 (B, C, H, W) and int64 (B,).

        A last batch of one image is left out: batch normalisation can't learn from one value.
        """
        order = self.rows[torch.randperm(len(self.rows), generator=self.generator)]
        for start in range(0, self.num_batches * self.batch_size, self.batch_size):
            rows = order[start : start + self.batch_size].to(self.source.device)
            images, labels = self.source.cut(rows)
            yield augment(images, self.augmentation, self.generator), labels


def augment(images_BCHW: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Return the images changed at random, same shape; untouched where nothing is asked for."""
    if how.rotate:
        images_BCHW = _rotated(images_BCHW, how.rotate, generator)
    if how.flip in ("horizontal", "both"):
        images_BCHW = _flipped(images_BCHW, 3, generator)
    if how.flip in ("vertical", "both"):
        images_BCHW = _flipped(images_BCHW, 2, generator)
    if how.shift:
        images_BCHW = _shifted(images_BCHW, how.shift, generator)
    if how.erase:
        images_BCHW = _erased(images_BCHW, how.erase, generator)
    return images_BCHW


def _draw(low: int, high: int, count: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Return integers in [low, high), shape (count,), drawn on the CPU so that devices agree."""
    return torch.randint(low, high, (count,), generator=generator).to(like.device)


def _shifted(images_BCHW: Tensor, share: float, generator: torch.Generator) -> Tensor:
    count, _, height, width = images_BCHW.shape
    down, across = round(share * height), round(share * width)
    padded = F.pad(images_BCHW, (across, across, down, down), mode="replicate")
    # A view of every window; indexing copies just the one drawn for each image.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    top = _draw(0, 2 * down + 1, count, images_BCHW, generator)
    left = _draw(0, 2 * across + 1, count, images_BCHW, generator)
    return windows[torch.arange(count, device=top.device), :, top, left]


def _flipped(images_BCHW: Tensor, axis: int, generator: torch.Generator) -> Tensor:
    chosen = _draw(0, 2, len(images_BCHW), images_BCHW, generator).bool().view(-1, 1, 1, 1)
    return torch.where(chosen, images_BCHW.flip(axis), images_BCHW)


def _rotated(images_BCHW: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    count, _, height, width = images_BCHW.shape
    drawn = torch.rand(count, generator=generator).to(images_BCHW.device)
    angle = torch.deg2rad((2 * drawn - 1) * degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # The grid runs from -1 to 1 on both axes, so a turn in pixels needs the sides' ratio.
    turn = torch.stack(
        [cos, -sin * height / width, zero, sin * width / height, cos, zero], dim=1
    ).view(count, 2, 3)
    grid = F.affine_grid(turn, list(images_BCHW.shape), align_corners=False)
    return F.grid_sample(images_BCHW, grid, padding_mode="border", align_corners=False)


def _erased(images_BCHW: Tensor, share: float, generator: torch.Generator) -> Tensor:
    count, _, height, width = images_BCHW.shape
    side_y = _draw(0, round(share * height) + 1, count, images_BCHW, generator).view(-1, 1)
    side_x = _draw(0, round(share * width) + 1, count, images_BCHW, generator).view(-1, 1)
    centre_y = _draw(0, height, count, images_BCHW, generator).view(-1, 1)
    centre_x = _draw(0, width, count, images_BCHW, generator).view(-1, 1)
    rows = torch.arange(height, device=images_BCHW.device)
    columns = torch.arange(width, device=images_BCHW.device)
    inside_BH = _is_within(rows - centre_y, side_y)
    inside_BW = _is_within(columns - centre_x, side_x)
    # 0 is the mean of the standardised images.
    return images_BCHW.masked_fill((inside_BH[:, :, None] & inside_BW[:, None, :])[:, None], 0.0)


def _is_within(away: Tensor, side: Tensor) -> Tensor:
    """Return which places are in a stretch of that many, around its middle."""
    first = -(side // 2)
    return (first <= away) & (away < first + side)
