"""A torch module of a person's own as what a compression begins with."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evoconv.data.batches import Standardisation
from evoconv.data.image_set import ImageSet
from evoconv.errors import ConfigError
from evoconv.export.model_file import ModelDescription
from evoconv.networks.traced import traced
from evoconv.networks.weights import tensors_to_bytes

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class OwnNetwork:
    """A module, and how it takes images.

    Attributes:
        mean: subtracted from values in [0, 1]; one, or one for each channel.
        std: by which these are divided then.
    """

    module: "nn.Module"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not all(math.isfinite(one) for one in self.mean):
            raise ConfigError(f"mean must be finite numbers, got {self.mean}")
        if not all(0 < one < math.inf for one in self.std):
            raise ConfigError(f"std must be above 0, got {self.std}")

    def saved(self, images: ImageSet) -> tuple[ModelDescription, bytes]:
        """Return its description for the images, and its weights as a safetensors file.

        Raises:
            ConfigError: it can't be stored, or doesn't fit the images.
        """
        shape = images.preprocessing
        graph, weights = traced(self.module, images.input_shape, len(images.classes))
        description = ModelDescription(
            architecture=graph,
            classes=images.classes,
            preprocessing=shape,
            standardisation=Standardisation(
                mean=_pixel_values("mean", self.mean, images),
                std=_pixel_values("std", self.std, images),
            ),
        )
        return description, tensors_to_bytes(weights)


def _pixel_values(name: str, shares: tuple[float, ...], images: ImageSet) -> tuple[float, ...]:
    shape = images.preprocessing
    if len(shares) == 1:
        shares *= shape.channels
    if len(shares) != shape.channels:
        raise ConfigError(f"{name} has {len(shares)} values for {shape.channels} channels")
    return tuple(one * shape.max_value for one in shares)
