"""Stops the whole process as Ctrl-Z does, and provides a clock that stands still in the meantime.

The system's clocks go on while a process is stopped, so a step that was interrupted by a stop would seem to have taken
all that time. Code that measures what the program itself does reads `awake_ns` instead.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

_stopped_ns = 0


def awake_ns() -> int:
    """Nanoseconds of a clock that leaves out the time for which the process was stopped."""
    return time.perf_counter_ns() - _stopped_ns


def awake() -> float:
    """The same clock in seconds."""
    return awake_ns() / 1e9


def stood_still(seconds: float) -> None:
    """Subtract ``seconds`` that have just passed from the clock."""
    global _stopped_ns
    _stopped_ns += max(0, int(seconds * 1e9))


def watch_stops() -> None:
    """Make the clock notice stops by the shell in a program that does not handle them, such as one without a screen."""
    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
        signal.signal(signal.SIGTSTP, lambda *_: stand_still(group=False))


def stand_still(*, group: bool) -> None:
    """Stop this process until it is continued; to be called on the main thread.

    If no shell could continue it (its process group is orphaned), the system does not stop it, and this returns at
    once.

    Args:
        group: Also stop the other processes of the foreground job, such as ``make``, as the terminal itself does on
            Ctrl-Z, so that the shell sees the whole job stopped.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT)}
    began = time.perf_counter()
    signal.signal(signal.SIGCONT, signal.SIG_DFL)
    if group:
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        with suppress(OSError):
            os.killpg(os.getpgrp(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    # Sent to this very thread, which then stops before the next line; sent to the process, it might run on for a while.
    signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
    stood_still(time.perf_counter() - began)
    for number, handler in before.items():
        signal.signal(number, handler)
