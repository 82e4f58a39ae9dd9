from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from evoconv.execution.executor import Progress
from evoconv.report.display import LiveDisplay
from tests.report.feed import Feed

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def terminal(width: int = 80) -> Console:
    """Return a console that takes its file for a terminal."""
    return Console(
        file=StringIO(), force_terminal=True, width=width, height=40, _environ={"TERM": "xterm"}
    )


def written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def drawn(display: LiveDisplay, width: int = 80) -> list[str]:
    """Return the board's lines as text."""
    console = Console(file=StringIO(), width=width)
    console.print(display.draw())
    return written(console).splitlines()


@pytest.fixture
def display() -> LiveDisplay:
    return LiveDisplay(terminal())


def test_the_board_shows_time_counts_best_and_running(display: LiveDisplay) -> None:
    with display:
        feed = Feed(display)
        feed.begin()
        feed.start(0)
        feed.complete(0, 0.9)
        feed.start(1)
        feed.fail(1)
        feed.start(2, attempt=2)
        feed.go_round(t2=0.62)
        lines = drawn(display)
    text = "\n".join(lines)
    assert "left of 10m 00s   2 evaluations (1 failed)   1 running" in text
    assert "best  trial 0: accuracy 90.00 %, 23.4k parameters, 1.2M MACs" in text
    assert "convolution 10 3×3 → max pooling 2×2 → dense 20" in text
    assert any("trial 2 (attempt 2)" in line and "62%" in line for line in lines)
    assert any("trial 1 failed: out of memory: no memory" in line for line in lines)


def test_the_board_keeps_to_80_columns_and_a_few_lines(display: LiveDisplay) -> None:
    with display:
        feed = Feed(display)
        feed.begin()
        for number in range(200):
            feed.start(number)
        for number in range(100):
            feed.fail(number)
        lines = drawn(display)
    assert max(len(line) for line in lines) <= 80
    assert len(lines) <= 24
    assert any(line.strip() == "and 92 more" for line in lines)


def test_final_trainings_take_the_place_of_evaluations(display: LiveDisplay) -> None:
    with display:
        feed = Feed(display)
        feed.begin()
        feed.start(0)
        feed.watch.stopped("all 1 evaluations are done")
        feed.watch.finishing([Progress(number=0, fraction=0.25, message="repeat")])
        text = "\n".join(drawn(display))
        assert "final training 1" in text
        assert "25%" in text
        assert "trial 0" not in text
        feed.watch.finishing([])
        assert "finishing" in "\n".join(drawn(display))


def raise_error() -> None:
    raise RuntimeError("out of the blue")


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("end", [raise_error, interrupt])
def test_the_cursor_comes_back_however_it_ends(end: Callable[[], None]) -> None:
    console = terminal()

    def look_on() -> None:
        with LiveDisplay(console) as display:
            Feed(display).begin()
            assert HIDE_CURSOR in written(console)
            end()

    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        look_on()
    assert written(console).rindex(SHOW_CURSOR) > written(console).rindex(HIDE_CURSOR)


def test_what_was_said_stays_and_the_board_goes(display: LiveDisplay) -> None:
    console = terminal()
    with LiveDisplay(console) as display:
        feed = Feed(display)
        feed.begin()
        feed.go_round()
        feed.watch.notify("2 images are [bold]copies[/bold] of others")
    assert "2 images are [bold]copies[/bold] of others" in written(console)
    # Wiped line by line: erase the line, move one up.
    assert "\x1b[2K\x1b[1A" in written(console)


def test_a_fast_loop_does_not_redraw_without_end() -> None:
    console = terminal()
    now = 0.0
    with LiveDisplay(console, clock=lambda: now) as display:
        feed = Feed(display)
        feed.begin()
        before = len(written(console))
        for _ in range(100):
            feed.go_round()
        assert len(written(console)) == before
        now = 1.0
        feed.go_round()
        assert len(written(console)) > before
