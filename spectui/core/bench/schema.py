"""The form of ``results.json``: as a JSON schema, and as tables for its page, both made from the dataclasses and their
docstrings.

After a change of the format, write both again::

    python -m spectui.core.bench.schema > spectui/core/bench/results.schema.json
    python -m spectui.core.bench.schema tables

The first is the file that ships; the tables go into ``docs/bench.md``, between its marks.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

import msgspec

from spectui.core.bench.figures import CellFigures
from spectui.core.bench.results import SCHEMA, Results

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def results_schema() -> dict[str, Any]:
    """The JSON schema of ``results.json``."""
    made = msgspec.json.schema(Results)
    records = _records(Results)
    for name, definition in made["$defs"].items():
        about, meanings = _documented(records[name])
        definition["description"] = about
        for key, described in definition["properties"].items():
            described["description"] = meanings[key]
    made["$defs"]["Results"]["properties"]["schema"]["const"] = SCHEMA
    return {"$schema": DIALECT, "title": "Results of spectui bench", **made}


def schema_text() -> str:
    """The text of ``results.schema.json``."""
    return json.dumps(results_schema(), indent=1, ensure_ascii=False) + "\n"


def keys_tables() -> str:
    """A section for each kind of record: what it is, and a row for each of its keys."""
    parts: list[str] = []
    for name, definition in results_schema()["$defs"].items():
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


def _documented(record: type) -> tuple[str, dict[str, str]]:
    """What a record is, and what each of its keys means: of its own accord, or as in `CellFigures`."""
    meanings = _attributes(CellFigures) | _attributes(record)
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


if __name__ == "__main__":
    print(keys_tables() if sys.argv[1:] == ["tables"] else schema_text(), end="")
