"""A candidate trained as fully as the final network will be, on what a search may see."""

from dataclasses import dataclass

from evoconv.execution.executor import Control
from evoconv.problems.candidate import named_measures
from evoconv.problems.training import FullTraining, measures_on
from evoconv.problems.workplace import Workplace


@dataclass(frozen=True, kw_only=True)
class TrainFinalist:
    """The task that trains a network in full on the first fold, and validates it."""

    training: FullTraining

    def __call__(self, workplace: Workplace, control: Control) -> dict[str, float]:
        """Return measures by a measurement's names; ``JobFailed`` if the loss wasn't finite."""
        rows, validation = workplace.splits.folds[0]
        network, _ = self.training.on(rows, workplace, control)
        precision = self.training.setting.precision
        measured = measures_on(network, validation, workplace, precision, control)
        return named_measures(measured, len(validation))
