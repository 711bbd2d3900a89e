"""Prompt sets: the built-in one, and files of the user's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from spectui.events import Prompt


class PromptError(ValueError):
    """No prompts could be had; the message is one sentence with what to do."""


def builtin(category: str | None = None) -> tuple[Prompt, ...]:
    """The prompts that ship with SpecTUI, over the eleven categories of SPEED-Bench; written for this project.

    Raises:
        PromptError: There is no such category.
    """
    text = resources.files("spectui.bench").joinpath("prompts.jsonl").read_text(encoding="utf-8")
    return _chosen(_rows(text.splitlines(), "the built-in prompts"), category)


def from_file(path: Path, category: str | None = None) -> tuple[Prompt, ...]:
    """Prompts of a file: JSON lines with ``prompt`` or ``messages`` and perhaps ``category``, else one a line.

    Raises:
        PromptError: The file cannot be read, has a broken line, or has nothing in the category.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"the prompt file {path} cannot be read: {error}") from error
    return _chosen(_rows(lines, str(path)), category)


def _rows(lines: Iterable[str], where: str) -> list[Prompt]:
    return [_prompt(line, f"{where}, line {n}") for n, line in enumerate(lines, 1) if line.strip()]


def _prompt(line: str, where: str) -> Prompt:
    if not line.lstrip().startswith("{"):
        return Prompt(line.strip())
    try:
        row: Any = json.loads(line)
        text = row["prompt"] if "prompt" in row else _first_user_message(row["messages"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise PromptError(f'{where} is no prompt: a row needs "prompt" or "messages"') from error
    return Prompt(str(text), str(row.get("category", "prompt")))


def _first_user_message(messages: list[dict[str, str]]) -> str:
    return next(message["content"] for message in messages if message["role"] == "user")


def _chosen(prompts: list[Prompt], category: str | None) -> tuple[Prompt, ...]:
    known = list(dict.fromkeys(prompt.category for prompt in prompts))
    chosen = [prompt for prompt in prompts if category in (None, prompt.category)]
    if not chosen:
        raise PromptError(
            f"there is no category '{category}': choose from {', '.join(known)}" if prompts else "there are no prompts"
        )
    return tuple(Prompt(p.text, p.category, i, len(chosen)) for i, p in enumerate(chosen))
