"""The part of a network that learns, and what that is shown."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Source
from evoconv.execution.executor import Control
from evoconv.problems.subject import Subject
from evoconv.problems.transfer_options import NO_ROOM
from evoconv.problems.workplace import Workplace
from evoconv.training.features import rest_after
from evoconv.training.freeze_savings import UNCHANGED, work_of
from evoconv.training.loop import predict_logits
from evoconv.training.metrics import measure
from evoconv.training.precision import Precision


@dataclass(frozen=True, kw_only=True)
class Learner:
    """What is trained of a network, sharing its layers.

    Attributes:
        network: the whole network, or its rest after the layers that are held.
        source: what that is shown, by the rows of the images.
        frozen: names of the layers of ``network`` that are held.
        saved_share: share of the multiply-accumulates of training that the rest does without.
        remarks: sentences on what could not be shared.
    """

    network: nn.Module
    source: Source
    frozen: tuple[str, ...] = ()
    saved_share: float = 0.0
    remarks: tuple[str, ...] = ()

    def measures(
        self,
        rows: npt.NDArray[np.int64],
        workplace: Workplace,
        precision: Precision,
        control: Control,
    ) -> dict[str, float]:
        """Return all measures on the rows."""
        logits = predict_logits(
            self.network, self.source, torch.from_numpy(rows), precision, control
        )
        return measure(logits.numpy(), workplace.image_set.labels[rows])


def learner_of(
    network: nn.Module,
    subject: Subject,
    workplace: Workplace,
    augmentation: Augmentation,
    precision: Precision,
    control: Control,
) -> Learner:
    """Return what of a subject's network is trained.

    Without augmentation, what the held layers of a pretrained network give is the same in every
    training of a study: it is computed once, and the rest is trained on it.
    """
    whole = Learner(network=network, source=workplace.tensor, frozen=subject.held)
    folder = workplace.features
    if folder is None or not subject.held or subject.pretrained is None:
        return whole
    if augmentation != UNCHANGED:
        return whole
    count = len(subject.held)
    features = folder.features(network, subject.held, workplace.tensor, precision, control)
    if features is None:
        return replace(
            whole, remarks=(f"{NO_ROOM} what {count} frozen layers give: it was computed again",)
        )
    rows = torch.from_numpy(workplace.splits.training)
    work = [one.macs for one in work_of(network, workplace.tensor, rows)]
    return Learner(
        network=rest_after(network, count),
        source=features,
        saved_share=sum(work[:count]) / sum(work),
    )
