"""When a search ends, and what it has finished so far.

A stop rule answers with a sentence for the person, or None to go on. All of them look at a tally,
which is folded from the tells of a study in order, so that it is the same after a resume.
"""

from dataclasses import dataclass

from evoconv.evolution.archive import Archive
from evoconv.records import FailureKind, Individual, Objective
from evoconv.units import format_percent

MAX_COPIES_IN_A_ROW = 500
"""So many births in a row without a new phenotype, and the space counts as exhausted."""

_MIN_FAILURES = 8


class Tally:
    """What a study has finished so far.

    Attributes:
        num_evaluations: finished evaluations, failed ones included, copies not.
        num_failed: those of them that failed.
        num_copies: individuals answered from the record.
        num_copies_in_a_row: copies since the last evaluation.
        num_since_best: evaluations since the best was found, or since the start.
        archive: the Pareto front of the evaluations.
    """

    def __init__(self, objective: Objective) -> None:
        self.num_evaluations = 0
        self.num_failed = 0
        self.num_copies = 0
        self.num_copies_in_a_row = 0
        self.num_since_best = 0
        self.archive = Archive(objective)
        self._objective = objective
        self._best: tuple[tuple[float, int], Individual] | None = None
        self._failures: set[FailureKind] = set()

    @property
    def best(self) -> Individual | None:
        """The best individual so far, of equals the older; None while every one has failed."""
        return None if self._best is None else self._best[1]

    def add(self, told: Individual) -> bool:
        """Count an individual that was told; return whether it is better than all before."""
        if told.copy_of is not None and told.failure is None:
            self.num_copies += 1
            self.num_copies_in_a_row += 1
            return False
        self.num_copies_in_a_row = 0
        self.num_evaluations += 1
        self.num_since_best += 1
        if told.measurement is not None:
            self._objective.told(told.measurement)
        if told.failure is not None:
            self.num_failed += 1
            self._failures.add(told.failure.kind)
            return False
        self.archive.add(told)
        merit = order_of_merit(told, self._objective)
        is_better = self._best is None or merit[0] > self._best[0][0]
        if self._best is None or merit > self._best[0]:
            self._best = merit, told
        if is_better:
            self.num_since_best = 0
        return is_better

    def is_hopeless(self, num_slots: int) -> bool:
        """Return whether all have met one kind of failure, and enough of them to tell."""
        return (
            self.num_failed >= max(_MIN_FAILURES, 2 * num_slots)
            and self.num_failed == self.num_evaluations
            and len(self._failures) == 1
        )


def order_of_merit(individual: Individual, objective: Objective) -> tuple[float, int]:
    """Return by what measured individuals are put in order: merit, then age; higher is better."""
    assert individual.measurement is not None, f"individual {individual.number} was not measured"
    return objective.merit(individual.measurement), -individual.number


@dataclass(frozen=True, kw_only=True)
class StopRules:
    """The limits of a search; None means no such limit.

    Attributes:
        evaluations: finished evaluations of the whole study, failed ones included, copies not.
        generations: complete generations of the whole study.
        deadline: reading of the run's clock at which the search ends, once anything has succeeded.
        last_call: reading at which it ends even with empty hands.
        stop_at: validation accuracy in (0, 1] of the best.
        patience: evaluations in a row without a better best.
    """

    evaluations: int | None = None
    generations: int | None = None
    deadline: float | None = None
    last_call: float | None = None
    stop_at: float | None = None
    patience: int | None = None

    def num_left(self, tally: Tally) -> int | None:
        """Return how many evaluations may still finish; None where nothing limits them."""
        if self.evaluations is None:
            return None
        return max(0, self.evaluations - tally.num_evaluations)

    def reason(self, tally: Tally, now: float, num_generations: int | None = None) -> str | None:
        """Return why the search ends now, as a sentence for the person; None to go on."""
        is_late = self.deadline is not None and now >= self.deadline and tally.best is not None
        if is_late or (self.last_call is not None and now >= self.last_call):
            return "the time for the search is over"
        if self.num_left(tally) == 0:
            return f"all {self.evaluations} evaluations are done"
        if self.generations is not None and (num_generations or 0) >= self.generations:
            return f"all {self.generations} generations are done"
        accuracy = _accuracy(tally.best)
        if self.stop_at is not None and accuracy is not None and accuracy >= self.stop_at:
            found, wanted = format_percent(accuracy), format_percent(self.stop_at)
            return f"the best has a validation accuracy of {found}, {wanted} was asked for"
        if self.patience is not None and tally.num_since_best >= self.patience:
            return f"{tally.num_since_best} evaluations in a row found nothing better"
        if tally.num_copies_in_a_row >= MAX_COPIES_IN_A_ROW:
            return f"{MAX_COPIES_IN_A_ROW} births in a row brought no new network: all are known"
        return None


def _accuracy(best: Individual | None) -> float | None:
    if best is None or best.measurement is None:
        return None
    return best.measurement.values.get("validation_accuracy")
