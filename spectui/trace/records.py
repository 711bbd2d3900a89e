"""Converts records of the vocabulary to and from JSON values, and explains in a sentence whatever cannot be read.

Owns the definition of what a field of a trace may hold; it is written for clarity, not for speed. Must not know lines,
or which records are events. Everything is derived from the dataclasses: a new record, or a new field with a default,
needs no code here. Fields that have their default value are omitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from spectui.protocol.events import Totals
from spectui.trace.sense import NONSENSE

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
"""Limits of whole numbers in a trace: those that every reader can represent."""

_POOLED_TEXTS = 65_536
_POOLED_LENGTH = 64


class LineError(ValueError):
    """A line cannot be read; the message continues a sentence that begins with "line 17"."""


class FieldError(ValueError):
    """A value is not of the expected kind; the message names that kind."""


class _TextPool(dict[str, str]):
    """Keeps one object for equal texts, since a trace repeats the same few thousand pieces."""

    def __missing__(self, text: str) -> str:
        if len(text) <= _POOLED_LENGTH:
            if len(self) >= _POOLED_TEXTS:
                self.clear()
            self[text] = text
        return text


pooled = _TextPool().__getitem__
"""Returns the one object that stands for all equal texts."""

_Convert = Callable[[Any], Any]


def whole(value: Any) -> int:
    """Check a whole number from JSON.

    Raises:
        FieldError: The value is not a whole number, or is too large.
    """
    if type(value) is int and INT_MIN <= value <= INT_MAX:
        return value
    raise FieldError("a whole number" if type(value) is not int else "a smaller number")


def text(value: Any) -> str:
    """Check a text from JSON.

    Raises:
        FieldError: The value is not a text.
    """
    if type(value) is str:
        return pooled(value)
    raise FieldError("text")


def _number(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and INT_MIN <= value <= INT_MAX:
        return value
    raise FieldError("a number")


def _truth(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise FieldError("true or false")


def _items(value: Any) -> list[Any]:
    if type(value) is list:
        return value
    raise FieldError("a list")


def _choice(choices: tuple[Any, ...]) -> _Convert:
    def read(value: Any) -> Any:
        for choice in choices:
            if type(value) is str and value == choice:
                return choice
        raise FieldError(f"one of {', '.join(map(str, choices))}")

    return read


def _optional(inner: _Convert) -> _Convert:
    return lambda value: None if value is None else inner(value)


def _many(inner: _Convert, named: str | None) -> _Convert:
    """Read a list of any length; ``named`` is an error's plural for its items, None to report the bad item itself."""

    def read(value: Any) -> tuple[Any, ...]:
        try:
            return tuple(map(inner, _items(value)))
        except FieldError:
            if named is None or type(value) is not list:
                raise
            raise FieldError(f"a list of {named}") from None

    return read


def _some(inner: tuple[_Convert, ...]) -> _Convert:
    def read(value: Any) -> tuple[Any, ...]:
        if len(_items(value)) != len(inner):
            raise FieldError(f"a list of {len(inner)}")
        return tuple(convert(item) for convert, item in zip(inner, value, strict=True))

    return read


_PLAIN: dict[Any, _Convert] = {int: whole, float: _number, bool: _truth, str: text}
_PLURALS: dict[Any, str] = {int: "whole numbers", str: "texts"}
_wholes = _many(whole, _PLURALS[int])


def _totals(value: Any) -> Totals:
    """Read totals: trailing zeros may be missing, and entries that a newer program has added are ignored."""
    return Totals(*_wholes(value)[: len(Totals._fields)])


def _reader(hint: Any) -> _Convert:
    """Return a function that reads and checks a value of that type from JSON."""
    arguments = get_args(hint)
    match get_origin(hint):
        case None if hint in _PLAIN:
            return _PLAIN[hint]
        case None if is_dataclass(hint):
            return record_reader(cast(type, hint))
        case None if hint is Totals:
            return _totals
        case origin if origin is Literal:
            return _choice(arguments)
        case origin if origin in (Union, UnionType):
            (kind,) = (kind for kind in arguments if kind is not NoneType)
            return _optional(_reader(kind))
        case origin if origin is tuple and arguments[-1] is Ellipsis:
            return _many(_reader(arguments[0]), _PLURALS.get(arguments[0]))
        case origin if origin is tuple:
            return _some(tuple(map(_reader, arguments)))
    raise TypeError(f"a trace cannot hold {hint}")


@cache
def record_reader(record: type) -> _Convert:
    """Return a function that makes a record of that type from a JSON object.

    The function raises `FieldError` if the value is not an object and `LineError` if it is not such a record.
    """
    hints = get_type_hints(record)
    parts = tuple((field.name, _reader(hints[field.name]), field.default) for field in fields(record))
    nonsense = NONSENSE.get(record)

    def read(data: Any) -> Any:
        if type(data) is not dict:
            raise FieldError(f"a {record.__name__}")
        values = []
        for name, convert, default in parts:
            if name not in data:
                if default is MISSING:
                    raise LineError(f'is broken: a {record.__name__} needs "{name}"')
                values.append(default)
                continue
            try:
                values.append(convert(data[name]))
            except FieldError as wrong:
                raise LineError(f'is broken: "{name}" of {record.__name__} should be {wrong}') from None
        made = record(*values)
        if nonsense and (why := nonsense(made)):
            raise LineError(f"makes no sense: {why}")
        return made

    return read


def short(totals: Totals) -> tuple[int, ...]:
    """Return totals without trailing zeros, of which a lane that does not draft has many."""
    count = len(totals)
    while count and not totals[count - 1]:
        count -= 1
    return totals[:count]


def plain(record: Any) -> dict[str, Any]:
    """Return a record as a JSON object; records in it stay as they are.

    Raises:
        TypeError: The value is not a record.
    """
    kind: type = type(record)
    data = {}
    for name, default in _defaults(kind):
        value = getattr(record, name)
        if value is not default and (value != default or type(value) is not type(default)):
            data[name] = short(value) if type(value) is Totals else value
    return data


@cache
def _defaults(record: type) -> tuple[tuple[str, Any], ...]:
    """Return the names of a record's fields with their defaults."""
    return tuple((field.name, field.default) for field in fields(record))


@cache
def records_in(record: type) -> frozenset[type]:
    """Return the type of a record and those of all records in it."""
    kinds = {kind for hint in get_type_hints(record).values() for kind in _kinds(hint) if is_dataclass(kind)}
    return frozenset({record}).union(*(records_in(cast(type, kind)) for kind in kinds))


def _kinds(hint: Any) -> Iterator[Any]:
    """Yield the types that a type consists of."""
    yield hint
    for inner in get_args(hint):
        yield from _kinds(inner)
