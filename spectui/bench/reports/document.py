"""What a report says, as blocks that know neither Markdown nor HTML; each has a renderer of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Mono:
    """Text to be copied as it is: a path, an option, a key."""

    text: str


@dataclass(frozen=True, slots=True)
class Strong:
    """Text that stands out."""

    text: str


Inline: TypeAlias = str | Mono | Strong
Text: TypeAlias = Inline | tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """``level`` 1 is the title of the report."""

    level: int
    text: Text


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A few sentences."""

    text: Text


@dataclass(frozen=True, slots=True)
class Items:
    """A list without an order."""

    items: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        head: The names of the columns.
        rows: A text for every column.
        named: How many columns, from the left, name the row and are set to the left; the others hold figures.
    """

    head: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]
    named: int = 1


@dataclass(frozen=True, slots=True)
class Code:
    """Lines for a shell."""

    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture.

    Attributes:
        name: The file's name without its ending.
        alt: What it shows, for those who do not see it.
        svg: The picture.
    """

    name: str
    alt: str
    svg: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """Markdown that somebody else wrote: `spectui.bench.reports.foreign` reads it for HTML."""

    markdown: str


Block: TypeAlias = Heading | Paragraph | Items | Table | Code | Chart | Foreign


def clean(text: str) -> str:
    """Text as it may stand in a file of UTF-8, XML included: control characters, marks that turn the direction of
    reading and half surrogate pairs become U+FFFD; newlines and tabs stay."""
    return _UNFIT.sub("\ufffd", text)


def inlines(text: Text) -> tuple[Inline, ...]:
    """The parts of a text."""
    return text if isinstance(text, tuple) else (text,)


def plain(text: Text) -> str:
    """A text without its marks."""
    return "".join(part if isinstance(part, str) else part.text for part in inlines(text))


def listed(names: Iterable[str]) -> str:
    """``1``, ``1 and 4``, or ``1, 4 and 16``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def joined(parts: Iterable[Inline], between: str = ", ") -> tuple[Inline, ...]:
    """Parts with ``between`` in between, for example ``a, b, c``."""
    found: list[Inline] = []
    for part in parts:
        found += [between, part] if found else [part]
    return tuple(found)
