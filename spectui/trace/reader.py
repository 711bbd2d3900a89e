"""Reads a trace: lazily, from the beginning or from any place that was noted before.

Owns the opening of a file that may be anything, and what is said about lines that cannot be read. Must not know what
events mean. Every exception that leaves this module is a `TraceError` with one sentence.
"""

from __future__ import annotations

import stat
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from spectui.protocol.events import SCHEMA_VERSION, RunStarted, TraceEvent
from spectui.trace.codec import Header, decode, decode_header
from spectui.trace.records import LineError

KEPT_PROBLEMS = 20
LONGEST_LINE = 16 << 20
"""Longest line that is still read, in bytes; a run of a thousand lanes and prompts takes less."""

_BUFFER = 1 << 18

_PEEKED_LINES = 8
"""If the first line is not a header, an event must be found within this many lines."""


class TraceError(Exception):
    """The file is not a trace, or cannot be read; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A line, counted from 1, that was skipped, and why, in one sentence."""

    line: int
    sentence: str


class Problems:
    """What was wrong in a trace. Each line counts once, however often it is read; the first few are kept, all are
    counted."""

    def __init__(self) -> None:
        self._through = 0
        self.kept: list[Problem] = []
        self.count = 0
        self.unknown = 0
        """Events of kinds that this program does not know."""

    def add(self, line: int, what: str) -> None:
        """Add a problem; ``what`` continues a sentence that begins with "line 17"."""
        if self._new(line):
            self.count += 1
            if len(self.kept) < KEPT_PROBLEMS:
                self.kept.append(Problem(line, f"line {line} {what}"))

    def skip(self, line: int) -> None:
        """Count a line that holds an unknown kind of event."""
        if self._new(line):
            self.unknown += 1

    def _new(self, line: int) -> bool:
        new = line > self._through
        self._through = max(self._through, line)
        return new


@dataclass(frozen=True, slots=True)
class TraceOffset:
    """A place from which reading can continue as if it had come from the beginning.

    Attributes:
        number: Number of events before it.
        offset: Byte at which the next line begins.
        line: Number of lines before it.
        time_ns: Time of the event before it.
    """

    number: int
    offset: int
    line: int
    time_ns: int = 0


class Trace:
    """A file that holds a recorded run.

    Attributes:
        path: The file.
        size: Its size in bytes when it was opened.
        header: Its first line.
        warning: One sentence about the file as a whole; empty if there is nothing to say.
        problems: What reading has found so far.
    """

    def __init__(self, path: Path, size: int, header: Header, first: TraceOffset, problems: Problems) -> None:
        self.path = path
        self.size = size
        self.header = header
        self.problems = problems
        self.warning = ""
        if header.schema > SCHEMA_VERSION:
            self.warning = (
                f"{path.name} was recorded by SpecTUI {header.program}, which is newer than this one: "
                "what this version does not know is skipped"
            )
        self._first = first

    @classmethod
    def open(cls, path: Path) -> Trace:
        """Look at the header, and only as far beyond as needed to know that it is a trace.

        Raises:
            TraceError: The file is not a trace, or cannot be read.
        """
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                raise TraceError(f"{path} is a directory: name a trace in it")
            if not stat.S_ISREG(status.st_mode):
                raise TraceError(f"{path} is not a regular file: copy its contents to one")
            if not status.st_size:
                raise TraceError(f"{path} is empty: nothing was recorded to it")
            with path.open("rb") as file:
                return cls._look(path, status.st_size, file)
        except (OSError, ValueError) as error:
            raise TraceError(_sentence(path, error)) from None

    @classmethod
    def _look(cls, path: Path, size: int, file: BinaryIO) -> Trace:
        problems = Problems()
        raw = file.readline(LONGEST_LINE)
        # An editor may have put a byte-order mark there.
        begin = len(BOM_UTF8) if raw.startswith(BOM_UTF8) else 0
        try:
            header = decode_header(_text(raw[begin:]))
        except LineError as error:
            if not any(map(_event, [raw[begin:], *(file.readline(LONGEST_LINE) for _ in range(_PEEKED_LINES))])):
                raise TraceError(f"{path} is not a trace: line 1 {error}; record one with --record") from None
            problems.add(1, f"{error}; the rest is read without it")
            return cls(path, size, Header(SCHEMA_VERSION, ""), TraceOffset(0, begin, 0), problems)
        return cls(path, size, header, TraceOffset(0, len(raw), 1), problems)

    def complaints(self) -> list[str]:
        """One sentence about each kind of problem, as far as the trace has been read."""
        problems, said = self.problems, [self.warning] if self.warning else []
        if problems.count == 1:
            said.append(f"{self.path.name}: {problems.kept[0].sentence}")
        elif problems.count:
            said.append(f"{self.path.name} has {problems.count:,} damaged lines; {problems.kept[0].sentence}")
        if problems.unknown and not self.warning:
            said.append(f"{self.path.name}: {problems.unknown:,} events of unknown kinds are skipped")
        return said

    def __iter__(self) -> Iterator[tuple[int, TraceEvent]]:
        """Every event with its time in nanoseconds since the recording began; times never go backwards."""
        with closing(self.read()) as reading:
            yield from reading

    def read(self, place: TraceOffset | None = None) -> Reading:
        """Read on from ``place``, or from the beginning; only the latter records problems.

        Raises:
            TraceError: The file can no longer be read; `Reading` may raise it too.
        """
        if place is not None and place.number:
            return Reading(self.path, place)
        return Reading(self.path, self._first, self.header.run, self.problems)

    def events_at(self, offsets: Iterable[int]) -> list[TraceEvent]:
        """The events whose lines begin at these bytes, without those that can no longer be read."""
        found: list[TraceEvent] = []
        try:
            with self.path.open("rb") as file:
                for offset in offsets:
                    file.seek(offset)
                    try:
                        event = decode(_text(file.readline(LONGEST_LINE)))[1]
                    except LineError:
                        continue
                    if event is not None:
                        found.append(event)
        except OSError:
            # The file has disappeared since it was opened, and what is shown of it has to go too.
            return found
        return found


