"""One event, one line of JSON, and back.

Owns how an event is spelt in a trace and what a line must be to be read. Must not know files, threads, or what any
event means. A new event of the vocabulary needs no line here.

A line is an object with ``t`` (nanoseconds since the recording began), ``e`` (the event's kind) and its fields by
name. Lines are ASCII, so every text survives, lone surrogates and control characters included; two surrogates that
make a pair come back as the character that they spell.
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
"""Every kind of event that happens in a run, by its name in a trace."""

_OF_THE_SCREEN = {kind.__name__ for kind in get_args(ev.ScreenEvent)}
"""What a player or a recorder says of itself: out of a file it would take the place of the player that reads it."""

RECORDS: frozenset[type] = frozenset().union(*map(records_in, KINDS.values()))
"""Everything of which events are made, themselves included: all of it frozen, so that it can be shared."""

_NAMES = {kind: name for name, kind in KINDS.items()}
_READ = {name: record_reader(kind) for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: which form the others have, which program wrote them, and what raced, where that is known."""

    schema: int
    program: str
    run: ev.RunStarted | None = None


def _no_constant(name: str) -> float:
    raise LineError(f"is broken: {name} is no number")


_json_text = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=plain).encode
_json_value = json.JSONDecoder(parse_constant=_no_constant).raw_decode


@cache
def _step_lines() -> ModuleType:
    """Loaded with the first line: msgspec takes 20 ms that neither the first frame nor ``--help`` has."""
    from spectui.trace import step_lines

    return step_lines


def encode(time_ns: int, event: ev.TraceEvent) -> str:
    """The line of an event, without its end.

    Raises:
        KeyError: It is none of a run.
        TypeError, ValueError: It holds what no line can hold, such as an infinite number.
    """
    if type(event) is ev.Step:
        line: str | None = _step_lines().write(time_ns, event)
        if line is not None:
            return line
    return encode_any(time_ns, event)


def encode_any(time_ns: int, event: ev.TraceEvent) -> str:
    """What `encode` gives, and how, for every event but most steps."""
    return _json_text({"t": time_ns, "e": _NAMES[type(event)], **plain(event)})


def decode(line: str) -> tuple[int, ev.TraceEvent | None]:
    """The time and the event of a line without its end; None for a kind of event that this program does not know.

    Raises:
        LineError: The line is broken.
    """
    if '"Step"' in line:
        found: tuple[int, ev.Step] | None = _step_lines().read(line)
        if found is not None:
            return found
    return decode_any(line)


def decode_any(line: str) -> tuple[int, ev.TraceEvent | None]:
    """What `decode` gives, and how, for every line but those of most steps."""
    data = _object(line)
    time_ns, kind = data.get("t"), data.get("e")
    if type(time_ns) is not int or type(kind) is not str or not INT_MIN <= time_ns <= INT_MAX:
        raise LineError('is broken: it needs "t", its time in nanoseconds, and "e", the kind of its event')
    if kind in _OF_THE_SCREEN:
        raise LineError(f"makes no sense: a {kind} is no event of a run")
    read = _READ.get(kind)
    return time_ns, read(data) if read else None


def _object(line: str) -> dict[str, Any]:
    try:
        data, end = _json_value(line)
    except LineError:
        raise
    except (ValueError, RecursionError):
        raise LineError("is broken: it is no JSON") from None
    if type(data) is not dict or end != len(line):
        raise LineError("is broken: it is no JSON object")
    return data


def encode_header(header: Header) -> str:
    """The first line of a trace, without its end."""
    head = {"trace": "spectui", "schema": header.schema, "program": header.program}
    return _json_text(head if header.run is None else {**head, "run": header.run})


def decode_header(line: str) -> Header:
    """The header that a line is.

    Raises:
        LineError: It is none.
    """
    data = _object(line)
    if data.get("trace") != "spectui":
        raise LineError("is no header of a trace")
    run = data.get("run")
    try:
        return Header(
            whole(data.get("schema")), text(data.get("program")), None if run is None else _READ["RunStarted"](run)
        )
    except FieldError as wrong:
        raise LineError(f"is a broken header: {wrong} is missing") from None
