"""A saved network in use: image files in, labels and probabilities out.

Shapes: B batch, C channels, H height, W width, K classes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evoconv.data.batches import ImageTensor, Standardisation
from evoconv.data.decode import decode_file
from evoconv.data.image_set import ImageSet, Pixels, Preprocessing
from evoconv.errors import ConfigError, DataError
from evoconv.export.evo_file import SUFFIX, load_evo
from evoconv.export.model_file import ModelDescription, load_model
from evoconv.genomes.architecture import Architecture
from evoconv.training.loop import predict_logits
from evoconv.training.metrics import confusion_matrix, measure
from evoconv.training.precision import Precision

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a network says of one image: classes with probabilities, the likeliest first."""

    path: Path
    ranking: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.ranking[0][0]

    @property
    def probability(self) -> float:
        """Its probability, in [0, 1]."""
        return self.ranking[0][1]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Measures of a network on labelled images; ``confusion`` (K, K) has true classes as rows."""

    classes: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    measures: dict[str, float]
    num_images: int


class Classifier:
    """A saved network with everything it needs to be used. Runs on the CPU in float32.

    Attributes:
        description: what it is and how images get into it.
        model: the network, taking standardised images (B, C, H, W), giving logits (B, K).
    """

    def __init__(self, path: Path) -> None:
        """Load a folder that ``save_model`` wrote, or a compressed network.

        Raises:
            StudyError, DataError: it is missing or damaged.
        """
        load = load_evo if path.suffix == SUFFIX else load_model
        description, network = load(path)
        self.description: ModelDescription = description
        self.model: nn.Module = network

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return self.description.classes

    @property
    def architecture(self) -> Architecture:
        """What the network was built from."""
        return self.description.architecture

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to an image file."""
        return self.description.preprocessing

    @property
    def standardisation(self) -> Standardisation:
        """What is done to pixel values."""
        return self.description.standardisation

    def logits(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Return logits (B, K) of images as ``decode_file`` gives them, (B, H, W, C).

        Raises:
            DataError: the network can't take so many.
        """
        none = np.zeros(len(pixels), np.int64)
        source = ImageTensor(pixels, none, self.standardisation, torch.device("cpu"))
        try:
            result = predict_logits(self.model, source, torch.arange(len(pixels)), Precision())
        except RuntimeError as error:  # somebody's own network can do with numbers that it likes
            first = str(error).partition("\n")[0]
            raise DataError(f"the network can't take {len(pixels)} images: {first:.200}") from error
        return np.asarray(result.numpy())

    def predict(
        self,
        paths: Sequence[Path],
        *,
        top: int = 1,
        on_bad_image: Callable[[DataError], None] | None = None,
    ) -> Iterator[Prediction]:
        """Yield a prediction per image file, with its ``top`` likeliest classes.

        Args:
            paths: image files.
            top: how many classes, in [1, K].
            on_bad_image: is told of a file that can't be read, or for which the network gives no
                finite numbers; it is left out. None raises.

        Raises:
            DataError: such a file, or a network that can't take the images.
            ConfigError: ``top`` is out of range.
        """
        if not 1 <= top <= len(self.classes):
            raise ConfigError(f"--top must be in [1, {len(self.classes)}], got {top}")
        for start in range(0, len(paths), _BATCH):
            decoded = self._decoded(paths[start : start + _BATCH], on_bad_image)
            if not decoded:
                continue
            some = [path for path, _ in decoded]
            pixels = np.stack([image for _, image in decoded])
            probabilities = torch.softmax(torch.from_numpy(self.logits(pixels)), dim=1)
            best = probabilities.topk(top, dim=1)
            for path, chances, classes in zip(
                some, best.values.tolist(), best.indices.tolist(), strict=True
            ):
                if not math.isfinite(chances[0]):
                    error = DataError(f"the network gives no finite numbers for {path}")
                    if on_bad_image is None:
                        raise error
                    on_bad_image(error)
                    continue
                ranking = zip((self.classes[one] for one in classes), chances, strict=True)
                yield Prediction(path=path, ranking=tuple(ranking))

    def _decoded(
        self, paths: Sequence[Path], on_bad_image: Callable[[DataError], None] | None
    ) -> list[tuple[Path, Pixels]]:
        decoded = []
        for path in map(Path, paths):
            try:
                decoded.append((path, decode_file(path, self.preprocessing)))
            except DataError as error:
                if on_bad_image is None:
                    raise
                on_bad_image(error)
        return decoded

    def evaluate(self, image_set: ImageSet) -> Evaluation:
        """Return measures on labelled images that were decoded for this network."""
        logits = self.logits(image_set.images)
        return Evaluation(
            classes=self.classes,
            confusion=confusion_matrix(logits, image_set.labels),
            measures=measure(logits, image_set.labels),
            num_images=len(image_set),
        )
