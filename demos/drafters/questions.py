"""Which prompts are asked, and how: the file between the prompt stage and the answer stage."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demos.drafters.answers import Question
from demos.drafters.prompts import training_prompts
from spectui.sources.vllm.prompting import chat_ids

SAMPLED_SHARE = 0.25
TEMPERATURES = (0.6, 0.8, 1.0)
PAST_END_SHARE = 0.2
LENGTHS = (96, 128, 160, 192)
"""Longest answers in tokens, drawn at random: many prompts teach more than long answers, and the race shows 128."""

PAST_END_LENGTH = 128
"""Tokens of the answers that go on after their end, as evaluations do."""


def write_template_prompts(path: Path, count: int, seed: int) -> None:
    """The composed prompts as JSON lines with ``category`` and ``prompt``."""
    rows = [{"category": p.category, "prompt": p.text} for p in training_prompts(count, seed)]
    write_rows(path, rows)


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    temporary = path.with_suffix(".partial")
    temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    temporary.replace(path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_questions(paths: Sequence[Path], tokenizer: Any, seed: int) -> list[Question]:
    """All prompts of the files as questions, numbered in order; a row may carry its ``temperature``."""
    rows = [row for path in paths for row in read_rows(path)]
    questions = []
    for number, row in enumerate(rows):
        rng = random.Random(f"{seed}/{number}")
        temperature = rng.choice(TEMPERATURES) if rng.random() < SAMPLED_SHARE else 0.0
        ids = tuple(chat_ids(tokenizer, row["prompt"]))
        length, past_end = rng.choice(LENGTHS), rng.random() < PAST_END_SHARE
        questions.append(Question(number, ids, temperature, PAST_END_LENGTH if past_end else length, past_end))
    return questions
