"""The evaluation of a candidate: measured by training it on the training images.

Sources: Vidnerová & Neruda 2018, section 3.3: the mean over k folds of the loss on the held-out
fold. Litzinger et al., "Selection step": repeated training, adapted to accuracy and size.
Differs: one hold-out (k = 1) and other measures can be chosen; all measures are always stored.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evoconv.execution.executor import Control, JobFailed
from evoconv.networks.latency import latency_s
from evoconv.networks.weights import weights_to_bytes
from evoconv.problems.candidate import CandidateTraining, Plan, Trained
from evoconv.problems.folds import Part, mean_measures
from evoconv.problems.workplace import Workplace
from evoconv.records import Failure, FailureKind, Measurement
from evoconv.training.precision import Precision, measure_precision


@dataclass(frozen=True, kw_only=True)
class MeasurePrecision:
    """The task that finds the fastest precision; its result is stored in the study."""

    seconds: float

    def __call__(
        self,
        workplace: Workplace,
        control: Control,  # noqa: ARG002 - too short to be cancelled
    ) -> tuple[Precision, dict[str, float]]:
        """Return the fastest precision on the worker's device, and images/s of each."""
        channels = workplace.image_set.input_shape[0]
        return measure_precision(workplace.device, channels, seconds=self.seconds)


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """The task that measures one network: trains it on each fold and validates it.

    Attributes:
        promising: fitness from which another training makes the measurement surer, up to the
            plan's number of them; fixed when the individual was submitted.
    """

    number: int
    seed: int
    plan: Plan
    promising: float | None = None

    def __call__(self, workplace: Workplace, control: Control) -> Measurement:
        """Return means over all trainings; the weights of the first one are kept as an artefact.

        Raises:
            JobFailed: the loss left the finite numbers, or one image takes too long.
        """
        started = time.perf_counter()
        latency = self._latency(workplace)
        done: list[Trained] = []
        while True:
            done += self._train_folds(workplace, control, first=len(done))
            measurement = self._measurement(done, workplace, time.perf_counter() - started, latency)
            num_rounds = len(done) // len(workplace.splits.folds)
            if num_rounds >= self.plan.saving.max_trainings or not self._is_promising(measurement):
                return measurement

    def _train_folds(self, workplace: Workplace, control: Control, first: int) -> Iterator[Trained]:
        """Yield a training per fold; ``first`` is the number of the first one."""
        folds = workplace.splits.folds
        share = 1 / (len(folds) * self.plan.saving.max_trainings)
        for number, (training, validation) in enumerate(folds, first):
            part = Part(control, number * share, share)
            candidate = CandidateTraining(
                plan=self.plan,
                workplace=workplace,
                control=part,
                number=number,
                seed=self.seed + number,
                validation=validation,
            )
            network, trained = candidate.run(training)
            if number == 0:
                self.plan.weights.write(self.number, weights_to_bytes(network))
            yield trained

    def _measurement(
        self,
        done: list[Trained],
        workplace: Workplace,
        seconds: float,
        latency: Mapping[str, float],
    ) -> Measurement:
        num_images = workplace.splits.num_validated
        total = sum(one.image_passes for one in done)
        values = {
            **mean_measures([one.measured for one in done], num_images),
            **self.plan.cost.as_values(),
            **latency,
            "training_seconds": seconds,
            "trainings": float(len(done)),
            "image_passes": float(total),
            "planned_passes": float(sum(one.planned_passes for one in done)),
            "inherited_share": done[0].inherited_share,
            "frozen_share": sum(one.frozen_share * one.image_passes for one in done) / total,
        }
        if self.plan.entry is not None:
            values["entry_fitness"] = self.plan.entry
        return Measurement(
            values=values,
            curve=tuple(point for one in done for point in one.curve),
            remarks=tuple(_numbered_remarks(done)),
        )

    def _latency(self, workplace: Workplace) -> dict[str, float]:
        """Return the time of one image, by name, where it counts; its limit must be kept."""
        limit = self.plan.max_latency
        if limit is None:
            return {}
        image_set = workplace.image_set
        network = self.plan.subject.new_network(
            image_set.input_shape, len(image_set.classes), self.plan.setting.recipe, self.seed
        )
        seconds = latency_s(network, image_set.input_shape)
        if seconds > limit:
            said = f"one image takes {1000 * seconds:.3g} ms, --max-latency is {1000 * limit:g} ms"
            raise JobFailed(Failure(kind=FailureKind.TOO_SLOW, message=said))
        return {"latency_s": seconds}

    def _is_promising(self, measurement: Measurement) -> bool:
        return (
            self.promising is not None
            and self.plan.objective.fitness(measurement) >= self.promising
        )


def _numbered_remarks(done: list[Trained]) -> Iterator[str]:
    for number, one in enumerate(done, 1):
        for remark in one.remarks:
            yield remark if number == 1 else f"repeat {number - 1}: {remark}"
