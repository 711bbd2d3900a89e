"""One event, one line of JSON, and back.

Owns how an event is spelt in a trace and what a line must be to be read. Must not know files, threads, or what any
event means beyond what keeps it from being nonsense. Everything is derived from the dataclasses of the vocabulary:
a new event, or a new field with a default, needs no line here.

A line is an object with ``t`` (nanoseconds since the recording began), ``e`` (the event's kind) and its fields by
name; fields that have their default value are left out. Lines are ASCII, so every text survives, lone surrogates and
control characters included; two surrogates that make a pair come back as the character that they spell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from spectui.protocol import events as ev
from spectui.protocol import samples
from spectui.protocol.limits import MAX_CONCURRENCY, MAX_K, MAX_LANES, MAX_TEMPERATURE
from spectui.protocol.playback import Played

RECORDS: set[type] = set()
"""Everything of which events are made, themselves included: all of it frozen, so that it can be shared."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_POOLED_TEXTS = 65_536
_POOLED_LENGTH = 64


class LineError(ValueError):
    """A line that cannot be read; the message goes on where "line 17" begins a sentence."""


class _FieldError(ValueError):
    """A value that is not what it should be; the message says what it should be."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: which form the others have, which program wrote them, and what raced, where that is known."""

    schema: int
    program: str
    run: ev.RunStarted | None = None


class _TextPool(dict[str, str]):
    """One object for equal texts: a trace says the same few thousand pieces over and over."""

    def __missing__(self, text: object) -> str:
        if type(text) is not str:
            raise _FieldError("text")
        if len(text) <= _POOLED_LENGTH:
            if len(self) >= _POOLED_TEXTS:
                self.clear()
            self[text] = text
        return text


_TEXTS = _TextPool()
_pooled = _TEXTS.__getitem__

_Convert = Callable[[Any], Any]


def _whole(value: Any) -> int:
    if type(value) is int and _INT_MIN <= value <= _INT_MAX:
        return value
    raise _FieldError("a whole number" if type(value) is not int else "a smaller number")


