"""A found architecture trained again, from new weights or from the evolved ones, and compared.

Source: Mitschke et al., section 4: "we reinitialized the weights of the resulting CNNs and trained
them again".
All learn from the images that the search trained on, so that its validation images judge them as
they judged the evolved weights; the test images do it once more, for which no network was selected.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evoconv.artifacts import WeightFiles
from evoconv.data.splits import SplitOptions
from evoconv.execution.executor import Control, Executor, Outcome, Progress
from evoconv.execution.handful import run_handful
from evoconv.export.final import stored_weights, test_logits
from evoconv.networks.cnn import build
from evoconv.networks.weights import load_weights
from evoconv.problems.training import FullTraining, measures_on, train_network
from evoconv.problems.workplace import Workplace
from evoconv.training.metrics import measure

EVOLVED, TRAINED_ON, FROM_SCRATCH = "evolved", "trained on", "from scratch"


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """The task that measures one network of an architecture.

    Attributes:
        way: ``EVOLVED`` weights as they are, ``TRAINED_ON``, or new ones, ``FROM_SCRATCH``.
        number: of the trial that left the evolved weights.
    """

    way: str
    number: int
    weights: WeightFiles
    training: FullTraining
    split: SplitOptions
    study_seed: int

    def __call__(self, workplace: Workplace, control: Control) -> dict[str, Any]:
        """Return the measures on ``validation`` and ``test`` images, and the epochs trained.

        Raises:
            JobFailed: the loss left the finite numbers.
            StudyError: the evolved weights are missing or damaged.
        """
        learned, validation = workplace.splits.folds[0]
        image_set, training = workplace.image_set, self.training
        if self.way == FROM_SCRATCH:
            network, reports = training.on(learned, workplace, control)
        else:
            network = build(training.topology, image_set.input_shape, len(image_set.classes))
            load_weights(network, stored_weights(self.weights, self.number))
            reports = []
        if self.way == TRAINED_ON:
            torch.manual_seed(training.seed)  # of dropout
            reports = train_network(
                network,
                workplace,
                learned,
                training.setting,
                control,
                seed=training.seed,
                epochs=training.epochs,
                time_limit_s=training.time_limit_s,
            ).reports
        network.to(workplace.device)
        validated = measures_on(network, validation, workplace, training.setting.precision, control)
        logits, labels = test_logits(
            network, image_set, workplace.tensor.standardisation, self.split, self.study_seed
        )
        return {
            "validation": validated,
            "test": measure(logits, labels),
            "epochs": len(reports),
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
