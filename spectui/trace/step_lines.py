"""Reads and writes the lines of steps with msgspec, in a fifth of the time: nearly all lines of a trace are steps, and
they are written while the engine runs.

Owns only the speed: what a line may hold is defined in `spectui.trace.records`. A line that is not accepted here is
read or written there, where errors are also explained.
"""

from __future__ import annotations

import codecs
from dataclasses import MISSING, fields, make_dataclass
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from spectui.protocol.events import Step, Totals
from spectui.trace.records import INT_MAX, INT_MIN, pooled, short
from spectui.trace.sense import NONSENSE

_Whole = Annotated[int, msgspec.Meta(ge=INT_MIN, le=INT_MAX)]
_FIELDS = fields(Step)
_REQUIRED = [field.name for field in _FIELDS if field.default is MISSING]
_OPTIONAL = {field.name: field.default for field in _FIELDS if field.default is not MISSING}


def _checked(hint: Any) -> Any:
    """Return the type, with the limits of a trace's numbers."""
    arguments = get_args(hint)
    match get_origin(hint):
        case None if hint is int:
            return _Whole
        case None if hint is Totals:
            return Annotated[tuple[_Whole, ...], msgspec.Meta(max_length=len(Totals._fields))]
        case origin if origin is tuple:
            return tuple[tuple(kind if kind is Ellipsis else _checked(kind) for kind in arguments)]  # type: ignore[misc]
        case origin if origin in (Union, UnionType):
            return Union[tuple(map(_checked, arguments))]  # noqa: UP007
    return hint


_HINTS = {name: _checked(hint) for name, hint in get_type_hints(Step).items()}
_Line = msgspec.defstruct(
    "_Line",
    [
        ("t", _Whole),
        ("e", str),
        *((name, _HINTS[name]) for name in _REQUIRED),
        *((name, _HINTS[name], default) for name, default in _OPTIONAL.items()),
    ],
    omit_defaults=True,
    gc=False,
)
_values = attrgetter(*(field.name for field in _FIELDS))
_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode
_nonsense = NONSENSE[Step]
_KIND = Step.__name__

_Open = make_dataclass(
    "_Open",
    [*((name, Any) for name in _REQUIRED), *((name, Any, default) for name, default in _OPTIONAL.items())],
    slots=True,
)
"""A `Step` that is not frozen yet. A frozen class costs a call for each field of a new step, which takes longer than
reading the line; this one has the same slots, so that it can become a `Step` once they are filled."""


def read(line: str) -> tuple[int, Step] | None:
    """Return the time and the step of a line; None if the line needs the thorough reader."""
    try:
        found: Any = _decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if found.e != _KIND:
        return None
    found.lane, found.request = pooled(found.lane), pooled(found.request)
    found.text, found.drafted_text = tuple(map(pooled, found.text)), tuple(map(pooled, found.drafted_text))
    if found.totals is not None:
        found.totals = Totals(*found.totals)
    time_ns, _, *values = msgspec.structs.astuple(found)
    step: Any = _Open(*values)
    step.__class__ = Step
    return None if _nonsense(step) else (time_ns, step)


def write(time_ns: int, step: Step) -> str | None:
    """Return the line of a step; None if it holds something that needs the thorough writer."""
    line: Any = _Line(time_ns, _KIND, *_values(step))
    if step.totals is not None:
        line.totals = short(step.totals)
    try:
        written: bytes = _encode(line)
    except (TypeError, ValueError, OverflowError):
        return None
    if written.isascii() and b"\x7f" not in written:
        return written.decode("ascii")
    return written.decode().replace("\x7f", "\\u007f").encode("ascii", "spectui-json").decode("ascii")


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Escape characters beyond ASCII as JSON does; they can only occur inside texts."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4)), error.end


codecs.register_error("spectui-json", _escaped)