class Reading(Iterator[tuple[int, TraceEvent]]):
    """Events with their times, one after another, and their positions.

    A broken line costs only itself. A last line that was cut short, as when the recorder was killed, is the end.
    """

    def __init__(
        self, path: Path, place: TraceOffset, opening: RunStarted | None = None, problems: Problems | None = None
    ) -> None:
        self._path = path
        self._opening = opening
        self._problems = problems
        self._next_offset = place.offset
        self._line = place.line
        self._time_ns = place.time_ns
        self.number = place.number
        """Number of events so far."""
        self.offset = place.offset
        """Byte at which the line of the last event begins."""
        try:
            self._file = path.open("rb", buffering=_BUFFER)
            self._file.seek(place.offset)
        except OSError as error:
            raise TraceError(_sentence(path, error)) from None

    @property
    def place(self) -> TraceOffset:
        """The place from which to continue after the last event."""
        return TraceOffset(self.number, self._next_offset, self._line, self._time_ns)

    def close(self) -> None:
        self._file.close()

    def __next__(self) -> tuple[int, TraceEvent]:
        if self._opening is not None:
            return self._begin(self._opening)
        while raw := self._next_line():
            try:
                time_ns, event = decode(_text(raw))
            except LineError as error:
                if raw.endswith(b"\n") and self._problems:
                    self._problems.add(self._line, f"{error}; it is skipped")
                continue
            if event is None:
                if self._problems:
                    self._problems.skip(self._line)
                continue
            self.number += 1
            if time_ns > self._time_ns:
                self._time_ns = time_ns
            return self._time_ns, event
        raise StopIteration

    def _begin(self, run: RunStarted) -> tuple[int, TraceEvent]:
        """The first event: the header's own, unless one of the next lines repeats it."""
        self._opening = None
        start = self.place
        said_again = any(isinstance(event, RunStarted) for _, event in islice(self, _PEEKED_LINES))
        self._file.seek(start.offset)
        self._next_offset, self._line, self._time_ns = start.offset, start.line, start.time_ns
        self.number = start.number
        if said_again and (first := next(self, None)):
            return first
        self.number += 1
        return self._time_ns, run

    def _next_line(self) -> bytes:
        """The next line that is not blank; empty at the end."""
        while not self._file.closed:
            try:
                raw = self._file.readline(LONGEST_LINE)
                self.offset = self._next_offset
                self._next_offset += len(raw)
                self._line += 1
                if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                    self._pass_rest()
                    continue
            except OSError as error:
                raise TraceError(_sentence(self._path, error)) from None
            if not raw.isspace():
                return raw
        return b""

    def _pass_rest(self) -> None:
        """Skip the rest of a line that is too long."""
        if self._problems:
            self._problems.add(self._line, f"is longer than {LONGEST_LINE >> 20} MiB; it is skipped")
        while rest := self._file.readline(LONGEST_LINE):
            self._next_offset += len(rest)
            if rest.endswith(b"\n"):
                break


def _event(raw: bytes) -> bool:
    """Whether the line is an event that this program knows."""
    try:
        return decode(_text(raw))[1] is not None
    except LineError:
        return False


def _text(raw: bytes) -> str:
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        raise LineError("is broken: not text") from None


def _sentence(path: Path, error: Exception) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return f"{path}: no such file"
        case PermissionError():
            return f"{path} may not be read: change its permissions, or copy it as its owner"
        case OSError():
            return f"{path} cannot be read: {error.strerror or error}; copy it to another disk and try again"
    return f"{str(path)!r} is not a valid file name"
