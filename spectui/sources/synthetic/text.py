"""What a synthetic target answers: code and prose in many scripts, cut into pieces like those of a tokenizer."""

# ruff: noqa: RUF001 -- letters of other scripts are the point of the multilingual passage.
from __future__ import annotations

import random
import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from spectui.protocol.events import Prompt

_PIECES = re.compile(r"\n[ ]*| ?[^\W\d_\u0800-\uffff]{1,6}|\d|[ ]{2,}| |[^\w\s]{1,2}|_|\s|.")


@dataclass(frozen=True, slots=True)
class Passage:
    """A prompt and the text with which a synthetic target answers it."""

    category: str
    prompt: str
    answer: str


PASSAGES: tuple[Passage, ...] = (
    Passage(
        "coding",
        "Write a Python function that returns the n-th Fibonacci number.",
        "def fibonacci(n: int) -> int:\n"
        '    """Return the n-th Fibonacci number, counting from 0."""\n'
        "    previous, current = 0, 1\n"
        "    for _ in range(n):\n"
        "        previous, current = current, previous + current\n"
        "    return previous\n\n\n"
        'if __name__ == "__main__":\n'
        "    for n in range(10):\n"
        '        print(f"fibonacci({n}) = {fibonacci(n)}")\n\n'
        "The loop keeps only the last two numbers, so it needs constant memory and n additions.\n",
    ),
    Passage(
        "multilingual",
        "Say good morning in eight languages.",
        "Guten Morgen, schöne Grüße aus Köln.\nBonjour, ça va très bien à Nîmes.\nBuenos días, señor Muñoz.\n"
        "Доброе утро, Москва.\nΚαλημέρα, Αθήνα.\nおはようございます、東京。\n早上好，北京。\n좋은 아침입니다, 서울.\n"
        "Each greeting is what people say before noon; the café on the corner says all of them. 🙂\n",
    ),
    Passage(
        "coding",
        "Implement binary search in Rust.",
        "fn binary_search<T: Ord>(items: &[T], wanted: &T) -> Option<usize> {\n"
        "    let (mut low, mut high) = (0, items.len());\n"
        "    while low < high {\n"
        "        let middle = low + (high - low) / 2;\n"
        "        match items[middle].cmp(wanted) {\n"
        "            std::cmp::Ordering::Equal => return Some(middle),\n"
        "            std::cmp::Ordering::Less => low = middle + 1,\n"
        "            std::cmp::Ordering::Greater => high = middle,\n"
        "        }\n"
        "    }\n"
        "    None\n"
        "}\n\n"
        "The slice must be sorted. The search halves the range at every step: O(log n) comparisons.\n",
    ),
    Passage(
        "reasoning",
        "A train leaves at 9:40 and arrives at 13:05. How long is the journey?",
        "From 9:40 to 13:00 there are 3 hours and 20 minutes. From 13:00 to 13:05 there are 5 minutes more. "
        "Together: 3 h 20 min + 5 min = 3 h 25 min.\n\nThe journey takes 3 hours and 25 minutes, or 205 minutes.\n",
    ),
    Passage(
        "summarization",
        "Explain speculative decoding in one paragraph.",
        "A small drafter proposes the next few tokens; the large target checks all of them in a single forward pass. "
        "Every proposal that the target would have made itself is kept. At the first one that it would not have made, "
        "the target puts its own token and the rest is thrown away. The text is the same as without a drafter, but "
        "several tokens appear for the price of one pass → lower latency, same quality.\n",
    ),
    Passage(
        "math",
        "Write the quadratic formula and say when it has two real solutions.",
        "For a·x² + b·x + c = 0 with a ≠ 0 the solutions are\n\n"
        "    x = (−b ± √(b² − 4·a·c)) / (2·a)\n\n"
        "The term Δ = b² − 4·a·c decides: Δ > 0 gives two real solutions, Δ = 0 gives one, Δ < 0 gives none.\n",
    ),
)


def prompt_set() -> tuple[Prompt, ...]:
    """The prompts of `PASSAGES`, in order."""
    return tuple(Prompt(p.prompt, p.category, index, len(PASSAGES)) for index, p in enumerate(PASSAGES))


def split(text: str) -> list[str]:
    """Cut ``text`` into pieces; a character above U+07FF becomes an empty piece followed by the character.

    A byte-level tokenizer's first half of a character looks like that: it has no text until the rest follows.
    """
    pieces: list[str] = []
    for piece in _PIECES.findall(text):
        if len(piece) == 1 and ord(piece) > 0x07FF:
            pieces.append("")
        pieces.append(piece)
    return pieces


class Vocabulary:
    """Maps pieces to ids, in the same way for every lane and every run."""

    def __init__(self) -> None:
        distinct = {piece for passage in PASSAGES for piece in split(passage.answer)}
        self._pieces = sorted(distinct)
        self._ids = {piece: index for index, piece in enumerate(self._pieces)}

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of ``text``; unknown ones get new ids."""
        ids: list[int] = []
        for piece in split(text):
            if piece not in self._ids:
                self._ids[piece] = len(self._pieces)
                self._pieces.append(piece)
            ids.append(self._ids[piece])
        return ids

    def piece(self, token: int) -> str:
        """The text of an id."""
        return self._pieces[token]


class Answer:
    """The target's answer to one prompt: the same ids in every lane, as many as needed.

    ``length`` is where EOS would come; beyond it the text continues with other passages, for runs that ignore EOS.
    """

    def __init__(self, vocabulary: Vocabulary, prompt: str, seed: int) -> None:
        self._vocabulary = vocabulary
        self._rng = random.Random(f"{seed}:{prompt}")
        known = next((p for p in PASSAGES if p.prompt == prompt), None)
        first = known or self._rng.choice(PASSAGES)
        self._ids = vocabulary.encode(first.answer)
        self.length = len(self._ids)
        words = sorted({token for token in self._ids if vocabulary.piece(token).strip()})
        self._spaced = [token for token in words if vocabulary.piece(token).startswith(" ")]
        self._tight = [token for token in words if not vocabulary.piece(token).startswith(" ")]

    def token(self, position: int) -> int:
        """The id at output ``position``, from 0."""
        while position >= len(self._ids):
            self._ids += self._vocabulary.encode("\n" + self._rng.choice(PASSAGES).answer)
        return self._ids[position]

    def replaced(self, position: int, put: Sequence[int]) -> Answer:
        """The answer of a target that goes on as before although ``put`` stands in place of one id."""
        self.token(position)
        changed = copy(self)
        changed._ids = [*self._ids[:position], *put, *self._ids[position + 1 :]]
        changed.length = self.length + len(put) - 1
        return changed

    def wrong(self, position: int, rng: random.Random) -> int:
        """A different id that could stand at ``position``: a drafter's plausible mistake, taken from the same text."""
        token = self.token(position)
        spaced = self._vocabulary.piece(token).startswith(" ")
        candidates = (self._spaced if spaced else self._tight) or self._ids
        guess = rng.choice(candidates)
        return guess if guess != token else candidates[candidates.index(guess) - 1]
