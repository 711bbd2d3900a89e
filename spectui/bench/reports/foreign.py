"""Reads the Markdown that other parts of a benchmark write, as blocks.

It knows what they use: headings, tables with pipes, lists, fenced code, paragraphs; within a line ``code``, **strong**
text and backslashes before marks. Anything else stays the text that it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from spectui.bench.reports.document import Block, Code, Heading, Inline, Items, Mono, Paragraph, Strong, Table, Text

_INLINE = re.compile(r"\\([!-/:-@\[-`{-~])|(`+) ?(.+?) ?(?<!`)\2(?!`)|\*\*(.+?)\*\*", re.S)
_RULE = re.compile(r"^\|?(\s*:?-+:?\s*\|)*\s*:?-+:?\s*\|?$")
_PIPE = re.compile(r"(?<!\\)\|")


def read_markdown(text: str) -> list[Block]:
    """The blocks of a text."""
    lines = text.splitlines()
    blocks: list[Block] = []
    place = 0
    while place < len(lines):
        if not lines[place].strip():
            place += 1
            continue
        block, place = _block(lines, place)
        blocks.append(block)
    return blocks


def _block(lines: list[str], place: int) -> tuple[Block, int]:
    """The block that begins at a line, and the number of the line after it."""
    first = lines[place]
    if fence := re.match(r"^(`{3,})", first):
        end = _until(lines, place + 1, lambda line: line.startswith(fence[1]))
        return Code("\n".join(lines[place + 1 : end])), end + 1
    if heading := re.match(r"^(#{1,6})\s+(.*?)\s*#*$", first):
        return Heading(len(heading[1]), inline(heading[2])), place + 1
    if _is_table(lines, place):
        end = _until(lines, place + 2, lambda line: "|" not in line)
        return _table(lines[place], lines[place + 1], lines[place + 2 : end]), end
    if _item(first):
        end = _until(lines, place, lambda line: not line.strip() or not (_item(line) or line.startswith("  ")))
        items: list[str] = []
        for line in lines[place:end]:
            if _item(line):
                items.append(line[2:].strip())
            else:
                items[-1] += " " + line.strip()
        return Items(tuple(inline(item) for item in items)), end
    end = _until(lines, place + 1, lambda line: not line.strip() or bool(_item(line)) or bool(re.match("#|```", line)))
    while end > place + 1 and any(_is_table(lines, one) for one in range(place + 1, end)):
        end -= 1
    return Paragraph(inline(" ".join(line.strip() for line in lines[place:end]))), end


def _until(lines: list[str], place: int, ends: Callable[[str], bool]) -> int:
    while place < len(lines) and not ends(lines[place]):
        place += 1
    return place


def _item(line: str) -> bool:
    return line.startswith(("- ", "* "))


def _is_table(lines: list[str], place: int) -> bool:
    return (
        place + 1 < len(lines)
        and "|" in lines[place]
        and "|" in lines[place + 1]
        and bool(_RULE.match(lines[place + 1].strip()))
    )


def _table(head: str, rule: str, rows: list[str]) -> Table:
    names = _cells(head)
    named = next(
        (n for n, mark in enumerate(_cells(rule)) if mark.endswith(":") and not mark.startswith(":")), len(names)
    )
    cells = [(_cells(row) + [""] * len(names))[: len(names)] for row in rows]
    return Table(tuple(map(inline, names)), tuple(tuple(map(inline, row)) for row in cells), named)


def _cells(row: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _PIPE.split(row.strip().removeprefix("|").removesuffix("|"))]


def inline(text: str) -> Text:
    """A line with its marks read."""
    parts: list[Inline] = []
    place = 0
    for found in _INLINE.finditer(text):
        _append(parts, text[place : found.start()])
        mark, _, code, strong = found.groups()
        if mark is not None:
            _append(parts, mark)
        else:
            parts.append(Mono(code) if code is not None else Strong(_unescaped(strong)))
        place = found.end()
    _append(parts, text[place:])
    return parts[0] if len(parts) == 1 else tuple(parts)


def _append(parts: list[Inline], text: str) -> None:
    """Add plain text, to the part before it if that is plain too."""
    if not text:
        return
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    else:
        parts.append(text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)
