"""The form of JSON that is made of dataclasses: as a schema, and as tables for its page, both from the dataclasses and
their docstrings."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

import msgspec


def schema_of(kind: type, shared: type | None = None) -> dict[str, Any]:
    """The JSON schema of a dataclass, with the meaning of every key.

    Args:
        kind: The dataclass; every field, also of those that it is made of, is listed under ``Attributes``.
        shared: A dataclass whose meanings hold for fields of the same name that others do not list.
    """
    made = msgspec.json.schema(kind)
    records = _records(kind)
    for name, definition in made["$defs"].items():
        about, meanings = _documented(records[name], shared)
        definition["description"] = about
        for key, described in definition["properties"].items():
            described["description"] = meanings[key]
    return made


def tables_of(schema: dict[str, Any]) -> str:
    """A section for each kind of record of a schema: what it is, and a row for each of its keys."""
    parts: list[str] = []
    for name, definition in schema["$defs"].items():
        parts += [f"### {name}", definition["description"], "| key | type | meaning |\n|---|---|---|"]
        parts[-1] += "".join(
            f"\n| `{key}` | {_spelled(described)} | {described['description']} |"
            for key, described in definition["properties"].items()
        )
    return "\n\n".join(parts)


def _records(kind: type) -> dict[str, type]:
    """Every dataclass that a dataclass is made of, itself included, by name."""
    found: dict[str, type] = {}
    waiting: list[Any] = [kind]
    while waiting:
        hint = waiting.pop()
        if is_dataclass(hint) and isinstance(hint, type):
            if hint.__name__ not in found:
                found[hint.__name__] = hint
                waiting += get_type_hints(hint).values()
        else:
            waiting += get_args(hint)
    return found


def _documented(record: type, shared: type | None) -> tuple[str, dict[str, str]]:
    """What a record is, and what each of its keys means."""
    meanings = (_attributes(shared) if shared else {}) | _attributes(record)
    about, _, _ = inspect.cleandoc(record.__doc__ or "").partition("\n\nAttributes:")
    return _as_markdown(about), meanings


def _attributes(record: type) -> dict[str, str]:
    """The ``Attributes`` of a docstring."""
    _, _, listed = inspect.cleandoc(record.__doc__ or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, re.M)
    return {name: _as_markdown(meaning) for name, meaning in found}


def _as_markdown(text: str) -> str:
    """One line; code as Markdown marks it, and JSON's word for None."""
    return re.sub(r"\bNone\b", "null", " ".join(text.replace("``", "`").split()))


def _spelled(described: dict[str, Any]) -> str:
    """A type as the page spells it."""
    if "$ref" in described:
        name = described["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in described:
        return " or ".join(_spelled(one) for one in described["anyOf"])
    if "enum" in described:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in described["enum"])
    if described.get("type") == "array":
        return f"list of {_spelled(described['items'])}"
    return str(described["type"])
