"""A study run under somebody's eyes: which display, Ctrl-C, and what is printed at the end."""

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from evoconv.genomes.architecture import read_genome
from evoconv.report.board import Board
from evoconv.report.display import LiveDisplay
from evoconv.report.plain import PlainDisplay
from evoconv.report.read_standing import read_standing
from evoconv.report.show import print_study, result_json
from evoconv.report.standing import Standing
from evoconv.study.storage import Storage

_INTERRUPTED, _TERMINATED = 130, 143  # 128 + the signal's number


class _Console(Console):
    """Leaves a closed pipe to the command line, which knows its exit code."""

    def on_broken_pipe(self) -> None:
        """Raise the ``BrokenPipeError`` again that is being handled."""
        raise


def open_console(*, stderr: bool = False) -> Console:
    """Return a console that takes nothing in a text for markup, and colours nothing by itself."""
    return _Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def run_watched(
    study: Callable[[Board], Path],
    *,
    metric: str,
    quiet: bool,
    json: bool,
    number: int | None = None,
    show: Callable[[Console, Standing], None] = print_study,
) -> int:
    """Run a study before the right display, show its result, and return the exit code.

    ``number`` is the trial whose result is wanted, where it isn't the best.
    """
    board = _choose_board(metric, quiet=quiet, json=json)
    with _termination_as_ctrl_c() as is_terminated:
        try:
            with board:
                run = study(board)
        except KeyboardInterrupt:
            sys.stderr.write(f"evoconv: {_after_interrupt(board.run)}\n")
            return _TERMINATED if is_terminated() else _INTERRUPTED
    with closing(Storage.open(run, read_genome)) as storage:
        standing = read_standing(run, storage).of_trial(number)
    if json:
        sys.stdout.write(result_json(standing) + "\n")
    elif not quiet:
        sys.stdout.write("\n")
        show(open_console(), standing)
    return 0


def _choose_board(metric: str, *, quiet: bool, json: bool) -> Board:
    """Return the display: live in a terminal, else lines; with ``--json`` on standard error."""
    if quiet:
        return Board(metric)
    console = open_console(stderr=json)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console, metric)
    return PlainDisplay(sys.stderr if json else sys.stdout, metric)


def _after_interrupt(run: Path | None) -> str:
    if run is None:
        return "interrupted before the search began"
    saved = (run / "best" / "model.json").is_file()
    best = f" the best so far is in {run / 'best'};" if saved else ""
    return f"interrupted;{best} go on with: evoconv resume {shlex.quote(str(run))}"


@contextmanager
def _termination_as_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Let a request to terminate, as schedulers send it, save what there is just like Ctrl-C.

    Give a function that says whether there was one.
    """
    terminated = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # So it is in the background of a script: Ctrl-C isn't meant for us, but this is.
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield lambda: terminated
    finally:
        signal.signal(signal.SIGTERM, before)
