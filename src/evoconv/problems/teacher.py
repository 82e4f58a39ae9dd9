"""What the network before thinks of each image, as labels for those that are to become like it.

Source: Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network", at a
temperature of 1. Differs: it is asked about an image once, as that is in the set, and its answer
stands for all small changes of it. Asking anew took a quarter of a candidate's training.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evoconv.data.batches import Source
from evoconv.training.loop import predict_logits
from evoconv.training.precision import Precision


class Teacher:
    """A trained network's probabilities of all classes, remembered once they are known.

    Args:
        network: is its own: it goes to the device of the images, in the layout of the precision.
        num_images: of the set: rows are below that.
        num_classes: that it tells apart.
    """

    def __init__(
        self, network: nn.Module, num_images: int, num_classes: int, precision: Precision
    ) -> None:
        self._network, self._precision = network, precision
        # Empty, not zeros: memory for images that nobody asks about is never taken.
        self._known = torch.empty((num_images, num_classes))
        self._is_known = torch.zeros(num_images, dtype=torch.bool)

    def probabilities(self, source: Source, rows: Tensor) -> Tensor:
        """Return what it thinks of the images in these rows (B,): float32 (B, K)."""
        rows = rows.cpu()
        asked = rows[~self._is_known[rows]]
        if len(asked):
            logits = predict_logits(self._network, source, asked, self._precision)
            self._known[asked] = logits.softmax(1)
            self._is_known[asked] = True
        return self._known[rows].to(source.device)


@dataclass(frozen=True, kw_only=True)
class TaughtSource:
    """Images with labels of which a share is what a teacher thinks."""

    source: Source
    teacher: Teacher
    share: float

    @property
    def device(self) -> torch.device:
        """The images'."""
        return self.source.device

    def cut(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs (B, ...) and probabilities (B, K) of the rows (B,)."""
        inputs, labels = self.source.cut(rows)
        thought = self.teacher.probabilities(self.source, rows)
        given = F.one_hot(labels, thought.shape[1]).to(thought.dtype)
        return inputs, given.lerp(thought, self.share)
