"""Turns results and records of measurements into JSON and back."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from spectui.core.bench.results import SCHEMA, Results

T = TypeVar("T")


class NotResultsError(ValueError):
    """The data are not the results of a benchmark; the message is one sentence."""


def encodable(text: str) -> str:
    """A text that JSON can hold: bytes of a path that are not UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode()


def as_data(record: Any) -> Any:
    """Turn a frozen record into what JSON has: dicts, lists, numbers and texts."""
    return msgspec.to_builtins(record)


def from_data(data: Any, kind: type[T]) -> T:
    """Turn what `as_data` made back into a record.

    Raises:
        NotResultsError: The data do not have its form.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise NotResultsError(str(error)) from error


def results_json(results: Results) -> bytes:
    """The text of ``results.json``."""
    return msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n"


def read_results(data: bytes) -> Results:
    """Read ``results.json``.

    Raises:
        NotResultsError: It is something else, or written by a newer version.
    """
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotResultsError(f"not JSON: {error}") from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if not isinstance(schema, int):
        raise NotResultsError("not the results of spectui bench")
    if schema > SCHEMA:
        raise NotResultsError(f"written by a newer version of SpecTUI (schema {schema}, known up to {SCHEMA})")
    return from_data(found, Results)
