"""The figures in which answers are compared, each as sums over answers and a value of these sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from spectui.core.comparison.answers import Answer

Sums: TypeAlias = tuple[float, ...]
"""What a figure is computed from: one number after the other is summed over answers. The last one says how much an
answer weighs."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure.

    Attributes:
        name: Its name in JSON.
        relative: Whether a change is the ratio B / A, rather than the difference B - A.
        of: The sums of one answer, given AR's answer to the same prompt; None if it does not have the figure.
        value: The figure of the sums; None if there is none.
        timed: Whether it is taken from times.
    """

    name: str
    relative: bool
    of: Callable[[Answer, Answer | None], Sums | None]
    value: Callable[[Sums], float | None]
    timed: bool = False


def _ratio(sums: Sums) -> float | None:
    return sums[0] / sums[1] if sums[1] > 0 else None


def _drafting(answer: Answer, plain: Answer | None) -> Sums | None:
    accepted = sum(accepted * count for (_, accepted), count in answer.shapes.items())
    return (accepted, answer.drafts) if answer.shapes else None


def _rate(answer: Answer, plain: Answer | None) -> Sums | None:
    accepted = sum(accepted * count for (_, accepted), count in answer.shapes.items())
    drafted = sum(drafted * count for (drafted, _), count in answer.shapes.items())
    return (accepted, drafted) if answer.shapes else None


def _length(sums: Sums) -> float | None:
    return 1 + sums[0] / sums[1] if sums[1] > 0 else None


def _throughput(answer: Answer, plain: Answer | None) -> Sums | None:
    return (answer.tokens, answer.time_ns / 1e9) if answer.time_ns > 0 else None


def _speedup(answer: Answer, plain: Answer | None) -> Sums | None:
    if plain is None or not answer.time_ns > 0 or not plain.time_ns > 0:
        return None
    return (answer.tokens, plain.time_ns, plain.tokens, answer.time_ns)


def _speedup_value(sums: Sums) -> float | None:
    tokens, plain_ns, plain_tokens, time_ns = sums
    return tokens * plain_ns / (plain_tokens * time_ns) if plain_tokens > 0 and time_ns > 0 else None


def _time_of(name: str) -> Callable[[Answer, Answer | None], Sums | None]:
    def of(answer: Answer, plain: Answer | None) -> Sums | None:
        spent: float | None = getattr(answer, name)
        return None if spent is None or not answer.steps else (spent / 1e6, answer.steps)

    return of


LENGTH = Measure("acceptance_length", True, _drafting, _length)
RATE = Measure("acceptance_rate", False, _rate, _ratio)
SPEEDUP = Measure("speedup", True, _speedup, _speedup_value, timed=True)
THROUGHPUT = Measure("tok_s", True, _throughput, _ratio, timed=True)

WHOLE = (
    LENGTH,
    RATE,
    SPEEDUP,
    THROUGHPUT,
    *(
        Measure(f"{part}_ms", True, _time_of(f"{name}_ns"), _ratio, timed=True)
        for part, name in (("step", "steps"), ("draft", "draft"), ("verify", "verify"))
    ),
)
"""Figures of whole answers, in the order in which they are listed."""


def at_position(position: int) -> Measure:
    """Conditional acceptance at a position of the draft, from 1: of the steps that drafted so many tokens and accepted
    all before it, the share that accepted it too."""

    def of(answer: Answer, plain: Answer | None) -> Sums | None:
        kept = judged = 0
        for (drafted, accepted), count in answer.shapes.items():
            if drafted >= position and accepted >= position - 1:
                judged += count
                kept += count * (accepted >= position)
        return (kept, judged) if judged else None

    return Measure("conditional_acceptance", False, of, _ratio)


def of_kind(kind: str) -> Measure:
    """Acceptance of the judged tokens in whose place the target wanted a token of this kind."""

    def of(answer: Answer, plain: Answer | None) -> Sums | None:
        found = answer.kinds.get(kind)
        return (found[0], found[1]) if found else None

    return Measure("conditional_acceptance", False, of, _ratio)


FIGURES = {
    "acceptance_length": "acceptance length",
    "acceptance_rate": "draft acceptance rate",
    "conditional_acceptance": "conditional acceptance",
    "speedup": "speed-up over AR",
    "tok_s": "tok/s",
    "step_ms": "step ms",
    "draft_ms": "draft ms",
    "verify_ms": "verify ms",
}
"""What a reader calls the figures."""
