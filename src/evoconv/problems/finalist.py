"""A candidate trained as fully as the final network will be, on what a search may see."""

from dataclasses import dataclass

from evoconv.execution.executor import Control
from evoconv.problems.folds import Part, mean_measures
from evoconv.problems.training import FullTraining, measures_on
from evoconv.problems.workplace import Workplace


@dataclass(frozen=True, kw_only=True)
class TrainFinalist:
    """The task that trains a network in full on each fold, and validates it."""

    training: FullTraining

    def __call__(self, workplace: Workplace, control: Control) -> dict[str, float]:
        """Return mean measures by a measurement's names; ``JobFailed`` if a loss wasn't finite."""
        folds, precision = workplace.splits.folds, self.training.setting.precision
        share = 1 / len(folds)
        measured = []
        for number, (rows, validation) in enumerate(folds):
            part = Part(control, number * share, share)
            network, _ = self.training.on(rows, workplace, part)
            measured.append(measures_on(network, validation, workplace, precision, part))
        return mean_measures(measured, workplace.splits.num_validated)
