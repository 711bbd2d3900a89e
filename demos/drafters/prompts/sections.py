"""Reads the text files of prompt parts."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

Sections = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Passage:
    """A text of ours with questions that it answers."""

    title: str
    text: str
    questions: tuple[str, ...]


def read_sections(name: str) -> Sections:
    """``[section]`` -> its lines; ``\\n`` within a line stands for a line break."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _text(name).splitlines():
        if line.startswith("[") and line.endswith("]") and line[1:-1].isidentifier():
            current = sections.setdefault(line[1:-1], [])
        elif line.strip():
            current.append(line.replace("\\n", "\n"))
    return {section: tuple(lines) for section, lines in sections.items()}


def read_passages() -> tuple[Passage, ...]:
    """All passages: ``# title``, the text, then one ``? question`` a line."""
    passages = []
    for block in _text("passages").split("\n\n"):
        lines = block.strip().splitlines()
        questions = tuple(line[2:] for line in lines if line.startswith("? "))
        text = " ".join(line for line in lines if not line.startswith(("# ", "? ")))
        passages.append(Passage(lines[0].removeprefix("# "), text, questions))
    return tuple(passages)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("data", f"{name}.txt").read_text(encoding="utf-8")
