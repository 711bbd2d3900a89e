"""docs/hard-positions.md against the program: every key of a line, in its order."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from spectui.core.hard_positions import HardPosition
from tests.docs.pages import PAGES

pytestmark = pytest.mark.unit


def test_the_keys_are_the_programs() -> None:
    written = re.search(r"<!-- hard.*?-->\n(.*?)\n<!-- /hard -->", PAGES["docs/hard-positions.md"], re.S)
    assert written is not None
    assert re.findall(r"^\| `(\w+)` \|", written[1], re.M) == [one.name for one in fields(HardPosition)]
