"""Real evaluations for measurements: images as a study's workers have them, and jobs on MNIST."""

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch

from benchmarks.cells import Cells
from evoconv.artifacts import WeightFiles
from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import ImageSet
from evoconv.data.sources import DataOptions, load_image_set
from evoconv.data.splits import SplitOptions, search_splits
from evoconv.execution.executor import Executor, Job, Outcome
from evoconv.genomes.shapes import cost
from evoconv.genomes.topology import Topology
from evoconv.problems.candidate import Plan
from evoconv.problems.evaluation import Evaluate
from evoconv.problems.objectives import OBJECTIVES
from evoconv.problems.options import SavingOptions
from evoconv.problems.subject import Subject
from evoconv.problems.training import TrainingSetting
from evoconv.problems.workplace import OpenWorkplace
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision, measure_precision
from evoconv.training.stopping import StoppingOptions

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Images:
    """An image set, and what opens it in a worker."""

    image_set: ImageSet
    setup: OpenWorkplace


@cache
def images_of(name: str) -> Images:
    """Return a known set, split as a study with seed 0 splits it."""
    image_set = load_image_set(name, DataOptions(), notify=print)
    splits = search_splits(image_set, SplitOptions(), 0)
    standardisation = Standardisation.of(image_set.images, splits.training)
    setup = OpenWorkplace(folder=image_set.folder, splits=splits, standardisation=standardisation)
    return Images(image_set=image_set, setup=setup)


def mnist() -> Images:
    """Return MNIST."""
    return images_of("mnist")


def stored_precision(cells: Cells, device: torch.device = CPU) -> Precision:
    """Return the precision that a study would choose here; measured once per benchmark."""
    torch.set_num_threads(1)
    note = cells.measure("precision", partial(_choose_precision, device))
    return Precision(bfloat16=note["bfloat16"], channels_last=note["channels_last"])


def _choose_precision(device: torch.device) -> dict[str, object]:
    choice, speeds = measure_precision(device, 1, seconds=3.0)
    return {**choice.to_dict(), "images_per_second": speeds}


def evaluation(
    number: int, topology: Topology, recipe: Recipe, precision: Precision, weights: Path
) -> Job:
    """Return the job that evaluates the topology on MNIST; the same whatever its number."""
    image_set = mnist().image_set
    plan = Plan(
        subject=Subject(architecture=topology),
        cost=cost(topology, image_set.input_shape, len(image_set.classes)),
        setting=TrainingSetting(recipe=recipe, augmentation=Augmentation(), precision=precision),
        weights=WeightFiles(weights),
        objective=OBJECTIVES["accuracy"],
        stopping=StoppingOptions(),
        saving=SavingOptions(),
    )
    return Job(number=number, task=Evaluate(number=number, seed=0, plan=plan))


class Patient:
    """A control for a task that nobody cancels."""

    def checkpoint(self) -> None:
        """Go on."""

    def report(self, progress: float, message: str = "") -> None:
        """Say nothing."""


def run_jobs(executor: Executor, jobs: list[Job]) -> list[Outcome]:
    """Return the outcomes of jobs that begin together; ``RuntimeError`` if one fails."""
    for job in jobs:
        executor.submit(job)
    outcomes: list[Outcome] = []
    while len(outcomes) < len(jobs):
        outcomes += executor.wait()
    for one in outcomes:
        if one.failure is not None:
            raise RuntimeError(f"job {one.number}: {one.failure}")
    return outcomes
