"""Where a study stands: its facts, for every table and figure.

A study may be unfinished: what isn't known yet is None. The test split is out of reach: only stored
logits are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from evoconv.errors import StudyError
from evoconv.evolution.archive import Archive
from evoconv.genomes.constraints import Limits
from evoconv.genomes.topology import Topology
from evoconv.problems.objectives import TargetAccuracy
from evoconv.records import Measurement, Objective, Trial, TrialState
from evoconv.report.notes import (
    Augmentations,
    Checked,
    Compressed,
    Final,
    Finalist,
    FinalRow,
    Images,
    Retrained,
)
from evoconv.study.finished import Finished
from evoconv.study.stop import order_of_merit

# Shorter gaps in which no worker runs belong to the search; longer ones lie between two sessions.
_SESSION_GAP_S = 1.0


# The notes of a trial that was finished beside the one that the study chose.
FinishedTrial = tuple[Final, Checked | None, Compressed | None]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Everything that is stored of a study, and what follows from it by counting.

    Attributes:
        told: numbers of all individuals in the order they were told.
        seconds: how long its processes have worked, all together.
        shown: number of the trial that is looked at, where it isn't the best.
        retrained: trials whose architecture was trained again, by number.
        others: other trials that were finished, by number.
    """

    run: Path
    method: str
    recipe: str
    seed: int
    metric: str
    objective: Objective
    limits: Limits
    trials: tuple[Trial, ...]
    told: tuple[int, ...]
    seconds: float
    images: Images | None = None
    precision: str | None = None
    stop_reason: str | None = None
    augmentations: Augmentations | None = None
    finalists: tuple[Finalist, ...] = ()
    final: Final | None = None
    checked: Checked | None = None
    compressed: Compressed | None = None
    retrained: Mapping[int, tuple[Retrained, ...]] = field(default_factory=dict)
    versions: Mapping[str, str]
    shown: int | None = None
    others: Mapping[int, FinishedTrial] = field(default_factory=dict)

    def of_trial(self, number: int | None) -> "Standing":
        """Return the study with another trial in the place of the best; None changes nothing."""
        if number is None:
            return self
        is_own = self.final is not None and number == self.final.trial
        if is_own and number not in self.others:
            return self
        final, checked, compressed = self.others.get(number, (None, None, None))
        folder = Finished(run=self.run, number=number).folder
        return replace(
            self,
            run=folder,
            shown=number,
            final=final,
            checked=checked,
            compressed=compressed,
        )

    @property
    def is_complete(self) -> bool:
        """Whether the network was saved and reproduced its figures."""
        return self.checked is not None and self.checked.agrees

    @cached_property
    def evaluations(self) -> tuple[Trial, ...]:
        """Finished evaluations in the order they were told, failed ones included, copies not."""
        finished = (self.trials[number] for number in self.told)
        return tuple(one for one in finished if not _is_copy(one))

    @property
    def target_reached(self) -> bool | None:
        """Whether the trial that is looked at counts as having reached the target accuracy."""
        if not isinstance(self.objective, TargetAccuracy) or self.best is None:
            return None
        measured = self.measured_best
        return measured is not None and self.objective.is_reached(measured)

    @property
    def size(self) -> str:
        """What networks should have few of: ``parameters``, or ``bytes`` of their file."""
        return self.objective.size if isinstance(self.objective, TargetAccuracy) else "parameters"

    @property
    def measured_best(self) -> Measurement | None:
        """What is known of the trial that is looked at: of a finalist its full training."""
        measured = None if self.best is None else self.best.individual.measurement
        if self.best is None or measured is None:
            return None
        in_full = next(
            (one.values for one in self.finalists if one.trial == self.best.number and one.values),
            {},
        )
        return replace(measured, values={**measured.values, **in_full})

    @property
    def num_failed(self) -> int:
        """How many evaluations have failed."""
        return sum(one.state is TrialState.FAILED for one in self.evaluations)

    @property
    def num_copies(self) -> int:
        """How many individuals were answered from the record."""
        return len(self.told) - len(self.evaluations)

    @property
    def running(self) -> tuple[Trial, ...]:
        """Trials that were begun and have no outcome yet."""
        return tuple(one for one in self.trials if one.state is TrialState.RUNNING)

    @cached_property
    def ranked(self) -> tuple[Trial, ...]:
        """Complete evaluations, the best first, of equals the older."""
        complete = (one for one in self.evaluations if one.state is TrialState.COMPLETE)
        key = lambda one: order_of_merit(one.individual, self.objective)  # noqa: E731
        return tuple(sorted(complete, key=key, reverse=True))

    @cached_property
    def front(self) -> tuple[Trial, ...]:
        """The Pareto front of fitness against parameters and MACs, the fittest first."""
        archive = Archive.of(self.objective, (one.individual for one in self.evaluations))
        return tuple(self.trials[one.number] for one in archive.front)

    @property
    def best(self) -> Trial | None:
        """The trial that is looked at: chosen at the end, or the best so far, or another."""
        if self.shown is not None:
            return self.trials[self.shown]
        if self.final is not None:
            return self.trials[self.final.trial]
        return self.ranked[0] if self.ranked else None

    @property
    def topology(self) -> Topology | None:
        """The topology of the trial that is looked at."""
        genome = None if self.best is None else self.best.individual.genome
        return genome if isinstance(genome, Topology) else None

    @property
    def num_redraws(self) -> int:
        """How many genomes were drawn and dropped: infeasible or known."""
        return sum(one.individual.redraws for one in self.trials)

    @property
    def redraw_rate(self) -> float | None:
        """The share of drawn genomes that were dropped, in [0, 1]."""
        drawn = self.num_redraws + len(self.trials)
        return self.num_redraws / drawn if drawn else None

    @cached_property
    def worker_busy(self) -> float | None:
        """The share of time, in [0, 1], that workers evaluate between their first and last job.

        Times between two sessions of a study are left out.
        """
        return _busy_share([one for one in self.evaluations if one.seconds > 0])

    def test_logits(
        self, row: FinalRow
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]] | None:
        """Return the stored logits (N, K) and labels (N,) of a final training; None without file.

        Raises:
            StudyError: the file is damaged.
        """
        # By its name alone: a study from elsewhere may not point outside its folder.
        path = self.run / "test" / Path(row.logits).name
        if self.images is None or not path.is_file():
            return None
        num_classes = len(self.images.classes)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                logits = np.asarray(stored["logits"], np.float32)
                labels = np.asarray(stored["labels"], np.int64)
        except (BadZipFile, EOFError, KeyError, OSError, TypeError, ValueError) as error:
            raise StudyError(f"{path} is damaged: {error}") from error
        fits = logits.shape == (len(labels), num_classes) and len(labels) > 0
        if not fits or not ((labels >= 0) & (labels < num_classes)).all():
            raise StudyError(f"{path} is damaged: it doesn't fit {num_classes} classes")
        return logits, labels


def _is_copy(trial: Trial) -> bool:
    return trial.individual.copy_of is not None and trial.state is TrialState.COMPLETE


def _busy_share(evaluations: list[Trial]) -> float | None:
    spans = [(one.started_at or 0.0, one.finished_at or 0.0) for one in evaluations]
    if not spans:
        return None
    stops = _stops(spans)
    busy = present = 0.0
    for worker in {one.worker for one in evaluations}:
        own = [span for span, one in zip(spans, evaluations, strict=True) if one.worker == worker]
        first, last = min(start for start, _ in own), max(end for _, end in own)
        busy += sum(end - start for start, end in own)
        present += last - first
        present -= sum(end - start for start, end in stops if first <= start and end <= last)
    return min(1.0, busy / present) if present > 0 else None


def _stops(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the stretches in which nobody worked, because no process was there."""
    stops = []
    reached = min(start for start, _ in spans)
    for start, end in sorted(spans):
        if start - reached > _SESSION_GAP_S:
            stops.append((reached, start))
        reached = max(reached, end)
    return stops
