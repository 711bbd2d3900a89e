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
    ("name", "size", "keys"),
    [
        ("race-80x24", (80, 24), ()),
        ("race-120x36", (120, 36), ()),
        ("race-200x50-paper", (200, 50), ("t",)),
        ("help-120x36", (120, 36), ("question_mark",)),
    ],
)
async def test_the_screen_looks_as_before(name: str, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    async with running(size) as stage:
        await stage.steps(60)
        for key in keys:
            await stage.press(key)
        picture = stable(stage.app.export_screenshot(title=name))
    path = FOLDER / f"{name}.svg"
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(picture, encoding="utf-8")
    assert picture == path.read_text(encoding="utf-8"), f"{path.name} differs: see this file's first lines"
