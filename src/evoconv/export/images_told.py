"""What a weight file says of the images that it is for, so that it can do without its folder.

It stands in the metadata of the safetensors format, which other programs pass over.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoconv.data.batches import Standardisation
from evoconv.data.image_set import Preprocessing
from evoconv.errors import DataError
from evoconv.networks.weights import metadata_of

_KEY = "evoconv"


@dataclass(frozen=True, kw_only=True)
class ImagesTold:
    """How images get into a network.

    Attributes:
        size: (height, width) of the images that it was trained on.
        standardisation: of their pixels, as shares of the largest value.
        resize: how they were brought to that size, where that is known.
    """

    size: tuple[int, int]
    standardisation: Standardisation
    resize: str | None = None

    @classmethod
    def of(cls, preprocessing: Preprocessing, standardisation: Standardisation) -> "ImagesTold":
        """Return that of a saved network, whose standardisation is in pixel values."""
        scale = preprocessing.max_value
        return cls(
            size=(preprocessing.height, preprocessing.width),
            resize=preprocessing.resize,
            standardisation=Standardisation(
                mean=tuple(one / scale for one in standardisation.mean),
                std=tuple(one / scale for one in standardisation.std),
            ),
        )

    def metadata(self) -> dict[str, str]:
        """Return what is written into the file."""
        told = {
            "size": self.size,
            "mean": self.standardisation.mean,
            "std": self.standardisation.std,
            "resize": self.resize,
        }
        return {_KEY: json.dumps(told)}


def read_told(file: Path) -> ImagesTold | None:
    """Return what a sound safetensors file says of its images; None if it says nothing.

    Raises:
        DataError: what it says can't be.
    """
    text = metadata_of(file).get(_KEY)
    if text is None:
        return None
    try:
        return _checked(json.loads(text))
    except (DataError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise DataError(f"{file} is damaged: what it says of its images can't be") from error


def _checked(told: Any) -> ImagesTold:
    height, width = told["size"]
    mean, std = (tuple(float(one) for one in told[name]) for name in ("mean", "std"))
    # Which refuses what is out of range.
    shape = Preprocessing(
        height=height, width=width, channels=len(mean), resize=told["resize"] or "fit"
    )
    if len(mean) != len(std) or not all(math.isfinite(one) for one in mean):
        raise DataError("a mean and a deviation for each channel")
    if not all(0 < one < math.inf for one in std):
        raise DataError("deviations above 0")
    return ImagesTold(
        size=(shape.height, shape.width),
        standardisation=Standardisation(mean=mean, std=std),
        resize=told["resize"],
    )
