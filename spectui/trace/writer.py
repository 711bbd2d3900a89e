"""The recorder: takes events from any thread and writes them to a file on its own thread.

Owns the file while it is recorded, and decides what happens if it cannot be written. Must not know what the events
mean, except that steps are many and all others are rare.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from spectui import __version__
from spectui.protocol.events import SCHEMA_VERSION, AnyStep, Gap, RunStarted, TraceEvent
from spectui.trace.codec import Header, encode, encode_header

FLUSH_S = 0.25
"""Longest time that an event waits to be written, and so what a killed process loses: half of what is promised."""

CAPACITY = 32_768
"""Events that may wait: several seconds of the fastest race, in case the disk stands still."""

_CHUNK = 512
"""Events that are written at once."""

_Stamped = tuple[int, TraceEvent]


class Recorder:
    """A sink that keeps everything, or notes in place how much it could not keep.

    When ``capacity`` events are waiting, further steps are counted, and a `Gap` is written in their place that says how
    far the lanes had come after them. Events that say where the run stands are rare and are still accepted, up to twice
    the capacity.

    Args:
        path: The file; its previous content is lost.
        on_fault: Called once, on the recorder's thread, with one sentence, if the file cannot be written. Recording has
            then ended, and `emit` does nothing.
        earlier: Earlier events, with their times by the same clock, which begin the trace.
        now_ns: A clock that does not go backwards.
        flush_s: Longest time that an event waits.
        capacity: Events that may wait.
    """

    def __init__(
        self,
        path: Path,
        on_fault: Callable[[str], None],
        *,
        earlier: Sequence[_Stamped] = (),
        now_ns: Callable[[], int] = time.monotonic_ns,
        flush_s: float = FLUSH_S,
        capacity: int = CAPACITY,
    ) -> None:
        self._path = path
        self._on_fault = on_fault
        self._now_ns = now_ns
        self._flush_s = flush_s
        self._capacity = capacity
        self._began_ns = earlier[0][0] if earlier else now_ns()
        self._waiting: list[_Stamped] = list(earlier)
        self._free = threading.Lock()
        self._hurry = threading.Event()
        self._missed = 0
        self._missed_ns = 0
        self._last_missed: dict[str, AnyStep] = {}
        self._closing = False
        self._ended = False
        self._headed = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.written = 0
        """Events in the file, gaps included."""
        self.lost = 0
        """Events that a gap in the file stands for."""

    @property
    def path(self) -> Path:
        return self._path

    @property
    def failed(self) -> bool:
        """Whether the recording ended because the file cannot be written; the fault has been reported."""
        return self._ended

    @property
    def recording(self) -> bool:
        """Whether events that are emitted now will be in the file."""
        return not (self._closing or self._ended)

    def start(self) -> None:
        """Start writing. Events that were emitted before are waiting."""
        self._thread.start()

    def emit(self, event: TraceEvent) -> None:
        """Hand over an event, from any thread; returns at once."""
        with self._free:
            if self._closing or self._ended:
                return
            now_ns = self._now_ns()
            room = self._capacity if isinstance(event, AnyStep) else 2 * self._capacity
            if len(self._waiting) >= room:
                self._missed += 1
                self._missed_ns = now_ns
                self.lost += 1
                if isinstance(event, AnyStep):
                    self._last_missed[event.lane] = event
                return
            self._note_gap()
            self._waiting.append((now_ns, event))
            if len(self._waiting) >= self._capacity // 4 and not self._hurry.is_set():
                self._hurry.set()

    def close(self, timeout_s: float) -> bool:
        """Write the waiting events and close the file; False if that is not finished after ``timeout_s``."""
        with self._free:
            self._closing = True
        self._hurry.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _note_gap(self) -> None:
        """Put a gap where events were missed; the lock is held."""
        if self._missed:
            self._waiting.append((self._missed_ns, Gap.behind(self._missed, self._last_missed.values())))
            self._missed = 0
            self._last_missed.clear()

    def _take(self) -> list[_Stamped]:
        with self._free:
            self._note_gap()
            taken, self._waiting = self._waiting, []
        return taken

    def _run(self) -> None:
        try:
            with self._path.open("wb", buffering=0) as file:
                self._write_all(file.fileno())
        except OSError as error:
            self._end()
            self._on_fault(self._sentence(error))

    def _write_all(self, file: int) -> None:
        closing = False
        while not closing:
            self._hurry.wait(self._flush_s)
            self._hurry.clear()
            # Read before the queue is taken, so that nothing is emitted after the last look.
            closing = self._closing
            taken = self._take()
            for first in range(0, len(taken), _CHUNK):
                self._write(file, taken[first : first + _CHUNK])

    def _write(self, file: int, events: Sequence[_Stamped]) -> None:
        lines: list[str] = []
        if not self._headed:
            run = next((event for _, event in events if isinstance(event, RunStarted)), None)
            lines.append(encode_header(Header(SCHEMA_VERSION, __version__, run)))
            self._headed = True
        lines.extend(map(self._line, events))
        _write_fully(file, ("\n".join(lines) + "\n").encode("ascii"))
        self.written += len(events)

    def _line(self, stamped: _Stamped) -> str:
        stamp, event = stamped
        time_ns = stamp - self._began_ns
        try:
            return encode(time_ns, event)
        except (KeyError, TypeError, ValueError):
            # An event that cannot be encoded must not cost those after it.
            with self._free:
                self.lost += 1
            return encode(time_ns, Gap.behind(1, [event] if isinstance(event, AnyStep) else []))

    def _end(self) -> None:
        with self._free:
            self._ended = True
            self._waiting = []

    def _sentence(self, error: OSError) -> str:
        why = error.strerror or str(error)
        if self.written:
            return f"recording to {self._path} has ended: {why}; what was written before can be replayed"
        return f"cannot record to {self._path}: {why}; record to another place"


def _write_fully(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
