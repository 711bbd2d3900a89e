"""Pictures of the screen, to the byte.

After a wanted change run ``SPECTUI_SNAPSHOTS=update make test ARGS=tests/test_snapshots.py``, and look at every new
picture before it is committed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.stage import running

FOLDER = Path(__file__).parent / "snapshots"
UPDATE = os.environ.get("SPECTUI_SNAPSHOTS") == "update"


def stable(svg: str) -> str:
    """Without the number that Textual makes up for each picture."""
    return re.sub(r"terminal-\d+-", "terminal-", svg)


@pytest.mark.parametrize(
    ("name", "size", "theme", "keys"),
    [
        ("race-80x24", (80, 24), "midnight", ()),
        ("race-120x36", (120, 36), "midnight", ()),
        ("race-200x50-paper", (200, 50), "paper", ()),
        ("help-120x36", (120, 36), "midnight", ("question_mark",)),
        ("themes-120x36", (120, 36), "midnight", ("t", "up")),
    ],
)
async def test_the_screen_looks_as_before(name: str, size: tuple[int, int], theme: str, keys: tuple[str, ...]) -> None:
    async with running(size, theme=theme) as stage:
        await stage.steps(60)
        for key in keys:
            await stage.press(key)
        picture = stable(stage.app.export_screenshot(title=name))
    path = FOLDER / f"{name}.svg"
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(picture, encoding="utf-8")
    assert picture == path.read_text(encoding="utf-8"), f"{path.name} differs: see this file's first lines"
