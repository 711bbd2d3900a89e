"""The pages that people read: README, docs/, and what stands at the root beside it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "demos" / "README.md"])
}


def blocks(page: str, language: str = "") -> list[str]:
    """The code blocks of a page in that language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGES[page], re.M | re.S)
    return [text for written_in, text in fenced if written_in == language]


def anchors(page: str) -> set[str]:
    """The names by which a link can lead to a heading of the page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", PAGES[page], re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: str, heading: str) -> str:
    """What stands below a heading of the page, down to the next one of its level."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^\1 |\Z)", PAGES[page], re.M | re.S)
    assert found, f"{page} has no heading '{heading}'"
    return found[2]
