"""docs/compare.md against the program: keys of the JSON, and the figures that can be judged."""

from __future__ import annotations

import re

import pytest

from spectui.core.bench.differing import LEVEL
from spectui.core.comparison.change import LEAST_CONVERSATIONS, LEAST_WEIGHT
from spectui.core.comparison.document import Document
from spectui.core.comparison.gate import GATES
from spectui.core.described import schema_of, tables_of
from tests.docs.pages import PAGES, section

pytestmark = pytest.mark.unit

PAGE = "docs/compare.md"


def test_the_keys_are_the_programs() -> None:
    written = re.search(r"<!-- keys.*?-->\n(.*?)\n<!-- /keys -->", PAGES[PAGE], re.S)
    assert written is not None
    assert written[1].strip() == tables_of(schema_of(Document)), "python -m spectui.core.comparison.document"


def test_the_figures_of_the_gate_are_all_named() -> None:
    text = section(PAGE, "In continuous integration")
    assert all(f"`{name}`" in text for name in list(GATES)[1:])


def test_the_limits_are_the_programs() -> None:
    said = " ".join(section(PAGE, "Beyond noise").split())
    assert LEAST_CONVERSATIONS == 3
    assert "An interval needs three conversations" in said
    assert f"for acceptance {LEAST_WEIGHT:.0f} steps or judged tokens" in said
    assert f"Holm's test, {LEVEL * 100:.0f} % for the whole comparison" in said
