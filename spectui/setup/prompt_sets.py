"""Prompt sets: the built-in one, files of the user's, and standard input."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path

from spectui.core.prompts import Found, PromptError, printable, read_prompts
from spectui.protocol.events import Prompt
from spectui.runtime.output import tell

STANDARD_INPUT = "-"
"""In place of a file's name."""

MOST_NAMED = 20
"""Categories that a sentence names."""


def builtin(category: str | None = None) -> tuple[Prompt, ...]:
    """The prompts that ship with SpecTUI, over the eleven categories of SPEED-Bench; written for this project.

    Raises:
        PromptError: There is no such category.
    """
    data = resources.files("spectui.core.prompts").joinpath("builtin.jsonl").read_bytes()
    return _chosen(read_prompts(data, "builtin.jsonl").prompts, category, "the built-in set")


def from_file(path: Path, category: str | None = None) -> tuple[Prompt, ...]:
    """Prompts of a file of any kind that `read_prompts` knows.

    Raises:
        PromptError: The file cannot be read, a row of it cannot be raced, or nothing is in the category.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PromptError(f"the prompt file {path} cannot be read: {why}") from error
    return _chosen(_told(read_prompts(data, str(path))), category, str(path))


def from_standard_input(category: str | None = None) -> tuple[Prompt, ...]:
    """Prompts that are piped in; likewise.

    Raises:
        PromptError: Likewise, or nothing is piped in.
    """
    return _chosen(_told(read_prompts(_standard_input(), _PIPED)), category, _PIPED)


_PIPED = "standard input"


def _standard_input() -> bytes:
    closed = PromptError("--prompts - reads standard input, which is closed: pipe the prompts in")
    if sys.stdin is None or sys.stdin.closed:
        raise closed
    if sys.stdin.isatty():
        raise PromptError("--prompts - reads standard input, which is the terminal: pipe the prompts in")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise closed from error


@contextmanager
def kept_for_children(prompts: str | None) -> Iterator[str | None]:
    """The value of ``--prompts`` for processes of their own: what is piped in can be read once, so it becomes a file.

    Raises:
        PromptError: What is piped in cannot be raced.
    """
    if prompts != STANDARD_INPUT:
        yield prompts
        return
    data = _standard_input()
    if not read_prompts(data, _PIPED).prompts:
        raise PromptError(f"{_PIPED} has no prompts")
    with tempfile.NamedTemporaryFile(prefix="spectui-prompts-") as file:
        file.write(data)
        file.flush()
        yield file.name


def first_turn(prompt: Prompt) -> Prompt:
    """A prompt alone, for measuring: of a conversation only its first turn."""
    return replace(prompt, index=0, count=1, later=())


def _told(found: Found) -> list[Prompt]:
    """The prompts that were found; what was left out is said on standard error."""
    if found.left_out:
        rows = len(found.prompts) + len(found.left_out)
        others = f", and {len(found.left_out) - 1} more of {rows}" if len(found.left_out) > 1 else ""
        tell(f"spectui: left out: {found.left_out[0]}{others}")
    return found.prompts


def _chosen(prompts: Sequence[Prompt], category: str | None, where: str) -> tuple[Prompt, ...]:
    known = list(dict.fromkeys(prompt.category for prompt in prompts))
    chosen = [prompt for prompt in prompts if category in (None, prompt.category)]
    if not prompts:
        raise PromptError(f"{where} has no prompts")
    if not chosen:
        some = ", ".join(printable(word) for word in known[:MOST_NAMED]) + ", ..." * (len(known) > MOST_NAMED)
        raise PromptError(f"unknown category '{category}': choose from {some}")
    return tuple(replace(prompt, index=i, count=len(chosen)) for i, prompt in enumerate(chosen))
