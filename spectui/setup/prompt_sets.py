"""Prompt sets: the built-in one, the user's files, and standard input."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Literal

from spectui.core.prompts import Found, PromptError, printable, read_prompts
from spectui.protocol.events import Prompt
from spectui.runtime.output import tell

STANDARD_INPUT = "-"
"""Stands for standard input in place of a file name."""

MOST_NAMED = 20
"""Most categories that a sentence names."""


Length = Literal["short", "long"]
"""Of a prompt in the benchmark set: a few sentences, or 200 to 700 words with the material that is asked about."""

_RACED = "builtin.jsonl"
_BENCHMARK: dict[Length, tuple[str, ...]] = {"short": (_RACED, "bench_short.jsonl"), "long": ("bench_long.jsonl",)}
_SET = "the built-in set"


def builtin(category: str | None = None) -> tuple[Prompt, ...]:
    """The prompts that are raced by default: four short ones in each of the eleven categories of SPEED-Bench.

    Raises:
        PromptError: The category does not exist.
    """
    return _chosen(_shipped(_RACED), category, _SET)


def benchmark_set(category: str | None = None, length: Length | None = None) -> tuple[Prompt, ...]:
    """All prompts that ship with SpecTUI, written for this project: at least 20 in each category of SPEED-Bench.

    They are grouped by category; within one, those of `builtin` come first and the long ones last.

    Raises:
        PromptError: The category does not exist.
    """
    files = [name for one in _BENCHMARK if length in (None, one) for name in _BENCHMARK[one]]
    found = [prompt for name in files for prompt in _shipped(name)]
    grouped = [prompt for known in _categories(found) for prompt in found if prompt.category == known]
    return _chosen(grouped, category, _SET)


def padding() -> str:
    """The running text that ships with SpecTUI, to lengthen prompts with: stories, how-tos, dialogues, tables, code."""
    return _file("padding.txt").decode("utf-8")


def _shipped(name: str) -> list[Prompt]:
    return read_prompts(_file(name), name).prompts


def _file(name: str) -> bytes:
    return resources.files("spectui.core.prompts").joinpath(name).read_bytes()


def from_file(path: Path, category: str | None = None) -> tuple[Prompt, ...]:
    """Prompts from a file of any kind that `read_prompts` knows.

    Raises:
        PromptError: The file cannot be read, one of its rows cannot be raced, or the category is empty.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PromptError(f"the prompt file {path} cannot be read: {why}") from error
    return _chosen(_told(read_prompts(data, str(path))), category, str(path))


def from_standard_input(category: str | None = None) -> tuple[Prompt, ...]:
    """Prompts that are piped in, in any form that `from_file` accepts.

    Raises:
        PromptError: As in `from_file`, or nothing is piped in.
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
    """The value of ``--prompts`` for child processes: piped input can be read only once, so it is saved to a file.

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
    """A single prompt for measuring: of a conversation only the first turn."""
    return replace(prompt, index=0, count=1, later=())


def _told(found: Found) -> list[Prompt]:
    """The prompts that were found; conversations that were skipped are reported on standard error."""
    if found.left_out:
        rows = len(found.prompts) + len(found.left_out)
        others = f", and {len(found.left_out) - 1} more of {rows}" if len(found.left_out) > 1 else ""
        tell(f"spectui: skipped: {found.left_out[0]}{others}")
    return found.prompts


def _chosen(prompts: Sequence[Prompt], category: str | None, where: str) -> tuple[Prompt, ...]:
    known = _categories(prompts)
    chosen = [prompt for prompt in prompts if category in (None, prompt.category)]
    if not prompts:
        raise PromptError(f"{where} has no prompts")
    if not chosen:
        some = ", ".join(printable(word) for word in known[:MOST_NAMED]) + ", ..." * (len(known) > MOST_NAMED)
        raise PromptError(f"unknown category '{category}': choose from {some}")
    return tuple(replace(prompt, index=i, count=len(chosen)) for i, prompt in enumerate(chosen))


def _categories(prompts: Sequence[Prompt]) -> list[str]:
    """In the order in which they first occur."""
    return list(dict.fromkeys(prompt.category for prompt in prompts))
