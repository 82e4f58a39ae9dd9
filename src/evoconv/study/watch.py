"""What a search tells whoever looks on, such as a display."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from evoconv.execution.executor import Progress
from evoconv.records import Failure, Individual, Trial
from evoconv.study.stop import Tally


class Watch(Protocol):
    """Called from the loop, between its steps: every method must return at once."""

    def notify(self, sentence: str) -> None:
        """Something a person should know."""

    def begun(
        self,
        *,
        run: Path,
        method: str,
        time_s: float | None,
        num_slots: int,
        facts: Sequence[str],
    ) -> None:
        """Workers are starting; ``facts`` are about the data, ``time_s`` is what is left."""

    def asked(self, individuals: Sequence[Individual]) -> None:
        """Individuals were born and recorded."""

    def started(self, individual: Individual, attempt: int) -> None:
        """A worker has begun an individual, for the ``attempt``-th time."""

    def progress(self, running: Sequence[Progress], tally: Tally) -> None:
        """The loop has gone round: at least twice a second, so that a clock can move."""

    def requeued(self, individual: Individual, failure: Failure) -> None:
        """A job ended without a result and will be run again."""

    def finished(self, trial: Trial) -> None:
        """A trial was recorded, complete or failed, and told."""

    def best_changed(self, trial: Trial) -> None:
        """The trial that was just finished is better than all before."""

    def stopped(self, reason: str) -> None:
        """The search has ended; nothing runs any more."""

    def finishing(self, running: Sequence[Progress]) -> None:
        """The final trainings go on; called twice a second.

        Messages: ``augmentation``, ``finalist`` (its number is the trial's), ``repeat``,
        ``baseline``; of ``retrain`` the way that a network is trained again.
        """


class Unwatched:
    """Nobody looks on. Also a base for those who look at a part."""

    def notify(self, sentence: str) -> None:
        """Do nothing."""

    def begun(
        self,
        *,
        run: Path,
        method: str,
        time_s: float | None,
        num_slots: int,
        facts: Sequence[str],
    ) -> None:
        """Do nothing."""

    def asked(self, individuals: Sequence[Individual]) -> None:
        """Do nothing."""

    def started(self, individual: Individual, attempt: int) -> None:
        """Do nothing."""

    def progress(self, running: Sequence[Progress], tally: Tally) -> None:
        """Do nothing."""

    def requeued(self, individual: Individual, failure: Failure) -> None:
        """Do nothing."""

    def finished(self, trial: Trial) -> None:
        """Do nothing."""

    def best_changed(self, trial: Trial) -> None:
        """Do nothing."""

    def stopped(self, reason: str) -> None:
        """Do nothing."""

    def finishing(self, running: Sequence[Progress]) -> None:
        """Do nothing."""
