"""Resume by replay: a strategy is rebuilt from the log, and the log is checked on the way.

The state of a search is stored nowhere but in its events: asked for these, told that. A new study
is one whose log is empty.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from evoconv.errors import StudyError
from evoconv.evolution.strategy import Strategy
from evoconv.records import Event, Individual, Objective, Trial
from evoconv.study.stop import Tally


class TrialLog(Protocol):
    """What the loop needs of a storage. Each method is one transaction."""

    def record_ask(self, slots: int, individuals: Sequence[Individual]) -> None:
        """Add waiting trials and the ask to the log."""

    def start(self, number: int) -> int:
        """Note that a worker begins the trial; return which attempt it is, from 1."""

    def requeue(self, number: int) -> None:
        """Note that a running trial waits again."""

    def finish(self, trial: Trial) -> None:
        """Keep the outcome and add the tell to the log."""

    def touch(self) -> None:
        """Note that the search is at work, for times when nothing begins or ends."""

    def trial(self, number: int) -> Trial:
        """Return one trial."""

    def trials(self) -> list[Trial]:
        """Return all trials by number."""

    def outlines(self) -> list[Trial]:
        """Return all trials by number; of their genomes only ``to_json`` is asked."""

    def events(self) -> Iterator[Event]:
        """Return the log, oldest first."""


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """Where a study stands: what has finished, and which individuals are still owed an outcome."""

    tally: Tally
    unfinished: tuple[Individual, ...]


def resume(storage: TrialLog, strategy: Strategy, objective: Objective) -> Resumed:
    """Replay the log into a fresh strategy; of a new study nothing has happened yet.

    Raises:
        StudyError: the strategy asks for something else than what was stored.
    """
    trials = {trial.number: trial for trial in storage.outlines()}
    unfinished: dict[int, Individual] = {}
    tally = Tally(objective)
    for event in storage.events():
        if event.kind == "ask":
            born = strategy.ask(event.slots)
            _compare(event.numbers, born, trials)
            unfinished.update((one.number, one) for one in born)
            continue
        for number in event.numbers:
            if number not in unfinished or not trials[number].state.is_finished:
                raise StudyError(f"the study's log is damaged: it tells {number} without a result")
            stored = trials[number].individual
            told = replace(
                unfinished.pop(number), measurement=stored.measurement, failure=stored.failure
            )
            tally.add(told)
            strategy.tell(told)
    return Resumed(tally=tally, unfinished=tuple(unfinished.values()))


def _compare(numbers: Sequence[int], born: Sequence[Individual], trials: dict[int, Trial]) -> None:
    """Refuse a replayed ask that isn't the stored one."""
    for position, number in enumerate(numbers):
        one = born[position] if position < len(born) else None
        stored = trials[number].individual if number in trials else None
        if one is None or stored is None or _origin(one) != _origin(stored):
            raise StudyError(
                f"the study can't be resumed: individual {number} would be another one than was "
                "stored (other options, or another version of evoconv or numpy?)"
            )
    if len(born) > len(numbers):
        raise StudyError(
            f"the study can't be resumed: individual {born[len(numbers)].number} was not stored"
        )


def _origin(one: Individual) -> tuple[object, ...]:
    return one.number, one.parents, one.copy_of, one.genome.to_json()
