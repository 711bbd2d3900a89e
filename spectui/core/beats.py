"""Shows a verification step in slow motion: which tokens are visible at each beat.

First the draft appears token by token, then the verdict passes over it from the left, the rejected tokens disappear,
and the target's own token takes their place. The last beat shows what the text keeps of the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from spectui.core.tokens import Role, Token, step_tokens
from spectui.protocol.events import Step

BEAT_S = 0.12
HELD = 3
"""Beats for which a rejection, and the end of a step, stay on screen so that they can be read."""

Phase: TypeAlias = Literal["draft", "verdict", "result"]


@dataclass(frozen=True, slots=True)
class Beat:
    """What follows the earlier text for `BEAT_S` seconds."""

    phase: Phase
    tokens: tuple[Token, ...]


def beats(step: Step) -> tuple[Beat, ...]:
    """All beats of a step."""
    return tuple(_beats(step))


def kept(step: Step) -> tuple[Token, ...]:
    """The tokens of a step that stay in the text when rejected drafts are hidden."""
    return tuple(token for token in step_tokens(step) if token[1] is not Role.REJECTED)


def _beats(step: Step) -> Iterator[Beat]:
    judged = _judged(step)
    pending = tuple((text, Role.PENDING) for text in step.drafted_text)
    for shown in range(len(pending)):
        yield Beat("draft", pending[:shown])
    if pending:
        yield Beat("verdict", pending)
    for place in range(step.accepted):
        yield Beat("verdict", judged[: place + 1] + pending[place + 1 :])
    if step.accepted < len(judged):
        yield from [Beat("verdict", judged)] * HELD
    # This is also the first beat of a step without a draft: nothing is shown before the target has spoken.
    yield Beat("verdict" if judged else "result", judged[: step.accepted])
    yield from [Beat("result", kept(step))] * HELD


def _judged(step: Step) -> tuple[Token, ...]:
    """The draft with its verdict; kept tokens are spelled as they are in the text."""
    texts = step.text[: step.accepted] + step.drafted_text[len(step.text[: step.accepted]) :]
    roles = (Role.ACCEPTED if place < step.accepted else Role.REJECTED for place in range(len(step.drafted)))
    return tuple(zip(texts, roles, strict=False))
