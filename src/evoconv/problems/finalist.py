"""A candidate trained as fully as the final network will be, on what a search may see."""

from dataclasses import dataclass

import torch

from evoconv.execution.executor import Control
from evoconv.genomes.topology import Topology
from evoconv.problems.candidate import named_measures
from evoconv.problems.training import TrainingSetting, train_topology
from evoconv.problems.workplace import Workplace
from evoconv.training.loop import predict_logits
from evoconv.training.metrics import measure


@dataclass(frozen=True, kw_only=True)
class TrainFinalist:
    """The task that trains a topology in full on the first fold, and validates it.

    Training takes ``epochs`` epochs or ``time_limit_s`` seconds, whichever is less; the schedule is
    stretched to fit.
    """

    topology: Topology
    seed: int
    setting: TrainingSetting
    epochs: int
    time_limit_s: float | None

    def __call__(self, workplace: Workplace, control: Control) -> dict[str, float]:
        """Return measures by a measurement's names; ``JobFailed`` if the loss wasn't finite."""
        training, validation = workplace.splits.folds[0]
        network, _ = train_topology(
            self.topology,
            workplace,
            training,
            self.setting,
            control,
            seed=self.seed,
            epochs=self.epochs,
            time_limit_s=self.time_limit_s,
        )
        rows = torch.from_numpy(validation)
        logits = predict_logits(network, workplace.tensor, rows, self.setting.precision, control)
        measured = measure(logits.numpy(), workplace.image_set.labels[validation])
        return named_measures(measured, len(validation))
