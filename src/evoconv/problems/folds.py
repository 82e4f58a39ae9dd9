"""A network trained and validated on several folds counts as one: its measures and progress."""

from collections.abc import Mapping, Sequence

import numpy as np

from evoconv.execution.executor import Control
from evoconv.problems.candidate import named_measures


def mean_measures(measured: Sequence[Mapping[str, float]], num_images: int) -> dict[str, float]:
    """Return the mean of each measure over the trainings; of the accuracy also its uncertainty.

    ``num_images`` are those of all folds together.
    """
    values = named_measures(
        {name: float(np.mean([one[name] for one in measured])) for name in measured[0]}, num_images
    )
    values["validation_accuracy_std"] = float(np.std([one["accuracy"] for one in measured]))
    return values


class Part:
    """A control that reports the progress of one training as a part of the whole."""

    def __init__(self, whole: Control, offset: float, share: float) -> None:
        self._whole, self._offset, self._share = whole, offset, share

    def checkpoint(self) -> None:
        """Raise ``Cancelled`` if the whole is."""
        self._whole.checkpoint()

    def report(self, progress: float, message: str = "") -> None:
        """Tell how far the whole is, given how far this part is."""
        self._whole.report(self._offset + self._share * progress, message)
