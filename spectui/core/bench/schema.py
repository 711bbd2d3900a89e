"""The form of ``results.json``: as a JSON schema, and as tables for its page, both made from the dataclasses and their
docstrings.

After a change of the format, write both again::

    python -m spectui.core.bench.schema > spectui/core/bench/results.schema.json
    python -m spectui.core.bench.schema tables

The first is the file that ships; the tables go into ``docs/bench.md``, between its marks.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from spectui.core.bench.figures import CellFigures
from spectui.core.bench.results import SCHEMA, Results
from spectui.core.described import schema_of, tables_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def results_schema() -> dict[str, Any]:
    """The JSON schema of ``results.json``."""
    made = schema_of(Results, CellFigures)
    made["$defs"]["Results"]["properties"]["schema"]["const"] = SCHEMA
    return {"$schema": DIALECT, "title": "Results of spectui bench", **made}


def schema_text() -> str:
    """The text of ``results.schema.json``."""
    return json.dumps(results_schema(), indent=1, ensure_ascii=False) + "\n"


def keys_tables() -> str:
    """A section for each kind of record: what it is, and a row for each of its keys."""
    return tables_of(results_schema())


if __name__ == "__main__":
    print(keys_tables() if sys.argv[1:] == ["tables"] else schema_text(), end="")
