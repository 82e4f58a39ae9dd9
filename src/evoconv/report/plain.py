"""Lines with a clock, for logs and pipes: what happened, and now and then how far it is."""

import time
from typing import TextIO

from evoconv.report.board import Board, Clock
from evoconv.report.sentences import counts_text, measures_text, printable
from evoconv.units import format_duration

_HEARTBEAT_S = 30.0
# Between two heartbeats; what is more is counted.
_MAX_FAILURES = 10


class PlainDisplay(Board):
    """Writes a line for each new best, each failure, each note, and one every half minute."""

    def __init__(
        self, output: TextIO, metric: str = "accuracy", clock: Clock = time.monotonic
    ) -> None:
        super().__init__(metric, clock)
        self._output = output
        self._last_heartbeat = self.now
        self._num_failures = 0

    def say(self, sentence: str) -> None:
        """Write a line."""
        self._write(sentence)

    def mention(self, sentence: str) -> None:
        """Write a line."""
        self._write(sentence)

    def mention_failure(self, sentence: str) -> None:
        """Write a line, unless there were many already since the last heartbeat."""
        self._num_failures += 1
        if self._num_failures <= _MAX_FAILURES:
            self._write(sentence)

    def refresh(self) -> None:
        """Write how far it is, if it's time to."""
        if self.now - self._last_heartbeat < _HEARTBEAT_S:
            return
        self._last_heartbeat = self.now
        if self._num_failures > _MAX_FAILURES:
            self._write(f"{self._num_failures - _MAX_FAILURES} more failures like these")
        self._num_failures = 0
        self._write(", ".join(self._state()))

    def _state(self) -> list[str]:
        parts = []
        if self.final:
            parts += [f"{one.title}: {one.fraction:.0%}" for one in self.final.values()]
        else:
            parts.append(counts_text(self.num_evaluations, self.num_failed, self.num_copies))
            parts.append(f"{len(self.running)} running")
            if self.best is not None and self.best.measurement is not None:
                values = self.best.measurement.values
                parts.append(f"best {measures_text(self.metric, values)}")
        if self.time_left_s is not None:
            parts.append(f"{format_duration(self.time_left_s)} left")
        return parts

    def _write(self, sentence: str) -> None:
        minutes, seconds = divmod(int(self.elapsed_s), 60)
        hours, minutes = divmod(minutes, 60)
        self._output.write(f"{hours:02d}:{minutes:02d}:{seconds:02d}  {printable(sentence)}\n")
        # A person who follows a log sees the line now, not a few kilobytes later.
        self._output.flush()
