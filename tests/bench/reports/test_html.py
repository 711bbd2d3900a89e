"""The page: one file that asks for nothing else, in which no name is markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from spectui.bench.reports.content import report
from spectui.bench.reports.document import Foreign, Heading, Paragraph, Table, plain
from spectui.bench.reports.html import page
from tests.bench.reports.making import CASES, HOSTILE

VOID = {"meta", "br", "link"}


class Seen(HTMLParser):
    """What a browser would find: elements, attributes that lead elsewhere, and whether all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            self.handlers += [name] if name.startswith("on") else []
            self.links += [value or ""] if name in ("href", "src", "action", "xlink:href") else []
            self.ids += [value or ""] if name == "id" else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("case", list(CASES))
def test_the_page_is_well_formed_and_asks_for_nothing(case: str) -> None:
    blocks = report(CASES[case](), naive=True)
    seen = Seen(page(blocks))
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(seen.tags)
    assert all(link.startswith("#") and link[1:] in seen.ids for link in seen.links)
    assert seen.handlers == []
    assert len(set(seen.ids)) == len(seen.ids)
    assert seen.tags.count("table") == sum(isinstance(block, Table) for block in blocks)
    assert seen.tags.count("h2") == sum(isinstance(block, Heading) and block.level == 2 for block in blocks)


def test_a_hostile_name_is_shown_as_it_is() -> None:
    shown = page(report(CASES["hostile"]()))
    assert "<script" not in shown
    assert "</td><script>alert(1)</script>|`a``b`" in " ".join("".join(Seen(shown).texts).split())
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert shown.encode()


def test_it_says_what_the_markdown_says() -> None:
    blocks = report(CASES["small"](), naive=True)
    text = " ".join("".join(Seen(page(blocks)).texts).split())
    for block in blocks:
        if isinstance(block, Heading | Paragraph):
            assert " ".join(plain(block.text).split()) in text
        if isinstance(block, Table):
            assert all(plain(cell) in text for row in block.rows for cell in row)


def test_sections_by_others_are_read() -> None:
    foreign = Foreign(
        f"### {HOSTILE.splitlines()[0]}\n\n| a | b |\n|:--|--:|\n| `x` | **1** |\n\n<script>alert(1)</script>"
    )
    shown = page([Heading(1, "Title"), Heading(2, "Theirs"), foreign])
    seen = Seen(shown)
    assert {"h3", "table", "code", "strong"} <= set(seen.tags)
    assert "script" not in seen.tags
    assert "<title>Title</title>" in shown
    assert '<a href="#s1">Theirs</a>' in shown
