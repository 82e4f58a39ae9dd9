"""The live display in a terminal: the board drawn anew a few times a second below what was said."""

import time
from collections import deque
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evoconv.report.board import Board, Clock, Running
from evoconv.report.sentences import counts_text, network_text, printable, trial_text
from evoconv.units import format_duration

_REDRAW_S = 0.2
_NUM_EVENTS = 6
_MAX_RUNNING = 8


class LiveDisplay(Board):
    """Draws the board in a terminal; leaves it as it was found, whatever happens.

    It draws when it is told something, in the thread that tells it.
    """

    def __init__(
        self, console: Console, metric: str = "accuracy", clock: Clock = time.monotonic
    ) -> None:
        super().__init__(metric, clock)
        self._console = console
        self._live: Live | None = None
        self._events: deque[tuple[str, str]] = deque(maxlen=_NUM_EVENTS)
        self._drawn_at = float("-inf")

    def say(self, sentence: str) -> None:
        """Print the sentence above the board; the first words of a sentence may wrap."""
        self._console.print(Text(printable(sentence)))

    def mention(self, sentence: str) -> None:
        """Add the sentence to the last events."""
        self._events.append((format_duration(self.elapsed_s), printable(sentence)))

    def mention_failure(self, sentence: str) -> None:
        """Add the sentence to the last events."""
        self.mention(sentence)

    def refresh(self) -> None:
        """Draw the board, but not more often than the eye can follow."""
        if self._live is None:
            # Transient: the report of the whole study takes its place.
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        if self.now - self._drawn_at < _REDRAW_S:
            return
        self._drawn_at = self.now
        self._live.update(self.draw(), refresh=True)

    def close(self) -> None:
        """Wipe the board and show the cursor again."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def draw(self) -> RenderableType:
        """Return the board as it is now, for at least 80 columns."""
        parts: list[RenderableType] = [Text(), self._headline()]
        if self.best is not None:
            parts += self._best_lines()
        jobs = self.final or self.running
        if jobs:
            parts += [Text(), _bars(list(jobs.values())[:_MAX_RUNNING], self.now)]
            if len(jobs) > _MAX_RUNNING:
                parts.append(_line(f"  and {len(jobs) - _MAX_RUNNING} more", "dim"))
        if self._events:
            parts += [Text(), _events(self._events)]
        return Group(*parts)

    def _headline(self) -> Text:
        left = self.time_left_s
        clock = (
            f"{format_duration(self.elapsed_s)} gone"
            if left is None or self.time_s is None
            else f"{format_duration(left)} left of {format_duration(self.time_s)}"
        )
        counts = counts_text(self.num_evaluations, self.num_failed, self.num_copies)
        what = f"{len(self.running)} running" if self.running else "starting"
        if self.final or self.is_over:
            what = "final training" if self.final else "finishing"
        line = _line("")
        line.append(clock, "bold")
        line.append(f"   {counts}   {what}")
        return line

    def _best_lines(self) -> list[RenderableType]:
        assert self.best is not None
        line = _line("")
        line.append("best  ", "bold green")
        line.append(trial_text(self.best, self.metric))
        return [line, _line(f"      {network_text(self.best.genome)}", "dim")]


def _bars(jobs: Iterable[Running], now: float) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(width=30)
    grid.add_column(justify="right", width=5)
    grid.add_column(justify="right", width=7)
    for one in jobs:
        grid.add_row(
            Text(f"  {one.title}"),
            ProgressBar(total=1.0, completed=one.fraction, width=30),
            f"{one.fraction:.0%}",
            format_duration(now - one.began),
        )
    return grid


def _events(events: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="dim", no_wrap=True, min_width=9)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for at, sentence in events:
        grid.add_row(at, Text(sentence, no_wrap=True, overflow="ellipsis"))
    return grid


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
