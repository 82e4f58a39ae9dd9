"""A found architecture trained again, from new weights or from the evolved ones, and compared.

Source: Mitschke et al., section 4: "we reinitialized the weights of the resulting CNNs and trained
them again".
All learn from the images that the search trained on, so that its validation images judge them as
they judged the evolved weights; the test images do it once more, for which no network was selected.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evoconv.execution.executor import Control, Executor, Outcome, Progress
from evoconv.execution.handful import run_handful
from evoconv.export.final import test_logits
from evoconv.problems.training import FullTraining, measures_on
from evoconv.problems.workplace import Workplace
from evoconv.training.metrics import measure

EVOLVED, TRAINED_ON, FROM_SCRATCH = "evolved", "trained on", "from scratch"


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """The task that measures one network of an architecture.

    Attributes:
        way: ``EVOLVED`` weights as they are, ``TRAINED_ON``, or new ones, ``FROM_SCRATCH``.
        training: with the evolved weights as its start, but for the last way.
    """

    way: str
    training: FullTraining

    def __call__(self, workplace: Workplace, control: Control) -> dict[str, Any]:
        """Return the measures on ``validation`` and ``test`` images, and the epochs trained.

        Raises:
            JobFailed: the loss left the finite numbers.
            StudyError: the evolved weights are missing or damaged.
        """
        learned, validation = workplace.splits.folds[0]
        training, num_epochs = self.training, 0
        if self.way == EVOLVED:
            assert training.start is not None, "those weights are what is measured"
            network = training.start.network(training.subject, workplace)
        else:
            network, reports = training.on(learned, workplace, control)
            num_epochs = len(reports)
        network.to(workplace.device)
        validated = measures_on(network, validation, workplace, training.setting.precision, control)
        logits, labels = test_logits(
            network,
            workplace.image_set,
            workplace.tensor.standardisation,
            workplace.splits.training,
        )
        return {
            "validation": validated,
            "test": measure(logits, labels),
            "epochs": num_epochs,
        }


def run_retrainings(
    executor: Executor,
    tasks: Sequence[Retraining],
    keep: Callable[[dict[str, Any]], None],
    watch: Callable[[list[Progress]], None],
) -> None:
    """Run the tasks; ``keep`` is given a row of each as it ends: way, seed, measures or failure."""
    titles = {number: one.way for number, one in enumerate(tasks)}

    def ended(outcome: Outcome) -> None:
        task = tasks[outcome.number]
        row = {
            "way": task.way,
            "seed": task.training.seed,
            "seconds": outcome.finished_at - outcome.started_at,
        }
        failure = outcome.failure
        keep({**row, **(outcome.result if failure is None else {"failure": str(failure)})})

    run_handful(executor, dict(enumerate(tasks)), ended, watch, titles)
