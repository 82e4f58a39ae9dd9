from io import StringIO

import pytest

from evoconv.execution.executor import Progress
from evoconv.records import Failure, FailureKind
from evoconv.report.board import Board
from evoconv.report.plain import PlainDisplay
from tests.report.feed import Feed


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def output() -> StringIO:
    return StringIO()


@pytest.fixture
def feed(output: StringIO, clock: Clock) -> Feed:
    feed = Feed(PlainDisplay(output, clock=clock))
    feed.begin()
    output.truncate(0)
    output.seek(0)
    return feed


def test_the_facts_are_told_at_the_start(output: StringIO, clock: Clock) -> None:
    Feed(PlainDisplay(output, clock=clock)).begin()
    assert output.getvalue().splitlines() == [
        "00:00:00  async search in runs/one, 2 workers, 10m 00s left",
        "00:00:00  1,000 images of 3 classes",
    ]


def test_only_a_new_best_is_worth_a_line(feed: Feed, output: StringIO, clock: Clock) -> None:
    clock.now += 75
    feed.start(0)
    feed.complete(0, 0.9)
    feed.start(1)
    feed.complete(1, 0.8)
    assert output.getvalue() == (
        "00:01:15  new best, trial 0: accuracy 90.00 %, 23.4k parameters, 1.2M MACs\n"
    )


def test_a_failure_is_told_with_its_reason(feed: Feed, output: StringIO) -> None:
    feed.start(0)
    feed.fail(0)
    assert output.getvalue() == "00:00:00  trial 0 failed: out of memory: no memory\n"


def test_a_lost_trial_is_told_and_one_that_the_end_cancelled_is_not(
    feed: Feed, output: StringIO
) -> None:
    one = feed.start(0)
    feed.watch.requeued(one, Failure(kind=FailureKind.CANCELLED, message=""))
    assert output.getvalue() == ""
    feed.watch.requeued(one, Failure(kind=FailureKind.LOST, message="killed by SIGKILL"))
    assert "trial 0 will run again: worker lost: killed by SIGKILL" in output.getvalue()


def test_a_heartbeat_comes_every_half_minute(feed: Feed, output: StringIO, clock: Clock) -> None:
    feed.start(0)
    feed.start(1)
    feed.complete(0, 0.9)
    output.truncate(0)
    output.seek(0)
    for _ in range(240):
        clock.now += 0.25
        feed.go_round()
    assert output.getvalue().splitlines() == [
        "00:00:30  1 evaluation, 1 running, best accuracy 90.00 %, 9m 30s left",
        "00:01:00  1 evaluation, 1 running, best accuracy 90.00 %, 9m 00s left",
    ]


def test_a_thousand_failures_do_not_flood_the_log(
    feed: Feed, output: StringIO, clock: Clock
) -> None:
    for number in range(1000):
        feed.start(number)
        feed.fail(number)
    clock.now += 31
    feed.go_round()
    lines = output.getvalue().splitlines()
    assert len(lines) == 12
    assert lines[10] == "00:00:31  990 more failures like these"
    feed.start(1000)
    feed.fail(1000)
    assert "trial 1000 failed" in output.getvalue()


def test_the_final_trainings_are_told_by_name(feed: Feed, output: StringIO, clock: Clock) -> None:
    feed.watch.stopped("the time for the search is over")
    running = [
        Progress(number=0, fraction=0.5, message="repeat"),
        Progress(number=1, fraction=0.1, message="baseline"),
    ]
    feed.watch.finishing(running)
    feed.watch.finishing(running)
    clock.now += 30
    feed.watch.finishing(running[:1])
    assert output.getvalue().splitlines() == [
        "00:00:00  search ended after 0 evaluations: the time for the search is over",
        "00:00:00  final training 1 and baseline training begun",
        "00:00:30  final training 1: 50%, 9m 30s left",
    ]


def test_hostile_names_can_not_steer_the_terminal(feed: Feed, output: StringIO) -> None:
    feed.watch.notify("class \x1b]0;owned\x07 has 3 images\nnew line")
    (line,) = output.getvalue().splitlines()
    assert "\x1b" not in line


def test_a_study_without_a_time_limit_shows_none(output: StringIO, clock: Clock) -> None:
    feed = Feed(PlainDisplay(output, clock=clock), time_s=None)
    feed.begin()
    clock.now += 30
    feed.go_round()
    assert "no time limit" in output.getvalue()
    assert output.getvalue().endswith("0 evaluations, 0 running\n")


def test_a_board_alone_is_silent_but_knows_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    with Board() as board:
        feed = Feed(board)
        feed.begin()
        feed.start(0)
        feed.complete(0, 0.9)
        feed.fail(1)
        feed.go_round()
    assert str(board.run) == "runs/one"
    assert (board.num_evaluations, board.num_failed) == (2, 1)
    assert capfd.readouterr() == ("", "")
