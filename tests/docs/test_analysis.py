"""docs/analysis.md against the program: keys of the JSON, columns of the CSV, names of properties and choices."""

from __future__ import annotations

import re

from spectui.bench.analysis.spreadsheet import BUCKET, CHOICE, NAMES
from spectui.core.analysis.document import Document
from spectui.core.analysis.results import LEAST
from spectui.core.analysis.weakness import CHANCE, LEAST_DIFFERENCE, LEAST_EXCESS
from spectui.core.analysis.words import MARKS
from spectui.core.described import schema_of, tables_of
from tests.docs.pages import PAGES, section
from tests.support import analyses

PAGE = "docs/analysis.md"


def _between(mark: str) -> str:
    written = re.search(rf"<!-- {mark}.*?-->\n(.*?)\n?<!-- /{mark} -->", PAGES[PAGE], re.S)
    assert written is not None
    return written[1].strip()


def test_the_keys_are_the_programs() -> None:
    assert _between("keys") == tables_of(schema_of(Document)), "python -m spectui.core.analysis.document"


def test_the_columns_are_the_programs() -> None:
    assert re.findall(r"`(\w+)`", _between("columns")) == [*NAMES, *BUCKET, *CHOICE]


def test_every_property_and_every_choice_is_explained() -> None:
    analysis = analyses.analysis()
    for heading, keys in (
        ("Properties", [one.key for one in analysis.lanes[0].dimensions]),
        ("What choosing K would give", [one.key for one in analysis.headroom[0].choices]),
    ):
        assert re.findall(r"^\| `(\w+)` \|", section(PAGE, heading), re.M) == keys


def test_marks_and_limits_are_the_programs() -> None:
    text = " ".join(PAGES[PAGE].split())
    assert f"fewer than {LEAST} judged tokens" in text
    assert f"the chance that any is named is about {100 * CHANCE:g} %" in text
    assert f"at least {100 * LEAST_DIFFERENCE:g} percentage points of acceptance" in text
    assert LEAST_EXCESS == 0.5
    assert "and half a token lost per 100 drafted" in text
    assert all(f"`{mark}`" in text for mark in MARKS)
