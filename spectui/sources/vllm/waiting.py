"""Measures whether a step had the processor to itself: how long the threads that compute it waited for a core.

Linux counts for every thread how long it was ready to run but did not run (``run_delay`` in ``kernel/sched/stats.h``,
the second number of ``/proc/<pid>/task/<tid>/schedstat``). An engine's threads meet at the end of every operation, so
each wait of one holds up all of them: their waits add up. If the kernel does not count, only the engine thread is
judged: it was interrupted (``ru_nivcsw`` of getrusage), and its processor time falls behind the wall clock.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from spectui.sources.hindrance import CORES_HINDERED

DISTURBED = 1 / 3
"""A step is disturbed if the waits of its threads add up to more than this share of its wall time. On a quiet
machine a daemon, or the terminal that draws the screen, occasionally takes a few milliseconds: up to a quarter of a
step of 30 ms. A program that keeps one of two cores busy makes the waits at least 0.36 of a step."""

MOST_THREADS = 16
"""Most threads that are watched: reading one takes a microsecond, twice per step."""

_BUSY = 0.1
"""Threads that ran for less than this share of the busiest one's time compute nothing that matters."""


class CoreWaits:
    """Measures how long the threads of an engine wait for a core. For use by one engine thread."""

    def __init__(self, tasks: Path = Path("/proc/self/task")) -> None:
        """Watch no thread yet; see `learning`."""
        self._tasks = tasks
        self._files: list[int] = []
        self._waited_ns: list[int] = []
        self._interrupted = self._ran_ns = 0

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Find out which threads compute, by looking at what runs in the block."""
        before = self._run_times()
        yield
        spent = {name: ran - before.get(name, 0) for name, ran in self._run_times().items()}
        least = _BUSY * max(spent.values(), default=0)
        busiest = sorted((name for name in spent if spent[name] > least), key=lambda name: -spent[name])
        self.close()
        self._files = [file for name in busiest[:MOST_THREADS] if (file := self._open(name)) is not None]

    def begin(self) -> None:
        """Note that a step begins."""
        if self._files:
            self._waited_ns = [_waited_ns(file) for file in self._files]
        else:
            self._interrupted, self._ran_ns = _interruptions(), time.thread_time_ns()

    def disturbed(self, wall_ns: int) -> bool:
        """Whether the step that has just ended, and took ``wall_ns``, was disturbed."""
        if self._files:
            after = map(_waited_ns, self._files)
            waited_ns = sum(max(now - then, 0) for then, now in zip(self._waited_ns, after, strict=True))
        elif _interruptions() > self._interrupted:
            waited_ns = wall_ns - (time.thread_time_ns() - self._ran_ns)
        else:
            return False
        return waited_ns > DISTURBED * wall_ns

    def close(self) -> None:
        """Close the files; may be called again."""
        while self._files:
            os.close(self._files.pop())

    def _run_times(self) -> Mapping[str, int]:
        """Processor time of every thread; empty if it is not counted."""
        times: dict[str, int] = {}
        for task in self._tasks.iterdir() if self._tasks.is_dir() else ():
            # A thread may have ended since it was listed.
            with suppress(OSError, ValueError, IndexError):
                times[task.name] = int((task / "schedstat").read_text().split()[0])
        return times

    def _open(self, name: str) -> int | None:
        try:
            return os.open(self._tasks / name / "schedstat", os.O_RDONLY)
        except OSError:
            return None


class NoWaits(CoreWaits):
    """For an engine whose threads are in other processes: the telemetry says whether other programs take their cores.

    Its own processes wait for each other, and vLLM's keep a core busy while they wait for messages, so how long a
    thread of theirs waited for a core says nothing about other programs.
    """

    @contextmanager
    def learning(self) -> Iterator[None]:
        """There is nothing to find out."""
        yield

    def begin(self) -> None:
        """Note that a step begins."""

    def disturbed(self, wall_ns: int) -> bool:
        """Whether other programs are taking cores at the moment."""
        return CORES_HINDERED.is_set()


def _waited_ns(file: int) -> int:
    """How long a thread has waited since it began; 0 once it has ended."""
    try:
        return int(os.pread(file, 64, 0).split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _interruptions() -> int:
    """How often this thread was made to give up its core."""
    who = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if who is None else resource.getrusage(who).ru_nivcsw
