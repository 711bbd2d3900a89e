"""Synthetic traces of a drafter with a weakness that was put there, or with none.

Answers are random tokens with texts, in proportions that resemble four kinds of prompts: numbers abound in maths and
indentation in code, so that a category goes along with the weakness. Each answer is easier or harder than others for
the drafter, and later positions of a draft are harder than earlier ones.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from spectui.protocol import events as ev

Plant = Literal["numbers", "indentation", "context", "refusal"]

_WORDS = [f" {a}{b}" for a in ("ba", "de", "fi", "go", "hu", "la", "me", "no", "pa", "ru") for b in "abcdefghij"]
_PARTS = [a + b for a in ("ing", "ed", "er", "al", "ion") for b in ("", "s", "ly", "e")]
_NUMBERS = [str(n) for n in range(10)] + [f" {n}" for n in range(10)] + [str(n) for n in range(10, 40)]
_PUNCTUATION = [".", ",", "!", "?", ":", ";", ' "', '"', " -"]
_SPACES = ["\n", "\n\n", "  ", "    ", "        ", "\n    "]
_SYMBOLS = ["=", " =", "+", " +", "*", "[", "]", "{", "}", "()", "==", " <", "/", "_", " #"]
GROUPS = (_WORDS, _PARTS, _NUMBERS, _PUNCTUATION, _SPACES, _SYMBOLS)
TEXTS = [text for group in GROUPS for text in group]
_IDS = {text: number for number, text in enumerate(TEXTS)}
_OF_GROUP = [[_IDS[text] for text in group] for group in GROUPS]
_NUMBER_IDS, _SPACE_IDS = frozenset(_OF_GROUP[2]), frozenset(_OF_GROUP[4])

MIXTURES = {
    "math": (34, 10, 24, 10, 6, 16),
    "coding": (26, 18, 6, 8, 20, 22),
    "writing": (60, 18, 2, 16, 3, 1),
    "chat": (56, 20, 4, 14, 4, 2),
}
"""By category, how frequent each of `GROUPS` is."""


@dataclass(frozen=True)
class _Seen:
    """What a planted weakness may depend on."""

    wanted: int
    context: int
    since_refusal: int
    at: int


_PLANTS: dict[Plant, Callable[[_Seen], bool]] = {
    "numbers": lambda seen: seen.wanted in _NUMBER_IDS,
    "indentation": lambda seen: seen.wanted in _SPACE_IDS,
    "context": lambda seen: seen.context >= 1024,
    "refusal": lambda seen: 1 <= seen.since_refusal <= 4,
}


def planted(plant: Plant | None, seed: int, stretch: float = 0.0, swing: float = 0.0) -> list[ev.TraceEvent]:
    """A trace of one drafting lane whose drafter has this weakness.

    Args:
        plant: The weakness; None for none.
        seed: Decides the rest.
        stretch: Tokens of an easy or a hard stretch of text on average; 0 for none.
        swing: How much the log odds of acceptance in easy stretches exceed those in hard ones.
    """
    rng = random.Random(f"{plant} {seed}")
    k = rng.randint(3, 7)
    base = rng.uniform(0.6, 1.6)
    fall = rng.uniform(0.05, 0.2)
    harm = rng.uniform(1.3, 2.0)
    unlike = rng.uniform(0.2, 0.5)
    sampling = ev.Sampling(max_tokens=4096)
    info = ev.LaneInfo("mtp", "mtp", "MTP", k, f"mtp:k={k}")
    made: list[ev.TraceEvent] = [ev.RunStarted("target", (info,), sampling)]
    for number in range(rng.randint(20, 40)):
        category = list(MIXTURES)[number % len(MIXTURES)]
        # Long conversations are found in every category, but most often in one of them.
        long = rng.random() < (0.6 if category == "coding" else 0.3)
        prompt = random_text(rng, category, rng.randint(800, 2200) if long else rng.randint(40, 500))
        answer = random_text(rng, category, rng.randint(100, 400), prompt)
        made.append(ev.RoundStarted(number, (ev.Prompt(f"prompt {number}", category, number),), sampling))
        made.append(ev.RequestStarted("mtp", f"{number}.0", 0, len(prompt), prompt_ids=tuple(prompt)))
        harder = rng.gauss(0, unlike)
        wrong = _PLANTS[plant] if plant else lambda seen: False
        text = _stretches(rng, len(answer), stretch, swing)

        def accepted(
            place: int,
            seen: _Seen,
            harder: float = harder,
            text: list[float] = text,
            wrong: Callable[[_Seen], bool] = wrong,
        ) -> bool:
            odds = base - fall * place + harder + text[seen.at] - harm * wrong(seen)
            return rng.random() < 1 / (1 + math.exp(-odds))

        for step in _steps(rng, f"{number}.0", len(prompt), answer, k, accepted):
            made.append(step)
        made.append(ev.RequestFinished("mtp", f"{number}.0", 0, "length", len(answer)))
        made.append(ev.RoundFinished(number))
    return made


def _stretches(rng: random.Random, length: int, mean: float, swing: float) -> list[float]:
    """By token of a text, what its stretch adds to the log odds."""
    if not mean:
        return [0.0] * length
    added = []
    now = rng.choice((-swing / 2, swing / 2))
    for _ in range(length):
        if rng.random() < 1 / mean:
            now = -now
        added.append(now)
    return added


def random_text(rng: random.Random, category: str, length: int, before: list[int] | None = None) -> list[int]:
    """Tokens of a category; some are runs that stand earlier in the text."""
    known = list(before or ())
    made: list[int] = []
    while len(made) < length:
        if len(known) > 20 and rng.random() < 0.4:
            begin = rng.randrange(len(known) - 10)
            more = known[begin : begin + rng.randint(3, 10)]
        else:
            more = [rng.choice(group) for group in rng.choices(_OF_GROUP, MIXTURES[category], k=15)]
        made += more
        known += more
    return made[:length]


def _steps(
    rng: random.Random,
    request: str,
    prompt_tokens: int,
    answer: list[int],
    k: int,
    accepted: Callable[[int, _Seen], bool],
) -> Iterator[ev.Step]:
    before, index, refused_at = 0, 0, None
    while before < len(answer):
        left = answer[before:]
        drafted: list[int] = []
        right = 0
        # The first step follows from the prompt and has no draft.
        for place in range(min(k, len(left)) if index else 0):
            at = before + place
            seen = _Seen(left[place], prompt_tokens + at, 0 if refused_at is None else at - refused_at, at)
            if right == place and accepted(place, seen):
                drafted.append(left[place])
                right += 1
            else:
                drafted.append(_other(rng, left[place]))
        refused = right < len(drafted)
        emitted = left[: right + 1]
        if refused:
            refused_at = before + right
        yield ev.Step(
            lane="mtp",
            request=request,
            slot=0,
            index=index,
            k=k,
            drafted=tuple(drafted),
            accepted=right,
            emitted=tuple(emitted),
            cut=(),
            own=None if len(emitted) == right else "recovered" if refused else "bonus",
            cut_reason="length" if before + len(emitted) >= len(answer) else None,
            text=tuple(TEXTS[token] for token in emitted),
            drafted_text=tuple(TEXTS[token] for token in drafted),
            batch=1,
            wall_ns=1_000_000,
            clock_ns=(index + 1) * 1_000_000,
            before=before,
        )
        before += len(emitted)
        index += 1


def _other(rng: random.Random, wanted: int) -> int:
    while (token := rng.randrange(len(TEXTS))) == wanted:
        pass
    return token
