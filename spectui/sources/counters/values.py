"""Values from servers that may say anything: numbers within bounds, JSON of bounded size, words that fit on a line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

MOST = 2**63 - 1
"""The largest number that is believed."""

MOST_JSON_BYTES = 1 << 20
MOST_WORDS = 200
"""The longest text from a server in a sentence of ours, in characters."""

_NOT_SHOWN = re.compile(r"[^ -~\u00a1-\ud7ff\uf900-\uffef]+")
_HALVES = re.compile("[\ud800-\udfff]")


class MalformedError(Exception):
    """An answer that makes no sense; the message says why, for the log."""


def whole(value: object) -> int | None:
    """A count that a server states; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MOST else None


def real(value: object, most: float = 1e9) -> float | None:
    """A figure from 0 to ``most`` that a server states; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= most else None


def words(value: object, most: int = MOST_WORDS) -> str:
    """A server's own words on one line, without control characters; empty if they are not text."""
    if not isinstance(value, str):
        return ""
    line = " ".join(_NOT_SHOWN.sub(" ", value[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def text(value: object) -> str:
    """A piece of an answer. Half surrogates, which no file can hold, become U+FFFD; empty if it is not text."""
    return _HALVES.sub("\ufffd", value) if isinstance(value, str) else ""


def read_json(body: bytes) -> Any:
    """Parse an answer.

    Raises:
        MalformedError: It is too long, too deep or not JSON.
    """
    if len(body) > MOST_JSON_BYTES:
        raise MalformedError(f"{len(body)} bytes of JSON")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError("not JSON") from error


def under(value: object, *path: str | int) -> Any:
    """What lies at a path of keys and places; None if there is nothing."""
    for key in path:
        if isinstance(key, str):
            value = value.get(key) if isinstance(value, Mapping) else None
        elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) > key:
            value = value[key]
        else:
            return None
    return value
