"""Records of the vocabulary to and from what JSON knows, with a sentence for everything that cannot be read.

Owns what a field of a trace may hold: this is the definition, and takes its time. Must not know lines, or which
records are events. Everything is derived from the dataclasses: a new record, or a new field with a default, needs no
line here. Fields that have their default value are left out.
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
"""Whole numbers of a trace: what every reader of one can hold."""

_POOLED_TEXTS = 65_536
_POOLED_LENGTH = 64


class LineError(ValueError):
    """A line that cannot be read; the message goes on where "line 17" begins a sentence."""


class FieldError(ValueError):
    """A value that is not what it should be; the message says what it should be."""


class _TextPool(dict[str, str]):
    """One object for equal texts: a trace says the same few thousand pieces over and over."""

    def __missing__(self, text: str) -> str:
        if len(text) <= _POOLED_LENGTH:
            if len(self) >= _POOLED_TEXTS:
                self.clear()
            self[text] = text
        return text


pooled = _TextPool().__getitem__
"""The one object that stands for all equal texts."""

_Convert = Callable[[Any], Any]


def whole(value: Any) -> int:
    """A whole number out of JSON.

    Raises:
        FieldError: It is none, or too large.
    """
    if type(value) is int and INT_MIN <= value <= INT_MAX:
        return value
    raise FieldError("a whole number" if type(value) is not int else "a smaller number")


def text(value: Any) -> str:
    """A text out of JSON.

    Raises:
        FieldError: It is none.
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
    """A list of any length; what its items are where they have a name that says more than that of one item."""

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
    """Zeros at the end may be missing; what a newer program has put behind is left out."""
    return Totals(*_wholes(value)[: len(Totals._fields)])


def _reader(hint: Any) -> _Convert:
    """How a value of that type is taken out of JSON and checked."""
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
    """How a record of that type is made of an object of JSON.

    The function raises `FieldError` where there is no object, `LineError` where it is not such a record.
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
    """Without the zeros at the end, of which a lane that does not draft has many."""
    count = len(totals)
    while count and not totals[count - 1]:
        count -= 1
    return totals[:count]


def plain(record: Any) -> dict[str, Any]:
    """A record as an object of JSON; records in it stay as they are.

    Raises:
        TypeError: It is no record.
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
    """The names of its fields with their defaults."""
    return tuple((field.name, field.default) for field in fields(record))


@cache
def records_in(record: type) -> frozenset[type]:
    """The type of a record, and those of all records in it."""
    kinds = {kind for hint in get_type_hints(record).values() for kind in _kinds(hint) if is_dataclass(kind)}
    return frozenset({record}).union(*(records_in(cast(type, kind)) for kind in kinds))


def _kinds(hint: Any) -> Iterator[Any]:
    """The types of which a type is made."""
    yield hint
    for inner in get_args(hint):
        yield from _kinds(inner)
