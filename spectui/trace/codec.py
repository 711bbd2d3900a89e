"""Converts events to lines of JSON and back.

Owns the form of an event in a trace and what makes a line readable. Must not know files, threads, or what any event
means. A new event of the vocabulary needs no code here.

A line is an object with ``t`` (nanoseconds since the recording began), ``e`` (the event's kind) and its fields by
name. Lines are ASCII, so every text survives, including lone surrogates and control characters; two surrogates that
form a pair are read back as the character that they encode.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, get_args

from spectui.protocol import events as ev
from spectui.trace.records import INT_MAX, INT_MIN, FieldError, LineError, plain, record_reader, records_in, text, whole

KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(ev.TraceEvent)}
"""Every kind of event of a run, by its name in a trace."""

_OF_THE_SCREEN = {kind.__name__ for kind in get_args(ev.ScreenEvent)}
"""Events with which a replay or a recording reports its own state: read from a file, they would be taken for those of
the replay that reads it."""

RECORDS: frozenset[type] = frozenset().union(*map(records_in, KINDS.values()))
"""The types of events and of the records in them: all are frozen, so that they can be shared."""

_NAMES = {kind: name for name, kind in KINDS.items()}
_READ = {name: record_reader(kind) for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a trace: the schema of the others, the program that wrote it, and the run if known."""

    schema: int
    program: str
    run: ev.RunStarted | None = None


def _no_constant(name: str) -> float:
    raise LineError(f"is broken: {name} is not a number")


_json_text = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=plain).encode
_json_value = json.JSONDecoder(parse_constant=_no_constant).raw_decode


@cache
def _step_lines() -> ModuleType:
    """Import `step_lines` with the first line: msgspec takes 20 ms, which would delay the first frame or ``--help``."""
    from spectui.trace import step_lines

    return step_lines


def encode(time_ns: int, event: ev.TraceEvent) -> str:
    """Return the line of an event, without its line end.

    Raises:
        KeyError: The event is not one of a run.
        TypeError, ValueError: It holds a value that no line can hold, such as an infinite number.
    """
    if type(event) is ev.Step:
        line: str | None = _step_lines().write(time_ns, event)
        if line is not None:
            return line
    return encode_any(time_ns, event)


def encode_any(time_ns: int, event: ev.TraceEvent) -> str:
    """Encode any event as `encode` does; most steps take a faster way there."""
    return _json_text({"t": time_ns, "e": _NAMES[type(event)], **plain(event)})


def decode(line: str) -> tuple[int, ev.TraceEvent | None]:
    """Return the time and the event of a line without its line end; None for a kind of event that is not known here.

    Raises:
        LineError: The line is broken.
    """
    if '"Step"' in line:
        found: tuple[int, ev.Step] | None = _step_lines().read(line)
        if found is not None:
            return found
    return decode_any(line)


def decode_any(line: str) -> tuple[int, ev.TraceEvent | None]:
    """Decode any line as `decode` does; most steps take a faster way there."""
    data = _object(line)
    time_ns, kind = data.get("t"), data.get("e")
    if type(time_ns) is not int or type(kind) is not str or not INT_MIN <= time_ns <= INT_MAX:
        raise LineError('is broken: it needs "t", its time in nanoseconds, and "e", the kind of its event')
    if kind in _OF_THE_SCREEN:
        raise LineError(f"makes no sense: a {kind} is not an event of a run")
    read = _READ.get(kind)
    return time_ns, read(data) if read else None


def _object(line: str) -> dict[str, Any]:
    try:
        data, end = _json_value(line)
    except LineError:
        raise
    except (ValueError, RecursionError):
        raise LineError("is broken: not JSON") from None
    if type(data) is not dict or end != len(line):
        raise LineError("is broken: not a JSON object")
    return data


def encode_header(header: Header) -> str:
    """Return the first line of a trace, without its line end."""
    head = {"trace": "spectui", "schema": header.schema, "program": header.program}
    return _json_text(head if header.run is None else {**head, "run": header.run})


def decode_header(line: str) -> Header:
    """Read a header from a line.

    Raises:
        LineError: The line is not a valid header.
    """
    data = _object(line)
    if data.get("trace") != "spectui":
        raise LineError("is not a trace header")
    run = data.get("run")
    try:
        return Header(
            whole(data.get("schema")), text(data.get("program")), None if run is None else _READ["RunStarted"](run)
        )
    except FieldError as wrong:
        raise LineError(f"is a broken header: {wrong} is missing") from None
