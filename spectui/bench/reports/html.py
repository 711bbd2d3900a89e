"""A report as one HTML file that needs nothing else: no script, no network, pictures and style inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from spectui.bench.reports.document import (
    Block,
    Chart,
    Code,
    Foreign,
    Heading,
    Inline,
    Items,
    Mono,
    Paragraph,
    Strong,
    Table,
    Text,
    clean,
    inlines,
    plain,
)
from spectui.bench.reports.foreign import read_markdown

_LONG = 36

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page(blocks: Sequence[Block]) -> str:
    """Render a report."""
    whole = [inner for block in blocks for inner in _read(block)]
    title = next((plain(block.text) for block in whole if isinstance(block, Heading)), "Report")
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    places = {id(block): f"s{number}" for number, block in enumerate(whole) if _in_contents(block)}
    parts: list[str] = []
    for block in whole:
        if id(block) in places and next(iter(places)) == id(block):
            parts.append(_contents(whole, places))
        parts.append(_block(block, places.get(id(block), "")))
    return _PAGE.format(title=_text(title), style=style, body="\n".join(parts))


def _read(block: Block) -> Sequence[Block]:
    return read_markdown(block.markdown) if isinstance(block, Foreign) else (block,)


def _in_contents(block: Block) -> bool:
    return isinstance(block, Heading) and block.level == 2


def _contents(blocks: Sequence[Block], places: dict[int, str]) -> str:
    links = [
        f'<a href="#{places[id(block)]}">{_inlines(block.text)}</a>'
        for block in blocks
        if isinstance(block, Heading) and id(block) in places
    ]
    return f"<nav>{' '.join(links)}</nav>"


def _block(block: Block, name: str) -> str:
    match block:
        case Heading(level, text):
            named = f' id="{name}"' if name else ""
            return f"<h{level}{named}>{_inlines(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_inlines(text)}</p>"
        case Items(items):
            return f"<ul>{''.join(f'<li>{_inlines(item)}</li>' for item in items)}</ul>"
        case Code(text):
            return f"<pre tabindex=0><code>{_text(text)}</code></pre>"
        case Chart(_, _, svg):
            return f'<figure class="box" tabindex=0>{svg}</figure>'
        case Table():
            return _table(block)
        case Foreign():
            raise AssertionError("read before")


def _table(table: Table) -> str:
    def cells(row: Sequence[Text], kind: str) -> str:
        return "".join(
            f"<{kind}{_class(cell, named=place < table.named)}>{_inlines(cell)}</{kind}>"
            for place, cell in enumerate(row)
        )

    rows = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    # Boxes that scroll can be reached by key.
    return (
        f'<div class="box" tabindex=0><table>\n<thead><tr>{cells(table.head, "th")}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _class(cell: Text, named: bool) -> str:
    """Names are set to the left, and only long texts are broken into lines."""
    kinds = " ".join(name for name, holds in (("name", named), ("long", len(plain(cell)) > _LONG)) if holds)
    return f' class="{kinds}"' if kinds else ""


def _inlines(text: Text) -> str:
    return "".join(map(_inline, inlines(text)))


def _inline(part: Inline) -> str:
    if isinstance(part, Mono):
        return f"<code>{_text(part.text)}</code>"
    if isinstance(part, Strong):
        return f"<strong>{_text(part.text)}</strong>"
    return _text(part)


def _text(text: str) -> str:
    return escape(clean(text))
