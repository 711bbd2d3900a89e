"""Fills templates; the same seed gives the same prompts."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from demos.drafters.prompts.sections import Sections, read_passages, read_sections
from spectui.protocol.events import Prompt

CATEGORIES = (
    "coding",
    "humanities",
    "math",
    "multilingual",
    "qa",
    "rag",
    "reasoning",
    "roleplay",
    "stem",
    "summarization",
    "writing",
)
HELDOUT = Path(__file__).parents[2] / "prompts" / "heldout.jsonl"

_FIELD = re.compile(r"\{(\w+)\}")
_STYLED = 0.25
"""Share of the prompts that get a phrase of ``common.txt`` before or after them."""
_UNSTYLED = frozenset({"multilingual"})
_MOST_TRIES = 60


def training_prompts(count: int, seed: int = 0) -> list[Prompt]:
    """``count`` different prompts, the categories in turn, none of them held out.

    Raises:
        ValueError: A category has not that many different prompts.
    """
    rng = random.Random(seed)
    taken = {_key(prompt.text) for prompt in heldout_prompts()}
    writers = [_Writer(category, rng) for category in CATEGORIES]
    prompts: list[Prompt] = []
    while len(prompts) < count:
        writer = writers[len(prompts) % len(writers)]
        for _ in range(_MOST_TRIES):
            text = writer.write()
            if _key(text) not in taken:
                break
        else:
            raise ValueError(f"no more different prompts in category {writer.category} after {len(prompts)} in all")
        taken.add(_key(text))
        prompts.append(Prompt(text, writer.category))
    return prompts


def heldout_prompts(path: Path = HELDOUT) -> list[Prompt]:
    """The prompts that only the evaluation uses."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return [Prompt(row["prompt"], row["category"]) for row in rows]


def openings() -> tuple[str, ...]:
    """First words of a user's message, the empty one included, for the target to go on from."""
    return ("", *read_sections("openings")["free"])


def _key(text: str) -> str:
    return " ".join(text.lower().split())


class _Writer:
    """Writes prompts of one category; every template comes once before one comes again."""

    def __init__(self, category: str, rng: random.Random) -> None:
        self.category = category
        self._rng = rng
        self._sections: Sections = read_sections(category)
        self._common = read_sections("common")
        self._passages = read_passages()
        self._order: list[str] = []

    def write(self) -> str:
        if not self._order:
            self._order = list(self._sections["templates"])
            self._rng.shuffle(self._order)
        text = self._fill(self._order.pop(), self._fresh_values())
        if self.category not in _UNSTYLED and self._rng.random() < _STYLED:
            text = self._styled(text)
        return text

    def _fresh_values(self) -> dict[str, str]:
        """Fields that are not lists: passages that belong to their questions, numbers of a useful size."""
        rng = self._rng
        one, other = rng.sample(self._passages, 2)
        sizes = {"a": (110, 990), "b": (12, 99), "c": (6, 40), "d": (2, 30), "e": (50, 400), "k": (2, 9), "h": (6, 11)}
        numbers = {name: str(rng.randint(*size)) for name, size in sizes.items()}
        values = {
            **numbers,
            "passage": one.text,
            "title": one.title,
            "question": rng.choice(one.questions),
            "passage2": other.text,
            "title2": other.title,
        }
        # A category's own list wins over a number of the same name.
        return {name: value for name, value in values.items() if name not in self._sections}

    def _fill(self, template: str, values: dict[str, str]) -> str:
        """Replace each field; ``values`` remembers choices, so that a field that comes twice has one value."""

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in values and name in self._sections:
                values[name] = self._fill(self._rng.choice(self._sections[name]), values)
            return values.get(name, match.group(0))

        return _FIELD.sub(value, template)

    def _styled(self, text: str) -> str:
        kind = self._rng.random()
        if kind < 0.2:
            return text[0].lower() + text[1:].rstrip(".?")
        separator = "\n" if "\n" in text else " "
        if kind < 0.45:
            return self._rng.choice(self._common["before"]) + separator + text
        return text + separator + self._rng.choice(self._common["after"])
