"""What a worker opens once and every task on it uses: the images on a device.

The arrays are memory-mapped, so that the workers of a machine share one copy; a GPU gets its own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evoconv.data.batches import ImageTensor, Standardisation
from evoconv.data.image_set import ImageSet, open_image_set
from evoconv.data.splits import SearchSplits
from evoconv.errors import ConfigError
from evoconv.execution.options import WorkerOptions
from evoconv.machine import keep_freed_memory
from evoconv.training.feature_files import FeatureFolder


def devices_of(options: WorkerOptions) -> tuple[str, ...]:
    """Return the device of each worker; ``ConfigError`` where a GPU is asked for in vain."""
    num_gpus = torch.cuda.device_count() if options.accelerator != "cpu" else 0
    if options.accelerator == "cuda" and num_gpus == 0:
        raise ConfigError("--accelerator cuda: torch finds no GPU")
    return options.slots(num_gpus)


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """The opened images of a study on one worker's device.

    ``features``: where workers share what frozen layers give; None where they don't.
    """

    device: torch.device
    image_set: ImageSet
    tensor: ImageTensor
    splits: SearchSplits
    features: FeatureFolder | None = None

    def class_weights(self, rows: npt.NDArray[np.int64], kind: str) -> Tensor | None:
        """Return a loss weight per class, shape (K,), or None for equal ones.

        ``balanced``: images / (classes × images of the class), as scikit-learn's; 1 on average over
        the images. A class without images gets 0.
        """
        if kind == "none":
            return None
        counts = np.bincount(self.image_set.labels[rows], minlength=len(self.image_set.classes))
        weights = np.where(counts > 0, len(rows) / (len(counts) * np.maximum(counts, 1)), 0.0)
        return torch.tensor(weights, dtype=torch.float32, device=self.device)


@dataclass(frozen=True, kw_only=True)
class OpenWorkplace:
    """The set-up of a worker: picklable, called in the worker with its slot and device.

    ``features``: a folder for what frozen layers give, of at most ``feature_cache`` bytes.
    """

    folder: Path
    splits: SearchSplits
    standardisation: Standardisation
    features: Path | None = None
    feature_cache: int = 0

    def __call__(self, slot: int, device: str) -> Workplace:  # noqa: ARG002 - slots are alike
        """Return the workplace; on a CPU torch is held to one thread."""
        if device == "cpu":
            torch.set_num_threads(1)
            keep_freed_memory()
            # Denormal numbers, common in networks with small weights, are very slow on some cores.
            torch.set_flush_denormal(True)
        image_set = open_image_set(self.folder)
        where = torch.device(device)
        tensor = ImageTensor(image_set.images, image_set.labels, self.standardisation, where)
        return Workplace(
            device=where,
            image_set=image_set,
            tensor=tensor,
            splits=self.splits,
            features=self._features(image_set),
        )

    def _features(self, image_set: ImageSet) -> FeatureFolder | None:
        if self.features is None:
            return None
        rows = np.sort(self.splits.training)
        return FeatureFolder(
            folder=self.features,
            max_bytes=self.feature_cache,
            rows=rows,
            labels=image_set.labels[rows],
        )
