"""What a display knows of a running study, and what it is called for.

``Board`` listens to the search and keeps the score; by itself it shows nothing, which is
``--quiet``. Displays that show something write sentences and draw the board in their own way.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from evoconv.execution.executor import Progress
from evoconv.records import Failure, FailureKind, Individual, Trial
from evoconv.report.sentences import counts_text, printable, reason_text, trial_text
from evoconv.study.stop import Tally
from evoconv.study.watch import Unwatched
from evoconv.units import format_duration

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A job under way: what to call it, when it began by the board's clock, how far it is."""

    title: str
    began: float
    fraction: float = 0.0
    message: str = ""


class Board(Unwatched):
    """Keeps the score of one study.

    Attributes:
        run: the run folder; None until the study has begun.
        metric: the measure that the search improves.
        best: the best individual so far.
        running: evaluations under way by number, in the order they began.
        is_over: whether the search has ended.
        final: final trainings under way; empty while the search goes on.
    """

    def __init__(self, metric: str = "accuracy", clock: Clock = time.monotonic) -> None:
        self.metric = metric
        self.run: Path | None = None
        self.method = ""
        self.time_s: float | None = None
        self.num_evaluations = self.num_failed = self.num_copies = 0
        self.best: Individual | None = None
        self.running: dict[int, Running] = {}
        self.is_over = False
        self.final: dict[str, Running] = {}  # by title
        self._clock = clock
        self._began = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def now(self) -> float:
        """The reading of the board's clock."""
        return self._clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the study began."""
        return self.now - self._began

    @property
    def time_left_s(self) -> float | None:
        """Seconds left of the time limit, 0 or more; None without a limit."""
        return None if self.time_s is None else max(0.0, self.time_s - self.elapsed_s)

    def say(self, sentence: str) -> None:
        """Tell the person something that stays on the screen."""

    def mention(self, sentence: str) -> None:
        """Tell the person what has just happened."""

    def mention_failure(self, sentence: str) -> None:
        """Tell the person that an evaluation failed; there may be many."""
        self.mention(sentence)

    def refresh(self) -> None:
        """Show the board as it is now."""

    def close(self) -> None:
        """Leave the screen as it was found. Safe to call twice."""

    def begun(
        self,
        *,
        run: Path,
        method: str,
        time_s: float | None,
        num_slots: int,
        facts: Sequence[str],
    ) -> None:
        """Take note of the study and tell its facts."""
        self.run, self.method, self.time_s = run, method, time_s
        self._began = self.now
        workers = f"{num_slots} worker{'' if num_slots == 1 else 's'}"
        limit = "no time limit" if time_s is None else f"{format_duration(time_s)} left"
        self.say(f"{method} search in {run}, {workers}, {limit}")
        for fact in facts:
            self.say(fact)
        self.refresh()

    def notify(self, sentence: str) -> None:
        """Pass the sentence on."""
        self.say(sentence)

    def started(self, individual: Individual, attempt: int) -> None:
        """Add the trial to those under way."""
        again = f" (attempt {attempt})" if attempt > 1 else ""
        title = f"trial {individual.number}{again}"
        self.running[individual.number] = Running(title=title, began=self.now)

    def progress(self, running: Sequence[Progress], tally: Tally) -> None:
        """Take over the figures of the search, which trainings may have come before."""
        self.is_over, self.final = False, {}
        for one in running:
            if one.number in self.running:
                self.running[one.number] = _moved(self.running[one.number], one)
        self.num_evaluations, self.num_failed = tally.num_evaluations, tally.num_failed
        self.num_copies, self.best = tally.num_copies, tally.best
        self.refresh()

    def requeued(self, individual: Individual, failure: Failure) -> None:
        """Mention it, unless the search cancelled it, which is no news of the trial."""
        self.running.pop(individual.number, None)
        if failure.kind is FailureKind.CANCELLED:
            return
        self.mention_failure(f"trial {individual.number} will run again: {reason_text(failure)}")

    def finished(self, trial: Trial) -> None:
        """Count it; mention it if it failed."""
        self.running.pop(trial.number, None)
        failure = trial.individual.failure
        if failure is not None:
            self.mention_failure(f"trial {trial.number} failed: {reason_text(failure)}")

    def best_changed(self, trial: Trial) -> None:
        """Mention it."""
        self.best = trial.individual
        self.mention(f"new best, {trial_text(trial.individual, self.metric)}")

    def stopped(self, reason: str) -> None:
        """Say why."""
        self.running.clear()
        self.is_over = True
        counts = counts_text(self.num_evaluations, self.num_failed, self.num_copies)
        self.say(f"search ended after {counts}: {reason}")
        self.refresh()

    def finishing(self, running: Sequence[Progress]) -> None:
        """Follow the final trainings."""
        self.is_over = True
        before = self.final
        self.final = {}
        for one in sorted(running, key=lambda one: one.number):
            title = _final_title(one)
            known = before.get(title, Running(title=title, began=self.now))
            self.final[title] = _moved(known, one)
        if started := [title for title in self.final if title not in before]:
            self.mention(f"{' and '.join(started)} begun")
        self.refresh()


def _final_title(one: Progress) -> str:
    match one.message:
        case "baseline":
            return "baseline training"
        case "augmentation":
            return f"augmentation {one.number + 1}"
        case "finalist":
            return f"finalist {one.number}"
        case "repeat":
            return f"final training {one.number + 1}"
    return f"{one.message} {one.number}"


def _moved(before: Running, now: Progress) -> Running:
    return Running(
        title=before.title,
        began=before.began,
        fraction=min(1.0, max(0.0, now.fraction)),
        message=printable(now.message),
    )
