"""Cuts the bytes of a prompt file into rows: plain lines, or JSON values with the line on which each begins.

Does not know what a row means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

from spectui.core.prompts.rows import ROW_KEYS, NothingAskedError, PromptError, prompt_of
from spectui.protocol.events import Prompt

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")

_BLANK = " \t\r\n\ufeff"
"""What may stand between JSON values and around plain lines. A byte-order mark remains wherever files were joined."""

_SPACE = re.compile(f"[{_BLANK}]*")
_LIKE_ROWS = re.compile(rf'[\[\s]*\{{\s*"(?:[^\n]{{0,2000}}")?(?:{"|".join(ROW_KEYS)})"\s*:')
"""How a JSON file of rows begins, valid or not."""

_REST_OF_LINE = re.compile("[ \t\r]*(?:\n|$)")
_FOREIGN = (
    (b"PAR1", "a Parquet file: turn it into JSON lines first (pandas: read_parquet, to_json with lines=True)"),
    (b"\x1f\x8b", "compressed: unpack it first"),
    (b"PK\x03\x04", "an archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed: unpack it first"),
    (b"\xff\xfe", "UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16: save it as UTF-8"),
)

_value = json.JSONDecoder().raw_decode


class Found(NamedTuple):
    """What a file holds: its prompts in order, and one sentence for each conversation without a question."""

    prompts: list[Prompt]
    left_out: list[str]


def read_prompts(data: bytes, name: str) -> Found:
    """Read the prompts of a file; ``name`` is what messages call it.

    There are two kinds of files. In a JSON file every value is a row or an array of rows, on one line or several. In a
    plain file every line that is not blank is a prompt. A file is JSON if its name says so (``.json``, ``.jsonl``,
    ``.ndjson``), or if its first line is, or begins, a JSON object or array; a plain prompt may well begin with a
    bracket. The common ShareGPT files hold conversations without a question, which are skipped and reported.

    Raises:
        PromptError: A row cannot be raced, or the file cannot be read.
    """
    text = _text(data, name)
    if not _is_json(text, name):
        return Found(list(_plain(text, name)), [])
    found = Found([], [])
    for row, where in _json_rows(text, name):
        try:
            found.prompts.append(prompt_of(row, where))
        except NothingAskedError as error:
            found.left_out.append(str(error))
    if found.left_out and not found.prompts:
        raise PromptError(found.left_out[0])
    return found


def _text(data: bytes, name: str) -> str:
    for mark, what in _FOREIGN:
        if data.startswith(mark):
            raise PromptError(f"{name} is {what}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PromptError(f"{name}, line {line} is not UTF-8: save the file as UTF-8") from None
    if "\0" in text:
        raise PromptError(
            f"{name}, line {text.count(chr(10), 0, text.index(chr(0))) + 1} is not text: it has a NUL byte"
        )
    return text


def _is_json(text: str, name: str) -> bool:
    if name.lower().endswith(JSON_SUFFIXES):
        return True
    start = _after_space(text, 0)
    if text[start : start + 1] not in ("{", "["):
        return False
    if _LIKE_ROWS.match(text, start):
        return True
    try:
        value, end = _value(text, start)
    except RecursionError:
        return True
    except ValueError:
        # This may be a prompt such as "{name} is ..." or "[INST] ...", or the one broken row of a JSON file.
        return any(_is_row(line) for line in text.split("\n"))
    return isinstance(value, dict | list) and _REST_OF_LINE.match(text, end) is not None


def _is_row(line: str) -> bool:
    """Whether the line can only be a row of a JSON file."""
    line = line.strip(_BLANK)
    if not (line.startswith("{") and line.endswith("}")):
        return False
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return not ROW_KEYS.isdisjoint(value)


def _json_rows(text: str, name: str) -> Iterator[tuple[Any, str]]:
    """Every row with its line; rows of an array also with their number."""
    place = _LineCounter(text, name)
    at = _after_space(text, 0)
    while at < len(text):
        if text[at] == "[" and not _is_conversation(text, at):
            at = yield from _array(text, at, place)
        else:
            where = place.at(at)
            value, at = _decoded(text, at, where)
            yield value, where
        at = _after_space(text, at)


def _array(text: str, at: int, place: _LineCounter) -> Generator[tuple[Any, str], None, int]:
    """Yields the rows of the array at ``at`` one by one, so that a broken one can be named; returns where the array
    ends."""
    opened = place.at(at)
    at = _after_space(text, at + 1)
    number = 0
    if text[at : at + 1] == "]":
        return at + 1
    while True:
        number += 1
        where = f"{place.at(at)}, row {number}"
        if at >= len(text):
            raise PromptError(f"{opened} begins an array that does not end: a ']' is missing")
        value, at = _decoded(text, at, where)
        yield value, where
        at = _after_space(text, at)
        if text[at : at + 1] == "]":
            return at + 1
        if text[at : at + 1] != ",":
            missing = f"{opened} begins an array that does not end: a ']' is missing"
            raise PromptError(missing if at >= len(text) else f"{place.at(at)} is not JSON: ',' or ']' is missing")
        at = _after_space(text, at + 1)


def _is_conversation(text: str, at: int) -> bool:
    """Whether the array at ``at`` is one conversation instead of an array of rows: its items are messages."""
    at = _after_space(text, at + 1)
    if text[at : at + 1] != "{":
        return False
    try:
        first, _ = _value(text, at)
    except (ValueError, RecursionError):
        return False
    return ROW_KEYS.isdisjoint(first) and bool(first.keys() & {"role", "from"})


def _decoded(text: str, at: int, where: str) -> tuple[Any, int]:
    try:
        return _value(text, at)
    except RecursionError:
        raise PromptError(f"{where} is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise PromptError(f"{where} is not JSON: {error.msg[:1].lower()}{error.msg[1:]}") from None
    except ValueError:
        raise PromptError(f"{where} has a number that is too long") from None


def _plain(text: str, name: str) -> Iterator[Prompt]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip(_BLANK).strip():
            continue
        if _is_row(line):
            raise PromptError(f"{name}, line {number} is a row of JSON among plain lines: a file is one or the other")
        yield prompt_of(line.strip(_BLANK), f"{name}, line {number}")


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


class _LineCounter:
    """Counts lines while moving through a text."""

    def __init__(self, text: str, name: str) -> None:
        self._text, self._name = text, name
        self._at, self._line = 0, 1

    def at(self, at: int) -> str:
        """Name the line of ``at``, counted from 1; ``at`` must never go back."""
        self._line += self._text.count("\n", self._at, at)
        self._at = at
        return f"{self._name}, line {self._line}"
