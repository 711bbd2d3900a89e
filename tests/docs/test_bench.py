"""docs/bench.md against the program: keys of results.json, columns of results.csv, names of figures."""

from __future__ import annotations

import re
from dataclasses import fields

from spectui.bench.reports.spreadsheet import NAMES, scalar_figures
from spectui.core.bench.figures import CellFigures
from spectui.core.bench.schema import keys_tables
from tests.docs.pages import PAGES, section

PAGE = "docs/bench.md"


def test_the_keys_are_the_programs() -> None:
    written = re.search(r"<!-- results.*?-->\n(.*?)\n<!-- /results -->", PAGES[PAGE], re.S)
    assert written is not None
    assert written[1].strip() == keys_tables().strip(), "python -m spectui.core.bench.schema tables"


def test_the_columns_are_the_programs() -> None:
    written = re.search(r"<!-- columns.*?-->\n(.*?)\n<!-- /columns -->", PAGES[PAGE], re.S)
    assert written is not None
    assert re.findall(r"`(\w+)`", written[1]) == [*NAMES, *scalar_figures(), "position_1"]


def test_figures_that_are_named_after_something_exist() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section(PAGE, "Figures"), re.M)
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert len(named) > 10
    assert named <= {one.name for one in fields(CellFigures)}
