"""The task that measures how fast a network is trained."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from evoconv.data.batches import Batches
from evoconv.execution.executor import Control
from evoconv.problems.training import TrainingSetting
from evoconv.problems.workplace import Workplace
from evoconv.training.loop import train

_MEASURED_BATCHES = 10

# Returns a network whose whole is trained; it is picklable.
Build = Callable[[], nn.Module]


@dataclass(frozen=True, kw_only=True)
class MeasureTraining:
    """The task that measures how many images a second a training of all of a network takes."""

    build: Build
    setting: TrainingSetting

    def __call__(self, workplace: Workplace, control: Control) -> float:
        """Return images per second."""
        setting = self.setting
        rows, _ = workplace.splits.folds[0]
        batches = Batches(
            source=workplace.tensor,
            rows=torch.from_numpy(rows[: _MEASURED_BATCHES * setting.recipe.batch_size]),
            batch_size=setting.recipe.batch_size,
            augmentation=setting.augmentation,
            generator=torch.Generator().manual_seed(0),
        )
        network = self.build().to(workplace.device)
        # The first batches take longer than all later ones. Few images make few of them.
        measured = math.ceil(_MEASURED_BATCHES / batches.num_batches)
        first, *_, last = train(
            network, batches, setting.recipe, setting.precision, control, epochs=1 + measured
        )
        return measured * batches.num_images / (last.seconds - first.seconds)
