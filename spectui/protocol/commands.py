"""What a user asks of a source. A source reads commands between engine steps and says which it follows
(`Source.accepts`); one that it cannot follow is answered with a `Notice`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from spectui.protocol.limits import TUNE_BUDGET_S


@dataclass(frozen=True, slots=True)
class SetPrompt:
    """Start a new round with the user's own text."""

    text: str


@dataclass(frozen=True, slots=True)
class NextPrompt:
    """Start a new round with a neighbour in the prompt set: ``by`` is +1 or -1."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class NextCategory:
    """Start a new round with the first prompt of the set's next category."""


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
class StepBack:
    """Of a replay: go back to before the last step, and pause."""


@dataclass(frozen=True, slots=True)
class Seek:
    """Of a replay: go on by ``seconds`` of lane time, back when negative."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SeekTo:
    """Of a replay: go to a place, as a share of the trace from 0 to 1."""

    share: float


@dataclass(frozen=True, slots=True)
class ChangeSpeed:
    """Of a replay: play faster (``by`` +1) or slower (-1)."""

    by: int


@dataclass(frozen=True, slots=True)
class SetSpeed:
    """Of a replay: play ``speed`` times as fast as the engines were."""

    speed: float


@dataclass(frozen=True, slots=True)
class SetK:
    """Let ``lane`` draft ``k`` tokens from its next step on; 0 is plain decoding."""

    lane: str
    k: int


@dataclass(frozen=True, slots=True)
class Inspect:
    """Ask the target what it thought of a step of the round.

    Attributes:
        slot: The request.
        index: The step.
        before: Tokens that the request had emitted before it.
        tokens: Ids of the step in order: the drafted ones, and the target's own where it stands behind all of them.
    """

    lane: str
    slot: int
    index: int
    before: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetConcurrency:
    """Race ``requests`` prompts at once, from the next round on."""

    requests: int


@dataclass(frozen=True, slots=True)
class SetTemperature:
    """Sample at ``temperature`` from the next round on; 0 is greedy."""

    temperature: float


@dataclass(frozen=True, slots=True)
class Tune:
    """End the round and search the fastest K of ``lane``, with at most ``budget_s`` seconds of engine steps."""

    lane: str
    budget_s: float = TUNE_BUDGET_S


@dataclass(frozen=True, slots=True)
class StopTuning:
    """Stop a search and keep the best K so far."""


@dataclass(frozen=True, slots=True)
class Record:
    """Record the run from now on, with what is still in memory before it; or end the recording."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Finish the current engine step, free the engines and end."""


Command: TypeAlias = (
    SetPrompt
    | NextPrompt
    | NextCategory
    | Restart
    | Abort
    | Pause
    | Resume
    | StepOnce
    | StepBack
    | Seek
    | SeekTo
    | ChangeSpeed
    | SetSpeed
    | SetK
    | Inspect
    | SetConcurrency
    | SetTemperature
    | Tune
    | StopTuning
    | Record
    | Shutdown
)