def _number(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and _INT_MIN <= value <= _INT_MAX:
        return value
    raise _FieldError("a number")


def _truth(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise _FieldError("true or false")


def _text(value: Any) -> str:
    if type(value) is str:
        return _pooled(value)
    raise _FieldError("text")


def _items(value: Any) -> list[Any]:
    if type(value) is list:
        return value
    raise _FieldError("a list")


def _wholes(value: Any) -> tuple[int, ...]:
    for item in _items(value):
        if type(item) is not int or not _INT_MIN <= item <= _INT_MAX:
            raise _FieldError("a list of whole numbers")
    return tuple(value)


def _texts(value: Any) -> tuple[str, ...]:
    try:
        return tuple(map(_pooled, _items(value)))
    except TypeError:
        raise _FieldError("a list of texts") from None


def _choice(choices: tuple[Any, ...]) -> _Convert:
    by_value = {choice: choice for choice in choices}

    def read(value: Any) -> Any:
        if type(value) is str and value in by_value:
            return by_value[value]
        raise _FieldError(f"one of {', '.join(map(str, choices))}")

    return read


def _optional(inner: _Convert) -> _Convert:
    return lambda value: None if value is None else inner(value)


def _many(inner: _Convert) -> _Convert:
    return lambda value: tuple(map(inner, _items(value)))


def _some(inner: tuple[_Convert, ...]) -> _Convert:
    def read(value: Any) -> tuple[Any, ...]:
        if len(_items(value)) != len(inner):
            raise _FieldError(f"a list of {len(inner)}")
        return tuple(convert(item) for convert, item in zip(inner, value, strict=True))

    return read


def _totals(value: Any) -> ev.Totals:
    """Zeros at the end may be missing; what a newer program has put behind is left out."""
    return ev.Totals(*_wholes(value)[: len(ev.Totals._fields)])


def _short(totals: ev.Totals) -> list[int]:
    """Without the zeros at the end, of which a lane that does not draft has many."""
    counts = list(totals)
    while counts and not counts[-1]:
        counts.pop()
    return counts


_PLAIN: dict[Any, _Convert] = {int: _whole, float: _number, bool: _truth, str: _text}
_LISTS: dict[Any, _Convert] = {int: _wholes, str: _texts}


def _reader(hint: Any) -> _Convert:
    """How a value of that type is taken out of JSON and checked."""
    arguments = get_args(hint)
    match get_origin(hint):
        case None if hint in _PLAIN:
            return _PLAIN[hint]
        case None if is_dataclass(hint):
            return _record_reader(cast(type, hint))
        case None if hint is ev.Totals:
            return _totals
        case origin if origin is Literal:
            return _choice(arguments)
        case origin if origin in (Union, UnionType):
            return _optional(_reader(_only(hint)))
        case origin if origin is tuple and arguments[-1] is Ellipsis:
            return _LISTS.get(arguments[0]) or _many(_reader(arguments[0]))
        case origin if origin is tuple:
            return _some(tuple(map(_reader, arguments)))
    raise TypeError(f"a trace cannot hold {hint}")


def _only(hint: Any) -> Any:
    """The type beside None."""
    others = [kind for kind in get_args(hint) if kind is not NoneType]
    if len(others) != 1:
        raise TypeError(f"a trace cannot hold {hint}")
    return others[0]


def _writer(hint: Any) -> _Convert | None:
    """How a value of that type is made into what JSON knows; None where it is that already."""
    arguments = get_args(hint)
    if is_dataclass(hint):
        return _record_writer(cast(type, hint))
    if hint is ev.Totals:
        return _short
    if get_origin(hint) in (Union, UnionType):
        inner = _writer(_only(hint))
        return inner and _optional(inner)
    if get_origin(hint) is tuple and arguments[-1] is Ellipsis:
        inner = _writer(arguments[0])
        return inner and _each(inner)
    return None


def _each(inner: _Convert) -> _Convert:
    return lambda value: [inner(item) for item in value]


@cache
def _hints(record: type) -> dict[str, Any]:
    return get_type_hints(record)


def _nonsense_step(step: ev.Step) -> str | None:
    if not 0 <= step.accepted <= len(step.drafted):
        return f"{step.accepted} of {len(step.drafted)} drafted tokens were accepted"
    if len(step.text) != len(step.emitted) + len(step.cut) or len(step.drafted_text) != len(step.drafted):
        return "not every token has its text"
    if step.wall_ns <= 0 or step.clock_ns < 0:
        return "it took no time"
    if len(step.drafted) > MAX_K:
        return f"{len(step.drafted)} tokens were drafted"
    if len(step.text) > MAX_K + 1:
        return f"{len(step.text)} tokens came out of one step"
    if step.totals is not None and (why := _nonsense_totals(step.totals)):
        return why
    if step.before is not None and step.before < 0:
        return f"{step.before} tokens stand before it"
    return None if 0 <= step.k <= MAX_K else f"K is {step.k}"


def _nonsense_totals(totals: ev.Totals) -> str | None:
    if min(totals) < 0:
        return f"a lane's total is {min(totals)}"
    sound = totals.accepted <= totals.drafted and totals.drafts <= totals.steps
    return None if sound else "a lane's totals contradict each other"


def _nonsense_reached(reached: ev.Reached) -> str | None:
    return f"a lane clock is {reached.clock_ns}" if reached.clock_ns < 0 else _nonsense_totals(reached.totals)


def _nonsense_lane(info: ev.LaneInfo) -> str | None:
    if not 0 <= info.k_max <= MAX_K:
        return f"K of a lane is {info.k_max}"
    return None if 0 <= info.k_first <= info.k_max else f"a lane of K up to {info.k_max} begins with {info.k_first}"


def _nonsense_k(of: ev.KChanged | ev.KFigure) -> str | None:
    return None if 0 <= of.k <= MAX_K else f"K is {of.k}"


def _nonsense_figure(figure: ev.KFigure) -> str | None:
    if len(figure.by_position) > MAX_K:
        return f"{len(figure.by_position)} positions have an acceptance rate"
    return _nonsense_k(figure)


def _nonsense_turn(turn: ev.TuneTurn) -> str | None:
    most = max(len(turn.figures), len(turn.running))
    return None if most <= MAX_K + 1 else f"{most} K are searched"


def _nonsense_inspected(inspected: ev.Inspected) -> str | None:
    places = len(inspected.places)
    return None if places <= MAX_K + 1 else f"{places} tokens of one step were inspected"


def _nonsense_sampling(sampling: ev.Sampling) -> str | None:
    if not 0 <= sampling.temperature <= MAX_TEMPERATURE:
        return f"the temperature is {sampling.temperature:g}"
    if not 0 < sampling.top_p <= 1:
        return f"top-p is {sampling.top_p:g}"
    if sampling.top_k < 0:
        return f"top-k is {sampling.top_k}"
    return None if sampling.max_tokens >= 1 else f"an answer has {sampling.max_tokens} tokens at most"


def _nonsense_run(run: ev.RunStarted) -> str | None:
    if len(run.lanes) > MAX_LANES:
        return f"{len(run.lanes)} lanes race"
    return None if 1 <= run.concurrency <= MAX_CONCURRENCY else f"{run.concurrency} requests are in flight"


def _nonsense_round(begun: ev.RoundStarted) -> str | None:
    return None if len(begun.prompts) <= MAX_CONCURRENCY else f"{len(begun.prompts)} prompts race at once"


def _nonsense_memory(memory: samples.LaneMemory) -> str | None:
    if memory.block_tokens < 1:
        return f"a block of the cache has {memory.block_tokens} tokens"
    for active, experts in (
        (memory.experts_active, memory.experts),
        (memory.draft_experts_active, memory.draft_experts),
    ):
        if experts and not 0 <= active <= experts:
            return f"a token goes through {active} of {experts} experts"
    return None


def _nonsense_cache(cache: samples.CacheLayers | samples.CacheGroup) -> str | None:
    if isinstance(cache, samples.CacheGroup) and cache.block_tokens < 1:
        return f"a block of the cache has {cache.block_tokens} tokens"
    return None if cache.window is None or cache.window >= 1 else f"attention reaches {cache.window} tokens"


_NONSENSE: dict[type, Callable[[Any], str | None]] = {
    ev.Step: _nonsense_step,
    ev.Reached: _nonsense_reached,
    ev.LaneInfo: _nonsense_lane,
    ev.KChanged: _nonsense_k,
    ev.KFigure: _nonsense_figure,
    ev.TuneTurn: _nonsense_turn,
    ev.Inspected: _nonsense_inspected,
    ev.Sampling: _nonsense_sampling,
    ev.RunStarted: _nonsense_run,
    ev.RoundStarted: _nonsense_round,
    samples.LaneMemory: _nonsense_memory,
    samples.CacheLayers: _nonsense_cache,
    samples.CacheGroup: _nonsense_cache,
}
"""What types alone cannot say: the reducer and the screen rely on it."""


@cache
def _record_reader(record: type) -> _Convert:
    RECORDS.add(record)
    hints = _hints(record)
    needed = tuple((field.name, _reader(hints[field.name])) for field in fields(record) if field.default is MISSING)
    optional = tuple(
        (field.name, _reader(hints[field.name]), field.default)
        for field in fields(record)
        if field.default is not MISSING
    )
    nonsense = _NONSENSE.get(record)

    def read(data: Any) -> Any:
        if type(data) is not dict:
            raise _FieldError(f"a {record.__name__}")
        try:
            values = [convert(data[name]) for name, convert in needed]
            for name, convert, default in optional:
                values.append(convert(data[name]) if name in data else default)
        except (KeyError, _FieldError):
            raise LineError(_why(data, record)) from None
        made = record(*values)
        if nonsense and (why := nonsense(made)):
            raise LineError(f"makes no sense: {why}")
        return made

    return read


def _why(data: dict[str, Any], record: type) -> str:
    """Which field it is that cannot be read."""
    for field in fields(record):
        if field.name not in data:
            if field.default is MISSING:
                return f'is broken: a {record.__name__} needs "{field.name}"'
            continue
        try:
            _reader(_hints(record)[field.name])(data[field.name])
        except _FieldError as wrong:
            return f'is broken: "{field.name}" of {record.__name__} should be {wrong}'
    return f"is broken: it is no {record.__name__}"


@cache
def _record_writer(record: type) -> Callable[[Any], dict[str, Any]]:
    hints = _hints(record)
    needed = [field.name for field in fields(record) if field.default is MISSING]
    take = _getter(needed)
    nested = [(name, write) for name in needed if (write := _writer(hints[name]))]
    optional = [
        (field.name, attrgetter(field.name), field.default, _writer(hints[field.name]))
        for field in fields(record)
        if field.default is not MISSING
    ]

    def write_record(made: Any) -> dict[str, Any]:
        data = dict(zip(needed, take(made), strict=True))
        for name, write in nested:
            data[name] = write(data[name])
        for name, get, default, write_or_none in optional:
            value = get(made)
            if value is not default and (value != default or type(value) is not type(default)):
                data[name] = write_or_none(value) if write_or_none else value
        return data

    return write_record


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """All those attributes at once."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda made: tuple(getattr(made, name) for name in names)


_OF_THE_PLAYER = {kind.__name__ for kind in get_args(Played)}

KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(ev.Event) if kind.__name__ not in _OF_THE_PLAYER}
"""Every kind of event that happens in a run, by its name in a trace. What a player or a recorder says of itself is
none: out of a file it would take the place of the player that reads it."""

_READ: dict[str, _Convert] = {name: _record_reader(kind) for name, kind in KINDS.items()}
_WRITE = {kind: (name, _record_writer(kind)) for name, kind in KINDS.items()}


def _no_constant(name: str) -> float:
    raise LineError(f"is broken: {name} is no number")


_json_text = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
_json_value = json.JSONDecoder(parse_constant=_no_constant).raw_decode


def encode(time_ns: int, event: ev.Event) -> str:
    """The line of an event, without its end.

    Raises:
        KeyError: It is none of a run.
        TypeError, ValueError: It holds what no line can hold, such as an infinite number.
    """
    name, write = _WRITE[type(event)]
    return _json_text({"t": time_ns, "e": name, **write(event)})


def decode(line: str) -> tuple[int, ev.Event | None]:
    """The time and the event of a line without its end; None for a kind of event that this program does not know.

    Raises:
        LineError: The line is broken.
    """
    data = _object(line)
    time_ns, kind = data.get("t"), data.get("e")
    if type(time_ns) is not int or type(kind) is not str or not _INT_MIN <= time_ns <= _INT_MAX:
        raise LineError('is broken: it needs "t", its time in nanoseconds, and "e", the kind of its event')
    if kind in _OF_THE_PLAYER:
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
    return _json_text(head if header.run is None else {**head, "run": _record_writer(ev.RunStarted)(header.run)})


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
            _whole(data.get("schema")), _text(data.get("program")), None if run is None else _READ["RunStarted"](run)
        )
    except _FieldError as wrong:
        raise LineError(f"is a broken header: {wrong} is missing") from None
