"""How networks are trained: every number of it.

The defaults are the recipe ``fast``: a one-cycle schedule over few epochs of a subset while
searching.
"""

import math
from dataclasses import dataclass

from evoconv.options import Options, option

Shape = tuple[int, int, int]
# Times the usual epochs that the final training of a small network gains from.
_LONGEST = 3.0
METRICS = ("accuracy", "balanced-accuracy", "macro-f1", "cross-entropy")


@dataclass(frozen=True, kw_only=True)
class Recipe(Options):
    """Optimiser, schedule, length and measure of every training of a study."""

    optimizer: str = option(
        "adamw", "optimiser", choices=("sgd", "rmsprop", "adam", "adamw", "adagrad")
    )
    learning_rate: float = option(0.01, "its (highest) learning rate", at_least=1e-7, at_most=100)
    momentum: float = option(
        0.9, "momentum (sgd, rmsprop), or beta 1 (adam)", at_least=0, at_most=0.999
    )
    rho: float = option(0.9, "decay of squared gradients (rmsprop)", at_least=0, at_most=0.9999)
    epsilon: float = option(1e-7, "term against division by zero", at_least=0, at_most=1)
    weight_decay: float = option(0.05, "weight decay of kernels", at_least=0, at_most=10)
    schedule: str = option(
        "one-cycle",
        "course of the learning rate",
        choices=("constant", "cosine", "one-cycle", "inverse", "exponential"),
    )
    warm_up: float = option(
        0.25,
        "share of a one-cycle training with a rising rate",
        at_least=0,
        at_most=1,
        unit="percent",
    )
    half_life: float = option(
        4.0,
        "epochs after which the rate is halved (inverse, exponential)",
        at_least=0.01,
        at_most=100_000,
    )
    weight_average: float = option(
        0.0,
        "decay per step of the moving average of the weights that is validated and kept; 0: none",
        at_least=0,
        at_most=0.99999,
    )
    batch_size: int = option(128, "images per step", at_least=2, at_most=65536)
    label_smoothing: float = option(
        0.05, "share of each label spread over all classes", at_least=0, at_most=0.9, unit="percent"
    )
    initialisation: str = option(
        "he-normal", "initial weights", choices=("glorot-uniform", "he-normal", "torch")
    )
    class_weights: str = option(
        "none", "weight rare classes up in the loss", choices=("none", "balanced")
    )
    metric: str = option(
        "accuracy", "what the search improves on validation images", choices=METRICS
    )
    epochs: int | None = option(
        None, "epochs of an evaluation; unset: by --image-passes", at_least=1, at_most=100_000
    )
    image_passes: int | None = option(
        None,
        "images an evaluation is trained on, repeats counted; unset: 25k of 28×28 pixels, fewer of"
        " larger ones",
        at_least=1,
        unit="count",
    )
    train_images: int | None = option(
        12_500,
        "largest stratified subset an evaluation is trained on; paper: all",
        at_least=2,
        unit="count",
    )
    fresh_images: bool = option(
        False,
        "draw that subset anew for every evaluation: a line of heirs sees all images in the end",
    )
    freeze_share: float = option(
        0.0,
        "share of the epochs in which inherited layers are frozen",
        at_least=0,
        at_most=1,
        unit="percent",
    )
    freeze_cache: int = option(
        256_000_000,
        "memory of a worker for the outputs of frozen layers",
        at_least=0,
        unit="bytes",
    )
    final_epochs: int | None = option(
        None, "epochs of the final training; unset: by the set's size", at_least=1, at_most=100_000
    )

    final_length: float | None = option(
        None,
        "how many times as many epochs the final training takes as the set's size suggests; unset:"
        " 1, and up to 3 in the time that is left",
        at_least=0.1,
        at_most=100,
    )

    def search_epochs(self, num_images: int, shape: Shape) -> int:
        """Return the epochs of an evaluation on this many training images of shape (C, H, W).

        Unset, as many as make up the image passes, at least 1. Those, unset, are 25,000 for images
        of up to 28×28 and fewer for larger ones, in proportion to the side: a compromise between
        equal time (in proportion to the area) and equal training.
        """
        if self.epochs is not None:
            return self.epochs
        side = math.sqrt(shape[1] * shape[2])
        passes = self.image_passes or 25_000 * min(1.0, 28 / side)
        return max(1, round(passes / self.subset(num_images)))

    def subset(self, num_images: int) -> int:
        """Return how many of this many training images an evaluation is trained on."""
        return min(num_images, self.train_images or num_images)

    def passes(self, num_images: int, shape: Shape) -> int:
        """Return the images an evaluation is trained on, each counted once per epoch."""
        return self.search_epochs(num_images, shape) * self.subset(num_images)

    def longest_training(self, num_images: int, *, is_timed: bool = False) -> int:
        """Return the epochs of the final training on this many images.

        If it ``is_timed``, time may cut it short, and so it may be as long as still helps: small
        networks go on learning.
        """
        if self.final_epochs is not None:
            return self.final_epochs
        length = self.final_length or (_LONGEST if is_timed else 1.0)
        return max(1, round(length * self.usual_training(num_images)))

    def usual_training(self, num_images: int) -> int:
        """Return the epochs that do for a final training on this many images.

        Unless they are set, 25 epochs, and more for sets under 16,000 images, so that a small set
        gets about as many steps, up to 200 epochs.
        """
        if self.final_epochs is not None:
            return self.final_epochs
        return min(200, max(25, math.ceil(400_000 / num_images)))
