"""Hard positions as `spectui analyze --export` writes them, as passages for the target to read and go on with.

The refusals of one answer lie in one passage: the context of a later one holds the earlier ones. A context that was cut
from the left does not, and is a passage of its own, of which only the draft and what follows is trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demos.drafters.answers import Question

CONTINUED = 8
"""Tokens that the target goes on with behind a passage: the drafts after the last refusal."""


class NotHardError(ValueError):
    """The file does not hold hard positions of the demo target; the message is one sentence."""


@dataclass(slots=True)
class _Passage:
    ids: tuple[int, ...]
    prompt_length: int
    hard: list[int] = field(default_factory=list)


def hard_questions(path: Path, target: str) -> list[Question]:
    """The passages of a file, for the target to read: greedy, in the order of the file.

    Raises:
        NotHardError: A line is no hard position, or one of another target than ``target``.
    """
    return [
        Question(
            number,
            passage.ids,
            0.0,
            CONTINUED,
            known=len(passage.ids) - passage.prompt_length,
            hard=tuple(passage.hard),
        )
        for number, passage in enumerate(_passages(path, target))
    ]


def _passages(path: Path, target: str) -> Iterator[_Passage]:
    growing: dict[tuple[str, int], _Passage] = {}
    for row in _rows(path, target):
        place = (row["lane"], row["slot"])
        context = tuple(row["context"])
        ids = (*context, *row["drafted"][: row["accepted"]], row["wanted"])
        passage = growing.get(place)
        if passage is None or context[: len(passage.ids)] != passage.ids:
            if passage is not None:
                yield passage
            whole = row["position"] == len(context)
            passage = growing[place] = _Passage(ids, row["prompt_tokens"] if whole else len(context))
        passage.ids = ids
        passage.hard.append(len(ids) - 1)
    yield from growing.values()


def _rows(path: Path, target: str) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                known = all(
                    isinstance(row[key], int) for key in ("slot", "prompt_tokens", "position", "accepted", "wanted")
                ) and all(isinstance(token, int) for key in ("context", "drafted") for token in row[key])
            except (ValueError, KeyError, TypeError):
                known = False
            if not known:
                raise NotHardError(
                    f"{path} line {number} is no hard position: write the file with spectui analyze TRACE --export"
                )
            if row["target"] != target:
                raise NotHardError(f"{path} line {number} is of {row['target']}, not of {target}: record the demo")
            yield row
