"""What a user asks of a source. A source reads commands between engine steps; one that it cannot follow is answered
with a `Notice`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class SetPrompt:
    """Start a new round with the user's own text."""

    text: str


@dataclass(frozen=True, slots=True)
class NextPrompt:
    """Start a new round with a neighbour in the prompt set: ``by`` is +1 or -1."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the round again with the same prompts and the same seed."""


@dataclass(frozen=True, slots=True)
class Abort:
    """End the round's unfinished requests of ``lane``, or of every lane."""

    lane: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Stand still between two engine steps."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after `Pause`."""


@dataclass(frozen=True, slots=True)
class StepOnce:
    """Take one engine step of ``lane`` (of the lane that is furthest behind when None) and pause."""

    lane: str | None = None


@dataclass(frozen=True, slots=True)
class SetK:
    """Let ``lane`` draft ``k`` tokens from its next step on; 0 is plain decoding."""

    lane: str
    k: int


@dataclass(frozen=True, slots=True)
class SetConcurrency:
    """Race ``requests`` prompts at once, from the next round on."""

    requests: int


@dataclass(frozen=True, slots=True)
class SetTemperature:
    """Sample at ``temperature`` from the next round on; 0 is greedy."""

    temperature: float


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Finish the current engine step, free the engines and end."""


Command: TypeAlias = (
    SetPrompt
    | NextPrompt
    | Restart
    | Abort
    | Pause
    | Resume
    | StepOnce
    | SetK
    | SetConcurrency
    | SetTemperature
    | Shutdown
)
