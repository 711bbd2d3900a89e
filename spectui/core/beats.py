"""A verification step in slow motion: what of it is to be seen at each beat.

First the draft comes token by token, then the verdict goes over it from the left, what was refused falls away, and the
target's own token takes its place. The last beat is what the text keeps of the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from spectui.core.tokens import Role, Token, step_tokens
from spectui.protocol.events import Step

BEAT_S = 0.12
HELD = 3
"""Beats for which a refusal, and the end of a step, stay to be read."""

Phase: TypeAlias = Literal["draft", "verdict", "result"]


@dataclass(frozen=True, slots=True)
class Beat:
    """What stands behind the earlier text for `BEAT_S` seconds."""

    phase: Phase
    tokens: tuple[Token, ...]


def beats(step: Step) -> tuple[Beat, ...]:
    """The whole of a step, beat by beat."""
    return tuple(_beats(step))


def kept(step: Step) -> tuple[Token, ...]:
    """What the text keeps of the step where refused drafts are not shown."""
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
    # Also the first beat of a step without a draft: nothing is there before the target spoke.
    yield Beat("verdict" if judged else "result", judged[: step.accepted])
    yield from [Beat("result", kept(step))] * HELD


def _judged(step: Step) -> tuple[Token, ...]:
    """The draft with the verdict on it, spelled as in the text where it was kept."""
    texts = step.text[: step.accepted] + step.drafted_text[len(step.text[: step.accepted]) :]
    roles = (Role.ACCEPTED if place < step.accepted else Role.REJECTED for place in range(len(step.drafted)))
    return tuple(zip(texts, roles, strict=False))
