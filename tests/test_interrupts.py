"""Ctrl-C while it is held back: kept, counted, and passed on."""

import signal
import threading

import pytest

from evoconv.interrupts import ctrl_c_noticed, ctrl_c_waits


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_press_strikes_at_the_end_of_the_block() -> None:
    passed: list[str] = []

    def go() -> None:
        with ctrl_c_waits():
            press()
            passed.append("the press")
        passed.append("the end")

    with pytest.raises(KeyboardInterrupt):
        go()
    assert passed == ["the press"]


def test_a_press_is_not_lost_where_the_block_fails() -> None:
    def fail() -> None:
        with ctrl_c_waits():
            press()
            raise OSError("no more processes")

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert isinstance(caught.value.__context__, OSError)


def test_a_first_press_is_told_and_a_second_one_interrupts() -> None:
    with ctrl_c_noticed() as pressed:
        assert not pressed()
        press()
        assert pressed()
        with pytest.raises(KeyboardInterrupt):
            press()
    with pytest.raises(KeyboardInterrupt):
        press()


def test_presses_that_waited_reach_who_would_have_had_them() -> None:
    with ctrl_c_noticed() as pressed:
        with ctrl_c_waits():
            press()
            assert not pressed()
        assert pressed()


def test_other_threads_have_nothing_to_hold() -> None:
    told: list[bool] = []

    def hold() -> None:
        with ctrl_c_waits(), ctrl_c_noticed() as pressed:
            told.append(pressed())

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert told == [False]
