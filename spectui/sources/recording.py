"""Records a source's events, from the start or from any later moment, together with earlier events that are still in
memory."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sized
from dataclasses import replace
from itertools import count
from pathlib import Path

from spectui.errors import UsageError
from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Answered,
    AnyStep,
    Asked,
    CounterSample,
    Event,
    Gap,
    KChanged,
    LaneChecked,
    LaneEngine,
    LaneStage,
    Notice,
    RequestFinished,
    RequestStarted,
    RoundStarted,
    RunStarted,
    ServerSeen,
    ServerState,
    Serving,
    TraceEvent,
)
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.playback import Played, Recording, StateReplaced
from spectui.protocol.samples import LaneMemory, TelemetryStarted
from spectui.protocol.source import Sink, Source
from spectui.trace.writer import Recorder

MEMORY_EVENTS = 20_000
"""Events that are kept for a recording that begins later: some minutes of a race."""

CLOSE_S = 2.0

_Stamped = tuple[int, TraceEvent]
_OF_ROUND = (RequestStarted, RequestFinished)


class Memory:
    """What a trace that begins now needs of the run so far: the events that still apply, then the last events."""

    def __init__(self, most: int = MEMORY_EVENTS) -> None:
        self._most = most
        self._standing: dict[object, _Stamped] = {}
        self._recent: deque[_Stamped] = deque()
        self._last: dict[str, AnyStep] = {}
        self._attached = False
        self._forgotten = 0
        self._forgotten_ns = 0

    def add(self, stamp: int, event: TraceEvent) -> None:
        """Keep an event."""
        self._recent.append((stamp, event))
        while len(self._recent) > self._most:
            self._forget(*self._recent.popleft())

    def _forget(self, stamp: int, event: TraceEvent) -> None:
        match event:
            case RunStarted() | TelemetryStarted():
                self._standing[type(event)] = (stamp, event)
                if isinstance(event, RunStarted):
                    self._attached = event.attached
            case RoundStarted():
                self._standing[type(event)] = (stamp, event)
                for key in [key for key in self._standing if isinstance(key, tuple) and key[0] in _OF_ROUND]:
                    del self._standing[key]
            case LaneStage() | LaneEngine() | LaneChecked() | LaneMemory() | KChanged():
                self._standing[type(event), event.lane] = (stamp, event)
            case ServerSeen() | ServerState() | Serving() | CounterSample():
                self._standing[type(event), event.lane] = (stamp, event)
            case RequestFinished() if self._attached:
                # A server's round never ends. Nothing is left of a request that ended so long ago.
                self._standing.pop((RequestStarted, event.lane, event.slot), None)
            case RequestStarted() | RequestFinished():
                self._standing[type(event), event.lane, event.slot] = (stamp, event)
            case Asked():
                self._standing[Asked, event.number] = (stamp, event)
            case Answered(ended=True):
                self._standing.pop((Asked, event.number), None)
            case _:
                if isinstance(event, AnyStep):
                    self._last[event.lane] = event
                self._forgotten += 1
                self._forgotten_ns = stamp

    def events(self) -> list[_Stamped]:
        """The events that a trace begins with; a `Gap` counts what was forgotten."""
        standing = sorted(self._standing.values(), key=lambda kept: kept[0])
        clocks = tuple((name, step.clock_ns) for name, step in self._last.items())
        gap = replace(Gap.behind(self._forgotten, self._last.values()), clocks=clocks)
        return [*standing, *([(self._forgotten_ns, gap)] if self._forgotten else []), *self._recent]


class Recorded:
    """A `Source` that records ``source`` on demand; it passes every event on to its own sink."""

    def __init__(
        self,
        source: Source,
        path: Path | None,
        name: Callable[[], Path],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Prepare.

        Args:
            source: The source to record.
            path: Record to this file from the start; None waits for `Record`.
            name: Gives the file name of a recording that begins later.
            now_ns: The recording's clock.
        """
        self._source = source
        self._path = path
        self._name = name
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._memory = Memory()
        self._recorder: Recorder | None = None
        self._presses: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._keeper = threading.Thread(target=self._follow_presses, name="recording", daemon=True)
        self._sink: Sink
        self.fault = ""
        """Why the last recording is incomplete, in one sentence; empty if it is complete."""

    @property
    def accepts(self) -> frozenset[type[cmd.Command]]:
        return self._source.accepts | {cmd.Record}

    @property
    def slot(self) -> FrameSlot:
        return self._source.slot

    def start(self, sink: Sink) -> None:
        self._sink = sink
        if self._path is not None:
            self._begin(self._path)
        self._keeper.start()
        self._source.start(self)

    def send(self, command: cmd.Command) -> None:
        if isinstance(command, cmd.Record):
            self._presses.put(True)
        else:
            self._source.send(command)

    def stop(self, timeout_s: float) -> bool:
        stopped = self._source.stop(timeout_s)
        self._presses.put(False)
        if self._keeper.ident is not None:
            self._keeper.join(CLOSE_S)
        if (recorder := self._recorder) is not None and not recorder.close(CLOSE_S):
            self.fault = f"{recorder.path} is incomplete: the disk could not keep up"
        return stopped

    def _follow_presses(self) -> None:
        """Begin and end recordings on a separate thread, so that a slow disk does not delay the key press."""
        while self._presses.get():
            self._toggle()

    def emit(self, event: Event) -> None:
        """Pass an event on, and keep it."""
        self._sink.emit(event)
        if isinstance(event, StateReplaced | Played):
            return
        with self._lock:
            self._memory.add(self._now_ns(), event)
            recorder = self._recorder
        if recorder is not None:
            recorder.emit(event)

    def __len__(self) -> int:
        """Events that wait behind it, so that a source can be slower than them; 0 if nobody counts them."""
        return len(self._sink) if isinstance(self._sink, Sized) else 0

    def __bool__(self) -> bool:
        return True

    def _toggle(self) -> None:
        if self._recorder is None:
            self._begin(self._name())
        else:
            self._end()

    def _begin(self, path: Path) -> None:
        self.fault = ""

        def failed(sentence: str) -> None:
            self._failed(recorder, sentence)

        with self._lock:
            recorder = Recorder(path, failed, earlier=self._memory.events(), now_ns=self._now_ns)
            self._recorder = recorder
        # Announced before it begins: if nothing can be written, the recorder's thread takes it back at once.
        self._sink.emit(Recording(str(path)))
        recorder.start()

    def _end(self) -> None:
        with self._lock:
            recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        done = recorder.close(CLOSE_S)
        if recorder.failed:
            return
        self._sink.emit(Recording(None))
        said = f"{recorder.written} events recorded: spectui replay {recorder.path}"
        self._sink.emit(Notice(said if done else f"{recorder.path} is still being written"))

    def _failed(self, recorder: Recorder, sentence: str) -> None:
        """Report why ``recorder`` ended; a recording that was begun after it goes on."""
        self.fault = sentence
        with self._lock:
            current = self._recorder is recorder
            if current:
                self._recorder = None
        if current:
            self._sink.emit(Recording(None))
        self._sink.emit(Notice(sentence, level="warning"))


def trace_name() -> Path:
    """Create a new file in the current folder and return its path; if that fails, return the path that it would have
    had."""
    stem = time.strftime("spectui-%Y%m%d-%H%M%S")
    for number in count(1):
        path = Path(f"{stem}.jsonl" if number == 1 else f"{stem}-{number}.jsonl")
        try:
            path.open("x").close()
        except FileExistsError:
            continue
        except OSError:
            return path
        return path
    raise AssertionError


def writable_trace(path: Path) -> Path:
    """Check that the file can be written, and return it.

    Raises:
        UsageError: It cannot be written; nothing was changed.
    """
    try:
        there = path.exists()
        path.open("ab").close()
        if not there:
            # If another option turns out to be wrong, no empty file may be left behind.
            path.resolve().unlink()
    except OSError as error:
        raise UsageError(f"--record {path}: {error.strerror or error}") from error
    return path
