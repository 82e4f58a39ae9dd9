"""Ctrl-C at moments when it must not strike. Outside the main thread nothing needs to be held."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Hold Ctrl-C back to the end of the block, then let it do what it would have done."""
    before = signal.getsignal(signal.SIGINT)
    if not (callable(before) and _is_main()):
        yield
        return
    presses: list[int] = []
    # Not a signal mask alone: the libraries' threads would take the signal, and pass it on at once.
    signal.signal(signal.SIGINT, lambda number, _: presses.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for number in presses:
            signal.raise_signal(number)


@contextmanager
def ctrl_c_noticed() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C was pressed; a second press interrupts at once.

    Another handler than Python's own is left alone.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler or not _is_main():
        yield lambda: False
        return
    pressed = False

    def hold_back(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    signal.signal(signal.SIGINT, hold_back)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
